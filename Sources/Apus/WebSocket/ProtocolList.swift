// Subprotocols that a client offers, in its order of preference: the values of
// Sec-WebSocket-Protocol, which may come in several fields (RFC 6455 §11.3.4).

struct ProtocolList: ~Copyable {
  private var text = ByteBuffer()
  private var ranges = List<Range<Int>>()
  private(set) var isMalformed = false
  private var wasGiven = false

  /// More are refused: each is compared with each.
  static var most: Int { 100 }

  var count: Int { ranges.count }

  /// The name at an index that counts; empty otherwise.
  subscript(index: Int) -> Bytes {
    @_lifetime(borrow self) get {
      guard index >= 0, index < ranges.count else { return Span() }
      return text.bytes.extracting(ranges[index])
    }
  }

  /// The same with a NUL behind it, until the list changes.
  @unsafe func terminated(_ index: Int) -> Text? {
    guard index >= 0, index < ranges.count, let base = unsafe text.pointer else { return nil }
    return unsafe Text(start: base + ranges[index].lowerBound, count: ranges[index].count)
  }

  func index(of name: Bytes) -> Int? {
    for index in 0..<ranges.count where self[index].equals(name) { return index }
    return nil
  }

  /// Takes one field's value. False where it is no list of tokens that are all
  /// different (RFC 6455 §4.1 item 10), where they are too many, or for want of
  /// memory; then it stays malformed.
  @discardableResult
  mutating func take(_ value: Bytes) -> Bool {
    wasGiven = true
    var elements = ListElements()
    while !isMalformed, let range = elements.next(in: value) {
      if !add(value.extracting(range)) { isMalformed = true }
    }
    return !isMalformed
  }

  private mutating func add(_ name: Bytes) -> Bool {
    guard name.isToken, ranges.count < ProtocolList.most, index(of: name) == nil else {
      return false
    }
    let start = text.count
    text.append(name)
    text.append(0)
    return !text.failed && ranges.append(start..<(start &+ name.count))
  }

  /// Whether what was taken is a field as its grammar has it: with one name at least.
  var isValid: Bool { !isMalformed && (!wasGiven || ranges.count > 0) }

  /// Appends the name at an index; false where there is none.
  func append(at index: Int, to buffer: inout ByteBuffer) -> Bool {
    guard index >= 0, index < ranges.count else { return false }
    buffer.append(self[index])
    return true
  }

  /// Appends the value of the field that offers these.
  func append(to buffer: inout ByteBuffer) {
    for index in 0..<ranges.count {
      if index > 0 { buffer.append(", ") }
      buffer.append(self[index])
    }
  }
}
