// Parses the head of a response, RFC 9112 §4 and §5, in strict grammar. As with
// requests, the bytes given start at the status line each time and grow from call to
// call, a whole line is not looked at twice, and the first offence by position decides,
// whatever the pieces in which a head arrives.

struct ResponseParser {
  private var cursor = 0
  private var inFields = false

  enum Outcome {
    case incomplete
    case complete
    case failed(Failure)
  }

  mutating func reset() {
    cursor = 0
    inFields = false
  }

  mutating func parse(
    _ bytes: Bytes, into head: inout ResponseHead, limits: borrowing ResponseLimits
  ) -> Outcome {
    // One byte past the limit is in view, to tell "at" from "past".
    let view = bytes.extracting(first: min(bytes.count, limits.head &+ 1))
    if !inFields {
      switch StatusLine.parseStrictly(view) {
      case nil: return more(view, limits)
      case .refused(let reason): return .failed(Failure(.protocolBroken, reason))
      case .line(let version, let status, let next):
        if next > limits.head { return more(view, limits) }
        head.version = version
        head.status = status
        head.reason = 13..<(next &- 2)
        cursor = next
        inFields = true
      }
    }
    while true {
      switch FieldLine.parse(view, at: cursor) {
      case .incomplete:
        return more(view, limits)
      case .refused:
        return .failed(FieldLine.problem(view, at: cursor))
      case .end(let next):
        if next > limits.head { return more(view, limits) }
        head.count = next
        return .complete
      case .field(let field, let next):
        if next > limits.head { return more(view, limits) }
        if head.fields.count >= limits.fields {
          return .failed(Failure(.tooLarge, "the response has too many fields"))
        }
        guard head.fields.append(field) else { return .failed(.noMemory) }
        ResponseField.take(view, field, into: &head)
        cursor = next
      }
    }
  }

  private func more(_ view: Bytes, _ limits: borrowing ResponseLimits) -> Outcome {
    if view.count <= limits.head { return .incomplete }
    return .failed(Failure(.tooLarge, "the response's head is too long"))
  }
}

extension StatusLine {
  /// The same for a client, which takes HTTP/1.1 and 1.0 only, and tells what is wrong
  /// with the first bytes.
  static func parseStrictly(_ bytes: Bytes) -> Outcome? {
    let outcome = parse(bytes, at: 0)
    let name = Text("HTTP/")
    let count = min(bytes.count, 5)
    guard bytes.extracting(first: count).equals(name.bytes.extracting(first: count)) else {
      return .refused("what the server sent is no HTTP response")
    }
    if bytes.count > 5, bytes[5].isDigit, bytes[5] != 49 {
      return .refused("the response is neither HTTP/1.1 nor HTTP/1.0")
    }
    if bytes.count > 7, bytes[5] == 49, bytes[6] == 46, bytes[7].isDigit, bytes[7] > 49 {
      return .refused("the response is neither HTTP/1.1 nor HTTP/1.0")
    }
    return outcome
  }
}

extension FieldLine {
  /// What is wrong with a field line of a response that was refused.
  static func problem(_ bytes: Bytes, at start: Int) -> Failure {
    Failure(.protocolBroken, reason(bytes, start))
  }

  private static func reason(_ bytes: Bytes, _ start: Int) -> StaticString {
    guard start < bytes.count else { return "a field line of the response is malformed" }
    if bytes[start] == 13 { return "a CR stands without its LF in the response" }
    let nameEnd = bytes.firstOutsideToken(from: start)
    guard nameEnd < bytes.count else { return "a field line of the response is malformed" }
    let byte = bytes[nameEnd]
    if nameEnd == start {
      switch byte {
      // RFC 9112 §5.2: obs-fold; §2.2: space before the first field line.
      case 32, 9: return "a line of the response is folded, or starts with a space"
      case 58: return "a field of the response has no name"
      case 10: return "a line of the response ends without a CR"
      default: break
      }
    }
    switch byte {
    case 58: return valueReason(bytes, nameEnd &+ 1)
    // RFC 9112 §5.1.
    case 32, 9: return "a field's name in the response has a space in it or behind it"
    case 13, 10: return "a field line of the response has no colon"
    case 0: return "a field's name in the response holds a NUL"
    default: return "a field's name in the response is no token"
    }
  }

  private static func valueReason(_ bytes: Bytes, _ start: Int) -> StaticString {
    let end = bytes.firstOutsideFieldValue(from: start)
    guard end < bytes.count else { return "a field line of the response is malformed" }
    switch bytes[end] {
    case 0: return "a field's value in the response holds a NUL"
    case 10: return "a line of the response ends without a CR"
    case 13: return "a CR stands without its LF in the response"
    default: return "a field's value in the response holds a control character"
    }
  }
}
