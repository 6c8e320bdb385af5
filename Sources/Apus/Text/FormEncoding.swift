// application/x-www-form-urlencoded, as the URL standard has it: the pairs of a form's
// body or of a query. `Percent` decodes names and values.

enum FormEncoding {
  /// Appends a pair; the buffer holds the pairs before it and nothing else.
  static func append(name: Bytes, value: Bytes, to buffer: inout ByteBuffer) {
    if !buffer.isEmpty { buffer.append("&") }
    append(name, to: &buffer)
    buffer.append("=")
    append(value, to: &buffer)
  }

  /// Appends a name or a value. Spaces are "+"; what is no letter, no digit and none of
  /// "*-._" is percent-encoded.
  static func append(_ text: Bytes, to buffer: inout ByteBuffer) {
    Percent.encode(text, .form, to: &buffer)
  }

  /// Appends the decoded value of the first pair of a name; false where there is none
  /// among those that count.
  static func find(_ name: Bytes, in form: Bytes, to buffer: inout ByteBuffer) -> Bool {
    var pairs = FormPairs()
    var decoded = ByteBuffer()
    while case .pair(let range, let value) = pairs.next(in: form) {
      decoded.truncate(to: 0)
      Percent.decode(form: form.extracting(range), to: &decoded)
      if !decoded.failed, decoded.bytes.equals(name) {
        Percent.decode(form: form.extracting(value), to: &buffer)
        return true
      }
    }
    return false
  }
}

/// The pairs of a form, one after the other, as they stand there.
struct FormPairs {
  enum Item: Equatable {
    /// Where name and value stand; without "=" the value is empty.
    case pair(name: Range<Int>, value: Range<Int>)
    case end
    /// There are more than may be.
    case tooMany
  }

  private var index = 0
  private var left: Int

  /// Pairs of a form, unless its owner says otherwise.
  static var most: Int { 1000 }

  init(most: Int = FormPairs.most) { left = most }

  mutating func next(in form: Bytes) -> Item {
    while index < form.count {
      let start = index
      let end = form.first(UInt8(ascii: "&"), from: start) ?? form.count
      index = end &+ 1
      // Empty pieces do not count.
      if end == start { continue }
      if left <= 0 {
        index = start
        return .tooMany
      }
      left = left &- 1
      guard let equals = form.extracting(start..<end).first(UInt8(ascii: "=")) else {
        return .pair(name: start..<end, value: end..<end)
      }
      return .pair(name: start..<(start &+ equals), value: (start &+ equals &+ 1)..<end)
    }
    return .end
  }
}
