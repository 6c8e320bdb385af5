// The client's half of the opening handshake, RFC 6455 §4.1: whether the reply to
// its request opens the connection. It is told the reply's fields one by one, and
// says at the end why the connection fails, or nothing. A status other than 101 is
// for the HTTP client: redirection, authentication and errors are as usual.

struct ClientHandshake: ~Copyable {
  private let status: Int32
  private let version: Int32
  private let offer: DeflateOffer?
  private let accept: InlineArray<28, UInt8>
  private let protocols: ProtocolList

  private var upgrades = 0
  private var isUpgradeRight = false
  private var hasConnection = false
  private var accepts = 0
  private var isAcceptRight = false
  private var protocolFields = 0
  /// The index of the subprotocol that the server chose, among those offered.
  private(set) var chosenProtocol: Int?
  private var extensionFields = 0
  private var isExtensionRight = false
  /// The compression to use, if any.
  private(set) var deflate: DeflateParameters?

  /// `version` is 11 for HTTP/1.1. `accept` is what Sec-WebSocket-Accept must be;
  /// `protocols` and `deflate` are what the request offered.
  init(
    status: Int32, version: Int32, accept: Bytes, protocols: consuming ProtocolList,
    deflate: DeflateOffer?
  ) {
    self.status = status
    self.version = version
    var expected = InlineArray<28, UInt8>(repeating: 0)
    if accept.count == HandshakeKey.acceptCount {
      for index in 0..<HandshakeKey.acceptCount { expected[index] = accept[index] }
    }
    self.accept = expected
    self.protocols = protocols
    offer = deflate
  }

  /// Takes a field of the reply, whatever it is.
  mutating func take(_ name: Bytes, _ value: Bytes) {
    switch name.count {
    case 7 where name.equalsLowercase("upgrade"):
      upgrades &+= 1
      isUpgradeRight = value.equalsLowercase("websocket")
    case 10 where name.equalsLowercase("connection"):
      if ListElements.contains(value, "upgrade") { hasConnection = true }
    case 20 where name.equalsLowercase("sec-websocket-accept"):
      accepts &+= 1
      isAcceptRight = value.equals(accept.span)
    case 22 where name.equalsLowercase("sec-websocket-protocol"):
      protocolFields &+= 1
      chosenProtocol = protocols.index(of: value)
    case 24 where name.equalsLowercase("sec-websocket-extensions"):
      extensionFields &+= 1
      deflate = offer?.accepted(value)
      isExtensionRight = deflate != nil
    default:
      break
    }
  }

  /// Why the connection fails; nil: it is open.
  func problem() -> StaticString? {
    // RFC 6455 §4.1, on the reply: items 1 to 6.
    if status != 101 { return "The server did not switch protocols." }
    if version < 11 { return "The server replied in HTTP/1.0." }
    if upgrades != 1 || !isUpgradeRight { return "The server did not switch to websocket." }
    if !hasConnection { return "The server's Connection does not name Upgrade." }
    if accepts != 1 || !isAcceptRight {
      return "Sec-WebSocket-Accept does not answer the key."
    }
    // §11.3.2: the field comes once.
    if extensionFields > 1 || (extensionFields == 1 && !isExtensionRight) {
      return "The server accepted an extension that was not offered so."
    }
    // §11.3.4: likewise.
    if protocolFields > 1 || (protocolFields == 1 && chosenProtocol == nil) {
      return "The server chose a subprotocol that was not offered."
    }
    return nil
  }
}
