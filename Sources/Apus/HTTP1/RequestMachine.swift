// A connection's requests as a machine without sockets or clocks: bytes in, steps
// out. RFC 9112 §2.2 (where a message starts), §6.3 (where its body ends).
//
// The caller hands in what it has, from `index` on, and is told one step at a
// time; the machine moves the index past what it took. A head and a trailer line
// are taken whole, so bytes that are not taken must come again with more behind.

struct RequestMachine {
  private enum State: UInt8 {
    case start
    case startLF
    case head
    case fixed
    case chunked
    case trailers
    case ended
    case refused
  }

  private var state = State.start
  private var skippedLine = false
  private var parser = HeadParser()
  private var chunks = ChunkedDecoder()
  /// Content still to come by Content-Length, or taken so far in chunks.
  private var remaining: Int64 = 0
  private var taken: Int64 = 0
  /// What chunks of this request may come to, in place of the limit of all; -1: that.
  /// The caller may set it once the head is in.
  var room: Int64 = -1
  private var trailerCount = 0
  private var trailerBytes = 0

  enum Step {
    /// Nothing more can be said without more bytes.
    case more
    /// The head is in: the range of its bytes.
    case head(Range<Int>)
    case body(Range<Int>)
    /// A trailer field, its parts counted from the start of the bytes.
    case trailer(Field)
    /// The request is complete. Call `nextRequest` for another.
    case end
    case refused(Refusal)
  }

  /// Whether a request's bytes have begun to arrive and its head is not in.
  var isInHead: Bool { state == .head || state == .startLF }
  /// Whether a request's body is due.
  var isInBody: Bool { state == .fixed || state == .chunked || state == .trailers }
  var isAtStart: Bool { state == .start }
  /// Whether the next step is the request's end, whatever comes.
  var isEnded: Bool { state == .ended }

  mutating func nextRequest() {
    state = .start
    skippedLine = false
    parser.reset()
  }

  /// The next step. `limits` must be the same for all of a request.
  mutating func next(
    _ bytes: Bytes, at index: inout Int, head: inout RequestHead,
    limits: borrowing RequestLimits
  ) -> Step {
    while true {
      switch state {
      case .start, .startLF:
        guard index < bytes.count else { return .more }
        if let refusal = skipEmptyLine(bytes[index], at: &index) { return refuse(refusal) }
      case .head:
        return nextHead(bytes, at: &index, head: &head, limits: limits)
      case .fixed:
        guard index < bytes.count else { return .more }
        let count = min(Int64(bytes.count &- index), remaining)
        let start = index
        index &+= Int(count)
        remaining &-= count
        if remaining == 0 { state = .ended }
        return .body(start..<index)
      case .chunked:
        switch chunks.next(bytes, at: &index, room: (room < 0 ? limits.body : room) &- taken) {
        case .more: return .more
        case .refused(let refusal): return refuse(refusal)
        case .trailers: state = .trailers
        case .data(let range):
          taken &+= Int64(range.count)
          return .body(range)
        }
      case .trailers:
        return nextTrailer(bytes, at: &index, limits: limits)
      case .ended:
        return .end
      case .refused:
        return .more
      }
    }
  }

  /// RFC 9112 §2.2: one empty line before a request is let through.
  private mutating func skipEmptyLine(_ byte: UInt8, at index: inout Int) -> Refusal? {
    if state == .startLF {
      guard byte == 10 else { return .bad("A CR stands without its LF.") }
      state = .start
      index &+= 1
      return nil
    }
    if byte == 13, !skippedLine {
      skippedLine = true
      state = .startLF
      index &+= 1
      return nil
    }
    state = .head
    return nil
  }

  @inline(never)
  private mutating func nextHead(
    _ bytes: Bytes, at index: inout Int, head: inout RequestHead,
    limits: borrowing RequestLimits
  ) -> Step {
    switch parser.parse(bytes.extracting(index..<bytes.count), into: &head, limits: limits) {
    case .incomplete:
      return .more
    case .refused(let refusal):
      return refuse(refusal)
    case .complete:
      break
    }
    let start = index
    index &+= head.count
    if head.coding == .chunked {
      state = .chunked
      chunks = ChunkedDecoder()
      taken = 0
      room = -1
      trailerCount = 0
      trailerBytes = 0
    } else if head.contentLength > limits.body, head.contentLength > limits.form {
      return refuse(.bodyTooLong)
    } else if head.contentLength > 0 {
      state = .fixed
      remaining = head.contentLength
    } else {
      state = .ended
    }
    return .head(start..<index)
  }

  /// RFC 9112 §7.1.2: the trailer section, under the limits of a header section.
  @inline(never)
  private mutating func nextTrailer(
    _ bytes: Bytes, at index: inout Int, limits: borrowing RequestLimits
  ) -> Step {
    let room = limits.head &- trailerBytes
    let view = bytes.extracting(first: min(bytes.count, index &+ room &+ 1))
    switch FieldLine.parse(view, at: index) {
    case .incomplete:
      return bytes.count &- index > room ? refuse(.headTooLong) : .more
    case .refused(let fault):
      return refuse(fault.refusal)
    case .end(let next):
      if next &- index > room { return refuse(.headTooLong) }
      index = next
      state = .ended
      return .end
    case .field(let field, let next):
      trailerCount &+= 1
      trailerBytes &+= next &- index
      if trailerBytes > limits.head { return refuse(.headTooLong) }
      if trailerCount > limits.fields { return refuse(.tooManyFields) }
      index = next
      return .trailer(field)
    }
  }

  private mutating func refuse(_ refusal: Refusal) -> Step {
    state = .refused
    return .refused(refusal)
  }
}
