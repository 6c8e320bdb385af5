// A reader of HTTP responses that shares nothing with the library: what peers get is judged
// by it. It is plain and slow, and knows no leniency.

struct Reply {
  var status = 0
  var fields: [(name: String, value: String)] = []
  var body: [UInt8] = []
  var trailers: [(name: String, value: String)] = []
  /// All of it has come.
  var isWhole = false
  var isUntilClose = false

  func field(_ name: String) -> String? {
    fields.first { $0.name == name }?.value
  }
}

struct ReplyReader {
  private enum State {
    case head
    case body(Int)
    case untilClose
    case size
    case chunk(Int)
    case chunkEnd
    case trailers
  }

  private var state = State.head
  private var bytes: [UInt8] = []
  private(set) var reply = Reply()
  /// Interim responses before this one.
  private(set) var interims: [Int] = []
  private(set) var problem: String?

  var isAtStart: Bool {
    if case .head = state { return bytes.isEmpty }
    return false
  }
  /// The head of the reply under way has come.
  var hasHead: Bool {
    if case .head = state { return false }
    return true
  }

  mutating func append(_ more: ArraySlice<UInt8>) { bytes.append(contentsOf: more) }

  /// What has come behind the last reply, and is not looked at any more.
  mutating func takeRest() -> [UInt8] {
    defer { bytes = [] }
    return bytes
  }

  /// The next reply that is whole; `isHead`: it answers HEAD.
  mutating func next(isHead: Bool) -> Reply? {
    while problem == nil {
      guard advance(isHead) else { return nil }
      if reply.isWhole {
        defer {
          reply = Reply()
          interims = []
        }
        return reply
      }
    }
    return nil
  }

  /// The connection has ended: whether that ends a reply.
  mutating func end() -> Reply? {
    guard case .untilClose = state else { return nil }
    reply.body.append(contentsOf: bytes)
    bytes = []
    state = .head
    reply.isWhole = true
    defer { reply = Reply() }
    return reply
  }

  /// A step; false: more bytes are needed.
  private mutating func advance(_ isHead: Bool) -> Bool {
    switch state {
    case .head: return readHead(isHead)
    case .body(let left): return readBody(left)
    case .untilClose:
      reply.body.append(contentsOf: bytes)
      bytes = []
      return false
    case .size:
      guard let line = takeLine() else { return false }
      guard let size = Int(line, radix: 16), size >= 0 else { return fail("chunk size \(line)") }
      state = size == 0 ? .trailers : .chunk(size)
    case .chunk(let left):
      if bytes.isEmpty { return false }
      let count = min(left, bytes.count)
      reply.body.append(contentsOf: bytes[..<count])
      bytes.removeFirst(count)
      state = count == left ? .chunkEnd : .chunk(left - count)
    case .chunkEnd:
      guard let line = takeLine() else { return false }
      if !line.isEmpty { return fail("bytes behind a chunk") }
      state = .size
    case .trailers:
      guard let line = takeLine() else { return false }
      if line.isEmpty {
        finish()
      } else {
        guard let field = ReplyReader.field(line) else { return fail("trailer \(line)") }
        reply.trailers.append(field)
      }
    }
    return true
  }

  private mutating func readBody(_ left: Int) -> Bool {
    let count = min(left, bytes.count)
    reply.body.append(contentsOf: bytes[..<count])
    bytes.removeFirst(count)
    if count == left { finish() } else { state = .body(left - count) }
    return count == left
  }

  private mutating func finish() {
    state = .head
    reply.isWhole = true
  }

  private mutating func fail(_ what: String) -> Bool {
    problem = what
    return false
  }

  private mutating func takeLine() -> String? {
    guard let end = bytes.firstIndex(of: 10) else { return nil }
    guard end > 0, bytes[end - 1] == 13 else {
      problem = "a line without CR"
      return nil
    }
    let line = String(decoding: bytes[..<(end - 1)], as: UTF8.self)
    bytes.removeFirst(end + 1)
    return line
  }

  private static func field(_ line: String) -> (name: String, value: String)? {
    guard let colon = line.utf8.firstIndex(of: 58), colon != line.startIndex else { return nil }
    let name = line[..<colon].lowercased()
    var value = line[line.index(after: colon)...]
    while value.first == " " { value.removeFirst() }
    return (name, String(value))
  }

  /// Where a head ends, behind its empty line.
  private var headEnd: Int? {
    guard bytes.count >= 4 else { return nil }
    for index in 3..<bytes.count
    where bytes[index] == 10 && bytes[index - 1] == 13 && bytes[index - 2] == 10
      && bytes[index - 3] == 13
    {
      return index + 1
    }
    return nil
  }

  private mutating func readHead(_ isHead: Bool) -> Bool {
    guard headEnd != nil else { return false }
    guard let first = takeLine() else { return false }
    let parts = first.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0] == "HTTP/1.1", let status = Int(parts[1]), status >= 100
    else { return fail("status line \(first)") }
    reply.status = status
    while let line = takeLine(), !line.isEmpty {
      guard let field = ReplyReader.field(line) else { return fail("field \(line)") }
      reply.fields.append(field)
    }
    if status < 200, status != 101 {
      interims.append(status)
      reply = Reply()
      return true
    }
    return beginBody(isHead || status == 204 || status == 304 || status == 101)
  }

  private mutating func beginBody(_ isBodiless: Bool) -> Bool {
    let lengths = reply.fields.filter { $0.name == "content-length" }
    if lengths.count > 1 { return fail("two lengths") }
    if isBodiless {
      finish()
    } else if let coding = reply.field("transfer-encoding") {
      if coding != "chunked" || !lengths.isEmpty { return fail("framing") }
      state = .size
    } else if let length = lengths.first {
      guard let count = Int(length.value), count >= 0 else { return fail("length") }
      state = .body(count)
      if count == 0 { finish() }
    } else {
      reply.isUntilClose = true
      state = .untilClose
    }
    return true
  }
}
