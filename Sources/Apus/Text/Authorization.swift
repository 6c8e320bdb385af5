// What a client says in Authorization (RFC 9110 §11.6.2) to be let in: a name and a
// password (RFC 7617), or a token (RFC 6750).

enum Authorization {
  /// What stands behind a scheme, whose name is in lower case; nil: it is another one.
  private static func credentials(_ value: Bytes, of scheme: StaticString) -> Range<Int>? {
    let end = value.first(32) ?? value.count
    guard value.extracting(0..<end).equalsLowercase(scheme) else { return nil }
    var start = end
    while start < value.count, value[start] == 32 { start &+= 1 }
    return start..<value.count
  }

  enum Answer: Equatable {
    /// The parts stand in the buffer, or in the value.
    case found(Range<Int>, Range<Int>)
    case otherScheme
    case malformed
  }

  /// RFC 7617 §2: Base64 of name, colon and password, in UTF-8 and without control
  /// characters.
  static func basic(_ value: Bytes, to buffer: inout ByteBuffer) -> Answer {
    guard let range = credentials(value, of: "basic") else { return .otherScheme }
    guard Base64.decode(value.extracting(range), to: &buffer) else { return .malformed }
    let text = buffer.bytes
    for index in 0..<text.count where text[index] < 32 || text[index] == 127 { return .malformed }
    guard let colon = text.first(UInt8(ascii: ":")), UTF8Validator.isValid(text) else {
      return .malformed
    }
    return .found(0..<colon, (colon &+ 1)..<text.count)
  }

  /// RFC 6750 §2.1: a token of letters, digits and a few marks.
  static func bearer(_ value: Bytes) -> Answer {
    guard let range = credentials(value, of: "bearer") else { return .otherScheme }
    var index = range.lowerBound
    while index < range.upperBound, isOfToken(value[index]) { index &+= 1 }
    guard index > range.lowerBound else { return .malformed }
    while index < range.upperBound, value[index] == UInt8(ascii: "=") { index &+= 1 }
    return index == range.upperBound ? .found(range, range) : .malformed
  }

  private static func isOfToken(_ byte: UInt8) -> Bool {
    byte.isUnreserved || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "/")
  }

  /// Appends a challenge (RFC 9110 §11.6.1): a scheme and a realm. Both were checked.
  static func appendChallenge(scheme: Bytes, realm: Bytes, to buffer: inout ByteBuffer) {
    buffer.append(scheme)
    buffer.append(" realm=\"")
    for index in 0..<realm.count {
      let byte = realm[index]
      if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { buffer.append(92) }
      buffer.append(byte)
    }
    buffer.append("\"")
    // RFC 7617 §2.1: says how name and password are to be encoded.
    if scheme.equalsLowercase("basic") { buffer.append(", charset=\"UTF-8\"") }
  }
}
