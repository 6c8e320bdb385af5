// Content: what is compressed, under its caps, and forms with files.

/// The first two bytes: the window, whether it is kept, and how much may come of it.
///
/// Bytes from further back than the window are malformed. zlib notices where they are not
/// in the output of the same call either, so with a window under the largest the pieces
/// decide whether it does; what it makes of the rest is what the largest window makes of it.
func fuzzInflate(_ bytes: [UInt8], _ ends: [Int]) -> FuzzLog {
  guard bytes.count >= 2 else { return FuzzLog() }
  let bits = 8 + bytes[0] & 7
  let log = inflate(bytes, ends, bits: bits)
  if bits == 15 { return log }
  let largest = inflate(bytes, ends, bits: 15)
  var malformed = FuzzLog()
  malformed.add("malformed")
  if log != largest, log != malformed {
    fatalError("a window of \(bits) bits:\n\(log.text)\nof 15 bits:\n\(largest.text)")
  }
  return largest
}

private func inflate(_ bytes: [UInt8], _ ends: [Int], bits: UInt8) -> FuzzLog {
  var log = FuzzLog()
  let room = Int(bytes[1]) * 16
  guard var inflater = Inflater(bits: bits, keepsContext: bytes[0] & 8 != 0) else {
    return log
  }
  var buffer = ByteBuffer()
  let input = Array(bytes.dropFirst(2))
  var start = 0
  for end in ends.map({ max($0 - 2, 0) }) where end >= start {
    let outcome = span(Array(input[start..<end])) {
      inflater.inflate($0, isEnd: end == input.count, to: &buffer, room: room - buffer.count)
    }
    // One byte is let in to tell "at" from "past".
    if buffer.count > room + (outcome == .tooLong ? 1 : 0) { fatalError("past the cap") }
    if buffer.capacity > max(room, 256) + Inflater.block { fatalError("memory past the cap") }
    if outcome != .done {
      log.add("\(outcome)")
      return log
    }
    start = end
    if end == input.count { break }
  }
  log.add("done", copy(buffer.bytes))
  return log
}

/// What is deflated comes out again.
func deflateAgain(_ bytes: [UInt8]) {
  let settings = bytes.first ?? 0
  let bits = 8 + settings & 7
  guard var deflater = Deflater(bits: bits, keepsContext: settings & 8 != 0),
    var inflater = Inflater(bits: bits, keepsContext: settings & 8 != 0)
  else { return }
  for message in parts(bytes, 3) {
    var packed = ByteBuffer()
    var plain = ByteBuffer()
    let isMade = span(message) { deflater.deflate($0, isEnd: true, to: &packed) }
    let outcome = inflater.inflate(packed.bytes, isEnd: true, to: &plain, room: message.count)
    if !isMade || outcome != .done || copy(plain.bytes) != message {
      fatalError("deflated and inflated: \(outcome), \(copy(plain.bytes)) of \(message)")
    }
  }
}

/// The first two bytes: the codings, and how much may come of them.
func fuzzContents(_ bytes: [UInt8], _ ends: [Int]) -> FuzzLog {
  var log = FuzzLog()
  guard bytes.count >= 2 else { return log }
  let limits = ContentDecoder.Limits(bytes: Int64(bytes[1]) * 64, ratio: 1000, freely: 1 << 20)
  var decoder = ContentDecoder(limits: limits)
  let codings = ["", "gzip", "deflate", "gzip, deflate", "deflate, gzip", "br", "zstd", "gzip,br"]
  var content: [UInt8] = []
  let input = Array(bytes.dropFirst(2))
  var start = 0
  do throws(Failure) {
    try decoder.add(Array(codings[Int(bytes[0] & 7)].utf8).span)
    for end in ends.map({ max($0 - 2, 0) }) where end >= start {
      // Memory of its own, without a closure that would have to throw.
      let piece = Array(input[start..<end])
      var index = 0
      while true {
        var buffer = ByteBuffer()
        let isMore = try decoder.next(piece.span, at: &index, to: &buffer)
        if buffer.count > ContentDecoder.piece { fatalError("a piece past its size") }
        content += copy(buffer.bytes)
        if content.count > limits.bytes { fatalError("content past the cap") }
        if !isMore { break }
        if buffer.isEmpty { fatalError("nothing, and more of it") }
      }
      if index != piece.count { fatalError("input was left") }
      start = end
    }
    try decoder.finish()
    log.add("done", content)
  } catch {
    // Where more than one thing is wrong, of several codings or past the cap, the pieces
    // decide which of them is found first.
    log.add("failed")
  }
  return log
}

/// The first byte chooses a boundary and the limits.
func fuzzMultipart(_ bytes: [UInt8], _ ends: [Int]) -> FuzzLog {
  var log = FuzzLog()
  guard let settings = bytes.first else { return log }
  let boundary: [UInt8] = [[98], Array("x-y".utf8), Array("--".utf8), Array("aab".utf8)][
    Int(settings & 3)]
  let limits = MultipartParser.Limits(parts: 3, head: settings & 4 != 0 ? 90 : 400)
  var parser = MultipartParser(boundary: boundary.span, limits: limits)
  let form = Array(bytes.dropFirst())
  var count = 0
  feed(form, ends.map { max($0 - 1, 0) }) { piece in
    var index = 0
    while true {
      let before = index
      let step = parser.next(piece, at: &index)
      if index < before || index > piece.count { fatalError("the index went astray") }
      switch step {
      case .more: return index
      case .part:
        count += 1
        if count > limits.parts { fatalError("more parts than may be") }
        if parser.head.count > 4 * limits.head || parser.head.name.count > MultipartHead.longestName
          || parser.head.fileName.count > MultipartHead.longestName
        {
          fatalError("a part's head past its limits")
        }
        log.add("part \(parser.head.isFile)", copy(parser.head.name.bytes))
        log.add("file", copy(parser.head.fileName.bytes))
        log.add("type", copy(parser.head.type.bytes))
        log.add("fields", copy(parser.head.fields.bytes))
      case .content(let range): log.add(body: piece.extracting(range))
      case .partEnd: log.add("end")
      case .refused(let problem):
        log.add("refused \(problem.isSize) \(String(describing: problem.reason))")
        return nil
      }
    }
  }
  log.add("complete \(parser.isComplete)")
  return log
}

/// A form that is written is read as it was meant: multipart, and urlencoded.
func fuzzForm(_ bytes: [UInt8]) {
  let texts = parts(bytes, 5)
  fuzzURLEncoded(name: texts[0], value: texts[1])
  // A boundary that occurs in a value is the writer's fault, who makes it by chance.
  let boundary = Array("aB3-boundary-of-chance".utf8)
  var expected: [[[UInt8]]] = []
  var body: [UInt8] = []
  do throws(Failure) {
    var writer = try MultipartWriter(boundary: boundary.span)
    let (name, value, field, file) = (texts[0], texts[1], texts[2], texts[3])
    do throws(Failure) {
      try writer.add(name: name.span, value: value.span)
      expected.append([asRead(name), [], value])
    } catch {
      if error.code == .memory { return }
    }
    do throws(Failure) {
      _ = try writer.addFile(
        name: field.span, fileName: file.span, contentType: Span(),
        length: Int64(texts[4].count))
      expected.append([asRead(field), asRead(file), texts[4]])
    } catch {
      if error.code == .memory { return }
    }
    try writer.close()
    while true {
      let piece = writer.next()
      if piece == .end { break }
      if case .framing(let range) = piece { body += copy(writer.framing(range)) }
      if case .content = piece { body += texts[4] }
    }
    if writer.length != Int64(body.count) { fatalError("the length told is another") }
  } catch {
    fatalError("the form was not written")
  }
  if isLost(texts[0]) || isLost(texts[2]) || isLost(texts[3]) { return }
  let delimiter = Array("--".utf8) + boundary
  if contains(texts[1], delimiter) || contains(texts[4], delimiter) { return }
  readForm(body, boundary, expected)
}

/// Names are written as browsers do, who do not escape what they escape with: percents and
/// backslashes. What looks like an escape is read as one.
private func asRead(_ name: [UInt8]) -> [UInt8] {
  var text: [UInt8] = []
  var rest = name[...]
  while let byte = rest.popFirst() {
    let triplet = String(decoding: [byte] + rest.prefix(2), as: UTF8.self).lowercased()
    if byte == 92, rest.first == 92 {
      rest = rest.dropFirst()
      text.append(92)
    } else if let plain = ["%22": UInt8(34), "%0d": 13, "%0a": 10][triplet] {
      rest = rest.dropFirst(2)
      text.append(plain)
    } else {
      text.append(byte)
    }
  }
  return text
}

/// Whether a name has what no field value may have, or a backslash at its end, which is read
/// as one before the quote. Both are written as they are, as browsers write them.
private func isLost(_ name: [UInt8]) -> Bool {
  let backslashes = name.reversed().prefix { $0 == 92 }.count
  return backslashes % 2 == 1
    || name.contains { $0 < 32 && ![9, 10, 13].contains($0) || $0 == 127 }
}

private func contains(_ bytes: [UInt8], _ wanted: [UInt8]) -> Bool {
  bytes.indices.contains { bytes[$0...].starts(with: wanted) }
}

private func readForm(_ body: [UInt8], _ boundary: [UInt8], _ expected: [[[UInt8]]]) {
  var parser = MultipartParser(boundary: boundary.span)
  var found: [[[UInt8]]] = []
  var content: [UInt8] = []
  span(body) { bytes in
    var index = 0
    while true {
      switch parser.next(bytes, at: &index) {
      case .more: return
      case .part:
        found.append([copy(parser.head.name.bytes), copy(parser.head.fileName.bytes)])
        content = []
      case .content(let range): content += copy(bytes.extracting(range))
      case .partEnd: found[found.count - 1].append(content)
      case .refused(let problem):
        // Names are written up to a length that readers need not take.
        if problem.isSize { found = expected }
        return
      }
    }
  }
  if found != expected { fatalError("written \(expected), read \(found)") }
}

private func fuzzURLEncoded(name: [UInt8], value: [UInt8]) {
  var buffer = ByteBuffer()
  for _ in 0..<2 {
    span(name) { name in span(value) { FormEncoding.append(name: name, value: $0, to: &buffer) } }
  }
  var pairs = FormPairs()
  for _ in 0..<2 {
    guard case .pair(let first, let second) = pairs.next(in: buffer.bytes) else {
      fatalError("a pair is missing")
    }
    var key = ByteBuffer()
    var text = ByteBuffer()
    Percent.decode(form: buffer.bytes.extracting(first), to: &key)
    Percent.decode(form: buffer.bytes.extracting(second), to: &text)
    if copy(key.bytes) != name || copy(text.bytes) != value {
      fatalError("another pair: \(name), \(value)")
    }
  }
  if pairs.next(in: buffer.bytes) != .end { fatalError("a pair too many") }
}
