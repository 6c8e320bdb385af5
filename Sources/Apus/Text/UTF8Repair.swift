// UTF-8 decoding as the web does it (WHATWG Encoding §8.1.1): what is wrong becomes
// U+FFFD, once for each longest start of a character that breaks off.

enum UTF8Repair {
  static func append(_ bytes: Bytes, to output: inout ByteBuffer) {
    var index = 0
    while index < bytes.count {
      var validator = UTF8Validator()
      let rest = bytes.extracting(index..<bytes.count)
      let offence = validator.firstOffence(in: rest)
      if offence == nil, validator.isComplete { return output.append(rest) }
      // Up to the offence, or the end, all is right but for a character that broke off.
      let end = offence ?? rest.count
      let whole = wholePart(of: rest.extracting(0..<end))
      output.append(rest.extracting(0..<whole))
      output.append("\u{FFFD}")
      // The byte that ends a character too soon may begin another one.
      index &+= whole < end ? end : end &+ 1
    }
  }

  /// How much of bytes, which are right as far as they go, is whole characters.
  private static func wholePart(of bytes: Bytes) -> Int {
    var index = bytes.count
    while index > 0, bytes.count &- index < 3 {
      index &-= 1
      let byte = bytes[index]
      if byte & 0xC0 == 0x80 { continue }
      let length = byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4
      return bytes.count &- index < length ? index : bytes.count
    }
    return bytes.count
  }
}
