// The parameters of permessage-deflate on which both ends have agreed, RFC 7692 §7.1.

struct DeflateParameters: Equatable {
  /// Whether each end forgets, after a message, what it compressed before.
  var serverNoContextTakeover = false
  var clientNoContextTakeover = false
  /// How far back each may refer, as the exponent of a power of two: 8 to 15.
  var serverMaxWindowBits: UInt8 = 15
  var clientMaxWindowBits: UInt8 = 15
  /// Whether the reply must name the window sizes.
  var namesServerBits = false
  var namesClientBits = false

  static var name: StaticString { "permessage-deflate" }

  /// Appends the value of the field by which a server accepts.
  func append(to buffer: inout ByteBuffer) {
    buffer.append(DeflateParameters.name)
    if serverNoContextTakeover { buffer.append("; server_no_context_takeover") }
    if clientNoContextTakeover { buffer.append("; client_no_context_takeover") }
    if namesServerBits {
      buffer.append("; server_max_window_bits=")
      buffer.append(decimal: Int64(serverMaxWindowBits))
    }
    if namesClientBits {
      buffer.append("; client_max_window_bits=")
      buffer.append(decimal: Int64(clientMaxWindowBits))
    }
  }
}
