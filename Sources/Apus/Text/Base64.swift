// Base64 with padding, RFC 4648 §4. Decoding is strict: no other character, no
// line break, padding where it is due, and zero bits below the last byte (§3.5),
// so that bytes and text correspond one to one.

enum Base64 {
  static func append(_ bytes: Bytes, to buffer: inout ByteBuffer) {
    var index = 0
    while index < bytes.count {
      let rest = bytes.count &- index
      let second = rest > 1 ? bytes[index &+ 1] : 0
      let third = rest > 2 ? bytes[index &+ 2] : 0
      let group = UInt32(bytes[index]) << 16 | UInt32(second) << 8 | UInt32(third)
      buffer.append(digit(group >> 18))
      buffer.append(digit(group >> 12))
      buffer.append(rest > 1 ? digit(group >> 6) : pad)
      buffer.append(rest > 2 ? digit(group) : pad)
      index &+= 3
    }
  }

  /// How many bytes a text stands for; nil where it is not what `append` writes.
  static func decodedCount(_ text: Bytes) -> Int? {
    guard text.count & 3 == 0 else { return nil }
    if text.count == 0 { return 0 }
    var end = text.count
    while end > text.count &- 2, text[end &- 1] == pad { end &-= 1 }
    for index in 0..<end {
      guard value(text[index]) != nil else { return nil }
    }
    guard let last = value(text[end &- 1]) else { return nil }
    switch text.count &- end {
    case 1: if last & 3 != 0 { return nil }
    case 2: if last & 15 != 0 { return nil }
    default: break
    }
    return text.count / 4 &* 3 &- (text.count &- end)
  }

  /// Appends what a text stands for; false where it is not what `append` writes.
  static func decode(_ text: Bytes, to buffer: inout ByteBuffer) -> Bool {
    guard let count = decodedCount(text) else { return false }
    let end = buffer.count &+ count
    var index = 0
    while index < text.count {
      var group: UInt32 = 0
      for place in index..<(index &+ 4) {
        group = group << 6 | UInt32(truncatingIfNeeded: value(text[place]) ?? 0)
      }
      buffer.append(UInt8(truncatingIfNeeded: group >> 16))
      buffer.append(UInt8(truncatingIfNeeded: group >> 8))
      buffer.append(UInt8(truncatingIfNeeded: group))
      index &+= 4
    }
    buffer.truncate(to: end)
    return !buffer.failed
  }

  private static var pad: UInt8 { UInt8(ascii: "=") }

  private static func digit(_ bits: UInt32) -> UInt8 {
    let value = UInt8(truncatingIfNeeded: bits & 63)
    switch value {
    case 0...25: return value &+ 65
    case 26...51: return value &+ 71
    case 52...61: return value &- 4
    case 62: return UInt8(ascii: "+")
    default: return UInt8(ascii: "/")
    }
  }

  private static func value(_ digit: UInt8) -> UInt8? {
    switch digit {
    case 65...90: digit &- 65
    case 97...122: digit &- 71
    case 48...57: digit &+ 4
    case 43: 62
    case 47: 63
    default: nil
    }
  }
}
