// The elements of a field value that is a list: RFC 9110 §5.6.1.

struct ListElements {
  private var index = 0

  /// The next element, without the whitespace around it; empty ones do not count
  /// (§5.6.1.2). Nil behind the last.
  mutating func next(in value: Bytes) -> Range<Int>? {
    while index < value.count {
      let end = value.first(UInt8(ascii: ","), from: index) ?? value.count
      let element = value.trimmed(index..<end)
      index = end &+ 1
      if !element.isEmpty { return element }
    }
    return nil
  }

  /// Whether a list has an element; `element` is in lower case, and case is ignored.
  static func contains(_ value: Bytes, _ element: StaticString) -> Bool {
    var elements = ListElements()
    while let range = elements.next(in: value) {
      if value.extracting(range).equalsLowercase(element) { return true }
    }
    return false
  }
}
