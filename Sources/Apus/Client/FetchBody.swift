// What a request carries: pieces of memory and files one after the other, or what the
// host gives when it is asked.

@safe struct FetchBody: ~Copyable {
  private struct Part: ~Copyable {
    var bytes = ByteBuffer()
    var file: Ref<FileReader>? = nil
    var count: Int64 = 0
    var next: Ref<Part>? = nil

    deinit { file?.free() }
  }

  private var first: Ref<Part>? = nil
  private var last: Ref<Part>? = nil
  /// -1: only its end will tell.
  private(set) var count: Int64 = 0
  private(set) var isThere = false
  /// The host is asked for it.
  private(set) var isAsked = false
  var contentType = ByteBuffer()

  // ---- the loop's
  private var part: Ref<Part>? = nil
  private var offset: Int64 = 0

  init() {}

  deinit { freeParts() }

  private func freeParts() {
    var part = first
    while let one = part {
      part = one.o.next
      one.free()
    }
  }

  mutating func clear() {
    freeParts()
    first = nil
    last = nil
    part = nil
    count = 0
    isThere = false
    isAsked = false
    contentType.clear()
  }

  mutating func add(_ bytes: Bytes) throws(Failure) {
    isThere = true
    if bytes.isEmpty { return }
    var part = Part()
    part.bytes.append(bytes)
    part.count = Int64(bytes.count)
    if part.bytes.failed { throw .noMemory }
    try add(part)
  }

  /// `path` has a NUL behind it. The file is opened now.
  mutating func add(file path: Text) throws(Failure) {
    isThere = true
    guard let file = Ref<FileReader>(make: try FileReader(path)) else { throw .noMemory }
    var part = Part()
    part.file = file
    part.count = file.o.size
    try add(part)
  }

  private mutating func add(_ part: consuming Part) throws(Failure) {
    let size = part.count
    guard let new = Ref<Part>(make: part) else { throw .noMemory }
    if let last { last.o.next = new } else { first = new }
    last = new
    count &+= size
  }

  /// The host's function gives it; -1: of an unknown length.
  mutating func ask(_ length: Int64) {
    isThere = true
    isAsked = true
    count = length
  }

  /// To be sent from its start. What the host gives cannot be had again.
  mutating func rewind() {
    part = first
    offset = 0
  }

  var canRepeat: Bool { !isAsked }

  /// Appends the next bytes; false: that was all.
  mutating func read(_ most: Int, to buffer: inout ByteBuffer) throws(Failure) -> Bool {
    while let current = part {
      let left = current.o.count &- offset
      if left <= 0 {
        part = current.o.next
        offset = 0
        continue
      }
      let wanted = Int(min(left, Int64(most)))
      if let file = current.o.file {
        let got = try file.o.read(wanted, at: offset, to: &buffer)
        if got == 0 { throw Failure(.io, "the file has become shorter while it was sent") }
        offset &+= Int64(got)
      } else {
        let start = Int(offset)
        buffer.append(current.o.bytes.bytes.extracting(start..<(start &+ wanted)))
        if buffer.failed { throw .noMemory }
        offset &+= Int64(wanted)
      }
      return true
    }
    return false
  }
}
