// The status line of a response, RFC 9112 §4: HTTP-version SP status-code SP
// [ reason-phrase ] CRLF. The reason means nothing to a program.

enum StatusLine {
  enum Outcome {
    /// `version` is 10, or 11 for any later minor; the fields start at `next`.
    case line(version: Int32, status: Int32, next: Int)
    case refused(StaticString)
  }

  /// The line that stands at an index. Nil: not whole yet, and fine so far.
  static func parse(_ bytes: Bytes, at start: Int) -> Outcome? {
    guard start >= 0, start <= bytes.count else { return nil }
    let name = Text("HTTP/1.")
    let text = name.bytes
    var status: Int32 = 0
    for offset in 0..<13 {
      guard start &+ offset < bytes.count else { return nil }
      let byte = bytes[start &+ offset]
      switch offset {
      case 0..<7:
        if byte != text[offset] { return .refused("A response starts with HTTP/1.1.") }
      case 8, 12:
        if byte != 32 { return .refused("A status is three digits between spaces.") }
      default:
        guard byte.isDigit else { return .refused("A status is three digits between spaces.") }
        if offset > 8 { status = status &* 10 &+ Int32(byte &- 48) }
      }
    }
    // RFC 9110 §15: what is over 599 is taken as a server's error.
    if status < 100 { return .refused("A status is 100 or more.") }
    let end = bytes.firstOutsideFieldValue(from: start &+ 13)
    guard end < bytes.count else { return nil }
    guard bytes[end] == 13 else {
      return .refused("A reason phrase holds a control character, or its line no CR.")
    }
    guard end &+ 1 < bytes.count else { return nil }
    guard bytes[end &+ 1] == 10 else { return .refused("A CR stands without its LF.") }
    let version: Int32 = bytes[start &+ 7] == 48 ? 10 : 11
    return .line(version: version, status: status, next: end &+ 2)
  }
}
