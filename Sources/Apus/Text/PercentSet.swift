// Which characters stay as they are where text is percent-encoded.

enum PercentSet {
  /// RFC 3986 §2.3: unreserved alone.
  case component
  /// A path, RFC 3986 §3.3, and a query, §3.4: their delimiters stay.
  case path, query
  /// WHATWG URL, application/x-www-form-urlencoded; a space becomes "+".
  case form
  /// What browsers leave alone in parts of a URL, "%" among it (WHATWG URL §1.3).
  case urlPath, urlQuery, urlFragment, urlUser

  func keeps(_ byte: UInt8) -> Bool {
    guard byte > 32, byte < 127 else { return false }
    switch self {
    case .component: return byte.isUnreserved
    case .form: return byte.isUnreserved ? byte != UInt8(ascii: "~") : byte == UInt8(ascii: "*")
    case .path: return PercentSet.isInPath(byte)
    case .query: return PercentSet.isInPath(byte) || byte == UInt8(ascii: "?")
    case .urlQuery: return !PercentSet.isDelimiter(byte) && byte != UInt8(ascii: "'")
    case .urlFragment: return byte == 35 || !PercentSet.isDelimiter(byte) && byte != 96
    case .urlPath: return PercentSet.isLeftInPath(byte)
    case .urlUser: return PercentSet.isLeftInPath(byte) && !PercentSet.isUserDelimiter(byte)
    }
  }

  /// RFC 3986 §3.3: pchar and the slash.
  private static func isInPath(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x21, 0x24, 0x26...0x2C, 0x2F, 0x3A, 0x3B, 0x3D, 0x40: true
    default: byte.isUnreserved
    }
  }

  /// Quotes, "#", "<" and ">".
  private static func isDelimiter(_ byte: UInt8) -> Bool {
    byte == 0x22 || byte == 0x23 || byte == 0x3C || byte == 0x3E
  }

  private static func isLeftInPath(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x3F, 0x5E, 0x60, 0x7B, 0x7D: false
    default: !isDelimiter(byte)
    }
  }

  /// "/", ":", ";", "=", "@", brackets, backslash and bar.
  private static func isUserDelimiter(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x2F, 0x3A, 0x3B, 0x3D, 0x40, 0x5B...0x5D, 0x7C: true
    default: false
    }
  }
}

extension Percent {
  /// Appends text with all but what a set keeps as triplets.
  static func encode(_ text: Bytes, _ set: PercentSet, to buffer: inout ByteBuffer) {
    let digits = Text("0123456789ABCDEF")
    for index in 0..<text.count {
      let byte = text[index]
      if set.keeps(byte) {
        buffer.append(byte)
      } else if byte == 32, set == .form {
        buffer.append(UInt8(ascii: "+"))
      } else {
        buffer.append(UInt8(ascii: "%"))
        buffer.append(digits.bytes[Int(byte >> 4)])
        buffer.append(digits.bytes[Int(byte & 15)])
      }
    }
  }

  /// Appends decoded text; false where a "%" has no two digits behind it.
  static func decode(_ text: Bytes, to buffer: inout ByteBuffer) -> Bool {
    var index = 0
    while index < text.count {
      if text[index] != UInt8(ascii: "%") {
        buffer.append(text[index])
        index &+= 1
      } else {
        guard let decoded = triplet(text, at: index) else { return false }
        buffer.append(decoded)
        index &+= 3
      }
    }
    return true
  }

  /// The same where a "%" without digits stands for itself.
  static func decodeLeniently(_ text: Bytes, to buffer: inout ByteBuffer) {
    var index = 0
    while index < text.count {
      let decoded = text[index] == UInt8(ascii: "%") ? triplet(text, at: index) : nil
      buffer.append(decoded ?? text[index])
      index &+= decoded == nil ? 1 : 3
    }
  }
}
