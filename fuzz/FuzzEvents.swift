// Event streams: read in pieces, and as they are written.

func fuzzEvents(_ bytes: [UInt8], _ ends: [Int]) -> FuzzLog {
  var log = FuzzLog()
  var parser = EventParser()
  parser.limits = EventParser.Limits(line: 200, data: 300)
  var start = 0
  for end in ends where end >= start {
    let isOver = span(Array(bytes[start..<end])) { take($0, &parser, &log) }
    if isOver { return log }
    start = end
  }
  log.add("id", copy(parser.lastID.bytes))
  return log
}

/// Whether the stream is over.
private func take(
  _ bytes: Span<UInt8>, _ parser: inout EventParser, _ log: inout FuzzLog
) -> Bool {
  var index = 0
  while true {
    do throws(Failure) {
      switch try parser.next(bytes, at: &index) {
      case .more:
        if index != bytes.count { fatalError("bytes were left") }
        return false
      case .event:
        if parser.data.count > parser.limits.data || parser.type.count > 3 * parser.limits.line
          || parser.lastID.count > 3 * parser.limits.line
        {
          fatalError("an event past its limits")
        }
        check(parser.data.bytes)
        check(parser.type.bytes)
        check(parser.lastID.bytes)
        log.add("event", copy(parser.type.bytes))
        log.add("data", copy(parser.data.bytes))
        log.add("id", copy(parser.lastID.bytes))
      case .retry(let time):
        if time < 0 || time > 86_400_000 { fatalError("no time to wait: \(time)") }
        log.add("retry \(time)")
      }
    } catch {
      log.add("\(error.code) \(String(describing: error.message))")
      return true
    }
  }
}

private func check(_ text: Span<UInt8>) {
  if !UTF8Validator.isValid(text) { fatalError("what is given is no UTF-8") }
}

/// An event that is written is read as it was meant, but for the ends of its lines.
func fuzzEvent(_ bytes: [UInt8]) {
  let texts = parts(bytes, 4)
  let (name, id, comment, content) = (texts[0], texts[1], texts[2], texts[3])
  var buffer = ByteBuffer()
  do throws(Failure) {
    try EventFormat.append(comment: comment.span, to: &buffer)
    try EventFormat.append(
      name: name.span, id: id.span, data: content.span, to: &buffer)
  } catch {
    return
  }
  var parser = EventParser()
  var index = 0
  let isEvent = span(copy(buffer.bytes)) { bytes in
    (try? parser.next(bytes, at: &index)) == .event && index == bytes.count
  }
  var data: [UInt8] = []
  for (place, byte) in content.enumerated() {
    if byte == 10, place > 0, content[place - 1] == 13 { continue }
    data.append(byte == 13 ? 10 : byte)
  }
  let type = name.isEmpty ? Array("message".utf8) : name
  if !isEvent || copy(parser.type.bytes) != type || copy(parser.lastID.bytes) != id
    || copy(parser.data.bytes) != data
  {
    fatalError("another event: \(texts)")
  }
}
