// The host of a URL as WHATWG URL §3.5 has it: a name in small letters, an IPv4 address
// in whatever form, or an IPv6 address in brackets; each comes out in one form. Names
// beyond ASCII need the tables of IDNA, which are not here, and are refused.

enum URLHost {
  static func append(_ text: Bytes, to buffer: inout ByteBuffer) throws(Failure) {
    if text.count > 0, text[0] == UInt8(ascii: "[") { return try appendIPv6(text, to: &buffer) }
    var name = ByteBuffer()
    Percent.decodeLeniently(text, to: &name)
    if name.failed { throw .noMemory }
    if name.bytes.firstOutsideASCII(from: 0) < name.count {
      throw Failure(
        .argument, "the URL's host is not ASCII: write it in its ASCII form, with xn--")
    }
    if try appendIPv4(name.bytes, to: &buffer) { return }
    guard let parts = HostPort(name.bytes), parts.host.upperBound == name.count,
      name.bytes.first(UInt8(ascii: "[")) == nil
    else {
      throw Failure(.argument, "the URL's host is no name of letters, digits, hyphens and dots")
    }
    let letters = name.bytes
    for index in 0..<letters.count { buffer.append(letters[index].lowercased) }
  }

  // ---- IPv4

  /// False: it is a name, as its last label is no number.
  private static func appendIPv4(_ text: Bytes, to buffer: inout ByteBuffer) throws(Failure) -> Bool
  {
    let dot = UInt8(ascii: ".")
    var end = text.count
    if end > 1, text[end &- 1] == dot { end &-= 1 }
    var start = end
    while start > 0, text[start &- 1] != dot { start &-= 1 }
    guard isNumber(text.extracting(start..<end)) else { return false }
    guard let address = IPv4Text.address(text.extracting(0..<end)) else {
      throw Failure(.argument, "the URL's host ends in a number and is no IPv4 address")
    }
    for place in 0..<4 {
      if place > 0 { buffer.append(dot) }
      buffer.append(decimal: Int64(address >> UInt32(truncatingIfNeeded: 24 &- 8 &* place) & 255))
    }
    return true
  }

  /// Digits, or hexadecimal digits behind 0x.
  private static func isNumber(_ label: Bytes) -> Bool {
    if label.isEmpty { return false }
    let isHexadecimal = label.count > 1 && label[0] == 48 && label[1] | 32 == 120
    for index in (isHexadecimal ? 2 : 0)..<label.count {
      guard isHexadecimal ? label[index].hexValue != nil : label[index].isDigit else {
        return false
      }
    }
    return true
  }

  // ---- IPv6

  private static func appendIPv6(_ text: Bytes, to buffer: inout ByteBuffer) throws(Failure) {
    guard text.count > 2, text[text.count &- 1] == UInt8(ascii: "]"),
      IPv6Text.isValid(text.extracting(1..<(text.count &- 1)))
    else { throw Failure(.argument, "the URL's host is no IPv6 address in brackets") }
    buffer.append("[")
    IPv6Text.append(IPv6Text.groups(text.extracting(1..<(text.count &- 1))), to: &buffer)
    buffer.append("]")
  }
}

/// The forms in which an IPv4 address may be written: one to four numbers, decimal, octal
/// or hexadecimal, of which the last fills what is left.
enum IPv4Text {
  static func address(_ text: Bytes) -> UInt32? {
    var address: UInt32 = 0
    var start = 0
    for place in 0..<4 {
      let end = text.first(UInt8(ascii: "."), from: start) ?? text.count
      guard let number = number(text.extracting(start..<end)) else { return nil }
      let left = UInt64(truncatingIfNeeded: 4 &- place) &* 8
      if end == text.count {
        guard number >> left == 0 else { return nil }
        return address | UInt32(truncatingIfNeeded: number)
      }
      guard number < 256 else { return nil }
      address |= UInt32(truncatingIfNeeded: number) << UInt32(truncatingIfNeeded: left &- 8)
      start = end &+ 1
    }
    return nil
  }

  /// A number, of 32 bits and one more at most.
  private static func number(_ text: Bytes) -> UInt64? {
    if text.isEmpty { return nil }
    var base: UInt64 = 10
    var index = 0
    if text.count > 1, text[0] == 48 {
      base = text[1] | 32 == 120 ? 16 : 8
      index = base == 16 ? 2 : 1
    }
    var number: UInt64 = 0
    while index < text.count {
      guard let digit = text[index].hexValue, digit < base else { return nil }
      number = min(number &* base &+ UInt64(digit), 1 << 32)
      index &+= 1
    }
    return number
  }
}

extension IPv6Text {
  /// The eight groups of text that is valid.
  static func groups(_ text: Bytes) -> InlineArray<8, UInt16> {
    var groups = InlineArray<8, UInt16>(repeating: 0)
    var count = 0
    var gap: Int? = nil
    var index = 0
    if text.count > 1, text[0] == 58, text[1] == 58 {
      gap = 0
      index = 2
    }
    while index < text.count, count < 8 {
      var end = index
      var number: UInt16 = 0
      while end < text.count, let digit = text[end].hexValue {
        number = number << 4 | UInt16(digit)
        end &+= 1
      }
      if end < text.count, text[end] == 46, count < 7 {
        let address = IPv4Text.address(text.extracting(index..<text.count)) ?? 0
        groups[count] = UInt16(truncatingIfNeeded: address >> 16)
        groups[count &+ 1] = UInt16(truncatingIfNeeded: address)
        count &+= 2
        break
      }
      groups[count] = number
      count &+= 1
      index = end &+ 1
      if index < text.count, text[index] == 58 {
        gap = count
        index &+= 1
      }
    }
    guard let gap, count < 8 else { return groups }
    // What stands behind the gap belongs to the end.
    var place = 7
    var from = count &- 1
    while from >= gap {
      groups[place] = groups[from]
      groups[from] = 0
      place &-= 1
      from &-= 1
    }
    return groups
  }

  /// RFC 5952 §4: in small letters, the longest run of two zeros or more left out.
  static func append(_ groups: InlineArray<8, UInt16>, to buffer: inout ByteBuffer) {
    var best = 0..<0
    var start = 0
    while start < 8 {
      var end = start
      while end < 8, groups[end] == 0 { end &+= 1 }
      if end &- start > max(best.count, 1) { best = start..<end }
      start = max(end, start &+ 1)
    }
    var index = 0
    while index < 8 {
      if index == best.lowerBound, !best.isEmpty {
        buffer.append("::")
        index = best.upperBound
        continue
      }
      if index > 0, index != best.upperBound || best.isEmpty { buffer.append(":") }
      buffer.append(hexadecimal: Int(groups[index]))
      index &+= 1
    }
  }
}
