// The elements of a field value that is a list (RFC 9110 §5.6.1), the last one first.
// Each proxy puts its own behind what it was given; so whoever reads from the end has
// read what a proxy of his own wrote before he meets what a stranger may have.

struct BackwardList {
  private var end: Int
  /// Whether commas inside quotes are none.
  private let hasQuotes: Bool

  init(_ list: Bytes, hasQuotes: Bool) {
    end = list.count
    self.hasQuotes = hasQuotes
  }

  /// The next element, without the whitespace around it; empty ones do not count.
  mutating func next(in list: Bytes) -> Range<Int>? {
    while end > 0 {
      let start = startOfElement(in: list)
      let element = list.trimmed(start..<end)
      end = start &- 1
      if !element.isEmpty { return element }
    }
    return nil
  }

  private func startOfElement(in list: Bytes) -> Int {
    var index = end
    var isQuoted = false
    while index > 0 {
      let byte = list[index &- 1]
      if hasQuotes, byte == UInt8(ascii: "\"") {
        // Seen from behind, a quote with a backslash before it is one inside.
        if !isQuoted || !isEscaped(index &- 1, in: list) { isQuoted = !isQuoted }
      } else if byte == UInt8(ascii: ","), !isQuoted {
        return index
      }
      index &-= 1
    }
    return 0
  }

  private func isEscaped(_ place: Int, in list: Bytes) -> Bool {
    var index = place
    while index > 0, list[index &- 1] == UInt8(ascii: "\\") { index &-= 1 }
    return (place &- index) & 1 == 1
  }

  /// How many elements there are.
  static func count(_ list: Bytes, hasQuotes: Bool) -> Int {
    var elements = BackwardList(list, hasQuotes: hasQuotes)
    var count = 0
    while elements.next(in: list) != nil { count &+= 1 }
    return count
  }

  /// The element at a place counted from the last, which is 0.
  static func element(_ place: Int, of list: Bytes) -> Range<Int>? {
    var elements = BackwardList(list, hasQuotes: false)
    var left = place
    while let element = elements.next(in: list) {
      if left == 0 { return element }
      left &-= 1
    }
    return nil
  }
}
