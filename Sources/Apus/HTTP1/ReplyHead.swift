// The one way to the wire for a reply's head (RFC 9112 §4, RFC 9110 §6). Fields
// are checked as they are set, so that no text can break a line; what frames the
// message is decided here, from the request and the body, and by nobody else.

struct ReplyHead: ~Copyable {
  var status: Int32 = 200
  /// The host's fields, as lines.
  private(set) var fields = ByteBuffer()
  private(set) var hasDate = false
  private(set) var hasServer = false
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
    wantsClose = false
  }

  /// Sets a field in place of those of its name, or beside them.
  mutating func set(_ name: Bytes, _ value: Bytes, replacing: Bool, isOwn: Bool = false)
    -> Problem?
  {
    guard name.isToken, value.isFieldValue else { return .malformed }
    if ReplyHead.isFraming(name) {
      guard name.equalsLowercase("connection"), value.equalsLowercase("close") else {
        return .reserved
      }
      wantsClose = true
      return nil
    }
    let limit = ReplyHead.largest &+ (isOwn ? ReplyHead.slack : 0)
    let replaced = replacing && !fields.isEmpty ? size(of: name) : 0
    guard fields.count &- replaced &+ name.count &+ value.count &+ 4 <= limit else {
      return .tooLong
    }
    if replaced > 0 { remove(name) }
    if name.count == 4, name.equalsLowercase("date") { hasDate = true }
    if name.count == 6, name.equalsLowercase("server") { hasServer = true }
    fields.append(name)
    fields.append(": ")
    fields.append(value)
    fields.append("\r\n")
    return nil
  }

  /// Sets Content-Type to a value that was checked; the slack has room for it.
  mutating func setContentType(_ value: Bytes) {
    if !fields.isEmpty {
      let name = Text("Content-Type")
      remove(name.bytes)
    }
    fields.append("Content-Type: ")
    fields.append(value)
    fields.append("\r\n")
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

  private mutating func remove(_ name: Bytes) {
    while let range = find(name, from: 0) { fields.remove(range) }
  }

  /// The fields that frame a message or govern its connection.
  private static func isFraming(_ name: Bytes) -> Bool {
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

  /// Appends the head. `date` is the line of the Date field.
  func write(
    to buffer: inout ByteBuffer, framing: Framing, close: Bool, isOld: Bool,
    date: Bytes, server: Bytes
  ) {
    buffer.reserve(fields.count &+ 512)
    if status == 200 {
      buffer.append("HTTP/1.1 200 OK\r\n")
    } else {
      buffer.append("HTTP/1.1 ")
      buffer.append(decimal: Int64(status))
      buffer.append(" ")
      buffer.append(Status.reason(status) ?? "")
      buffer.append("\r\n")
    }
    if !hasDate { buffer.append(date) }
    if !hasServer { buffer.append(server) }
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
  }
}
