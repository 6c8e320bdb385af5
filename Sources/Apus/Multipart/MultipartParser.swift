// Bodies of multipart/form-data as they arrive: RFC 7578, and RFC 2046 §5.1 for what
// stands around the parts. Bytes in, steps out; no part is ever whole in here.
//
// The caller hands in what it has, from `index` on, and is told one step at a time. Bytes
// that are not taken must come again with more behind: the start of what may be a
// boundary, or of a line in a part's head.

struct MultipartParser: ~Copyable {
  private enum Place {
    case start, preamble, boundary, head, content, closing, epilogue, refused
  }

  enum Step: Equatable {
    /// Nothing more can be said without more bytes.
    case more
    /// A part begins; `head` says what it is.
    case part
    case content(Range<Int>)
    /// The part is over.
    case partEnd
    case refused(MultipartProblem)
  }

  struct Limits {
    var parts = 1000
    /// Bytes of a part's head.
    var head = 16 * 1024
    /// Before the first boundary, behind the last one, and behind each.
    static var surroundings: Int { 16 * 1024 }
    static var padding: Int { 256 }
  }

  private var place = Place.start
  /// CRLF, two hyphens and the boundary.
  private var delimiter = ByteBuffer()
  private let limits: Limits
  private(set) var head = MultipartHead()
  private var parts = 0
  private var headBytes = 0
  /// Bytes of the preamble, the padding or the epilogue.
  private var ignored = 0
  /// Whether the next byte of content is a part's first.
  private var isFirst = false

  /// The boundary is one that `FormType` has found.
  init(boundary: Bytes, limits: Limits = Limits()) {
    self.limits = limits
    delimiter.append("\r\n--")
    delimiter.append(boundary)
  }

  /// Whether memory ran out.
  var failed: Bool { delimiter.failed || head.failed }

  /// Whether the body may end here: the last boundary was there.
  var isComplete: Bool { place == .epilogue || place == .closing }

  mutating func next(_ bytes: Bytes, at index: inout Int) -> Step {
    while true {
      switch place {
      case .start:
        // No line end stands before a boundary that the body begins with.
        switch match(bytes, at: index, without: 2) {
        case .partly: return .more
        case .whole:
          index &+= delimiter.count &- 2
          begin(.boundary)
        case .no: begin(.preamble)
        }
      case .preamble:
        let (end, isFound) = find(bytes, from: index)
        if !ignore(end &- index, most: Limits.surroundings) {
          return refuse(.large("Too much stands before the first part."))
        }
        index = isFound ? end &+ delimiter.count : end
        if !isFound { return .more }
        begin(.boundary)
      case .boundary:
        if let step = behindBoundary(bytes, at: &index) { return step }
      case .head:
        if let step = nextLine(bytes, at: &index) { return step }
      case .content:
        return nextContent(bytes, at: &index)
      case .closing:
        if let step = behindLast(bytes, at: &index) { return step }
      case .epilogue:
        let count = bytes.count &- index
        index = bytes.count
        if !ignore(count, most: Limits.surroundings) {
          return refuse(.large("Too much stands behind the last part."))
        }
        return .more
      case .refused:
        return .more
      }
    }
  }

  private mutating func begin(_ place: Place) {
    self.place = place
    ignored = 0
  }

  private mutating func refuse(_ problem: MultipartProblem) -> Step {
    place = .refused
    return .refused(problem)
  }

  private mutating func ignore(_ count: Int, most: Int) -> Bool {
    ignored &+= count
    return ignored <= most
  }

  // ---- boundaries

  private enum Match {
    case no, partly, whole
  }

  /// Whether the delimiter, without its first bytes, stands at an index.
  @inline(__always)
  private func match(_ bytes: Bytes, at index: Int, without skipped: Int) -> Match {
    let wanted = delimiter.bytes
    let count = min(wanted.count &- skipped, bytes.count &- index)
    var place = 0
    while place < count {
      if bytes[index &+ place] != wanted[skipped &+ place] { return .no }
      place &+= 1
    }
    return place == wanted.count &- skipped ? .whole : .partly
  }

  /// Where the next delimiter stands; without one, where what may become one starts.
  private func find(_ bytes: Bytes, from start: Int) -> (place: Int, isFound: Bool) {
    var from = start
    while let place = bytes.first(13, from: from) {
      switch match(bytes, at: place, without: 0) {
      case .whole: return (place, true)
      case .partly: return (place, false)
      case .no: from = place &+ 1
      }
    }
    return (bytes.count, false)
  }

  /// RFC 2046 §5.1.1: two hyphens after the last boundary, else white space and a line's
  /// end. No line of a part may begin with the boundary and go on in another way.
  private mutating func behindBoundary(_ bytes: Bytes, at index: inout Int) -> Step? {
    guard bytes.count &- index >= 2 else { return .more }
    if bytes.isLineEnd(at: index) {
      index &+= 2
      parts &+= 1
      if parts > limits.parts {
        return refuse(.large("The form has more parts than this server takes."))
      }
      head.reset()
      headBytes = 0
      begin(.head)
    } else if ignored == 0, bytes[index] == 45, bytes[index &+ 1] == 45 {
      index &+= 2
      begin(.closing)
    } else if bytes[index] == 32 || bytes[index] == 9, ignore(1, most: Limits.padding) {
      index &+= 1
    } else {
      return refuse(.bad("A boundary is not followed by the end of its line."))
    }
    return nil
  }

  private mutating func behindLast(_ bytes: Bytes, at index: inout Int) -> Step? {
    guard index < bytes.count else { return .more }
    let byte = bytes[index]
    if byte == 32 || byte == 9, ignore(1, most: Limits.padding) {
      index &+= 1
      return nil
    }
    guard byte == 13 else { return refuse(.bad("The last boundary's line goes on.")) }
    guard index &+ 1 < bytes.count else { return .more }
    guard bytes[index &+ 1] == 10 else { return refuse(.bad("A CR stands without its LF.")) }
    index &+= 2
    begin(.epilogue)
    return nil
  }

  // ---- parts

  private mutating func nextLine(_ bytes: Bytes, at index: inout Int) -> Step? {
    let tooLong = MultipartProblem.large("A part's head is longer than this server takes.")
    guard let end = bytes.first(10, from: index) else {
      return headBytes &+ bytes.count &- index > limits.head ? refuse(tooLong) : .more
    }
    // The limit first, as where the line comes in pieces.
    headBytes &+= end &+ 1 &- index
    if headBytes > limits.head { return refuse(tooLong) }
    guard end > index, bytes[end &- 1] == 13 else {
      return refuse(.bad("A line in a part's head ends without a CR."))
    }
    let line = bytes.extracting(index..<(end &- 1))
    index = end &+ 1
    if line.isEmpty {
      if let problem = head.end() { return refuse(problem) }
      isFirst = true
      begin(.content)
      return .part
    }
    if let problem = head.take(line) { return refuse(problem) }
    return nil
  }

  private mutating func nextContent(_ bytes: Bytes, at index: inout Int) -> Step {
    if isFirst {
      // The line end of an empty part's boundary may be that of its head.
      switch match(bytes, at: index, without: 2) {
      case .partly: return .more
      case .whole:
        index &+= delimiter.count &- 2
        begin(.boundary)
        return .partEnd
      case .no: isFirst = false
      }
    }
    let (end, isFound) = find(bytes, from: index)
    if end > index {
      defer { index = end }
      return .content(index..<end)
    }
    if !isFound { return .more }
    index = end &+ delimiter.count
    begin(.boundary)
    return .partEnd
  }
}
