// Whole files of the system's, read once.

import CSystem

enum FileContents {
  /// Appends the bytes of an ordinary file; false where there is none that may be read,
  /// where it has more than `most` bytes, and without memory. Then nothing was appended.
  static func append(_ path: StaticString, most: Int, to buffer: inout ByteBuffer) -> Bool {
    let descriptor = unsafe sys_open_file(Text(path).characters)
    if descriptor < 0 { return false }
    defer { _ = sys_close(descriptor) }
    let start = buffer.count
    while true {
      // Room for one byte more, to tell "at" from "past".
      let room = min(65_536, most &+ 1 &- (buffer.count &- start))
      guard room > 0, let space = unsafe buffer.space(room) else { break }
      let count = unsafe sys_read(descriptor, space, room)
      if count == 0 { return true }
      if count < 0 { break }
      buffer.filled(Int(count))
    }
    buffer.truncate(to: start)
    return false
  }
}
