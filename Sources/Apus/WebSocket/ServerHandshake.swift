// The server's half of the opening handshake, RFC 6455 §4.2.1: whether a request
// asks for a WebSocket as it must. It is told the request's fields one by one, and
// says at the end what it is refused with, or nothing.

struct ServerHandshake: ~Copyable {
  private let isGet: Bool
  private let version: Int32
  private let hasBody: Bool
  private var hasUpgrade = false
  private var hasConnection = false
  private var keys = 0
  private var isKeyValid = false
  private var keyBytes = InlineArray<24, UInt8>(repeating: 0)
  private var versions = 0
  private var isVersionKnown = false
  private var deflateOffers: DeflateNegotiation
  /// What the client offers.
  var protocols = ProtocolList()

  /// `version` is 11 for HTTP/1.1; `deflate` nil for no compression.
  init(isGet: Bool, version: Int32, hasBody: Bool, deflate: DeflateSettings? = nil) {
    self.isGet = isGet
    self.version = version
    self.hasBody = hasBody
    deflateOffers = DeflateNegotiation(deflate)
  }

  /// Whether the request asks for a WebSocket at all.
  var asksForWebSocket: Bool { hasUpgrade && hasConnection }

  /// The client's key, once nothing is wrong with it.
  var key: Bytes {
    @_lifetime(borrow self) get { keyBytes.span }
  }

  /// The compression to use: the client's first offer that can be met, if any.
  var deflate: DeflateParameters? { deflateOffers.chosen }

  /// Takes a field of the request, whatever it is.
  mutating func take(_ name: Bytes, _ value: Bytes) {
    switch name.count {
    case 7 where name.equalsLowercase("upgrade"):
      if ListElements.contains(value, "websocket") { hasUpgrade = true }
    case 10 where name.equalsLowercase("connection"):
      if ListElements.contains(value, "upgrade") { hasConnection = true }
    case 17 where name.equalsLowercase("sec-websocket-key"):
      takeKey(value)
    case 21 where name.equalsLowercase("sec-websocket-version"):
      versions &+= 1
      isVersionKnown = value.equals("13")
    case 22 where name.equalsLowercase("sec-websocket-protocol"):
      protocols.take(value)
    case 24 where name.equalsLowercase("sec-websocket-extensions"):
      deflateOffers.take(value)
    default:
      break
    }
  }

  private mutating func takeKey(_ value: Bytes) {
    keys &+= 1
    isKeyValid = HandshakeKey.isValid(value)
    if isKeyValid {
      for index in 0..<HandshakeKey.count { keyBytes[index] = value[index] }
    }
  }

  /// What is wrong; nil: a 101 is due.
  func problem() -> HandshakeProblem? {
    // RFC 6455 §4.2.1 item 1.
    if !isGet { return HandshakeProblem(status: 405, reason: "A WebSocket is opened by GET.") }
    if version < 11 { return .bad("A WebSocket is opened by HTTP/1.1.") }
    // Items 3 and 4.
    if !hasUpgrade {
      return HandshakeProblem(
        status: 426, reason: "This is a WebSocket: Upgrade must name websocket.")
    }
    if !hasConnection {
      return HandshakeProblem(
        status: 426, reason: "This is a WebSocket: Connection must name Upgrade.")
    }
    // A body would have to be read before frames are: nobody sends one.
    if hasBody { return .bad("A WebSocket is opened by a request without content.") }
    // Item 6, §4.4 and §11.3.5: once, and 13.
    if versions > 1 { return .bad("There is more than one Sec-WebSocket-Version.") }
    if !isVersionKnown {
      return HandshakeProblem(status: 426, reason: "Sec-WebSocket-Version must be 13.")
    }
    // Item 5 and §11.3.1: once, and 16 bytes.
    if keys > 1 { return .bad("There is more than one Sec-WebSocket-Key.") }
    if !isKeyValid { return .bad("Sec-WebSocket-Key must be 16 bytes in Base64.") }
    if !protocols.isValid {
      return .bad("Sec-WebSocket-Protocol must be a list of different tokens.")
    }
    // RFC 6455 §9.1: what breaks the grammar fails the connection.
    if !deflateOffers.isValid { return .bad("Sec-WebSocket-Extensions is malformed.") }
    return nil
  }
}
