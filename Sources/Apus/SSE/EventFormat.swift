// Events as a server writes them (WHATWG HTML §9.2.5, "Parsing an event stream"). A
// line may end with CR, LF or both; what is written here ends its lines with LF.

enum EventFormat {
  /// Appends an event. Its type is "message" without a name; without an id it has that
  /// of the event before it.
  static func append(
    name: Bytes?, id: Bytes?, data: Bytes, to output: inout ByteBuffer
  ) throws(Failure) {
    guard UTF8Validator.isValid(data) else {
      throw Failure(.argument, "an event's data is not UTF-8")
    }
    if let name { try check(name) }
    if let id { try check(id) }
    let before = output.count
    if let id { append(field: "id:", id, to: &output) }
    if let name, name.count > 0 { append(field: "event:", name, to: &output) }
    appendLines(of: data, "data:", to: &output)
    output.append("\n")
    try finish(&output, before)
  }

  /// Appends how long a client is to wait before it connects anew, in milliseconds.
  static func append(retry milliseconds: Int64, to output: inout ByteBuffer) throws(Failure) {
    guard milliseconds >= 0 else { throw Failure(.argument, "a time is 0 or more") }
    let before = output.count
    output.append("retry: ")
    output.append(decimal: milliseconds)
    output.append("\n\n")
    try finish(&output, before)
  }

  /// Appends a comment, which clients pass over: a line each for the lines that it has.
  static func append(comment: Bytes, to output: inout ByteBuffer) throws(Failure) {
    guard UTF8Validator.isValid(comment) else {
      throw Failure(.argument, "a comment is not UTF-8")
    }
    let before = output.count
    appendLines(of: comment, ":", to: &output)
    output.append("\n")
    try finish(&output, before)
  }

  /// What stands in a line of its own. A NUL would have an id ignored.
  private static func check(_ text: Bytes) throws(Failure) {
    for index in 0..<text.count where text[index] == 13 || text[index] == 10 || text[index] == 0 {
      throw Failure(.argument, "the name and the id of an event have no CR, LF and NUL")
    }
    guard UTF8Validator.isValid(text) else {
      throw Failure(.argument, "the name or the id of an event is not UTF-8")
    }
  }

  /// A space behind the colon goes: so each value gets one, for it may begin with its own.
  private static func append(field: StaticString, _ value: Bytes, to output: inout ByteBuffer) {
    output.append(field)
    if value.count > 0 { output.append(" ") }
    output.append(value)
    output.append("\n")
  }

  private static func appendLines(
    of text: Bytes, _ field: StaticString, to output: inout ByteBuffer
  ) {
    var start = 0
    var index = 0
    while index < text.count {
      let byte = text[index]
      if byte == 13 || byte == 10 {
        append(field: field, text.extracting(start..<index), to: &output)
        let isPair = byte == 13 && index &+ 1 < text.count && text[index &+ 1] == 10
        index &+= isPair ? 2 : 1
        start = index
      } else {
        index &+= 1
      }
    }
    append(field: field, text.extracting(start..<text.count), to: &output)
  }

  private static func finish(_ output: inout ByteBuffer, _ before: Int) throws(Failure) {
    guard output.failed else { return }
    // Half an event must not be sent.
    output.truncate(to: before)
    throw .noMemory
  }
}
