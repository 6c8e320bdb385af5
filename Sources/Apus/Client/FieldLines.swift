// Fields that a host sets, kept as the lines that go on the wire.

@safe struct FieldLines: ~Copyable {
  private(set) var text = ByteBuffer()

  init() {}

  /// Bytes of all lines together.
  static var most: Int { 64 * 1024 }

  var bytes: Bytes {
    @_lifetime(borrow self) get { text.bytes }
  }

  var isEmpty: Bool { text.isEmpty }

  mutating func clear() { text.clear() }

  mutating func copy(_ other: borrowing FieldLines) -> Bool {
    text.truncate(to: 0)
    text.append(other.bytes)
    return !text.failed
  }

  /// One more line; the same name may come again.
  mutating func add(_ name: Bytes, _ value: Bytes) throws(Failure) {
    guard name.isToken, value.isFieldValue else {
      throw Failure(.argument, "not a field name and value of RFC 9110")
    }
    if FieldLines.isOurs(name) {
      throw Failure(.argument, "that field is written by the library")
    }
    guard text.count &+ name.count &+ value.count &+ 4 <= FieldLines.most else {
      throw Failure(.tooLarge, "the fields are longer than 64 KiB")
    }
    let before = text.count
    text.append(name: name, value: value)
    if text.failed {
      text.truncate(to: before)
      throw .noMemory
    }
  }

  /// Lines that were checked elsewhere.
  mutating func add(lines: Bytes) -> Bool {
    text.append(lines)
    return !text.failed
  }

  /// The only line of its name; without a value there is none.
  mutating func set(_ name: Bytes, _ value: Bytes?) throws(Failure) {
    guard name.isToken, value?.isFieldValue ?? true else {
      throw Failure(.argument, "not a field name and value of RFC 9110")
    }
    if FieldLines.isOurs(name) {
      throw Failure(.argument, "that field is written by the library")
    }
    if let value { try add(name, value) }
    // All but the one that was added behind them.
    var last = -1
    if value != nil { last = text.count &- name.count &- (value?.count ?? 0) &- 4 }
    remove(name, before: last < 0 ? text.count : last)
  }

  private mutating func remove(_ name: Bytes, before end: Int) {
    var end = end
    var start = 0
    while start < end {
      let line = FieldLines.line(bytes, at: start)
      if line.upperBound <= start { return }
      if FieldLines.has(bytes, name, at: start) {
        text.remove(line)
        end &-= line.count
      } else {
        start = line.upperBound
      }
    }
  }

  /// Whether there is a line of that name, which is in lower case.
  func has(_ name: StaticString) -> Bool {
    let name = Text(name)
    return has(name.bytes)
  }

  func has(_ name: Bytes) -> Bool { line(of: name) != nil }

  /// Where the value of the first line of a name stands, which is a token.
  func value(of name: Bytes) -> Range<Int>? {
    line(of: name).map { line in
      bytes.trimmed((line.lowerBound &+ name.count &+ 1)..<(line.upperBound &- 2))
    }
  }

  private func line(of name: Bytes) -> Range<Int>? {
    var start = 0
    while start < text.count {
      let line = FieldLines.line(bytes, at: start)
      if FieldLines.has(bytes, name, at: start) { return line }
      if line.upperBound <= start { return nil }
      start = line.upperBound
    }
    return nil
  }

  /// Appends the lines whose names `others` does not have.
  func append(to output: inout ByteBuffer, without others: borrowing FieldLines) {
    var start = 0
    while start < text.count {
      let line = FieldLines.line(bytes, at: start)
      if line.upperBound <= start { return }
      let colon = bytes.extracting(line).first(UInt8(ascii: ":")) ?? 0
      let name = bytes.extracting(start..<(start &+ colon))
      if !others.has(name) { output.append(bytes.extracting(line)) }
      start = line.upperBound
    }
  }

  /// Appends the lines without those that are secret, as may not follow to another
  /// origin, or without those that tell of a body.
  func append(to output: inout ByteBuffer, secrets: Bool, content: Bool) {
    var start = 0
    while start < text.count {
      let line = FieldLines.line(bytes, at: start)
      if line.upperBound <= start { return }
      let colon = bytes.extracting(line).first(UInt8(ascii: ":")) ?? 0
      let name = bytes.extracting(start..<(start &+ colon))
      let isLeft =
        (!secrets && FieldLines.isSecret(name)) || (!content && FieldLines.isContent(name))
      if !isLeft { output.append(bytes.extracting(line)) }
      start = line.upperBound
    }
  }

  private static func line(_ bytes: Bytes, at start: Int) -> Range<Int> {
    let rest = bytes.extracting(start..<bytes.count)
    return start..<(start &+ (rest.first(10).map { $0 &+ 1 } ?? rest.count))
  }

  private static func has(_ bytes: Bytes, _ name: Bytes, at start: Int) -> Bool {
    let end = start &+ name.count
    guard end < bytes.count, bytes[end] == UInt8(ascii: ":") else { return false }
    return bytes.extracting(start..<end).equalsIgnoringCase(name)
  }

  /// What frames the message and rules the connection is the library's.
  private static func isOurs(_ name: Bytes) -> Bool {
    name.equalsLowercase("content-length") || name.equalsLowercase("transfer-encoding")
      || name.equalsLowercase("connection") || name.equalsLowercase("keep-alive")
      || name.equalsLowercase("upgrade") || name.equalsLowercase("expect")
      || name.equalsLowercase("te") || name.equalsLowercase("trailer")
      || name.equalsLowercase("proxy-connection") || name.equalsLowercase("proxy-authorization")
  }

  private static func isContent(_ name: Bytes) -> Bool {
    name.count > 8 && name.extracting(0..<8).equalsLowercase("content-")
  }

  private static func isSecret(_ name: Bytes) -> Bool {
    name.equalsLowercase("authorization") || name.equalsLowercase("cookie")
      || name.equalsLowercase("cookie2") || name.equalsLowercase("host")
      || name.equalsLowercase("www-authenticate")
  }
}
