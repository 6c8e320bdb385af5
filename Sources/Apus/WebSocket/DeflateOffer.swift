// The client's side of negotiating permessage-deflate, RFC 7692 §5 and §7.1: what it
// offers, and whether a reply fits. A reply that is wrong fails the connection.

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
