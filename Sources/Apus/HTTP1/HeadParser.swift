// Parses the head of a request, RFC 9112 §2 to §5, in strict grammar: what the
// ABNF does not allow is refused with 400, and no byte is skipped.
//
// The bytes given start at the request line each time and grow from call to
// call. A line is looked at when it is whole, or as far as it goes to refuse it
// early; a whole line is never looked at twice. So the outcome is the same whatever
// the pieces in which a head arrives: the first offence by position decides. Only a
// line that comes in many pieces is scanned again with each, sixteen bytes a step
// and up to its limit, which costs less than receiving the pieces.

struct HeadParser {
  private var cursor = 0
  private var inFields = false

  enum Outcome {
    case incomplete
    case complete
    case refused(Refusal)
  }

  mutating func reset() {
    cursor = 0
    inFields = false
  }

  /// Nil: the line is not whole yet, and fine so far.
  typealias Line = Result?
  enum Result {
    case line
    case end
    case refused(Refusal)
  }

  @inline(__always)
  mutating func parse(
    _ bytes: Bytes, into head: inout RequestHead, limits: borrowing RequestLimits
  ) -> Outcome {
    if !inFields {
      switch parseRequestLine(bytes, into: &head, limits: limits) {
      case nil: return .incomplete
      case .refused(let refusal): return .refused(refusal)
      case .line, .end: inFields = true
      }
    }
    // One byte past the limit is in view, to tell "at" from "past".
    let view = bytes.extracting(first: min(bytes.count, limits.head &+ 1))
    while true {
      switch FieldLine.parse(view, at: cursor) {
      case .incomplete:
        return bytes.count > limits.head ? .refused(.headTooLong) : .incomplete
      case .refused(let fault):
        return .refused(fault.refusal)
      case .end(let next):
        if next > limits.head { return .refused(.headTooLong) }
        head.count = next
        return finish(&head)
      case .field(let field, let next):
        if next > limits.head { return .refused(.headTooLong) }
        if head.fields.count >= limits.fields { return .refused(.tooManyFields) }
        guard head.fields.append(field) else { return .refused(.headTooLong) }
        if let refusal = KnownField.take(bytes, field, into: &head) { return .refused(refusal) }
        cursor = next
      }
    }
  }

  @inline(never)
  private mutating func parseRequestLine(
    _ bytes: Bytes, into head: inout RequestHead, limits: borrowing RequestLimits
  ) -> Line {
    let view = bytes.extracting(first: min(bytes.count, limits.requestLine &+ 2))
    guard let result = RequestLine.parse(view, into: &head) else {
      return bytes.count >= limits.requestLine &+ 2 ? .refused(.requestLineTooLong) : nil
    }
    switch result {
    case .refused(let refusal): return .refused(refusal)
    case .next(let next): cursor = next
    }
    return .line
  }

  /// What only the whole head can tell.
  @inline(__always)
  private func finish(_ head: inout RequestHead) -> Outcome {
    if head.version == 11, head.hasHost, head.coding == .none, !head.expectsOther {
      return .complete
    }
    return finishRare(&head)
  }

  @inline(never)
  private func finishRare(_ head: inout RequestHead) -> Outcome {
    // RFC 9112 §3.2: exactly one Host field, in 1.1.
    if head.version >= 11, !head.hasHost {
      return .refused(.bad("An HTTP/1.1 request must have a Host field."))
    }
    if head.coding != .none {
      // RFC 9112 §6.1: in 1.0 the framing is faulty; with a length it is an attack.
      if head.version < 11 {
        return .refused(.bad("HTTP/1.0 has no Transfer-Encoding."))
      }
      if head.contentLength >= 0 {
        return .refused(.bad("Content-Length and Transfer-Encoding exclude each other."))
      }
      if head.coding == .unknown {
        return .refused(
          Refusal(status: 501, reason: "The only transfer coding known here is chunked."))
      }
    }
    // RFC 9110 §10.1.1: an expectation that cannot be met; in 1.0 it is ignored.
    if head.version < 11 {
      head.expectsContinue = false
    } else if head.expectsOther {
      return .refused(
        Refusal(status: 417, reason: "The only expectation known here is 100-continue."))
    }
    return .complete
  }
}

/// RFC 9112 §5: one field line, or the empty line that ends a section.
enum FieldLine {
  enum Outcome {
    case incomplete
    case field(Field, next: Int)
    case end(next: Int)
    case refused(Fault)
  }

  enum Fault: UInt8 {
    case noField, noValue, noLF

    var refusal: Refusal {
      switch self {
      // Also an empty name, a space before the colon (§5.1) and obs-fold (§5.2).
      case .noField: .bad("A field line must be a token, a colon and a value.")
      case .noValue: .bad("A field value holds a control character, or its line no CR.")
      case .noLF: .bad("A CR stands without its LF.")
      }
    }
  }

  @inline(__always)
  static func parse(_ bytes: Bytes, at start: Int) -> Outcome {
    guard start < bytes.count else { return .incomplete }
    if bytes[start] == 13 {
      return bytes.isLineEnd(at: start) ? .end(next: start &+ 2) : oddEnd(bytes, start)
    }
    let nameEnd = bytes.firstOutsideToken(from: start)
    guard nameEnd < bytes.count else { return .incomplete }
    guard bytes[nameEnd] == UInt8(ascii: ":"), nameEnd > start else {
      return .refused(.noField)
    }
    let valueEnd = bytes.firstOutsideFieldValue(from: nameEnd &+ 1)
    guard bytes.isLineEnd(at: valueEnd) else { return oddEnd(bytes, valueEnd) }
    let value = bytes.trimmed((nameEnd &+ 1)..<valueEnd)
    return .field(Field(name: start..<nameEnd, value: value), next: valueEnd &+ 2)
  }

  /// Where CR and LF are due, and are not there.
  @inline(never)
  private static func oddEnd(_ bytes: Bytes, _ place: Int) -> Outcome {
    if place < bytes.count, bytes[place] != 13 { return .refused(.noValue) }
    return place &+ 1 < bytes.count ? .refused(.noLF) : .incomplete
  }
}
