// A form to be sent: fields, files and other parts, kept until the fetch starts and made
// its body then: urlencoded, or multipart where there is more than fields.

@safe struct FetchForm: ~Copyable {
  private struct Part: ~Copyable {
    var name = ByteBuffer()
    var fileName = ByteBuffer()
    var type = ByteBuffer()
    /// The path of a file, or the bytes themselves.
    var content = ByteBuffer()
    var isField = false
    var isFile = false
    var hasFileName = true
  }

  private var parts = List<Ref<Part>>()
  private var isMultipart = false

  init() {}

  deinit { freeParts() }

  private func freeParts() {
    for index in 0..<parts.count { parts[index].free() }
  }

  var isEmpty: Bool { parts.isEmpty }

  mutating func clear() {
    freeParts()
    parts.removeAll()
    isMultipart = false
  }

  mutating func add(field name: Bytes, _ value: Bytes) throws(Failure) {
    var part = Part()
    part.isField = true
    part.name.append(name)
    part.content.append(value)
    try add(part)
  }

  /// The file is opened now, and again when it is sent. A file name of nil is that of the
  /// path; `path` has a NUL behind it.
  mutating func add(file path: Text, name: Bytes, fileName: Bytes?, type: Bytes) throws(Failure) {
    _ = try FileReader(path)
    var part = Part()
    part.isFile = true
    part.name.append(name)
    part.type.append(type)
    if let fileName {
      part.fileName.append(fileName)
    } else {
      FetchForm.append(lastOf: path.bytes, to: &part.fileName)
    }
    part.content.append(path.bytes)
    if !part.content.terminate() { throw .noMemory }
    try add(part)
    isMultipart = true
  }

  private static func append(lastOf path: Bytes, to buffer: inout ByteBuffer) {
    var start = 0
    while let slash = path.first(UInt8(ascii: "/"), from: start) { start = slash &+ 1 }
    buffer.append(path.extracting(start..<path.count))
  }

  mutating func add(part name: Bytes, _ bytes: Bytes, fileName: Bytes?, type: Bytes)
    throws(Failure)
  {
    var part = Part()
    part.name.append(name)
    part.type.append(type)
    part.isField = fileName == nil && type.isEmpty
    part.hasFileName = fileName != nil
    if let fileName { part.fileName.append(fileName) }
    part.content.append(bytes)
    try add(part)
    isMultipart = true
  }

  private mutating func add(_ part: consuming Part) throws(Failure) {
    if part.name.failed || part.fileName.failed || part.type.failed || part.content.failed {
      throw .noMemory
    }
    guard part.type.bytes.isFieldValue else {
      throw Failure(.argument, "the content type holds a control character")
    }
    guard let new = Ref<Part>(make: part) else { throw .noMemory }
    if parts.append(new) { return }
    new.free()
    throw .noMemory
  }

  // ---- the body

  func makeBody() throws(Failure) -> FetchBody {
    isMultipart ? try makeMultipart() : try makeURLEncoded()
  }

  private func makeURLEncoded() throws(Failure) -> FetchBody {
    var text = ByteBuffer()
    for index in 0..<parts.count {
      let part = parts[index]
      FormEncoding.append(name: part.o.name.bytes, value: part.o.content.bytes, to: &text)
    }
    if text.failed { throw .noMemory }
    var body = FetchBody()
    try body.add(text.bytes)
    body.contentType.append("application/x-www-form-urlencoded")
    return body
  }

  private func makeMultipart() throws(Failure) -> FetchBody {
    var random = ByteBuffer()
    var boundary = ByteBuffer()
    guard Crypto.appendRandom(16, to: &random) else { throw Failure(.io, "no random numbers") }
    MultipartWriter.appendBoundary(random: random.bytes, to: &boundary)
    var writer = try MultipartWriter(boundary: boundary.bytes)
    var contents = List<Ref<Part>>()
    for index in 0..<parts.count {
      let part = parts[index]
      if part.o.isField {
        try writer.add(name: part.o.name.bytes, value: part.o.content.bytes)
      } else {
        _ = try writer.addFile(
          name: part.o.name.bytes, fileName: part.o.fileName.bytes,
          hasFileName: part.o.hasFileName, contentType: part.o.type.bytes, length: -1)
        guard contents.append(part) else { throw .noMemory }
      }
    }
    try writer.close()
    var body = FetchBody()
    writer.appendContentType(to: &body.contentType)
    while true {
      switch writer.next() {
      case .end: return body
      case .framing(let range): try body.add(writer.framing(range))
      case .content(let number):
        let part = contents[number]
        if part.o.isFile, let path = unsafe part.o.content.pointer {
          try body.add(file: unsafe Text(start: path, count: part.o.content.count))
        } else {
          try body.add(part.o.content.bytes)
        }
      }
    }
  }
}
