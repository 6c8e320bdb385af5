// The host and port of a Host field or an authority: RFC 3986 §3.2.2, §3.2.3,
// and no more of it than names and addresses in use have. Percent-encoding and
// sub-delims, which no name that is looked up holds, are refused.

struct HostPort {
  /// Where the host stands; with its brackets for an IPv6 address.
  let host: Range<Int>
  /// The port, or -1 when none was given.
  let port: Int32

  /// Whether a range of text is a host and port; the plain case first: a short name.
  @inline(__always)
  static func isValid(_ text: Bytes, _ range: Range<Int>) -> Bool {
    text.isShortName(range) || HostPort(text.extracting(range)) != nil
  }

  /// Nil for what is no host and port.
  @inline(never)
  init?(_ text: Bytes) {
    guard text.count > 0, text.count <= 1024 else { return nil }
    var end = 0
    if text[0] == UInt8(ascii: "[") {
      guard let close = text.first(UInt8(ascii: "]")),
        IPv6Text.isValid(text.extracting(1..<close))
      else { return nil }
      end = close &+ 1
    } else {
      guard let name = HostPort.endOfName(text) else { return nil }
      end = name
    }
    host = 0..<end
    if end == text.count {
      port = -1
      return
    }
    guard text[end] == UInt8(ascii: ":") else { return nil }
    guard let number = HostPort.port(text.extracting((end &+ 1)..<text.count)) else { return nil }
    port = number
  }

  /// Where a name ends: labels of unreserved characters, of which none is empty,
  /// save one behind a last dot.
  private static func endOfName(_ text: Bytes) -> Int? {
    let dot = UInt8(ascii: ".")
    var index = 0
    var before = dot
    while index < text.count, text[index].isUnreserved {
      if text[index] == dot, before == dot { return nil }
      before = text[index]
      index &+= 1
    }
    return index > 0 ? index : nil
  }

  /// RFC 3986 §3.2.3 has *DIGIT: an empty port is the default one.
  private static func port(_ digits: Bytes) -> Int32? {
    if digits.count == 0 { return -1 }
    guard digits.count <= 5 else { return nil }
    var number: Int32 = 0
    for index in 0..<digits.count {
      guard digits[index].isDigit else { return nil }
      number = number &* 10 &+ Int32(digits[index] &- 48)
    }
    return number <= 65_535 ? number : nil
  }
}

/// RFC 3986 §3.2.2: IPv6address.
enum IPv6Text {
  static func isValid(_ text: Bytes) -> Bool {
    var groups = 0
    var compressed = false
    var index = 0
    if text.count >= 2, text[0] == 58, text[1] == 58 {
      compressed = true
      index = 2
    }
    while index < text.count {
      var end = index
      while end < text.count, text[end].hexValue != nil { end &+= 1 }
      if end < text.count, text[end] == 46 {
        guard isIPv4(text.extracting(index..<text.count)) else { return false }
        groups &+= 2
        index = text.count
        break
      }
      guard end > index, end &- index <= 4 else { return false }
      groups &+= 1
      index = end
      if index == text.count { break }
      guard text[index] == 58 else { return false }
      index &+= 1
      if index < text.count, text[index] == 58 {
        if compressed { return false }
        compressed = true
        index &+= 1
      } else if index == text.count {
        return false
      }
    }
    return compressed ? groups <= 7 : groups == 8
  }

  private static func isIPv4(_ text: Bytes) -> Bool {
    var octets = 0
    var digits = 0
    var value = 0
    for index in 0..<text.count {
      let byte = text[index]
      if byte.isDigit {
        // RFC 3986: dec-octet has no leading zero.
        if digits > 0, value == 0 { return false }
        value = value &* 10 &+ Int(byte &- 48)
        digits &+= 1
        if digits > 3 || value > 255 { return false }
      } else if byte == 46 {
        if digits == 0 { return false }
        octets &+= 1
        digits = 0
        value = 0
      } else {
        return false
      }
    }
    return octets == 3 && digits > 0
  }
}
