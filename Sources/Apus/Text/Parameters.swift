// The parameters behind a media type or a disposition, RFC 9110 §5.6.6: each stands
// behind a semicolon, and its value is a token or a quoted string.

struct Parameters {
  enum Item: Equatable {
    /// Where name and value stand; a quoted value without its quotes.
    case parameter(name: Range<Int>, value: Range<Int>)
    case end
    case malformed
  }

  private var index: Int

  /// They begin at an index, where a semicolon stands or the text ends.
  init(from index: Int) { self.index = index }

  mutating func next(in text: Bytes) -> Item {
    while true {
      skipSpace(text)
      if index >= text.count { return .end }
      guard text[index] == UInt8(ascii: ";") else { return .malformed }
      index &+= 1
      skipSpace(text)
      // Nothing between two semicolons is no parameter.
      if index >= text.count || text[index] == UInt8(ascii: ";") { continue }
      let start = index
      index = token(text, from: start)
      let name = start..<index
      guard !name.isEmpty, index < text.count, text[index] == UInt8(ascii: "=") else {
        return .malformed
      }
      index &+= 1
      guard let value = value(text) else { return .malformed }
      return .parameter(name: name, value: value)
    }
  }

  private mutating func value(_ text: Bytes) -> Range<Int>? {
    guard index < text.count, text[index] == UInt8(ascii: "\"") else {
      let start = index
      index = token(text, from: start)
      return start == index ? nil : start..<index
    }
    let start = index &+ 1
    index = start
    while index < text.count, text[index] != UInt8(ascii: "\"") {
      let isEscape = Parameters.isEscape(text, at: index) && !endsValue(text, after: index &+ 1)
      index &+= isEscape ? 2 : 1
    }
    guard index < text.count else { return nil }
    defer { index &+= 1 }
    return start..<index
  }

  /// Whether a backslash stands for what is behind it. Browsers leave backslashes in file
  /// names as they are: it counts before a quote or another one alone.
  static func isEscape(_ text: Bytes, at index: Int) -> Bool {
    guard text[index] == UInt8(ascii: "\\"), index &+ 1 < text.count else { return false }
    return text[index &+ 1] == UInt8(ascii: "\"") || text[index &+ 1] == UInt8(ascii: "\\")
  }

  /// Whether the quote at an index can only be the value's last: what follows it is another
  /// parameter, or nothing. Browsers send a name that ends in a backslash so.
  private func endsValue(_ text: Bytes, after quote: Int) -> Bool {
    guard text[quote] == UInt8(ascii: "\"") else { return false }
    var rest = Parameters(from: quote &+ 1)
    rest.skipSpace(text)
    if rest.index >= text.count { return true }
    guard text[rest.index] == UInt8(ascii: ";") else { return false }
    rest.index &+= 1
    rest.skipSpace(text)
    let end = token(text, from: rest.index)
    return end > rest.index && end < text.count && text[end] == UInt8(ascii: "=")
  }

  private func token(_ text: Bytes, from start: Int) -> Int {
    var index = start
    while index < text.count, text[index].isToken { index &+= 1 }
    return index
  }

  private mutating func skipSpace(_ text: Bytes) {
    while index < text.count, text[index] == 32 || text[index] == 9 { index &+= 1 }
  }
}
