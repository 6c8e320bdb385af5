// What a handler can ask of its request: text with NULs behind it, in memory of
// the exchange's own, made from the head as it was parsed.

extension Ref where Object == Exchange {
  /// Keeps the head. The parser's places count from its first byte. False when
  /// there is no memory.
  func keepHead(_ bytes: Bytes) -> Bool {
    guard let memory = unsafe o.arena.allocate(bytes.count &+ 1) else { return false }
    let text = unsafe memory.assumingMemoryBound(to: UInt8.self)
    unsafe text.copy(bytes)
    unsafe o.text = unsafe text
    // A NUL in place of the delimiter behind each part: SP, colon, OWS or CR.
    unsafe text[o.head.methodCount] = 0
    unsafe text[o.head.target.upperBound] = 0
    var index = 0
    while index < o.head.fields.count {
      let field = o.head.fields[index]
      unsafe text[field.name.upperBound] = 0
      unsafe text[field.value.upperBound] = 0
      index &+= 1
    }
    return keepPath(bytes)
  }

  @inline(__always)
  private func keepPath(_ bytes: Bytes) -> Bool {
    let range = o.head.path
    switch o.head.form {
    case .asterisk: o.path = Text("*")
    case .authority: o.path = Text("")
    case .origin, .absolute:
      let raw = bytes.extracting(range)
      if raw.isEmpty {
        o.path = Text("/")
      } else if !o.head.isEncoded, !o.head.hasQuery, let part = part(range) {
        o.path = part
      } else {
        var decoded = ByteBuffer()
        guard Percent.decode(path: raw, to: &decoded), !decoded.failed,
          let kept = o.arena.copy(decoded.bytes)
        else { return false }
        o.path = kept
      }
    }
    return true
  }

  /// A range of the head as text.
  func part(_ range: Range<Int>) -> Text? {
    guard let text = unsafe o.text else { return nil }
    return unsafe Text(start: text + range.lowerBound, count: range.count)
  }

  /// The path as sent, for the router; the one of "http://host" is "/".
  var rawPath: Text {
    if o.head.path.isEmpty { return o.path }
    return part(o.head.path) ?? o.path
  }

  var methodName: Text { part(0..<o.head.methodCount) ?? Text("") }

  /// Host and port apart; made when asked for.
  func hostAndPort() -> (host: Text, port: Int32) {
    let usual: Int32 = isSecure ? 443 : 80
    guard let authority, authority.count > 0, let parsed = HostPort(authority.bytes) else {
      return (Text(""), usual)
    }
    let bytes = authority.bytes
    if o.host.count == 0 {
      o.hasExtras = true
      o.host = o.arena.copy(bytes.extracting(parsed.host)) ?? Text("")
    }
    return (o.host, parsed.port >= 0 ? parsed.port : usual)
  }

  func field(_ name: Bytes) -> Text? {
    var index = 0
    while index < o.head.fields.count {
      let field = o.head.fields[index]
      if Int(field.nameCount) == name.count, let own = part(field.name),
        own.bytes.equalsIgnoringCase(name)
      {
        return part(field.value)
      }
      index &+= 1
    }
    return nil
  }

  func field(at index: Int) -> Pair? {
    guard index >= 0, index < o.head.fields.count else { return nil }
    let field = o.head.fields[index]
    guard let name = part(field.name), let value = part(field.value) else { return nil }
    return Pair(name: name, value: value)
  }

  /// Keeps a trailer field; its places count in `bytes`.
  func keepTrailer(_ field: Field, of bytes: Bytes) -> Bool {
    let isShared = o.isShared
    if isShared { o.lock.lock() }
    defer { if isShared { o.lock.unlock() } }
    o.hasExtras = true
    guard let name = o.arena.copy(bytes.extracting(field.name)),
      let value = o.arena.copy(bytes.extracting(field.value))
    else { return false }
    return o.trailers.append(Pair(name: name, value: value))
  }

  func trailer(_ name: Bytes) -> Text? {
    for index in 0..<o.trailers.count
    where o.trailers[index].name.bytes.equalsIgnoringCase(name) {
      return o.trailers[index].value
    }
    return nil
  }

  func trailer(at index: Int) -> Pair? {
    index >= 0 && index < o.trailers.count ? o.trailers[index] : nil
  }

  var query: Text { o.head.hasQuery ? part(o.head.query) ?? Text("") : Text("") }

  /// The body's length: what came, or what a streamed request announced.
  var bodyLength: Int64 {
    guard isStreamed || o.form?.o.isStreamed ?? false else { return Int64(o.body.count) }
    return o.head.coding == .chunked ? -1 : max(0, o.head.contentLength)
  }

  /// The values of all fields of a name, as one list (RFC 9110 §5.3).
  func joined(_ name: StaticString) -> ByteBuffer {
    let name = Text(name)
    var list = ByteBuffer()
    for index in 0..<o.head.fields.count {
      let field = o.head.fields[index]
      guard Int(field.nameCount) == name.count, let own = part(field.name),
        own.bytes.equalsIgnoringCase(name.bytes), let value = part(field.value)
      else { continue }
      if !list.isEmpty { list.append(",") }
      list.append(value.bytes)
    }
    return list
  }

  // ---- the client

  /// The client's address and port; made when asked for.
  func client() throws(Failure) -> (address: Text, port: Int32) {
    if let known = unsafe o.client { return unsafe (Text(characters: known), o.clientPort) }
    guard let peer = clientPeer else { return (Text(""), 0) }
    guard let memory = unsafe o.arena.allocate(48) else { throw .noMemory }
    let text = unsafe memory.assumingMemoryBound(to: CChar.self)
    o.hasExtras = true
    o.clientPort = unsafe peer.write(to: text)
    unsafe o.client = UnsafePointer(text)
    return unsafe (Text(characters: text), o.clientPort)
  }

  func descriptor() throws(Failure) -> Int32 {
    guard let connection = o.connection, !o.hasLeft else {
      throw Failure(.closed, "there is no connection")
    }
    return connection.o.descriptor
  }

  /// Has the body delivered as it comes; inside the handler of a streamed route.
  func streamBody(to callback: Callback<BodyFunction>) throws(Failure) {
    try checkUnreplied()
    guard isStreamed else { throw Failure(.state, "the route is not a streamed one") }
    if unsafe o.bodyCallback.isSet { throw Failure(.state, "the body is delivered already") }
    // Before the loop can see that it is shared.
    unsafe o.bodyCallback = unsafe callback
    o.bodyHandle = o.handle
    o.continueDue = o.head.expectsContinue
    if !o.isDeferred { keep() }
    notifyLoop()
  }

  private var isStreamed: Bool {
    o.route?.o.isStreamed ?? false
  }

  // ---- parameters

  func parameter(_ name: Bytes) -> Text? { Ref.find(name, in: o.parameters) }
  func parameter(at index: Int) -> Pair? {
    index >= 0 && index < o.parameters.count ? o.parameters[index] : nil
  }
  func queryParameter(_ name: Bytes) -> Text? { Ref.find(name, in: o.queries) }
  func queryParameter(at index: Int) -> Pair? {
    index >= 0 && index < o.queries.count ? o.queries[index] : nil
  }

  private static func find(_ name: Bytes, in list: borrowing List<Pair>) -> Text? {
    for index in 0..<list.count where list[index].name.bytes.equals(name) {
      return list[index].value
    }
    return nil
  }

  /// Decodes the path parameters, the first time.
  func readParameters() throws(Failure) {
    if o.hasParameters { return }
    o.hasExtras = true
    guard let route = o.route else {
      o.hasParameters = true
      return
    }
    let path = rawPath
    // An attempt before may have run out of memory half way.
    o.parameters.removeAll()
    var decoded = ByteBuffer()
    for index in 0..<min(o.captures.count, route.o.names.count) {
      let capture = o.captures[index]
      let start = Int(capture.start)
      decoded.truncate(to: 0)
      let bytes = path.bytes
      guard
        Percent.decode(
          path: bytes.extracting(start..<(start &+ Int(capture.count))), to: &decoded),
        !decoded.failed, let value = o.arena.copy(decoded.bytes)
      else { throw .noMemory }
      let name = route.o.names[index]
      guard let start = unsafe name.o.pointer else { throw .noMemory }
      let pair = unsafe Pair(name: Text(start: start, count: name.o.count), value: value)
      guard o.parameters.append(pair) else { throw .noMemory }
    }
    o.hasParameters = true
  }

  static var mostQueries: Int { 1000 }

  /// Decodes the query parameters, the first time (WHATWG URL §5.1).
  func readQueries() throws(Failure) {
    if o.hasQueries { return }
    o.hasExtras = true
    guard o.head.hasQuery, let query = part(o.head.query) else {
      o.hasQueries = true
      return
    }
    let bytes = query.bytes
    o.queries.removeAll()
    var start = 0
    while start < bytes.count, o.queries.count < Ref.mostQueries {
      let end = bytes.first(UInt8(ascii: "&"), from: start) ?? bytes.count
      if end > start {
        let piece = bytes.extracting(start..<end)
        let equals = piece.first(UInt8(ascii: "=")) ?? piece.count
        let name = try decoded(piece.extracting(0..<equals))
        let value = try decoded(piece.extracting(min(equals &+ 1, piece.count)..<piece.count))
        guard o.queries.append(Pair(name: name, value: value)) else { throw .noMemory }
      }
      start = end &+ 1
    }
    o.hasQueries = true
  }

  private func decoded(_ bytes: Bytes) throws(Failure) -> Text {
    var buffer = ByteBuffer()
    Percent.decode(form: bytes, to: &buffer)
    guard !buffer.failed, let text = o.arena.copy(buffer.bytes) else { throw .noMemory }
    return text
  }
}
