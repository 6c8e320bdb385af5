// A form that a client has sent: its fields and files. Contents stand in memory, one
// behind the other with a NUL behind each; what has no room there stands in one file.

@safe struct FormPart {
  var name = Text("")
  var fileName = Text("")
  var isFile = false
  var type = Text("")
  /// Names and values of its head, each with a NUL behind.
  var fields = Text("")
  var isOnDisk = false
  /// Where its content starts, in memory or in the file; and its length.
  var place: Int64 = 0
  var length: Int64 = 0
  /// The content that is in memory, once the form is whole.
  var data = Text("")
}

@safe struct Form: ~Copyable {
  private var arena = Arena()
  private(set) var parts = List<FormPart>()
  private var parser: MultipartParser
  /// Bytes that the parser wants to see again.
  private var rest = ByteBuffer()
  private var memory = ByteBuffer()
  private(set) var file = UploadFile()
  private var part = FormPart()
  /// Bytes that the heads of further parts may have together.
  private var room: Int
  private let options: FormOptions
  /// Where files go, with a NUL behind it; empty: nowhere.
  private let folder: Text
  /// Why it is no form, if it is none.
  private(set) var failure: Failure? = nil
  private(set) var isWhole = false
  /// Whether its bytes came by here and were not kept.
  let isStreamed: Bool

  /// Bytes of a part's head, in the mean of all parts that there may be.
  private static var averageHead: Int { 1024 }

  init(boundary: Bytes, options: FormOptions, folder: Text, isStreamed: Bool) {
    parser = MultipartParser(
      boundary: boundary, limits: MultipartParser.Limits(parts: Int(options.parts)))
    room = max(64 * 1024, Int(options.parts) &* Form.averageHead)
    self.options = options
    self.folder = folder
    self.isStreamed = isStreamed
  }

  // ---- as it arrives

  /// Takes more of the body. `failure` says whether it went well.
  mutating func take(_ bytes: Bytes) {
    if rest.isEmpty {
      let used = feed(bytes)
      rest.append(bytes.extracting(used..<bytes.count))
    } else {
      var all = ByteBuffer()
      swap(&all, &rest)
      all.append(bytes)
      if all.failed { return fail(.noMemory) }
      let used = feed(all.bytes)
      all.consume(used)
      swap(&all, &rest)
    }
    if rest.failed || parser.failed { fail(.noMemory) }
  }

  private mutating func fail(_ failure: Failure) {
    if self.failure == nil { self.failure = failure }
  }

  private mutating func feed(_ bytes: Bytes) -> Int {
    var index = 0
    while failure == nil {
      switch parser.next(bytes, at: &index) {
      case .more:
        return index
      case .part:
        begin()
      case .content(let range):
        do throws(Failure) {
          try store(bytes.extracting(range))
        } catch {
          fail(error)
        }
      case .partEnd:
        endPart()
      case .refused(let problem):
        fail(Failure(problem.isSize ? .tooLarge : .protocolBroken, problem.reason))
      }
    }
    return bytes.count
  }

  private mutating func begin() {
    part = FormPart()
    part.isFile = parser.head.isFile
    room &-= parser.head.count
    if room < 0 {
      return fail(Failure(.tooLarge, "The heads of the parts are longer than this server takes."))
    }
    guard let name = Form.copy(parser.head.name, to: &arena),
      let fileName = Form.copy(parser.head.fileName, to: &arena),
      let type = Form.copy(parser.head.type, to: &arena),
      let fields = Form.copy(parser.head.fields, to: &arena)
    else { return fail(.noMemory) }
    part.name = name
    part.fileName = fileName
    // RFC 7578 §4.4: what has no type is plain text.
    part.type = parser.head.type.isEmpty ? Text("text/plain") : type
    part.fields = fields
    part.place = Int64(memory.count)
  }

  private static func copy(_ buffer: borrowing ByteBuffer, to arena: inout Arena) -> Text? {
    arena.copy(buffer.bytes)
  }

  private mutating func store(_ piece: Bytes) throws(Failure) {
    part.length &+= Int64(piece.count)
    if part.length > options.part {
      throw Failure(.tooLarge, "A part is longer than this server takes.")
    }
    if !part.isOnDisk, Int64(memory.count &+ piece.count &+ 1) > options.memory {
      let start = Int(part.place)
      part.isOnDisk = true
      part.place = file.size
      try Form.move(memory, from: start, to: &file, in: folder)
      memory.truncate(to: start)
    }
    if part.isOnDisk {
      try file.append(piece, in: folder)
    } else {
      memory.append(piece)
      if memory.failed { throw .noMemory }
    }
  }

  private static func move(
    _ memory: borrowing ByteBuffer, from start: Int, to file: inout UploadFile, in folder: Text
  ) throws(Failure) {
    let bytes = memory.bytes
    try file.append(bytes.extracting(start..<bytes.count), in: folder)
  }

  private mutating func endPart() {
    if !part.isOnDisk { memory.append(0) }
    if memory.failed || !parts.append(part) { fail(.noMemory) }
  }

  /// All of the body has come.
  mutating func complete() {
    if failure != nil { return }
    guard parser.isComplete, rest.isEmpty else {
      return fail(Failure(.protocolBroken, "The form ends before its last boundary."))
    }
    do throws(Failure) {
      if file.size > 0 { try file.finish() }
    } catch {
      return fail(error)
    }
    for index in 0..<parts.count where !parts[index].isOnDisk {
      guard let start = unsafe memory.pointer else { continue }
      parts[index].data = unsafe Text(
        start: start + Int(parts[index].place), count: Int(parts[index].length))
    }
    isWhole = true
  }

  /// Hands its memory over, which stays where it is: for whoever counts what waits.
  mutating func give(to buffer: inout ByteBuffer) { swap(&memory, &buffer) }

  // ---- urlencoded

  /// Takes all of an urlencoded body.
  mutating func take(pairs body: Bytes) {
    var pairs = FormPairs(most: Int(options.parts))
    while true {
      switch pairs.next(in: body) {
      case .end:
        isWhole = failure == nil
        return
      case .tooMany:
        return fail(Failure(.tooLarge, "The form has more fields than this server takes."))
      case .pair(let name, let value):
        var part = FormPart()
        guard let name = decoded(body.extracting(name)), let data = decoded(body.extracting(value))
        else { return fail(.noMemory) }
        part.name = name
        part.data = data
        part.length = Int64(data.count)
        part.type = Text("text/plain")
        if !parts.append(part) { return fail(.noMemory) }
      }
    }
  }

  private mutating func decoded(_ text: Bytes) -> Text? {
    var buffer = ByteBuffer()
    Percent.decode(form: text, to: &buffer)
    return buffer.failed ? nil : arena.copy(buffer.bytes)
  }

  // ---- looking things up

  /// The first part of a name behind an index (-1: of all).
  func find(_ name: Bytes, after index: Int) -> Int? {
    var index = index &+ 1
    while index < parts.count {
      if parts[index].name.bytes.equals(name) { return index }
      index &+= 1
    }
    return nil
  }

  /// A field of a part's head.
  func field(_ name: Bytes, of part: FormPart) -> Text? {
    let bytes = part.fields.bytes
    var index = 0
    while let middle = bytes.first(0, from: index), let end = bytes.first(0, from: middle &+ 1) {
      if bytes.extracting(index..<middle).equalsIgnoringCase(name) {
        return unsafe Text(start: part.fields.start + middle + 1, count: end &- middle &- 1)
      }
      index = end &+ 1
    }
    return nil
  }
}
