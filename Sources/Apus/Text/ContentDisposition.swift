// The field that offers a body as a file to be saved (RFC 6266): a name that old clients
// take, and the same in UTF-8 by RFC 8187 where that says more.

enum ContentDisposition {
  static var longestName: Int { 255 }

  /// Appends the value for an attachment. False for a name that is none: empty, too long,
  /// with control characters or separators of paths, or no UTF-8.
  static func append(attachment name: Bytes, to buffer: inout ByteBuffer) -> Bool {
    guard isName(name) else { return false }
    buffer.append("attachment; filename=\"")
    var isPlain = true
    for index in 0..<name.count {
      let byte = name[index]
      if byte >= 128 {
        isPlain = false
        // One mark for each character, whatever its length.
        if byte & 0xC0 != 0x80 { buffer.append(UInt8(ascii: "_")) }
      } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "%") {
        // Some clients decode percents here, and some cannot do escapes.
        isPlain = false
        buffer.append(UInt8(ascii: "_"))
      } else {
        buffer.append(byte)
      }
    }
    buffer.append("\"")
    if isPlain { return true }
    buffer.append("; filename*=UTF-8''")
    for index in 0..<name.count { append(extended: name[index], to: &buffer) }
    return true
  }

  private static func isName(_ name: Bytes) -> Bool {
    guard name.count > 0, name.count <= longestName, UTF8Validator.isValid(name) else {
      return false
    }
    for index in 0..<name.count {
      let byte = name[index]
      if byte < 32 || byte == 127 || byte == UInt8(ascii: "/") || byte == UInt8(ascii: "\\") {
        return false
      }
    }
    return !name.equals(".") && !name.equals("..")
  }

  /// RFC 8187 §3.2.1: attr-char stands for itself.
  private static func append(extended byte: UInt8, to buffer: inout ByteBuffer) {
    let isPlain =
      byte.isToken && byte != UInt8(ascii: "%") && byte != UInt8(ascii: "'")
      && byte != UInt8(ascii: "*")
    if isPlain { return buffer.append(byte) }
    buffer.append(UInt8(ascii: "%"))
    buffer.append(digit(byte >> 4))
    buffer.append(digit(byte & 15))
  }

  private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? value &+ 48 : value &+ 55 }
}
