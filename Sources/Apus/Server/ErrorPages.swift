// Pages of the host's in place of the short texts that go with statuses from 400 on. They
// are read when they are set.

@safe struct ErrorPage: ~Copyable {
  let status: Int32
  let type: Text
  var body: ByteBuffer
  private let typeBytes: Ref<ByteBuffer>

  static var largest: Int64 { 1 << 20 }

  /// `path` is the host's own.
  init(_ status: Int32, _ path: Text) throws(Failure) {
    let file = try OpenFile.open(path)
    defer { file.release() }
    guard file.o.facts.size <= ErrorPage.largest else {
      throw Failure(.tooLarge, "an error page has at most 1 MiB")
    }
    var body = ByteBuffer()
    try file.o.append(0..<file.o.facts.size, to: &body)
    guard let name = Ref(make: ByteBuffer()) else { throw .noMemory }
    MediaType.append(ofFile: path.bytes, to: &name.o)
    guard name.o.terminate(), let start = unsafe name.o.pointer else {
      name.free()
      throw .noMemory
    }
    self.status = status
    self.body = body
    typeBytes = name
    type = unsafe Text(start: start, count: name.o.count)
  }

  deinit { typeBytes.free() }

  var text: Text {
    unsafe body.pointer.map { unsafe Text(start: $0, count: body.count) } ?? Text("")
  }
}

extension Ref where Object == Server {
  /// Sets the page of a status in place of another; nil: takes it away.
  func setErrorPage(_ status: Int32, _ path: Text?) throws(Failure) {
    var page: Ref<ErrorPage>? = nil
    if let path {
      page = Ref<ErrorPage>(make: try ErrorPage(status, path))
      if page == nil { throw .noMemory }
    }
    for index in 0..<o.errorPages.count where o.errorPages[index].o.status == status {
      o.errorPages[index].free()
      o.errorPages.remove(at: index)
      break
    }
    guard let page else { return }
    if o.errorPages.append(page) { return }
    page.free()
    throw .noMemory
  }

  func errorPage(_ status: Int32) -> Ref<ErrorPage>? {
    for index in 0..<o.errorPages.count where o.errorPages[index].o.status == status {
      return o.errorPages[index]
    }
    return nil
  }
}

extension List {
  /// The last one takes its place.
  mutating func remove(at index: Int) {
    guard index >= 0, index < count, let last = removeLast(), index < count else { return }
    self[index] = last
  }
}
