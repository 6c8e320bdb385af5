// A network of addresses as "10.0.0.0/8" names it (RFC 4632 §3.1, RFC 4291 §2.3), or
// one address alone.

struct Network {
  private let address: NumericAddress
  private let bits: Int

  /// Nil for what is neither. Bits behind those that count may have any value.
  init?(_ text: Bytes) {
    let slash = text.first(UInt8(ascii: "/"))
    let name = text.extracting(0..<(slash ?? text.count))
    guard name.count > 0, name[0] != UInt8(ascii: "["), let address = NumericAddress(name) else {
      return nil
    }
    self.address = address
    guard let slash else {
      bits = address.isIPv4 ? 32 : 128
      return
    }
    guard let number = Network.number(text.extracting((slash &+ 1)..<text.count)) else {
      return nil
    }
    // An IPv4 address inside an IPv6 one stands behind 96 bits.
    let isMapped = address.isIPv4 && name.first(UInt8(ascii: ":")) != nil
    bits = isMapped ? number &- 96 : number
    guard bits >= 0, bits <= (address.isIPv4 ? 32 : 128) else { return nil }
  }

  /// One to three digits, without zeros in front.
  private static func number(_ digits: Bytes) -> Int? {
    guard digits.count > 0, digits.count <= 3, digits.count == 1 || digits[0] != 48 else {
      return nil
    }
    var number = 0
    for index in 0..<digits.count {
      guard digits[index].isDigit else { return nil }
      number = number &* 10 &+ Int(digits[index] &- 48)
    }
    return number
  }

  func contains(_ address: NumericAddress) -> Bool { address.isIn(self.address, bits: bits) }
}
