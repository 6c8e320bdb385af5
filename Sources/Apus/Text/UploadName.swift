// Names of uploaded files. What a client calls a file is a hint and no path: of it the
// last component is kept, if that is a name that a folder can have.

enum UploadName {
  /// What Linux takes for one component.
  static var longest: Int { 255 }

  /// Where the last component of a client's name stands: behind slashes of both kinds and
  /// a drive's letter. Nil where that is no safe name.
  static func reduced(_ name: Bytes) -> Range<Int>? {
    // No name ends at a NUL: all of it was sent.
    if name.first(0) != nil { return nil }
    var start = name.count
    while start > 0, !isSlash(name[start &- 1]) { start &-= 1 }
    if name.count &- start >= 2, name[start].isLetter, name[start &+ 1] == UInt8(ascii: ":") {
      start &+= 2
    }
    let range = start..<name.count
    return isSafe(name.extracting(range)) ? range : nil
  }

  /// Whether a name can stand in a folder and nowhere else.
  static func isSafe(_ name: Bytes) -> Bool {
    guard name.count > 0, name.count <= longest, !name.equals("."), !name.equals("..") else {
      return false
    }
    for index in 0..<name.count {
      let byte = name[index]
      if isSlash(byte) || byte < 32 || byte == 127 { return false }
    }
    return true
  }

  private static func isSlash(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "/") || byte == UInt8(ascii: "\\")
  }
}
