// The cookies of a Cookie field, RFC 6265bis §4.2: pairs with semicolons between.

struct CookiePairs {
  private var index = 0

  /// Of one request.
  static var most: Int { 180 }

  /// Where name and value of the next one stand; nil at the end. What has no "=" is a value
  /// without a name (§5.8.3); what is empty is none.
  mutating func next(in field: Bytes) -> (name: Range<Int>, value: Range<Int>)? {
    while index < field.count {
      let start = index
      let end = field.first(UInt8(ascii: ";"), from: start) ?? field.count
      index = end &+ 1
      guard let equals = field.extracting(start..<end).first(UInt8(ascii: "=")) else {
        let value = field.trimmed(start..<end)
        if value.isEmpty { continue }
        return (value.lowerBound..<value.lowerBound, value)
      }
      let name = field.trimmed(start..<(start &+ equals))
      let value = field.trimmed((start &+ equals &+ 1)..<end)
      if name.isEmpty, value.isEmpty { continue }
      return (name, value)
    }
    return nil
  }
}
