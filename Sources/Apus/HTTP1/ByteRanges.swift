// The Range field (RFC 9110 §14.1, §14.2) against a length. What is malformed, asks for
// more ranges than anybody needs, or for the same bytes twice, is ignored, as the section
// allows: then all of it is sent.

struct ByteRanges: ~Copyable {
  enum Outcome: Equatable {
    /// There is no field that counts.
    case whole
    case some
    case unsatisfiable
  }

  static var most: Int { 16 }

  private(set) var list = List<Range<Int64>>()
  private(set) var outcome = Outcome.whole

  /// The sum of their lengths.
  var length: Int64 {
    var sum: Int64 = 0
    for index in 0..<list.count { sum &+= list[index].upperBound &- list[index].lowerBound }
    return sum
  }

  init(_ value: Bytes, of length: Int64) { read(value, length) }

  private mutating func read(_ value: Bytes, _ length: Int64) {
    guard let equals = value.first(UInt8(ascii: "=")),
      value.extracting(0..<equals).equalsLowercase("bytes")
    else { return }
    let set = value.extracting((equals &+ 1)..<value.count)
    var elements = ListElements()
    var count = 0
    while let element = elements.next(in: set) {
      count &+= 1
      guard count <= ByteRanges.most, let spec = Spec(set.extracting(element)) else {
        return ignore()
      }
      guard let range = spec.range(of: length) else { continue }
      if overlaps(range) || !list.append(range) { return ignore() }
    }
    // A suffix of nothing is all there is to a file without bytes.
    if count == 0 || (length == 0 && list.isEmpty && set.first(UInt8(ascii: "-")) == 0) { return }
    outcome = list.isEmpty ? .unsatisfiable : .some
  }

  private mutating func ignore() { list.removeAll() }

  private func overlaps(_ range: Range<Int64>) -> Bool {
    for index in 0..<list.count where list[index].overlaps(range) { return true }
    return false
  }

  /// One of the list: "first-last", "first-" or "-suffix".
  private struct Spec {
    /// -1: what is not there.
    var first: Int64 = -1
    var last: Int64 = -1

    init?(_ text: Bytes) {
      guard let dash = text.first(UInt8(ascii: "-")) else { return nil }
      if dash > 0 {
        guard let number = Spec.number(text.extracting(0..<dash)) else { return nil }
        first = number
      }
      if dash &+ 1 < text.count {
        guard let number = Spec.number(text.extracting((dash &+ 1)..<text.count)) else {
          return nil
        }
        last = number
      }
      if first < 0 && last < 0 || last >= 0 && last < first { return nil }
    }

    /// What is past all numbers is the greatest.
    private static func number(_ text: Bytes) -> Int64? {
      var number: Int64 = 0
      for index in 0..<text.count {
        guard text[index].isDigit else { return nil }
        let (tens, over) = number.multipliedReportingOverflow(by: 10)
        let (sum, past) = tens.addingReportingOverflow(Int64(text[index] &- 48))
        number = over || past ? .max : sum
      }
      return number
    }

    /// Nil where nothing of it is there.
    func range(of length: Int64) -> Range<Int64>? {
      if first < 0 {
        let start = length &- min(last, length)
        return start < length ? start..<length : nil
      }
      guard first < length else { return nil }
      return first..<(last < 0 || last >= length ? length : last &+ 1)
    }
  }

  /// Appends the value of Content-Range (RFC 9110 §14.4); nil: the one of 416.
  static func append(_ range: Range<Int64>?, of length: Int64, to buffer: inout ByteBuffer) {
    buffer.append("bytes ")
    if let range {
      buffer.append(decimal: range.lowerBound)
      buffer.append("-")
      buffer.append(decimal: range.upperBound &- 1)
    } else {
      buffer.append("*")
    }
    buffer.append("/")
    buffer.append(decimal: length)
  }

  /// Appends what stands before a part of multipart/byteranges (RFC 9110 §14.6); the
  /// first one has no CRLF before it.
  static func append(
    part range: Range<Int64>, of length: Int64, type: Bytes, boundary: Bytes, isFirst: Bool,
    to buffer: inout ByteBuffer
  ) {
    buffer.append(isFirst ? "--" : "\r\n--")
    buffer.append(boundary)
    if type.count > 0 {
      buffer.append("\r\nContent-Type: ")
      buffer.append(type)
    }
    buffer.append("\r\nContent-Range: ")
    append(range, of: length, to: &buffer)
    buffer.append("\r\n\r\n")
  }

  static func append(end boundary: Bytes, to buffer: inout ByteBuffer) {
    buffer.append("\r\n--")
    buffer.append(boundary)
    buffer.append("--\r\n")
  }
}
