// The server's side of negotiating permessage-deflate, RFC 7692 §5 and §7.1. A client
// offers configurations in its order of preference; the server accepts the first
// that it can meet, or none. Offers that are wrong are declined, and only what breaks
// the grammar fails the handshake (§5.1, RFC 6455 §9.1).

/// What a server is ready for.
struct DeflateSettings {
  /// Whether the server forgets, after a message, what it compressed before.
  var serverNoContextTakeover = false
  /// Whether clients must.
  var clientNoContextTakeover = false
  /// The largest windows: 8 to 15.
  var serverMaxWindowBits: UInt8 = 15
  var clientMaxWindowBits: UInt8 = 15

  /// What comes of an offer; nil: it is declined.
  func accepted(_ offer: DeflateElement) -> DeflateParameters? {
    guard offer.isValid else { return nil }
    var result = DeflateParameters()
    // §7.1.1.1: must be granted. §7.1.1.2: a promise if it is offered, which the
    // reply takes up; without it, the reply demands it if need be.
    result.serverNoContextTakeover = serverNoContextTakeover || offer.serverNoContextTakeover
    result.clientNoContextTakeover = clientNoContextTakeover || offer.clientNoContextTakeover
    // §7.1.2.1: the same size or a smaller one. Where the client does not ask, a
    // smaller window is nothing that it must know of.
    result.serverMaxWindowBits = serverMaxWindowBits
    if case .value(let most) = offer.serverBits {
      result.serverMaxWindowBits = min(most, serverMaxWindowBits)
      result.namesServerBits = true
    }
    // §7.1.2.2: the reply may only name a size if the offer has the parameter.
    switch offer.clientBits {
    case .absent:
      if clientMaxWindowBits < 15 { return nil }
    case .withoutValue:
      result.clientMaxWindowBits = clientMaxWindowBits
      result.namesClientBits = clientMaxWindowBits < 15
    case .value(let most):
      result.clientMaxWindowBits = min(most, clientMaxWindowBits)
      result.namesClientBits = true
    }
    return result
  }
}

/// A server's choice among offers.
struct DeflateNegotiation {
  private let settings: DeflateSettings?
  private(set) var chosen: DeflateParameters?
  private var isMalformed = false
  private var wasGiven = false
  private var hasElement = false

  /// Without settings, everything is declined.
  init(_ settings: DeflateSettings?) { self.settings = settings }

  /// Whether what was taken is a field as its grammar has it: with one element at
  /// least.
  var isValid: Bool { !isMalformed && (!wasGiven || hasElement) }

  /// Takes one field's value; there may be several (RFC 6455 §11.3.2).
  mutating func take(_ value: Bytes) {
    wasGiven = true
    var list = ExtensionList()
    var offer: DeflateElement?
    while true {
      switch list.next(in: value) {
      case .malformed:
        isMalformed = true
        return
      case .end:
        choose(offer)
        return
      case .name(let name):
        choose(offer)
        hasElement = true
        let isOurs = value.extracting(name).equals(DeflateParameters.name)
        offer = isOurs ? DeflateElement() : nil
      case .parameter(let name, let parameter):
        offer?.take(value, name: name, value: parameter)
      }
    }
  }

  private mutating func choose(_ offer: DeflateElement?) {
    guard chosen == nil, let offer, let settings else { return }
    chosen = settings.accepted(offer)
  }
}
