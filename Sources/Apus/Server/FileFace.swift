// A file as it is sent: its bytes or the open file, and the fields that go with them, made
// once for all replies.

@safe struct FileFace: ~Copyable {
  /// Nil where the bytes are kept.
  private(set) var file: Ref<OpenFile>?
  private(set) var bytes = ByteBuffer()
  let size: Int64
  let modified: Int64
  private var tagBytes = ByteBuffer()
  private(set) var type = ByteBuffer()
  /// The fields of 304, and those of 200 and 206, which are these and the body's.
  private(set) var lines = ByteBuffer()
  private(set) var wholeLines = ByteBuffer()

  struct Manner {
    /// "br" or "gzip"; nil for none.
    var coding: StaticString? = nil
    var suffix: StaticString = ""
    var varies = false
    /// Seconds since 1970: a file of the future has no date (RFC 9110 §8.8.2.1).
    var now: Int64
  }

  /// Takes over a use of the file; the type and Cache-Control may be empty.
  init(
    _ file: Ref<OpenFile>?, size: Int64, _ facts: FileFacts, type name: Bytes,
    cacheControl: Bytes, _ manner: Manner
  ) {
    self.file = file
    self.size = size
    modified = facts.seconds
    type.append(name)
    makeTag(facts, manner.suffix)
    makeLines(cacheControl, manner)
  }

  private mutating func makeTag(_ facts: FileFacts, _ suffix: StaticString) {
    var tag = ByteBuffer()
    EntityTag.append(
      seconds: facts.seconds, nanoseconds: facts.nanoseconds, size: facts.size, suffix: suffix,
      to: &tag)
    _ = tag.terminate()
    swap(&tag, &tagBytes)
  }

  private mutating func makeLines(_ cacheControl: Bytes, _ manner: Manner) {
    var lines = ByteBuffer()
    if modified <= manner.now {
      lines.append("Last-Modified: ")
      HTTPDate.append(modified, to: &lines)
      lines.append("\r\n")
    }
    lines.append("ETag: ")
    lines.append(tagBytes.bytes)
    lines.append("\r\n")
    if cacheControl.count > 0 {
      lines.append("Cache-Control: ")
      lines.append(cacheControl)
      lines.append("\r\n")
    }
    if manner.varies { lines.append("Vary: Accept-Encoding\r\n") }
    var whole = ByteBuffer()
    whole.append(lines.bytes)
    if !type.isEmpty {
      whole.append("Content-Type: ")
      whole.append(type.bytes)
      whole.append("\r\n")
    }
    if let coding = manner.coding {
      whole.append("Content-Encoding: ")
      whole.append(coding)
      whole.append("\r\n")
    }
    whole.append("Accept-Ranges: bytes\r\n")
    swap(&lines, &self.lines)
    swap(&whole, &wholeLines)
  }

  deinit { file?.release() }

  var hasFailed: Bool { tagBytes.failed || type.failed || lines.failed || wholeLines.failed }

  /// The entity tag, quotes and all.
  var tag: Text {
    guard let start = unsafe tagBytes.pointer else { return Text("") }
    return unsafe Text(start: start, count: tagBytes.count)
  }

  /// Has the bytes in memory from here on, and the file closed.
  mutating func keepBytes() throws(Failure) {
    guard let open = file else { return }
    try open.o.append(0..<size, to: &bytes)
    file = nil
    open.release()
  }

  /// Bytes that were made, and are those of no file.
  mutating func keep(_ made: consuming ByteBuffer) { bytes = made }
}
