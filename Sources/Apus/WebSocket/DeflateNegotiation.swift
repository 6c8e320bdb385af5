// The negotiation of permessage-deflate, RFC 7692 §5 and §7.1. A client offers
// configurations in its order of preference; the server accepts the first that it
// can meet, or none. Offers that are wrong are declined, and only what breaks the
// grammar fails the handshake (§5.1, RFC 6455 §9.1). A reply that is wrong fails it.

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

/// What a client offers, and whether a reply fits.
struct DeflateOffer {
  /// Asks that the server forgets, after a message, what it compressed before.
  var serverNoContextTakeover = false
  /// Promises the same.
  var clientNoContextTakeover = false
  /// Asks for a window of at most that size; 15: does not ask.
  var serverMaxWindowBits: UInt8 = 15
  /// The largest window that the client uses.
  var clientMaxWindowBits: UInt8 = 15
  /// Whether the server may ask for a smaller one yet.
  var allowsClientBits = true

  /// Appends the value of the field.
  func append(to buffer: inout ByteBuffer) {
    buffer.append(DeflateParameters.name)
    if serverNoContextTakeover { buffer.append("; server_no_context_takeover") }
    if clientNoContextTakeover { buffer.append("; client_no_context_takeover") }
    if serverMaxWindowBits < 15 {
      buffer.append("; server_max_window_bits=")
      buffer.append(decimal: Int64(serverMaxWindowBits))
    }
    if allowsClientBits {
      buffer.append("; client_max_window_bits")
      if clientMaxWindowBits < 15 {
        buffer.append("=")
        buffer.append(decimal: Int64(clientMaxWindowBits))
      }
    }
  }

  /// What comes of the value of a server's field; nil: the connection fails.
  func accepted(_ value: Bytes) -> DeflateParameters? {
    var list = ExtensionList()
    var reply: DeflateElement?
    while true {
      switch list.next(in: value) {
      case .malformed:
        return nil
      case .end:
        return reply.flatMap { accepted($0) }
      case .name(let name):
        // RFC 6455 §4.1: none that was not offered; RFC 7692 §5.2: ours once.
        guard reply == nil, value.extracting(name).equals(DeflateParameters.name) else {
          return nil
        }
        reply = DeflateElement()
      case .parameter(let name, let parameter):
        reply?.take(value, name: name, value: parameter)
      }
    }
  }

  private func accepted(_ reply: DeflateElement) -> DeflateParameters? {
    guard reply.isValid else { return nil }
    var result = DeflateParameters()
    // §7.1.1.1: what was asked for must be granted.
    if serverNoContextTakeover, !reply.serverNoContextTakeover { return nil }
    result.serverNoContextTakeover = reply.serverNoContextTakeover
    result.clientNoContextTakeover = clientNoContextTakeover || reply.clientNoContextTakeover
    // §7.1.2.1: likewise, by the same size or a smaller one.
    switch reply.serverBits {
    case .value(let bits):
      guard bits <= serverMaxWindowBits else { return nil }
      result.serverMaxWindowBits = bits
    case .absent, .withoutValue:
      guard serverMaxWindowBits == 15 else { return nil }
    }
    // §7.1.2.2: only if it was offered, with a value, and none that is larger.
    result.clientMaxWindowBits = clientMaxWindowBits
    switch reply.clientBits {
    case .absent: break
    case .withoutValue: return nil
    case .value(let bits):
      guard allowsClientBits, bits <= clientMaxWindowBits else { return nil }
      result.clientMaxWindowBits = bits
    }
    return result
  }
}
