// Entity tags and their comparison, RFC 9110 §8.8.3.

enum EntityTag {
  /// Whether a list of tags, or "*", has one (RFC 9110 §13.1.1, §13.1.2). Where strong tags
  /// are needed weak ones do not count.
  static func isIn(_ list: Bytes, _ tag: Bytes, weakly: Bool) -> Bool {
    if list.extracting(list.trimmed(0..<list.count)).equals("*") { return true }
    if tag.count > 2, tag[0] == UInt8(ascii: "W") {
      return weakly && isIn(list, tag.extracting(2..<tag.count), weakly: true)
    }
    var index = 0
    while index < list.count {
      let byte = list[index]
      if byte == 32 || byte == 9 || byte == UInt8(ascii: ",") {
        index &+= 1
        continue
      }
      let isWeak = list.count &- index >= 2 && byte == UInt8(ascii: "W") && list[index &+ 1] == 47
      let start = isWeak ? index &+ 2 : index
      guard start < list.count, list[start] == UInt8(ascii: "\""),
        let end = list.first(UInt8(ascii: "\""), from: start &+ 1)
      else { return false }
      if weakly || !isWeak, list.extracting(start..<(end &+ 1)).equals(tag) { return true }
      index = end &+ 1
    }
    return false
  }

  /// Appends a strong tag for a file as it stands: the time of its change, which counts in
  /// nanoseconds, and its size.
  static func append(
    seconds: Int64, nanoseconds: Int64, size: Int64, suffix: StaticString,
    to buffer: inout ByteBuffer
  ) {
    buffer.append("\"")
    buffer.append(hexadecimal: Int(seconds))
    buffer.append("-")
    buffer.append(hexadecimal: Int(nanoseconds))
    buffer.append("-")
    buffer.append(hexadecimal: Int(size))
    buffer.append(suffix)
    buffer.append("\"")
  }
}
