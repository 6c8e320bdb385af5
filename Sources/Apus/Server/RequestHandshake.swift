// What a request says of the WebSocket that it asks for, with a connection or without.

extension Ref where Object == Exchange {
  /// The request as the handshake has taken it; no compression is negotiated.
  func handshake() -> ServerHandshake {
    var handshake = ServerHandshake(
      isGet: o.head.method == Method.get, version: o.head.version, hasBody: o.head.hasBody)
    forEachField { name, value in handshake.take(name, value) }
    return handshake
  }

  /// The subprotocols that the client offers.
  func offeredProtocols() throws(Failure) -> ProtocolList {
    let name = Text("sec-websocket-protocol")
    var list = ProtocolList()
    forEachField { if $0.equalsIgnoringCase(name.bytes) { list.take($1) } }
    guard list.isValid else {
      throw Failure(.protocolBroken, "Sec-WebSocket-Protocol must be a list of different tokens.")
    }
    return list
  }

  /// Appends the name of one of them, by its place in the client's order.
  func appendOfferedProtocol(at index: Int, to buffer: inout ByteBuffer) throws(Failure) {
    let protocols = try offeredProtocols()
    guard protocols.append(at: index, to: &buffer) else {
      throw Failure(.notFound, "the client offers no more")
    }
    if buffer.failed { throw .noMemory }
  }

  /// Whether the request asks for a WebSocket at all.
  var asksForWebSocket: Bool { o.head.namesWebSocket && o.head.connectionUpgrade }

  /// RFC 6455 §11.3.1.
  func handshakeKey() throws(Failure) -> Text {
    let value = try only("sec-websocket-key")
    guard HandshakeKey.isValid(value.bytes) else {
      throw Failure(.protocolBroken, "Sec-WebSocket-Key must be 16 bytes in Base64.")
    }
    return value
  }

  /// RFC 6455 §4.3: 0 to 255, without zeros in front.
  func handshakeVersion() throws(Failure) -> Int32 {
    let value = try only("sec-websocket-version")
    let digits = value.bytes
    var number: Int32 = 0
    var isRight = digits.count == 1 || (digits.count > 1 && digits.count <= 3 && digits[0] != 48)
    for index in 0..<min(digits.count, 3) {
      if !digits[index].isDigit { isRight = false }
      number = number &* 10 &+ Int32(digits[index] &- 48)
    }
    guard isRight, number <= 255 else {
      throw Failure(.protocolBroken, "Sec-WebSocket-Version must be a number up to 255.")
    }
    return number
  }

  /// RFC 6455 §10.2: whether a page of the request's origin may. A request without an
  /// Origin comes from no browser.
  func isOriginAllowed(_ policy: OriginPolicy, _ origins: borrowing OriginList) -> Bool {
    let name = Text("origin")
    guard let origin = field(name.bytes) else { return true }
    switch policy {
    case .any: return true
    case .same:
      guard let host = authority else { return false }
      return Origin.isSame(origin.bytes, host: host.bytes, isSecure: isSecure)
    case .list: return origins.contains(origin.bytes)
    }
  }

  private func forEachField(_ body: (Bytes, Bytes) -> Void) {
    for index in 0..<o.head.fields.count {
      let field = o.head.fields[index]
      if let name = part(field.name), let value = part(field.value) {
        body(name.bytes, value.bytes)
      }
    }
  }

  /// The value of a field that may come once.
  private func only(_ name: StaticString) throws(Failure) -> Text {
    let name = Text(name)
    guard let value = field(name.bytes) else {
      throw Failure(.notFound, "there is no such field")
    }
    var count = 0
    forEachField { own, _ in if own.equalsIgnoringCase(name.bytes) { count &+= 1 } }
    if count > 1 { throw Failure(.protocolBroken, "There is more than one such field.") }
    return value
  }
}
