// The head of a part of a form, RFC 7578 §4: what the field is called, and what the file.

/// Why a form is not taken.
struct MultipartProblem: Equatable {
  /// It is larger than it may be, and otherwise malformed.
  let isSize: Bool
  let reason: StaticString

  static func bad(_ reason: StaticString) -> MultipartProblem {
    MultipartProblem(isSize: false, reason: reason)
  }
  static func large(_ reason: StaticString) -> MultipartProblem {
    MultipartProblem(isSize: true, reason: reason)
  }
  static func == (left: Self, right: Self) -> Bool { left.isSize == right.isSize }
}

struct MultipartHead: ~Copyable {
  private(set) var name = ByteBuffer()
  private(set) var fileName = ByteBuffer()
  /// Whether a file name was given; it may be empty.
  private(set) var isFile = false
  /// Empty where there is none.
  private(set) var type = ByteBuffer()
  /// Names and values, each with a NUL behind.
  private(set) var fields = ByteBuffer()
  private var hasName = false
  private var hasDisposition = false
  private var hasType = false
  /// Whether the file name is that of filename*, which wins.
  private var isExtended = false
  private var hasFileName = false

  /// Bytes of a name, and of a file name, once decoded.
  static var longestName: Int { 1024 }

  init() {}

  mutating func reset() {
    name.truncate(to: 0)
    fileName.truncate(to: 0)
    type.truncate(to: 0)
    fields.truncate(to: 0)
    isFile = false
    hasName = false
    hasDisposition = false
    hasType = false
    isExtended = false
    hasFileName = false
  }

  /// Bytes that are kept of it.
  var count: Int { name.count &+ fileName.count &+ type.count &+ fields.count }

  var failed: Bool { name.failed || fileName.failed || type.failed || fields.failed }

  /// Takes a line, without its end.
  mutating func take(_ line: Bytes) -> MultipartProblem? {
    guard let colon = line.first(UInt8(ascii: ":")) else {
      return .bad("A line in a part's head has no colon.")
    }
    let key = line.extracting(0..<colon)
    let value = line.extracting(line.trimmed((colon &+ 1)..<line.count))
    // No folded lines: those begin with a space, which no token has.
    guard key.isToken, value.isFieldValue else {
      return .bad("A field in a part's head is malformed.")
    }
    fields.append(key)
    fields.append(0)
    fields.append(value)
    fields.append(0)
    if key.equalsLowercase("content-disposition") {
      if hasDisposition { return .bad("A part has Content-Disposition twice.") }
      hasDisposition = true
      return takeDisposition(value)
    }
    if key.equalsLowercase("content-type") {
      if hasType { return .bad("A part has Content-Type twice.") }
      hasType = true
      type.append(value)
    }
    if key.equalsLowercase("content-transfer-encoding") {
      // RFC 7578 §4.7: deprecated; what changes nothing is let through.
      guard
        value.equalsLowercase("binary") || value.equalsLowercase("8bit")
          || value.equalsLowercase("7bit")
      else { return .bad("A part is encoded, as parts of forms are not.") }
    }
    return nil
  }

  /// The head is over.
  func end() -> MultipartProblem? {
    hasName ? nil : .bad("A part has no Content-Disposition with a name.")
  }

  private mutating func takeDisposition(_ value: Bytes) -> MultipartProblem? {
    let end = value.first(UInt8(ascii: ";")) ?? value.count
    guard value.extracting(value.trimmed(0..<end)).equalsLowercase("form-data") else {
      return .bad("A part's disposition is not form-data.")
    }
    var parameters = Parameters(from: end)
    while true {
      switch parameters.next(in: value) {
      case .end: return nil
      case .malformed: return .bad("A part's Content-Disposition is malformed.")
      case .parameter(let key, let range):
        let problem = take(value.extracting(key), value.extracting(range))
        if let problem { return problem }
      }
    }
  }

  private mutating func take(_ key: Bytes, _ value: Bytes) -> MultipartProblem? {
    if key.equalsLowercase("name") {
      if hasName { return .bad("A part has two names.") }
      hasName = true
      MultipartHead.decode(value, to: &name)
    } else if key.equalsLowercase("filename") {
      if hasFileName { return .bad("A part has two file names.") }
      hasFileName = true
      isFile = true
      if isExtended { return nil }
      MultipartHead.decode(value, to: &fileName)
    } else if key.equalsLowercase("filename*") {
      if isExtended { return .bad("A part has two file names.") }
      fileName.truncate(to: 0)
      isFile = true
      isExtended = true
      guard MultipartHead.decode(extended: value, to: &fileName) else {
        return .bad("A part's filename* is malformed.")
      }
    }
    if name.count > MultipartHead.longestName || fileName.count > MultipartHead.longestName {
      return .large("A part's name is longer than this server takes.")
    }
    return nil
  }

  /// As browsers escape (HTML §4.10.22.8), %22, %0D and %0A, and as RFC 9110 §5.6.4 does.
  private static func decode(_ text: Bytes, to buffer: inout ByteBuffer) {
    var index = 0
    while index < text.count {
      if Parameters.isEscape(text, at: index) { index &+= 1 }
      if text[index] == UInt8(ascii: "%"), let byte = Percent.triplet(text, at: index),
        byte == 34 || byte == 13 || byte == 10
      {
        buffer.append(byte)
        index &+= 3
      } else {
        buffer.append(text[index])
        index &+= 1
      }
    }
  }

  /// RFC 8187 §3.2: UTF-8'language'text.
  private static func decode(extended text: Bytes, to buffer: inout ByteBuffer) -> Bool {
    let quote = UInt8(ascii: "'")
    guard let first = text.first(quote), let second = text.first(quote, from: first &+ 1),
      text.extracting(0..<first).equalsLowercase("utf-8")
    else { return false }
    var index = second &+ 1
    while index < text.count {
      if text[index] == UInt8(ascii: "%") {
        guard let byte = Percent.triplet(text, at: index), byte != 0 else { return false }
        buffer.append(byte)
        index &+= 3
      } else {
        guard text[index].isToken, text[index] != quote, text[index] != UInt8(ascii: "*") else {
          return false
        }
        buffer.append(text[index])
        index &+= 1
      }
    }
    var validator = UTF8Validator()
    return validator.firstOffence(in: buffer.bytes) == nil && validator.isComplete
  }
}
