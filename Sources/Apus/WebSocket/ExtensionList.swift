// The grammar of Sec-WebSocket-Extensions, RFC 6455 §9.1: extensions between
// commas, each with parameters behind semicolons. Whitespace may stand between any
// two words (RFC 2616 §2.1, which RFC 6455 §2.1 takes its grammar from).

struct ExtensionList {
  private var index = 0
  private var isInElement = false

  enum Item {
    case end
    case malformed
    /// An extension starts.
    case name(Range<Int>)
    /// A parameter of it. Quotes are no part of a value; backslashes still are.
    case parameter(name: Range<Int>, value: Range<Int>?)
  }

  mutating func next(in bytes: Bytes) -> Item {
    skipSpace(bytes)
    if isInElement, index < bytes.count {
      switch bytes[index] {
      case UInt8(ascii: ";"):
        index &+= 1
        return parameter(bytes)
      case UInt8(ascii: ","): isInElement = false
      default: return .malformed
      }
    }
    // RFC 9110 §5.6.1.2: empty elements do not count.
    while index < bytes.count, bytes[index] == UInt8(ascii: ",") {
      index &+= 1
      skipSpace(bytes)
    }
    if index >= bytes.count { return .end }
    guard let name = token(bytes) else { return .malformed }
    isInElement = true
    return .name(name)
  }

  private mutating func parameter(_ bytes: Bytes) -> Item {
    skipSpace(bytes)
    guard let name = token(bytes) else { return .malformed }
    skipSpace(bytes)
    guard index < bytes.count, bytes[index] == UInt8(ascii: "=") else {
      return .parameter(name: name, value: nil)
    }
    index &+= 1
    skipSpace(bytes)
    if index < bytes.count, bytes[index] == UInt8(ascii: "\"") {
      index &+= 1
      guard let value = quoted(bytes) else { return .malformed }
      return .parameter(name: name, value: value)
    }
    guard let value = token(bytes) else { return .malformed }
    return .parameter(name: name, value: value)
  }

  /// RFC 6455 §9.1: what is quoted must be a token once backslashes are gone.
  private mutating func quoted(_ bytes: Bytes) -> Range<Int>? {
    let start = index
    while index < bytes.count {
      if bytes[index] == UInt8(ascii: "\"") {
        let value = start..<index
        index &+= 1
        return value.isEmpty ? nil : value
      }
      if bytes[index] == UInt8(ascii: "\\") { index &+= 1 }
      guard index < bytes.count, bytes[index].isToken else { return nil }
      index &+= 1
    }
    return nil
  }

  private mutating func token(_ bytes: Bytes) -> Range<Int>? {
    let start = index
    index = bytes.firstOutsideToken(from: index)
    return index > start ? start..<index : nil
  }

  private mutating func skipSpace(_ bytes: Bytes) {
    while index < bytes.count, bytes[index] == 32 || bytes[index] == 9 { index &+= 1 }
  }
}
