// Percent-encoding, RFC 3986 §2.1.

enum Percent {
  /// Appends a decoded path to a buffer; false where it is malformed or holds an
  /// encoded NUL, which no text that C sees can carry.
  static func decode(path: Bytes, to buffer: inout ByteBuffer) -> Bool {
    var index = 0
    while index < path.count {
      let byte = path[index]
      if byte != UInt8(ascii: "%") {
        buffer.append(byte)
        index &+= 1
        continue
      }
      guard let decoded = triplet(path, at: index), decoded != 0 else { return false }
      buffer.append(decoded)
      index &+= 3
    }
    return true
  }

  /// Appends a decoded form name or value: "+" is a space, and what is no
  /// triplet stands for itself (WHATWG URL, application/x-www-form-urlencoded).
  static func decode(form: Bytes, to buffer: inout ByteBuffer) {
    var index = 0
    while index < form.count {
      let byte = form[index]
      if byte == UInt8(ascii: "%"), let decoded = triplet(form, at: index) {
        buffer.append(decoded)
        index &+= 3
      } else {
        buffer.append(byte == UInt8(ascii: "+") ? 32 : byte)
        index &+= 1
      }
    }
  }

  /// The byte of the triplet at an index, if one is there.
  static func triplet(_ bytes: Bytes, at index: Int) -> UInt8? {
    guard bytes.count &- index >= 3, let high = bytes[index &+ 1].hexValue,
      let low = bytes[index &+ 2].hexValue
    else { return nil }
    return high << 4 | low
  }
}
