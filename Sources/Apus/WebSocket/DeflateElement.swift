// One element of a Sec-WebSocket-Extensions field that names permessage-deflate, as it
// was received: an offer, or a reply. RFC 7692 §7.1.

struct DeflateElement {
  /// No parameter is unknown, given twice, or has a value that it must not have.
  private(set) var isValid = true
  private(set) var serverNoContextTakeover = false
  private(set) var clientNoContextTakeover = false
  private(set) var serverBits = Bits.absent
  private(set) var clientBits = Bits.absent

  enum Bits: Equatable {
    case absent
    case withoutValue
    case value(UInt8)
  }

  mutating func take(_ bytes: Bytes, name: Range<Int>, value: Range<Int>?) {
    let name = bytes.extracting(name)
    if name.equals("server_no_context_takeover") {
      // RFC 7692 §7.1.1.1: no value.
      if serverNoContextTakeover || value != nil { isValid = false }
      serverNoContextTakeover = true
    } else if name.equals("client_no_context_takeover") {
      // §7.1.1.2: likewise.
      if clientNoContextTakeover || value != nil { isValid = false }
      clientNoContextTakeover = true
    } else if name.equals("server_max_window_bits") {
      // §7.1.2.1: always with a value.
      let bits = DeflateElement.bits(bytes, value)
      if serverBits != .absent || bits == nil || bits == .withoutValue { isValid = false }
      serverBits = bits ?? .withoutValue
    } else if name.equals("client_max_window_bits") {
      // §7.1.2.2: in an offer the value may be missing.
      let bits = DeflateElement.bits(bytes, value)
      if clientBits != .absent || bits == nil { isValid = false }
      clientBits = bits ?? .withoutValue
    } else {
      isValid = false
    }
  }

  /// 8 to 15 without leading zeros; nil for anything else.
  private static func bits(_ bytes: Bytes, _ value: Range<Int>?) -> Bits? {
    guard let value else { return .withoutValue }
    var number: UInt8 = 0
    var digits = 0
    // A backslash is one of a quoted value, and means nothing.
    for index in value where bytes[index] != UInt8(ascii: "\\") {
      guard bytes[index].isDigit, digits < 2 else { return nil }
      if digits == 1, number == 0 { return nil }
      number = number &* 10 &+ (bytes[index] &- 48)
      digits &+= 1
    }
    return number >= 8 && number <= 15 ? .value(number) : nil
  }
}
