// The one way to the wire for a reply's head (RFC 9112 §4, RFC 9110 §6). Fields
// are checked as they are set, so that no text can break a line; what frames the
// message is decided here, from the request and the body, and by nobody else.

struct ReplyHead: ~Copyable {
  var status: Int32 = 200
  /// The host's fields, as lines.
  private(set) var fields = ByteBuffer()
  private(set) var hasDate = false
  private(set) var hasServer = false
  /// Whether there may be a Content-Type among the fields.
  private var hasType = false
  /// What keeps the head from being written as it is.
  private(set) var marks: Marks = []
  /// The marks of every reply of its server's.
  private var usualMarks: Marks = []
  /// A bit for each name among the fields; several names may share one.
  private var names: UInt32 = 0

  static var largest: Int { 64 * 1024 }
  /// Beyond that, for what the library sets of its own accord.
  static var slack: Int { 1024 }

  struct Marks: OptionSet {
    let rawValue: UInt8
    static var close: Marks { Marks(rawValue: 1) }
    /// There may be fields to add for pages of other origins.
    static var crossOrigin: Marks { Marks(rawValue: 2) }
    /// The body is to be compressed if that serves.
    static var compression: Marks { Marks(rawValue: 4) }
  }

  var wantsClose: Bool { marks.contains(.close) }

  var wantsCompression: Bool { marks.contains(.compression) }

  mutating func setCompression(_ on: Bool) {
    if on { marks.insert(.compression) } else { marks.remove(.compression) }
  }

  /// Says what each reply from here on is to be marked with.
  mutating func begin(_ marks: Marks) {
    usualMarks = marks
    self.marks = marks
  }

  enum Problem {
    case malformed
    case reserved
    case tooLong
  }

  mutating func reset() {
    status = 200
    fields.clear(keep: 1024)
    hasDate = false
    hasServer = false
    hasType = false
    marks = usualMarks
    names = 0
  }

  /// Gives its memory back, once it was written.
  mutating func giveBack() { fields.clear() }

  /// Sets a field in place of those of its name, or beside them.
  mutating func set(_ name: Bytes, _ value: Bytes, replacing: Bool, isOwn: Bool = false)
    -> Problem?
  {
    guard name.isToken, value.isFieldValue else { return .malformed }
    if ReplyHead.mayBeOurs(name) {
      if ReplyHead.isFraming(name) {
        guard name.equalsLowercase("connection"), value.equalsLowercase("close") else {
          return .reserved
        }
        marks.insert(.close)
        return nil
      }
      note(name)
    }
    let bit = ReplyHead.bit(of: name)
    let replaced = replacing && names & bit != 0 ? size(of: name) : 0
    let limit = ReplyHead.largest &+ (isOwn ? ReplyHead.slack : 0)
    guard fields.count &- replaced &+ name.count &+ value.count &+ 4 <= limit else {
      return .tooLong
    }
    if replaced > 0 { remove(name) }
    names |= bit
    fields.append(name: name, value: value)
    return nil
  }

  /// The place of a name in `names`, which has at least one character: by its length
  /// and its first letter.
  @inline(__always)
  private static func bit(of name: Bytes) -> UInt32 {
    1 &<< (UInt32(truncatingIfNeeded: name.count) &+ UInt32(name[0] | 32) &* 5)
  }

  /// Whether a name may be one that is known here, by its length and first letter.
  @inline(__always)
  private static func mayBeOurs(_ name: Bytes) -> Bool {
    switch (name.count, name[0] | 32) {
    case (4, UInt8(ascii: "d")), (6, UInt8(ascii: "s")), (7, UInt8(ascii: "u")),
      (7, UInt8(ascii: "t")), (10, UInt8(ascii: "c")), (10, UInt8(ascii: "k")),
      (12, UInt8(ascii: "c")), (14, UInt8(ascii: "c")), (17, UInt8(ascii: "t")):
      true
    default: false
    }
  }

  @inline(never)
  private mutating func note(_ name: Bytes) {
    if name.equalsLowercase("date") { hasDate = true }
    if name.equalsLowercase("server") { hasServer = true }
    if name.equalsLowercase("content-type") { hasType = true }
  }

  /// Sets Content-Type to a value that was checked; the slack has room for it.
  @inline(__always)
  mutating func setContentType(_ value: Bytes) {
    let name = Text("Content-Type")
    if hasType || names == .max { remove(name.bytes) }
    hasType = true
    names |= ReplyHead.bit(of: name.bytes)
    fields.append(name: name.bytes, value: value)
  }

  /// Says that the resource is a WebSocket: for 426 (RFC 9110 §7.8, §15.5.22).
  mutating func addUpgrade() {
    fields.append("Upgrade: websocket\r\nConnection: Upgrade\r\n")
  }

  /// Sets whole lines that the library has made, save those whose name the host has set;
  /// Vary may come more than once.
  mutating func add(lines: Bytes) {
    if fields.isEmpty {
      names = .max
      return fields.append(lines)
    }
    var line = 0
    while line < lines.count, let colon = lines.first(58, from: line) {
      let end = (lines.first(10, from: colon) ?? lines.count &- 1) &+ 1
      let name = lines.extracting(line..<colon)
      if name.equalsLowercase("vary") || find(name, from: 0) == nil {
        fields.append(lines.extracting(line..<end))
      }
      line = end
    }
    names = .max
  }

  /// Whether there is a field of a name, which need not be among the known ones.
  func has(_ name: Bytes) -> Bool { find(name, from: 0) != nil }

  /// The value of the first field of a name, or nothing.
  func value(_ name: Bytes, to buffer: inout ByteBuffer) {
    guard let range = find(name, from: 0) else { return }
    let bytes = fields.bytes
    let value = (range.lowerBound &+ name.count &+ 1)..<(range.upperBound &- 2)
    buffer.append(bytes.extracting(bytes.trimmed(value)))
  }

  private func find(_ name: Bytes, from start: Int) -> Range<Int>? {
    let bytes = fields.bytes
    var line = start
    while line < bytes.count {
      let end = (bytes.first(10, from: line) ?? bytes.count &- 1) &+ 1
      if end &- line > name.count, bytes[line &+ name.count] == 58,
        bytes.extracting(line..<(line &+ name.count)).equalsIgnoringCase(name)
      {
        return line..<end
      }
      line = end
    }
    return nil
  }

  /// How much the lines of a name take.
  private func size(of name: Bytes) -> Int {
    var size = 0
    var start = 0
    while let range = find(name, from: start) {
      size &+= range.count
      start = range.upperBound
    }
    return size
  }

  @inline(never)
  private mutating func remove(_ name: Bytes) {
    while let range = find(name, from: 0) { fields.remove(range) }
  }

  /// The fields that frame a message or govern its connection.
  @inline(never)
  static func isFraming(_ name: Bytes) -> Bool {
    switch name.count {
    case 7: name.equalsLowercase("upgrade") || name.equalsLowercase("trailer")
    case 10: name.equalsLowercase("connection") || name.equalsLowercase("keep-alive")
    case 14: name.equalsLowercase("content-length")
    case 17: name.equalsLowercase("transfer-encoding")
    default: false
    }
  }

  /// How the body that follows is framed.
  enum Framing: Equatable {
    case none
    case length(Int64)
    case chunked
    case untilClose
  }

  /// Appends the head, and a body or the start of one. Head and opening are inout,
  /// though nothing changes them: what is borrowed is copied first.
  @inline(__always)
  mutating func write(
    to buffer: inout ByteBuffer, opening: inout ReplyOpening, framing: Framing, close: Bool,
    isOld: Bool, body: Bytes = Bytes()
  ) {
    guard case .length(let length) = framing, status == 200, !hasDate, !hasServer, !close, !isOld,
      !opening.usual.isEmpty
    else {
      return writeAny(to: &buffer, opening, framing, close: close, isOld: isOld, body)
    }
    // What nearly all replies are, in one go. There is room for all of it.
    let room = opening.usual.count &+ fields.count &+ ReplyHead.longestEnd &+ body.count
    guard let start = unsafe buffer.space(room) else { return }
    var pen = unsafe Pen(at: start)
    unsafe pen.put(opening.usual.bytes)
    unsafe pen.put(fields.bytes)
    unsafe pen.put("Content-Length: ")
    unsafe pen.put(decimal: length)
    unsafe pen.put("\r\n\r\n")
    unsafe pen.put(body)
    buffer.filled(unsafe pen.at - start)
  }

  @inline(never)
  private func writeAny(
    to buffer: inout ByteBuffer, _ opening: borrowing ReplyOpening, _ framing: Framing,
    close: Bool, isOld: Bool, _ body: Bytes
  ) {
    writeOpening(to: &buffer, opening)
    buffer.append(fields.bytes)
    switch framing {
    case .none, .untilClose: break
    case .chunked: buffer.append("Transfer-Encoding: chunked\r\n")
    case .length(let length):
      buffer.append("Content-Length: ")
      buffer.append(decimal: length)
      buffer.append("\r\n")
    }
    if close {
      buffer.append("Connection: close\r\n")
    } else if isOld {
      buffer.append("Connection: keep-alive\r\n")
    }
    buffer.append("\r\n")
    buffer.append(body)
  }

  /// Room for what stands behind the fields.
  private static var longestEnd: Int { 64 }

  private func writeOpening(to buffer: inout ByteBuffer, _ opening: borrowing ReplyOpening) {
    buffer.append("HTTP/1.1 ")
    buffer.append(decimal: Int64(status))
    buffer.append(" ")
    buffer.append(Status.reason(status) ?? "")
    buffer.append("\r\n")
    if !hasDate { buffer.append(opening.date.bytes) }
    if !hasServer { buffer.append(opening.server.bytes) }
  }
}

/// What replies start with, made anew when the second changes.
struct ReplyOpening: ~Copyable {
  /// Since 1970.
  private(set) var second: Int64 = -1
  /// "Date: ...\r\n" (RFC 9110 §6.6.1) and "Server: ...\r\n", or nothing.
  fileprivate var date = ByteBuffer()
  fileprivate var server = ByteBuffer()
  /// The status line of 200 and both of these.
  fileprivate var usual = ByteBuffer()

  @inline(never)
  mutating func update(second: Int64, server line: Bytes) {
    self.second = second
    date.truncate(to: 0)
    date.append("Date: ")
    HTTPDate.append(second, to: &date)
    date.append("\r\n")
    server.truncate(to: 0)
    server.append(line)
    var both = ByteBuffer()
    swap(&both, &usual)
    both.truncate(to: 0)
    both.append("HTTP/1.1 200 OK\r\n")
    both.append(date.bytes)
    both.append(server.bytes)
    swap(&both, &usual)
    // Without memory a reply does without these; the next one tries again.
    guard usual.failed || date.failed || server.failed else { return }
    usual.clear()
    date.clear()
    server.clear()
    self.second = -1
  }
}
