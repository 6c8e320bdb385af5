// Bodies of multipart/form-data, RFC 7578. The writer keeps what stands around the
// contents of parts, and the values of plain fields; contents are others' to send, each
// when its turn comes, so that no file need be in memory.

struct MultipartWriter: ~Copyable {
  enum Piece: Equatable {
    /// These bytes of `framing` are next.
    case framing(Range<Int>)
    /// All of a part's content is next.
    case content(part: Int)
    case end
  }

  struct Part {
    /// Where in `text` the content goes.
    let place: Int
    /// -1: it is not known.
    let length: Int64
  }

  private let boundary: ByteBuffer
  private var text = ByteBuffer()
  private var parts = List<Part>()
  private var entries = 0
  private var isClosed = false
  /// What `next` has given.
  private var sent = 0
  private var sentParts = 0
  private var isContentDue = false

  /// Fields and files of one body, and bytes of a name.
  static var most: Int { 10_000 }
  static var longestName: Int { 65_536 }

  /// `boundary` must be found in no part; RFC 2046 §5.1.1 says what it may hold, of which
  /// the space is left out.
  init(boundary: Bytes) throws(Failure) {
    guard boundary.count > 0, boundary.count <= 70 else {
      throw Failure(.argument, "a boundary has 1 to 70 characters")
    }
    for index in 0..<boundary.count where !MultipartWriter.isBoundary(boundary[index]) {
      throw Failure(.argument, "the boundary is malformed")
    }
    var copy = ByteBuffer()
    copy.append(boundary)
    if copy.failed { throw .noMemory }
    self.boundary = copy
  }

  private static func isBoundary(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "'"), UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "+"),
      UInt8(ascii: ","), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "/"),
      UInt8(ascii: ":"), UInt8(ascii: "="), UInt8(ascii: "?"), UInt8(ascii: "_"):
      true
    default: byte.isDigit || byte.isLetter
    }
  }

  /// Appends a boundary made of bytes of chance, of which there should be 16 or more.
  static func appendBoundary(random: Bytes, to buffer: inout ByteBuffer) {
    buffer.append("------------------------")
    for index in 0..<min(random.count, 23) {
      for shift: UInt8 in 0..<2 {
        // Letters alone, which need no quotes and tell nothing.
        buffer.append(97 &+ (random[index] >> (4 &* shift)) & 15)
      }
    }
  }

  /// Appends the value of Content-Type for the body.
  func appendContentType(to buffer: inout ByteBuffer) {
    buffer.append("multipart/form-data; boundary=")
    let isToken = boundary.bytes.isToken
    if !isToken { buffer.append("\"") }
    buffer.append(boundary.bytes)
    if !isToken { buffer.append("\"") }
  }

  // ---- adding

  /// Adds a field with its value, as it is: line ends are not made alike.
  mutating func add(name: Bytes, value: Bytes) throws(Failure) {
    let none = Span<UInt8>()
    try open(name: name, fileName: none, hasFileName: false, contentType: none)
    text.append(value)
    if text.failed { throw .noMemory }
  }

  /// Adds a file, or a field that has a type, whose content comes when `next` says so; the
  /// number by which it does that. An empty content type is that of the file name. `length`
  /// is -1 where it is not known.
  mutating func addFile(
    name: Bytes, fileName: Bytes, hasFileName: Bool = true, contentType: Bytes, length: Int64
  ) throws(Failure) -> Int {
    guard length >= -1 else { throw Failure(.argument, "the length is negative") }
    if contentType.count > 0 {
      guard contentType.isFieldValue, contentType.count <= 1024 else {
        throw Failure(.argument, "the content type is malformed")
      }
      try open(
        name: name, fileName: fileName, hasFileName: hasFileName, contentType: contentType)
    } else {
      let usual = MediaType.of(fileName: fileName)
      try open(
        name: name, fileName: fileName, hasFileName: hasFileName, contentType: usual.bytes)
    }
    guard parts.append(Part(place: text.count, length: length)) else { throw .noMemory }
    return parts.count &- 1
  }

  /// Appends a part's head, and before it the delimiter.
  private mutating func open(
    name: Bytes, fileName: Bytes, hasFileName: Bool, contentType: Bytes
  ) throws(Failure) {
    if isClosed { throw Failure(.state, "the body is being sent") }
    if text.failed { throw .noMemory }
    if entries == MultipartWriter.most { throw Failure(.tooLarge, "the form has too many parts") }
    guard name.count <= MultipartWriter.longestName,
      fileName.count <= MultipartWriter.longestName, name.first(0) == nil, fileName.first(0) == nil
    else { throw Failure(.argument, "the field's name or file name is malformed") }
    entries &+= 1
    MultipartWriter.append(delimiter: boundary, isFirst: entries == 1, to: &text)
    text.append("\r\nContent-Disposition: form-data; name=\"")
    appendEscaped(name)
    if hasFileName {
      text.append("\"; filename=\"")
      appendEscaped(fileName)
    }
    text.append("\"\r\n")
    if contentType.count > 0 {
      text.append("Content-Type: ")
      text.append(contentType)
      text.append("\r\n")
    }
    text.append("\r\n")
    if text.failed { throw .noMemory }
  }

  private static func append(
    delimiter boundary: borrowing ByteBuffer, isFirst: Bool, to text: inout ByteBuffer
  ) {
    text.append(isFirst ? "--" : "\r\n--")
    text.append(boundary.bytes)
  }

  /// As the HTML standard has it for names in multipart/form-data: quotes and line ends
  /// are percent-encoded, and nothing else is: no backslash either, also where a name ends
  /// in one. A reader that takes it to escape the quote behind it misreads browsers, too.
  private mutating func appendEscaped(_ name: Bytes) {
    for index in 0..<name.count {
      switch name[index] {
      case 10: text.append("%0A")
      case 13: text.append("%0D")
      case UInt8(ascii: "\""): text.append("%22")
      case let byte: text.append(byte)
      }
    }
  }

  // ---- sending

  /// Ends the form: nothing can be added behind.
  mutating func close() throws(Failure) {
    if isClosed { return }
    entries &+= 1
    MultipartWriter.append(delimiter: boundary, isFirst: entries == 1, to: &text)
    text.append("--\r\n")
    if text.failed { throw .noMemory }
    isClosed = true
  }

  /// The length of the whole body once it is closed; nil where a part's is not known.
  var length: Int64? {
    var total = Int64(text.count)
    for index in 0..<parts.count {
      let sum = total.addingReportingOverflow(parts[index].length)
      if parts[index].length < 0 || sum.overflow { return nil }
      total = sum.partialValue
    }
    return isClosed ? total : nil
  }

  /// What comes next in a form that is closed, each piece once.
  mutating func next() -> Piece {
    if !isClosed { return .end }
    if isContentDue {
      isContentDue = false
      sentParts &+= 1
      return .content(part: sentParts &- 1)
    }
    let end = sentParts < parts.count ? parts[sentParts].place : text.count
    isContentDue = sentParts < parts.count
    if sent == end { return .end }
    defer { sent = end }
    return .framing(sent..<end)
  }

  /// From the start again.
  mutating func rewind() {
    sent = 0
    sentParts = 0
    isContentDue = false
  }

  /// The bytes of a piece.
  @_lifetime(borrow self)
  func framing(_ range: Range<Int>) -> Bytes {
    let bytes = text.bytes
    return bytes.extracting(range.clamped(to: 0..<bytes.count))
  }
}
