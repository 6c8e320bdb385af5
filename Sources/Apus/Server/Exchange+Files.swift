// Replies from files: conditions, ranges, and the body from memory or from the file.

extension Ref where Object == Exchange {
  /// Replies with a file as it is sent. A status that the host has set stands for the
  /// whole file; conditions and ranges are for 200, and for methods that read: what others
  /// do is done by now, under conditions that the host has looked at (RFC 9110 §13.2.1).
  func reply(from face: Ref<FileFace>) throws(Failure) {
    // Its tag is that of the file as it is.
    o.reply.setCompression(false)
    let all = 0..<face.o.size
    let isRead = o.head.method == Method.get || o.isHead
    guard o.reply.status == 200, isRead, hasConditions else { return try complete(face, all) }
    switch try judge(face, isRead) {
    case .failed: return try completeStatus(412)
    case .notModified:
      o.reply.status = 304
      o.reply.add(lines: face.o.lines.bytes)
      return try complete(Bytes())
    case .perform(let ranges):
      let name = Text("range")
      guard ranges, o.head.method == Method.get, let value = field(name.bytes) else { break }
      return try complete(face, ByteRanges(value.bytes, of: face.o.size))
    }
    try complete(face, all)
  }

  /// By the file's tag and date, or by those that the host has set, as they are what is sent.
  private func judge(_ face: Ref<FileFace>, _ isRead: Bool) throws(Failure) -> Conditions.Verdict {
    var tag = ByteBuffer()
    var date = ByteBuffer()
    let (tagName, dateName) = (Text("ETag"), Text("Last-Modified"))
    o.reply.value(tagName.bytes, to: &tag)
    o.reply.value(dateName.bytes, to: &date)
    if tag.failed || date.failed { throw .noMemory }
    if tag.isEmpty { tag.append(face.o.tag.bytes) }
    guard !tag.failed, let start = unsafe tag.pointer else { throw .noMemory }
    let conditions = unsafe Conditions(
      tag: Text(start: start, count: tag.count),
      modified: HTTPDate.parse(date.bytes) ?? face.o.modified, isRead: isRead)
    return conditions.judge { name in list(of: name) }
  }

  /// The value of a field, which may come as a list in several.
  private func list(of name: StaticString) -> Text? {
    let text = Text(name)
    var count = 0
    for index in 0..<o.head.fields.count {
      let field = o.head.fields[index]
      if Int(field.nameCount) == text.count, let own = part(field.name),
        own.bytes.equalsIgnoringCase(text.bytes)
      {
        count &+= 1
      }
    }
    if count < 2 { return field(text.bytes) }
    let whole = joined(name)
    o.hasExtras = true
    return whole.failed ? nil : o.arena.copy(whole.bytes)
  }

  /// Whether there may be a conditional field, or Range: by length and first letter.
  private var hasConditions: Bool {
    var index = 0
    while index < o.head.fields.count {
      let name = o.head.fields[index].name
      switch name.count {
      case 5: if let text = part(name), text.bytes[0] | 32 == UInt8(ascii: "r") { return true }
      case 8, 13, 17, 19:
        if let text = part(name), text.bytes[0] | 32 == UInt8(ascii: "i") { return true }
      default: break
      }
      index &+= 1
    }
    return false
  }

  private func complete(_ face: Ref<FileFace>, _ ranges: borrowing ByteRanges) throws(Failure) {
    let size = face.o.size
    if ranges.outcome == .whole { return try complete(face, 0..<size) }
    var value = ByteBuffer()
    let name = Text("Content-Range")
    if ranges.outcome == .unsatisfiable {
      ByteRanges.append(nil, of: size, to: &value)
      try setField(name.bytes, value.bytes, replacing: true)
      return try completeStatus(416)
    }
    o.reply.status = 206
    if ranges.list.count > 1 { return try complete(face, parts: ranges) }
    ByteRanges.append(ranges.list[0], of: size, to: &value)
    if value.failed { throw .noMemory }
    o.reply.add(lines: face.o.wholeLines.bytes)
    try setField(name.bytes, value.bytes, replacing: true, isOwn: true)
    try finish(face, ranges.list[0])
  }

  private func complete(_ face: Ref<FileFace>, _ range: Range<Int64>) throws(Failure) {
    o.reply.add(lines: face.o.wholeLines.bytes)
    try finish(face, range)
  }

  private func finish(_ face: Ref<FileFace>, _ range: Range<Int64>) throws(Failure) {
    if o.reply.fields.failed { throw .noMemory }
    guard let file = face.o.file else {
      let bytes = face.o.bytes.bytes
      return try complete(bytes.extracting(Int(range.lowerBound)..<Int(range.upperBound)))
    }
    let length = range.upperBound &- range.lowerBound
    if Status.hasNoContent(o.reply.status) || length == 0 { return try complete(Bytes()) }
    o.framing = .length(length)
    if !o.isHead {
      file.retain()
      try appendFile(file, range)
      o.bodyBytes = length
    }
    o.isReplied = true
  }

  /// RFC 9110 §14.6: multipart/byteranges.
  private func complete(_ face: Ref<FileFace>, parts ranges: borrowing ByteRanges)
    throws(Failure)
  {
    var boundary = ByteBuffer()
    try Ref.makeBoundary(&boundary)
    var type = ByteBuffer()
    type.append("multipart/byteranges; boundary=")
    type.append(boundary.bytes)
    o.reply.add(lines: face.o.wholeLines.bytes)
    let name = Text("Content-Type")
    // The file's, unless the host has set another.
    var partType = ByteBuffer()
    o.reply.value(name.bytes, to: &partType)
    if partType.failed { throw .noMemory }
    try setField(name.bytes, type.bytes, replacing: true, isOwn: true)
    var body = ByteBuffer()
    var length: Int64 = 0
    for index in 0..<ranges.list.count {
      let range = ranges.list[index]
      ByteRanges.append(
        part: range, of: face.o.size, type: partType.bytes, boundary: boundary.bytes,
        isFirst: index == 0, to: &body)
      if let file = face.o.file {
        length &+= Int64(body.count) &+ range.upperBound &- range.lowerBound
        try add(body.bytes)
        body.truncate(to: 0)
        file.retain()
        try appendFile(file, range)
      } else {
        let bytes = face.o.bytes.bytes
        body.append(bytes.extracting(Int(range.lowerBound)..<Int(range.upperBound)))
      }
    }
    ByteRanges.append(end: boundary.bytes, to: &body)
    if body.failed || o.reply.fields.failed { throw .noMemory }
    if face.o.file == nil { return try complete(body.bytes) }
    try add(body.bytes)
    length &+= Int64(body.count)
    o.framing = .length(length)
    o.bodyBytes = length
    o.isReplied = true
  }

  private func add(_ bytes: Bytes) throws(Failure) {
    appendOutput { $0.append(bytes) }
    if o.output.failed || o.parcels.hasFailed { throw .noMemory }
  }

  private static func makeBoundary(_ boundary: inout ByteBuffer) throws(Failure) {
    var chance = ByteBuffer()
    guard Crypto.appendRandom(12, to: &chance) else { throw Failure(.io, "no random numbers") }
    Crypto.append(hexadecimal: chance.bytes, to: &boundary)
    if boundary.failed { throw .noMemory }
  }

  // ---- by the host's own path

  /// Replies with a file of the host's. Its type is the one given, or was set before, or
  /// is told by the name.
  /// `disposition` is the value of Content-Disposition, or nothing.
  func reply(file path: Text, type: Text?, disposition: Bytes = Bytes()) throws(Failure) {
    let file: Ref<OpenFile>
    do throws(Failure) {
      file = try OpenFile.open(path)
    } catch {
      o.isFileMissing = error.code == .notFound && o.reply.status == 200
      throw error
    }
    var name = ByteBuffer()
    if let type {
      name.append(type.bytes)
    } else {
      MediaType.append(ofFile: path.bytes, to: &name)
    }
    let size = file.o.facts.size
    let face = Ref<FileFace>(
      make: FileFace(
        file, size: size, file.o.facts, type: name.bytes, cacheControl: Bytes(),
        FileFace.Manner(now: Clock.wallSeconds)))
    guard let face else { throw .noMemory }
    defer { face.free() }
    if face.o.hasFailed { throw .noMemory }
    if size <= FileCache.largestKept { try face.o.keepBytes() }
    if let type { try setType(type) }
    if disposition.count > 0 {
      let field = Text("Content-Disposition")
      try setField(field.bytes, disposition, replacing: true)
    }
    do throws(Failure) {
      try reply(from: face)
    } catch {
      // Nothing of half a reply may be left for the next one.
      o.output.clear()
      o.parcels.clear()
      o.holds.remove(.file)
      throw error
    }
  }

  /// Has the client save the body under a name.
  func setAttachment(_ name: Bytes) throws(Failure) {
    var value = ByteBuffer()
    guard ContentDisposition.append(attachment: name, to: &value) else {
      throw Failure(.argument, "a file's name is UTF-8 of 1 to 255 bytes without slashes")
    }
    if value.failed { throw .noMemory }
    let field = Text("Content-Disposition")
    try setField(field.bytes, value.bytes, replacing: true)
  }
}
