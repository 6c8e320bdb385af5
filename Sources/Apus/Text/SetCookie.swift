// The value of a Set-Cookie field, RFC 6265bis §5.6: a name, a value and attributes.
// Nothing here knows who sent it; what that decides is the jar's business.

enum SameSite: UInt8 {
  /// None was named, or one that is unknown.
  case unset = 0
  case none
  case lax
  case strict
}

struct SetCookie {
  private(set) var name = 0..<0
  private(set) var value = 0..<0
  /// Without its leading dot; empty where it is as if there were none.
  private(set) var domain = 0..<0
  /// Nil: there is no such attribute. It may be empty.
  private(set) var path: Range<Int>?
  /// Seconds since 1970.
  private(set) var expires: Int64?
  /// Seconds from now.
  private(set) var maxAge: Int64?
  private(set) var isSecure = false
  private(set) var isHTTPOnly = false
  private(set) var sameSite = SameSite.unset

  /// Of name and value together, and of one attribute's value (§5.6).
  static var longest: Int { 4096 }
  static var longestAttribute: Int { 1024 }

  /// Nil for what is to be ignored as a whole.
  init?(_ field: Bytes) {
    guard SetCookie.isClean(field) else { return nil }
    let semicolon = UInt8(ascii: ";")
    let end = field.first(semicolon) ?? field.count
    if let equals = field.extracting(0..<end).first(UInt8(ascii: "=")) {
      name = field.trimmed(0..<equals)
      value = field.trimmed((equals &+ 1)..<end)
    } else {
      name = 0..<0
      value = field.trimmed(0..<end)
    }
    if name.isEmpty, value.isEmpty { return nil }
    if name.count &+ value.count > SetCookie.longest { return nil }
    var index = end
    while index < field.count {
      // A semicolon stands at the index.
      let start = index &+ 1
      index = field.first(semicolon, from: start) ?? field.count
      takeAttribute(field, start..<index)
    }
  }

  /// Whether there is no control character in it but HTAB.
  static func isClean(_ text: Bytes) -> Bool { text.firstOutsideFieldValue(from: 0) == text.count }

  private mutating func takeAttribute(_ field: Bytes, _ range: Range<Int>) {
    let attribute = field.extracting(range)
    var name = attribute.trimmed(0..<attribute.count)
    var value = name.upperBound..<name.upperBound
    if let equals = attribute.first(UInt8(ascii: "=")) {
      name = attribute.trimmed(0..<equals)
      value = attribute.trimmed((equals &+ 1)..<attribute.count)
    }
    if value.count > SetCookie.longestAttribute { return }
    take(
      attribute.extracting(name), attribute.extracting(value),
      at: (range.lowerBound &+ value.lowerBound)..<(range.lowerBound &+ value.upperBound))
  }

  /// §5.6.1 to §5.6.7. Where an attribute comes twice the last one counts. Partitioned
  /// (CHIPS) is ignored: partitions are of top-level pages, which a client has none of.
  private mutating func take(_ name: Bytes, _ value: Bytes, at place: Range<Int>) {
    switch name.count {
    case 4 where name.equalsLowercase("path"): path = place
    case 6 where name.equalsLowercase("domain"):
      let hasDot = value.count > 0 && value[0] == UInt8(ascii: ".")
      domain = (place.lowerBound &+ (hasDot ? 1 : 0))..<place.upperBound
    case 6 where name.equalsLowercase("secure"): isSecure = true
    case 7 where name.equalsLowercase("expires"):
      if let date = CookieDate.parse(value) { expires = date }
    case 7 where name.equalsLowercase("max-age"):
      if let seconds = SetCookie.seconds(value) { maxAge = seconds }
    case 8 where name.equalsLowercase("httponly"): isHTTPOnly = true
    case 8 where name.equalsLowercase("samesite"):
      sameSite =
        value.equalsLowercase("none")
        ? .none
        : value.equalsLowercase("lax") ? .lax : value.equalsLowercase("strict") ? .strict : .unset
    default: break
    }
  }

  /// §5.6.2; what is past the range of a number of years is cut off.
  private static func seconds(_ text: Bytes) -> Int64? {
    let isNegative = text.count > 0 && text[0] == UInt8(ascii: "-")
    var index = isNegative ? 1 : 0
    guard index < text.count else { return nil }
    var number: Int64 = 0
    while index < text.count {
      guard text[index].isDigit else { return nil }
      number = min(number &* 10 &+ Int64(text[index] &- 48), 1 << 40)
      index &+= 1
    }
    return isNegative ? 0 &- number : number
  }
}
