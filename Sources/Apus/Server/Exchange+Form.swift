// The form of a request: read from a body in memory when it is first asked for, or there
// already where its route has it parsed as it arrives.

extension Ref where Object == Exchange {
  /// The form, whole.
  func form() throws(Failure) -> Ref<Form> {
    let form: Ref<Form>
    if let ready = o.form { form = ready } else { form = try readForm() }
    if let failure = form.o.failure { throw failure }
    return form
  }

  private func readForm() throws(Failure) -> Ref<Form> {
    if o.route?.o.isStreamed ?? false {
      throw Failure(.state, "the body of a streamed route is not kept")
    }
    var options = FormOptions()
    if let server = o.worker?.o.server {
      options = withSettings(of: server) { server.o.options.forms }
    }
    // It is in memory as it is.
    options.memory = .max
    options.part = .max
    let type = contentType()
    let field = type.bytes
    let form: Ref<Form>
    switch FormType(field) {
    case .other:
      throw Failure(.notFound, "the body is no form")
    case .malformed:
      throw Failure(.protocolBroken, "the form's boundary is missing or malformed")
    case .urlencoded:
      form = try makeForm(boundary: Bytes(), options, isStreamed: false)
      form.o.take(pairs: o.body.bytes)
    case .multipart(let boundary):
      form = try makeForm(boundary: field.extracting(boundary), options, isStreamed: false)
      form.o.take(o.body.bytes)
      form.o.complete()
    }
    return form
  }

  /// Of a form that was parsed as it arrived there are the parts alone.
  func checkBodyIsKept() throws(Failure) {
    if o.form?.o.isStreamed ?? false {
      throw Failure(.state, "the body was parsed as it arrived")
    }
  }

  func contentType() -> Text {
    let name = Text("content-type")
    return field(name.bytes) ?? Text("")
  }

  func makeForm(boundary: Bytes, _ options: FormOptions, isStreamed: Bool) throws(Failure)
    -> Ref<Form>
  {
    // One that is in memory as a whole writes no files.
    let folder = isStreamed ? o.worker?.o.server.uploadFolder ?? Text("/tmp") : Text("")
    guard
      let form = Ref<Form>(
        make: Form(boundary: boundary, options: options, folder: folder, isStreamed: isStreamed))
    else { throw .noMemory }
    o.hasExtras = true
    o.form = form
    return form
  }

  /// What has come of a form goes, with its file.
  func dropForm() {
    o.form?.free()
    o.form = nil
  }

  func part(at index: Int32) throws(Failure) -> (Ref<Form>, FormPart) {
    let form = try form()
    guard index >= 0, Int(index) < form.o.parts.count else {
      throw Failure(.notFound, "there is nothing at this index")
    }
    return (form, form.o.parts[Int(index)])
  }

  /// Runs without the lock that the caller holds: for what may wait for the disk. A pin,
  /// or the handler that this is in, keeps the exchange and its form.
  private func unlocked(_ body: () throws(Failure) -> Void) throws(Failure) {
    guard o.isShared else { return try body() }
    o.lock.unlock()
    defer { o.lock.lock() }
    try body()
  }

  /// Saves a part under a folder, as a name or as what is left of the client's own.
  func save(part index: Int32, in folder: Text, as name: Text?, replacing: Bool)
    throws(Failure) -> Text
  {
    let (form, part) = try part(at: index)
    let name = try fileName(name, part)
    try unlocked { () throws(Failure) in
      var file = try SavedFile(in: folder, isNamed: replacing)
      if part.isOnDisk {
        try form.o.file.copy(from: part.place, count: part.length, to: file)
      } else {
        try file.write(part.data.bytes)
      }
      try file.finish(name, replacing: replacing)
    }
    return name
  }

  private func fileName(_ name: Text?, _ part: FormPart) throws(Failure) -> Text {
    let text = name ?? part.fileName
    let bytes = text.bytes
    let range =
      name == nil
      ? UploadName.reduced(bytes) : UploadName.isSafe(bytes) ? 0..<bytes.count : nil
    guard let range else { throw Failure(.argument, "not the name of a file in a folder") }
    guard let kept = o.arena.copy(bytes.extracting(range)) else { throw .noMemory }
    return kept
  }

  /// Copies content of a part; how much there was.
  @unsafe func read(
    part index: Int32, at offset: Int64, to space: UnsafeMutablePointer<UInt8>, _ capacity: Int
  ) throws(Failure) -> Int {
    let (form, part) = try part(at: index)
    guard offset >= 0, capacity >= 0 else { throw Failure(.argument, "the range is impossible") }
    if offset >= part.length { return 0 }
    let count = Int(min(Int64(capacity), part.length &- offset))
    guard part.isOnDisk else {
      let bytes = part.data.bytes
      unsafe space.copy(bytes.extracting(Int(offset)..<(Int(offset) &+ count)))
      return count
    }
    var got = 0
    try unlocked { () throws(Failure) in
      got = unsafe try form.o.file.read(space, count, at: part.place &+ offset)
    }
    return got
  }
}
