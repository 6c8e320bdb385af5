// The two values by which the ends of a handshake know each other: the client's
// key, and the server's answer to it (RFC 6455 §4.1, §4.2.2, §11.3.3). SHA-1 and
// chance are the caller's.

enum HandshakeKey {
  /// A key is the Base64 of 16 bytes, an answer that of 20.
  static var count: Int { 24 }
  static var acceptCount: Int { 28 }

  /// RFC 6455 §1.3.
  static var guid: StaticString { "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" }

  static func isValid(_ key: Bytes) -> Bool {
    key.count == count && Base64.decodedCount(key) == 16
  }

  /// Appends a new key, of 16 bytes of chance; false where they are not 16.
  static func append(random: Bytes, to buffer: inout ByteBuffer) -> Bool {
    guard random.count == 16 else { return false }
    Base64.append(random, to: &buffer)
    return true
  }

  /// Appends what the digest is of: RFC 6455 §4.2.2 item 5.4.
  static func appendInput(key: Bytes, to buffer: inout ByteBuffer) {
    buffer.append(key)
    buffer.append(guid)
  }

  /// Appends the value of Sec-WebSocket-Accept for the SHA-1 of that input; false
  /// where it has not 20 bytes.
  static func appendAccept(digest: Bytes, to buffer: inout ByteBuffer) -> Bool {
    guard digest.count == 20 else { return false }
    Base64.append(digest, to: &buffer)
    return true
  }
}
