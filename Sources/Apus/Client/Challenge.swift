// The grammar of WWW-Authenticate and Proxy-Authenticate, RFC 9110 §11.2 and §11.6.1:
// challenges between commas, each a scheme with parameters, which stand between commas
// too, or with a token68.

struct ChallengeList {
  private enum State {
    /// An element may start, or the field end.
    case element
    /// A scheme's name is behind.
    case scheme
    /// A comma is due, or the end.
    case separator
  }

  enum Item {
    case end
    case malformed
    /// A challenge starts.
    case scheme(Range<Int>)
    case token68(Range<Int>)
    /// A parameter of it. Quotes are no part of a value; backslashes still are.
    case parameter(name: Range<Int>, value: Range<Int>)
  }

  private var index = 0
  private var state = State.element
  private var takesParameters = false

  mutating func next(in bytes: Bytes) -> Item {
    if state == .scheme, let item = afterScheme(bytes) { return item }
    if state == .separator {
      skipSpace(bytes)
      guard index == bytes.count || bytes[index] == UInt8(ascii: ",") else { return .malformed }
    }
    // RFC 9110 §5.6.1.2: empty elements do not count.
    skipSpace(bytes)
    while index < bytes.count, bytes[index] == UInt8(ascii: ",") {
      index &+= 1
      skipSpace(bytes)
    }
    if index >= bytes.count { return .end }
    guard let name = token(bytes) else { return .malformed }
    let end = index
    skipSpace(bytes)
    if index < bytes.count, bytes[index] == UInt8(ascii: "=") {
      return takesParameters ? parameter(name, bytes) : .malformed
    }
    index = end
    state = .scheme
    takesParameters = true
    return .scheme(name)
  }

  /// Behind a scheme: nil where neither a token68 nor a parameter is next to it.
  private mutating func afterScheme(_ bytes: Bytes) -> Item? {
    state = .separator
    let start = index
    while index < bytes.count, bytes[index] == 32 { index &+= 1 }
    if index >= bytes.count || bytes[index] == UInt8(ascii: ",") || index == start { return nil }
    if let range = token68(bytes) {
      takesParameters = false
      return .token68(range)
    }
    guard let name = token(bytes) else { return .malformed }
    skipSpace(bytes)
    guard index < bytes.count, bytes[index] == UInt8(ascii: "=") else { return .malformed }
    return parameter(name, bytes)
  }

  /// The "=" stands at the index.
  private mutating func parameter(_ name: Range<Int>, _ bytes: Bytes) -> Item {
    index &+= 1
    skipSpace(bytes)
    state = .separator
    if index < bytes.count, bytes[index] == UInt8(ascii: "\"") {
      guard let value = quoted(bytes) else { return .malformed }
      return .parameter(name: name, value: value)
    }
    guard let value = token(bytes) else { return .malformed }
    return .parameter(name: name, value: value)
  }

  /// What stands in a quoted-string, RFC 9110 §5.6.4.
  private mutating func quoted(_ bytes: Bytes) -> Range<Int>? {
    let start = index &+ 1
    index = start
    while index < bytes.count {
      switch bytes[index] {
      case UInt8(ascii: "\""):
        index &+= 1
        return start..<(index &- 1)
      case UInt8(ascii: "\\"):
        index &+= 1
        guard index < bytes.count, bytes[index].isFieldValue else { return nil }
      case let byte:
        guard byte.isFieldValue else { return nil }
      }
      index &+= 1
    }
    return nil
  }

  private mutating func token(_ bytes: Bytes) -> Range<Int>? {
    let start = index
    while index < bytes.count, bytes[index].isToken { index &+= 1 }
    return index > start ? start..<index : nil
  }

  /// A token68 that fills its element; else nothing was read.
  private mutating func token68(_ bytes: Bytes) -> Range<Int>? {
    var end = index
    while end < bytes.count, ChallengeList.isToken68(bytes[end]) { end &+= 1 }
    if end == index { return nil }
    while end < bytes.count, bytes[end] == UInt8(ascii: "=") { end &+= 1 }
    var next = end
    while next < bytes.count, bytes[next] == 32 || bytes[next] == 9 { next &+= 1 }
    guard next == bytes.count || bytes[next] == UInt8(ascii: ",") else { return nil }
    let range = index..<end
    index = next
    return range
  }

  static func isToken68(_ byte: UInt8) -> Bool {
    byte.isUnreserved || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "/")
  }

  private mutating func skipSpace(_ bytes: Bytes) {
    while index < bytes.count, bytes[index] == 32 || bytes[index] == 9 { index &+= 1 }
  }

  /// Appends a value without the backslashes of quoted pairs.
  static func append(value: Bytes, to buffer: inout ByteBuffer) {
    var index = 0
    while index < value.count {
      // In a token there is none; the grammar has one more byte behind each.
      if value[index] == UInt8(ascii: "\\"), index &+ 1 < value.count { index &+= 1 }
      buffer.append(value[index])
      index &+= 1
    }
  }

  /// Appends text as a quoted-string.
  static func append(quoted text: Bytes, to buffer: inout ByteBuffer) {
    buffer.append("\"")
    for index in 0..<text.count {
      if text[index] == UInt8(ascii: "\"") || text[index] == UInt8(ascii: "\\") {
        buffer.append("\\")
      }
      buffer.append(text[index])
    }
    buffer.append("\"")
  }
}
