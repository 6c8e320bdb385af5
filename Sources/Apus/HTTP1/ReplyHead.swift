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
  private(set) var wantsClose = false

  static var largest: Int { 64 * 1024 }
  /// Beyond that, for what the library sets of its own accord.
  static var slack: Int { 1024 }

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
    wantsClose = false
  }

  /// Sets a field in place of those of its name, or beside them.
  mutating func set(_ name: Bytes, _ value: Bytes, replacing: Bool, isOwn: Bool = false)
    -> Problem?
  {
    guard name.isToken, value.isFieldValue else { return .malformed }
    switch name.count {
    case 7, 10, 14, 17:
      if ReplyHead.isFraming(name) {
        guard name.equalsLowercase("connection"), value.equalsLowercase("close") else {
          return .reserved
        }
        wantsClose = true
        return nil
      }
    default: break
    }
    let limit = ReplyHead.largest &+ (isOwn ? ReplyHead.slack : 0)
    let replaced = replacing && !fields.isEmpty ? size(of: name) : 0
    guard fields.count &- replaced &+ name.count &+ value.count &+ 4 <= limit else {
      return .tooLong
    }
    if replaced > 0 { remove(name) }
    if name.count == 4, name.equalsLowercase("date") { hasDate = true }
    if name.count == 6, name.equalsLowercase("server") { hasServer = true }
    if name.count == 12, name.equalsLowercase("content-type") { hasType = true }
    fields.append(name: name, value: value)
    return nil
  }

  /// Sets Content-Type to a value that was checked; the slack has room for it.
  @inline(__always)
  mutating func setContentType(_ value: Bytes) {
    let name = Text("Content-Type")
    if hasType { remove(name.bytes) }
    hasType = true
    fields.append(name: name.bytes, value: value)
  }

  /// Says that the resource is a WebSocket: for 426 (RFC 9110 §7.8, §15.5.22).
  mutating func addUpgrade() {
    fields.append("Upgrade: websocket\r\nConnection: Upgrade\r\n")
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
  private static func isFraming(_ name: Bytes) -> Bool {
    switch name.count {
    case 7 where name[0] | 32 == 117: name.equalsLowercase("upgrade")
    case 7 where name[0] | 32 == 116: name.equalsLowercase("trailer")
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

  /// Appends the head. Both are inout, though nothing changes them: what is borrowed
  /// is copied first.
  @inline(__always)
  mutating func write(
    to buffer: inout ByteBuffer, opening: inout ReplyOpening, framing: Framing, close: Bool,
    isOld: Bool
  ) {
    if status == 200, !hasDate, !hasServer, !opening.usual.isEmpty {
      buffer.append(opening.usual.bytes, more: fields.count &+ ReplyHead.longestEnd)
    } else {
      writeOpening(to: &buffer, opening)
    }
    buffer.append(fields.bytes, more: ReplyHead.longestEnd)
    if case .length(let length) = framing {
      buffer.append("Content-Length: ")
      buffer.append(decimal: length)
      if !close, !isOld { return buffer.append("\r\n\r\n") }
    }
    writeEnd(to: &buffer, framing, close: close, isOld: isOld)
  }

  @inline(never)
  private func writeEnd(
    to buffer: inout ByteBuffer, _ framing: Framing, close: Bool, isOld: Bool
  ) {
    switch framing {
    case .none, .untilClose: break
    case .chunked: buffer.append("Transfer-Encoding: chunked\r\n")
    case .length: buffer.append("\r\n")
    }
    if close {
      buffer.append("Connection: close\r\n")
    } else if isOld {
      buffer.append("Connection: keep-alive\r\n")
    }
    buffer.append("\r\n")
  }

  /// Room for what stands behind the fields.
  private static var longestEnd: Int { 96 }

  @inline(never)
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
