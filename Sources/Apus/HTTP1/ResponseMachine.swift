// The response to one request as a machine without sockets or clocks: bytes in, steps
// out. RFC 9110 §15.2 (interim responses), RFC 9112 §6.3 (where the body ends).
//
// The caller hands in what it has, from `index` on, and is told one step at a time; the
// machine moves the index past what it took. A head and a trailer line are taken whole,
// so bytes that are not taken must come again with more behind. What stands behind the
// end is not taken.

struct ResponseMachine {
  private enum State: UInt8 {
    case start
    case head
    case fixed
    case chunked
    case untilClose
    case trailers
    case ended
    case failed
  }

  private var state = State.start
  private var request: RequestFacts
  private var parser = ResponseParser()
  private var chunks = ChunkedDecoder(isOfResponse: true)
  /// Interim responses so far.
  private var interims = 0
  /// Content still to come by Content-Length, or taken so far otherwise.
  private var remaining: Int64 = 0
  private var taken: Int64 = 0
  private var trailerCount = 0
  private var trailerBytes = 0

  enum Step {
    /// Nothing more can be said without more bytes.
    case more
    /// An interim response: the range of its bytes. `head` is of it until the next call.
    case interim(Range<Int>)
    /// The final response's head: the range of its bytes. 101 is final.
    case head(Range<Int>)
    case body(Range<Int>)
    /// A trailer field, its parts counted from the start of the bytes.
    case trailer(Field)
    /// The response is complete; `nextResponse` begins another.
    case end
    case failed(Failure)
  }

  /// What the end of the connection means.
  enum Finish {
    /// No byte of a response has come.
    case nothing
    case complete
    case failed(Failure)
  }

  init(to request: RequestFacts = RequestFacts()) { self.request = request }

  /// Begins the response to another request.
  mutating func nextResponse(to request: RequestFacts) {
    self.request = request
    state = .start
    interims = 0
    parser.reset()
  }

  /// Whether no byte of the response has come, not even of an interim one.
  var isAtStart: Bool { state == .start && interims == 0 }
  /// Whether the final response's head is in and its end is not.
  var isInBody: Bool {
    switch state {
    case .fixed, .chunked, .untilClose, .trailers: true
    default: false
    }
  }
  var isEnded: Bool { state == .ended }

  /// The next step. `limits` must be the same for all of a response.
  mutating func next(
    _ bytes: Bytes, at index: inout Int, head: inout ResponseHead,
    limits: borrowing ResponseLimits
  ) -> Step {
    while true {
      switch state {
      case .start:
        guard index < bytes.count else { return .more }
        head.reset()
        parser.reset()
        state = .head
      case .head:
        if let step = nextHead(bytes, at: &index, head: &head, limits: limits) { return step }
      case .fixed:
        guard index < bytes.count else { return .more }
        let start = index
        index &+= Int(min(Int64(bytes.count &- index), remaining))
        remaining &-= Int64(index &- start)
        if remaining == 0 { state = .ended }
        return .body(start..<index)
      case .chunked:
        switch chunks.next(bytes, at: &index, room: limits.body &- taken) {
        case .more: return .more
        case .refused(let refusal): return fail(refusal)
        case .trailers: state = .trailers
        case .data(let range):
          taken &+= Int64(range.count)
          return .body(range)
        }
      case .untilClose:
        guard index < bytes.count else { return .more }
        if taken >= limits.body { return fail(ResponseMachine.bodyTooLong) }
        let start = index
        index &+= Int(min(Int64(bytes.count &- index), limits.body &- taken))
        taken &+= Int64(index &- start)
        return .body(start..<index)
      case .trailers:
        return nextTrailer(bytes, at: &index, limits: limits)
      case .ended:
        return .end
      case .failed:
        return .more
      }
    }
  }

  /// The connection has ended, and all that came was handed in.
  mutating func finish() -> Finish {
    switch state {
    case .ended: return .complete
    case .untilClose:
      state = .ended
      return .complete
    case .start where interims == 0: return .nothing
    case .start: return lost("the connection ended before the final response")
    case .head: return lost("the connection ended inside the response's head")
    case .fixed: return lost("the response's body is shorter than its Content-Length")
    case .chunked: return lost("the response's body ended without its last chunk")
    case .trailers: return lost("the connection ended inside the response's trailer section")
    case .failed: return .failed(Failure(.protocolBroken, "the response has failed before"))
    }
  }

  private mutating func lost(_ message: StaticString) -> Finish {
    state = .failed
    return .failed(Failure(.closed, message))
  }

  // ---- the head

  /// Nil: an interim response that is not told.
  private mutating func nextHead(
    _ bytes: Bytes, at index: inout Int, head: inout ResponseHead,
    limits: borrowing ResponseLimits
  ) -> Step? {
    switch parser.parse(bytes.extracting(index..<bytes.count), into: &head, limits: limits) {
    case .incomplete: return .more
    case .failed(let failure): return fail(failure)
    case .complete: break
    }
    let start = index
    if head.isInterim {
      interims &+= 1
      if interims > limits.interim {
        return fail(Failure(.tooLarge, "there are too many interim responses"))
      }
      index &+= head.count
      state = .start
      // RFC 9110 §15.2.1: a 100 that nobody expects is dropped.
      return head.status == 100 && !request.expectsContinue ? nil : .interim(start..<index)
    }
    if let failure = frame(&head, limits) { return fail(failure) }
    index &+= head.count
    return .head(start..<index)
  }

  /// RFC 9112 §6.3, item by item.
  private mutating func frame(_ head: inout ResponseHead, _ limits: borrowing ResponseLimits)
    -> Failure?
  {
    if head.status == 101, !request.asksForUpgrade {
      return Failure(.protocolBroken, "the server switches protocols unasked")
    }
    // Items 1 and 2: what the fields say does not count.
    let isTunnel = request.isConnect && head.status / 100 == 2
    let isBare = head.status == 101 || head.status == 204 || head.status == 304
    if request.isHead || isTunnel || isBare {
      head.framing = .none
      state = .ended
      return nil
    }
    if let problem = head.problem { return problem }
    // Items 3 and 4.
    if head.isChunked {
      if head.contentLength >= 0 {
        return Failure(
          .protocolBroken, "the response has both a Content-Length and a Transfer-Encoding")
      }
      // RFC 9112 §6.1.
      if head.version < 11 {
        return Failure(.protocolBroken, "the response is HTTP/1.0 with a Transfer-Encoding")
      }
      head.framing = .chunked
      state = .chunked
      chunks = ChunkedDecoder(isOfResponse: true)
      trailerCount = 0
      trailerBytes = 0
    } else if head.contentLength > limits.body {
      return ResponseMachine.bodyTooLong
    } else if head.contentLength >= 0 {
      // Item 6.
      head.framing = .length
      remaining = head.contentLength
      state = remaining > 0 ? .fixed : .ended
    } else {
      // Item 8.
      head.framing = .untilClose
      state = .untilClose
    }
    taken = 0
    return nil
  }

  // ---- the trailer section, RFC 9112 §7.1.2

  private mutating func nextTrailer(
    _ bytes: Bytes, at index: inout Int, limits: borrowing ResponseLimits
  ) -> Step {
    let room = limits.trailers &- trailerBytes
    let view = bytes.extracting(first: min(bytes.count, index &+ room &+ 1))
    let isLong = bytes.count &- index > room
    switch FieldLine.parse(view, at: index) {
    case .incomplete:
      return isLong ? fail(ResponseMachine.trailersTooLong) : .more
    case .refused:
      return fail(FieldLine.problem(view, at: index))
    case .end(let next):
      if next &- index > room { return fail(ResponseMachine.trailersTooLong) }
      index = next
      state = .ended
      return .end
    case .field(let field, let next):
      if next &- index > room { return fail(ResponseMachine.trailersTooLong) }
      if trailerCount >= limits.fields {
        return fail(Failure(.tooLarge, "the response has too many trailer fields"))
      }
      trailerCount &+= 1
      trailerBytes &+= next &- index
      index = next
      return .trailer(field)
    }
  }

  // ---- failure

  private static var bodyTooLong: Failure {
    Failure(.tooLarge, "the response's body is longer than its limit")
  }

  private static var trailersTooLong: Failure {
    Failure(.tooLarge, "the response's trailer section is too long")
  }

  private mutating func fail(_ failure: Failure) -> Step {
    state = .failed
    return .failed(failure)
  }

  /// What is wrong with a chunk.
  private mutating func fail(_ refusal: Refusal) -> Step {
    fail(
      refusal.status == 413
        ? ResponseMachine.bodyTooLong : Failure(.protocolBroken, refusal.reason))
  }
}
