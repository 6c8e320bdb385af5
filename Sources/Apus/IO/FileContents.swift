// Whole files of the system's, read once.

enum FileContents {
  /// Appends the bytes of an ordinary file; false where there is none that may be read,
  /// where it has more than `most` bytes, and without memory. Then nothing was appended.
  static func append(_ path: StaticString, most: Int, to buffer: inout ByteBuffer) -> Bool {
    let start = buffer.count
    do throws(Failure) {
      let file = try FileReader(Text(path))
      while true {
        // Room for one byte more, to tell "at" from "past".
        let taken = buffer.count &- start
        let room = min(65_536, most &+ 1 &- taken)
        if room <= 0 { break }
        if try file.read(room, at: Int64(taken), to: &buffer) == 0 { return true }
      }
    } catch {}
    buffer.truncate(to: start)
    return false
  }
}
