// IP addresses as numbers, to be compared with networks and told to others. An IPv4
// address inside an IPv6 one (RFC 4291 §2.5.5.2) is that IPv4 address.

struct NumericAddress: Equatable {
  let isIPv4: Bool
  /// Of an IPv4 address the low 32 bits of `low` count.
  let high: UInt64
  let low: UInt64

  /// From text, with or without the brackets of an IPv6 address; nil: it is none.
  init?(_ text: Bytes) {
    let bare = text.extracting(NumericAddress.bare(text))
    if bare.first(UInt8(ascii: ":")) == nil {
      guard bare.count == text.count, let number = NumericAddress.four(bare) else { return nil }
      self.init(four: number)
      return
    }
    guard IPv6Text.isValid(bare) else { return nil }
    self.init(six: NumericAddress.six(bare))
  }

  /// Of four or sixteen bytes, the first one highest; nil for another number.
  init?(bytes: Bytes) {
    guard bytes.count == 4 || bytes.count == 16 else { return nil }
    var high: UInt64 = 0
    var low: UInt64 = 0
    for index in 0..<bytes.count {
      high = high << 8 | low >> 56
      low = low << 8 | UInt64(bytes[index])
    }
    if bytes.count == 4 {
      self.init(four: UInt32(truncatingIfNeeded: low))
    } else {
      self.init(six: (high, low))
    }
  }

  /// Where an address stands, without the brackets of an IPv6 address.
  private static func bare(_ text: Bytes) -> Range<Int> {
    let last = text.count &- 1
    return last > 0 && text[0] == UInt8(ascii: "[") && text[last] == UInt8(ascii: "]")
      ? 1..<last : 0..<text.count
  }

  private init(six: (high: UInt64, low: UInt64)) {
    isIPv4 = six.high == 0 && six.low >> 32 == 0xFFFF
    high = six.high
    low = isIPv4 ? six.low & 0xFFFF_FFFF : six.low
  }

  private init(four: UInt32) {
    isIPv4 = true
    high = 0
    low = UInt64(four)
  }

  /// Four numbers between dots, without leading zeros.
  private static func four(_ text: Bytes) -> UInt32? {
    var result: UInt32 = 0
    var numbers = 0
    var index = 0
    while numbers < 4 {
      let start = index
      var number: UInt32 = 0
      while index < text.count, text[index].isDigit, index &- start < 3 {
        number = number &* 10 &+ UInt32(text[index] &- 48)
        index &+= 1
      }
      let isPlain = index &- start == 1 || (index > start && text[start] != 48)
      guard isPlain, number <= 255 else { return nil }
      result = result << 8 | number
      numbers &+= 1
      if numbers == 4 { break }
      guard index < text.count, text[index] == UInt8(ascii: ".") else { return nil }
      index &+= 1
    }
    return index == text.count ? result : nil
  }

  /// Of text that is valid.
  private static func six(_ text: Bytes) -> (high: UInt64, low: UInt64) {
    var groups = InlineArray<8, UInt16>(repeating: 0)
    var count = 0
    // How many groups stand before "::"; all of them where there is none.
    var gap = 8
    var index = 0
    while index < text.count, count < 8 {
      if text[index] == UInt8(ascii: ":") {
        let isGap = index &+ 1 < text.count && text[index &+ 1] == UInt8(ascii: ":")
        if isGap { gap = count }
        index &+= isGap ? 2 : 1
        continue
      }
      let start = index
      var group: UInt16 = 0
      while index < text.count, let digit = text[index].hexValue {
        group = group << 4 | UInt16(digit)
        index &+= 1
      }
      if index < text.count, text[index] == UInt8(ascii: "."), count < 7 {
        let number = four(text.extracting(start..<text.count)) ?? 0
        groups[count] = UInt16(truncatingIfNeeded: number >> 16)
        groups[count &+ 1] = UInt16(truncatingIfNeeded: number)
        count &+= 2
        break
      }
      groups[count] = group
      count &+= 1
    }
    var high: UInt64 = 0
    var low: UInt64 = 0
    for place in 0..<8 {
      // Groups behind "::" are counted from the end.
      let source = place < gap ? place : place &- 8 &+ count
      let group = source >= min(place, gap) && source < count ? groups[source] : 0
      if place < 4 { high = high << 16 | UInt64(group) } else { low = low << 16 | UInt64(group) }
    }
    return (high, low)
  }

  /// Whether it is in a network of which so many leading bits count.
  func isIn(_ network: NumericAddress, bits: Int) -> Bool {
    guard isIPv4 == network.isIPv4, bits >= 0, bits <= (isIPv4 ? 32 : 128) else { return false }
    if isIPv4 { return (low ^ network.low) >> (32 &- UInt64(truncatingIfNeeded: bits)) == 0 }
    if bits <= 64 { return (high ^ network.high) >> (64 &- UInt64(truncatingIfNeeded: bits)) == 0 }
    return high == network.high
      && (low ^ network.low) >> (128 &- UInt64(truncatingIfNeeded: bits)) == 0
  }

  /// Appends its four or sixteen bytes, the first one highest.
  func append(to buffer: inout ByteBuffer) {
    var shift: UInt64 = 64
    if !isIPv4 {
      while shift > 0 {
        shift = shift &- 8
        buffer.append(UInt8(truncatingIfNeeded: high >> shift))
      }
    }
    shift = isIPv4 ? 32 : 64
    while shift > 0 {
      shift = shift &- 8
      buffer.append(UInt8(truncatingIfNeeded: low >> shift))
    }
  }
}
