// Fields that are kept beyond the bytes that they came in: those of a response, its
// trailers, or what is to be sent. Each text has a NUL behind it, as C wants it.

struct FieldList: ~Copyable {
  private var text = ByteBuffer()
  private var fields = List<Field>()

  init() {}

  var count: Int { fields.count }

  /// Puts a copy behind the others; false without memory.
  mutating func append(name: Bytes, value: Bytes) -> Bool {
    let start = text.count
    let more = name.count &+ value.count &+ 2
    guard more <= Int(Int32.max) &- start, text.reserve(more) else { return false }
    text.append(name)
    text.append(0)
    let middle = text.count
    text.append(value)
    text.append(0)
    let field = Field(
      name: start..<(start &+ name.count), value: middle..<(middle &+ value.count))
    if fields.append(field) { return true }
    text.truncate(to: start)
    return false
  }

  /// Copies all fields of a head, whose bytes these are; false without memory.
  mutating func append(_ head: borrowing ResponseHead, of bytes: Bytes) -> Bool {
    _ = text.reserve(bytes.count)
    for index in 0..<head.fields.count {
      let field = head.fields[index]
      guard append(name: bytes.extracting(field.name), value: bytes.extracting(field.value)) else {
        return false
      }
    }
    return true
  }

  /// The name of a field by its place; nil where there is none. It stands until
  /// something is added.
  func name(at index: Int) -> Text? {
    guard index >= 0, index < fields.count else { return nil }
    return text(fields[index].name)
  }

  func value(at index: Int) -> Text? {
    guard index >= 0, index < fields.count else { return nil }
    return text(fields[index].value)
  }

  private func text(_ range: Range<Int>) -> Text? {
    guard let start = unsafe text.pointer else { return nil }
    return unsafe Text(start: start + range.lowerBound, count: range.count)
  }

  /// The place of the field of a name, compared without regard to case, from a place on.
  func index(of name: Bytes, from start: Int = 0) -> Int? {
    let bytes = text.bytes
    var index = max(start, 0)
    while index < fields.count {
      if bytes.extracting(fields[index].name).equalsIgnoringCase(name) { return index }
      index &+= 1
    }
    return nil
  }

  /// The value of the field of a name; `number` counts those of the same name.
  func value(of name: Bytes, number: Int = 0) -> Text? {
    var place = index(of: name)
    var left = number
    while let found = place, left > 0 {
      place = index(of: name, from: found &+ 1)
      left &-= 1
    }
    guard number >= 0, let place else { return nil }
    return value(at: place)
  }
}
