// What was parsed, written again in the plainest way and parsed again, is the same: no
// message has two readings. And what the library itself writes is read as it was meant.

/// A message without the ways to write it.
struct FuzzMessage: Equatable {
  var start: [UInt8] = []
  var fields: [[UInt8]] = []
  var isChunked = false
  var body: [UInt8] = []
  var trailers: [[UInt8]] = []

  /// One chunk at most.
  var text: [UInt8] {
    var text = start + [13, 10]
    for field in fields { text += field + [13, 10] }
    text += [13, 10]
    if !isChunked { return text + body }
    if !body.isEmpty {
      text += Array(String(body.count, radix: 16).utf8) + [13, 10] + body + [13, 10]
    }
    text += [48, 13, 10]
    for field in trailers { text += field + [13, 10] }
    return text + [13, 10]
  }
}

private func line(_ field: Field, _ bytes: Span<UInt8>) -> [UInt8] {
  copy(bytes.extracting(field.name)) + [58, 32] + copy(bytes.extracting(field.value))
}

/// The requests that are whole.
private func requests(_ bytes: [UInt8]) -> [FuzzMessage] {
  var messages: [FuzzMessage] = []
  var message = FuzzMessage()
  var machine = RequestMachine()
  var head = RequestHead()
  span(bytes) { bytes in
    var index = 0
    while true {
      switch machine.next(bytes, at: &index, head: &head, limits: RequestLimits()) {
      case .more, .refused: return
      case .head(let range):
        let text = bytes.extracting(range)
        message = FuzzMessage()
        message.start = copy(text.extracting(0..<head.target.upperBound))
        message.start += Array((head.version == 11 ? " HTTP/1.1" : " HTTP/1.0").utf8)
        message.isChunked = head.coding == .chunked
        for place in 0..<head.fields.count { message.fields.append(line(head.fields[place], text)) }
      case .body(let range): message.body += copy(bytes.extracting(range))
      case .trailer(let field): message.trailers.append(line(field, bytes))
      case .end:
        messages.append(message)
        machine.nextRequest()
        head.reset()
      }
    }
  }
  return messages
}

func rewriteRequests(_ bytes: [UInt8]) {
  let messages = requests(bytes)
  let text = messages.flatMap { $0.text }
  if requests(text) != messages { fatalError("other requests when written again: \(text)") }
}

/// The final response, if it is whole.
private func response(_ bytes: [UInt8]) -> FuzzMessage? {
  var message = FuzzMessage()
  var machine = ResponseMachine()
  var head = ResponseHead()
  return span(bytes) { bytes in
    var index = 0
    while true {
      switch machine.next(bytes, at: &index, head: &head, limits: ResponseLimits()) {
      case .more, .failed: return nil
      case .interim: continue
      case .head(let range):
        let text = bytes.extracting(range)
        message.start = Array("HTTP/1.\(head.version - 10) \(head.status) ".utf8)
        message.start += copy(text.extracting(head.reason))
        message.isChunked = head.framing == .chunked
        for place in 0..<head.fields.count { message.fields.append(line(head.fields[place], text)) }
      case .body(let range): message.body += copy(bytes.extracting(range))
      case .trailer(let field): message.trailers.append(line(field, bytes))
      case .end: return message
      }
    }
  }
}

func rewriteResponse(_ bytes: [UInt8]) {
  guard let message = response(bytes) else { return }
  if response(message.text) != message {
    fatalError("another response when written again: \(message.text)")
  }
}

/// A reply with fields of anybody's making: what is taken is read as it was set, and
/// nothing else is.
func fuzzReply(_ bytes: [UInt8]) {
  let texts = parts(bytes, 7)
  var head = ReplyHead()
  head.status = 200 + Int32(texts[6].first ?? 0)
  if head.status == 204 || head.status == 205 || head.status == 304 { head.status = 200 }
  var expected: [[UInt8]] = []
  for number in stride(from: 0, to: 6, by: 2) {
    let problem = span(texts[number]) { name in
      span(texts[number + 1]) { head.set(name, $0, replacing: false) }
    }
    guard problem == nil else { continue }
    if String(decoding: texts[number], as: UTF8.self).lowercased() == "connection" { continue }
    expected.append(texts[number] + [58, 32] + trimmed(texts[number + 1]))
  }
  let body = texts[6]
  var opening = ReplyOpening()
  opening.update(second: 784_111_777, server: Span())
  for framing in [ReplyHead.Framing.length(Int64(body.count)), .chunked] {
    var buffer = ByteBuffer()
    let isChunked = framing == .chunked
    let content = isChunked ? FuzzMessage(isChunked: true, body: body).text.dropFirst(4) : body[...]
    span(Array(content)) {
      head.write(
        to: &buffer, opening: &opening, framing: framing, close: false, isOld: false, body: $0)
    }
    guard let message = response(copy(buffer.bytes)) else { fatalError("the reply is none") }
    let ours = ["content-length:", "transfer-encoding:", "date: sun, 06 nov 1994 08:49:37 gmt"]
    let fields = message.fields.filter { field in
      let text = String(decoding: field, as: UTF8.self).lowercased()
      return expected.contains(field) || !ours.contains { text.hasPrefix($0) }
    }
    if fields != expected || message.body != body {
      fatalError("set \(expected), read \(fields), body \(message.body) of \(body)")
    }
  }
}

/// Without the white space around it, which is no part of a value.
private func trimmed(_ bytes: [UInt8]) -> [UInt8] {
  let isSpace: (UInt8) -> Bool = { $0 == 32 || $0 == 9 }
  return Array(bytes.drop(while: isSpace).reversed().drop(while: isSpace).reversed())
}

/// Messages of one end, fragmented and deflated as the first bytes say, reach the other.
func fuzzMessages(_ bytes: [UInt8]) {
  let settings = bytes.first ?? 0
  let isClient = settings & 1 != 0
  let isDeflated = settings & 2 != 0
  let keeps = settings & 4 != 0
  let messages = parts(Array(bytes.dropFirst()), 4)
  var sender = MessageSender(role: isClient ? .client : .server)
  var output = ByteBuffer()
  guard var deflater = Deflater(bits: 8 + settings >> 5, keepsContext: keeps),
    var inflater = Inflater(bits: 8 + settings >> 5, keepsContext: keeps)
  else { return }
  var expected: [[UInt8]] = []
  var key = UInt32(settings)
  for message in messages {
    var packed = ByteBuffer()
    let isMade = span(message) { deflater.deflate($0, isEnd: true, to: &packed) }
    if !isMade { return }
    let problem = span(isDeflated ? copy(packed.bytes) : message) {
      sender.append(
        message: $0, opcode: Opcode.binary, isCompressed: isDeflated,
        inFramesOf: Int(settings >> 3 & 3) * 7, to: &output
      ) {
        key = key &* 2_654_435_761 &+ 1
        return isClient ? MaskKey(word: key) : nil
      }
    }
    if problem != nil { fatalError("a message was not sent") }
    expected.append(message)
  }
  var received: [[UInt8]] = []
  var machine = MessageReceiver(
    role: isClient ? .server : .client, allowsCompression: true, limits: MessageReceiver.Limits())
  alone(copy(output.bytes)[...]) { room in
    var bytes = MutableSpan(_unsafeElements: room)
    var index = 0
    while true {
      let step = machine.next(&bytes, at: &index) { piece, isEnd, buffer, room in
        inflater.inflate(piece, isEnd: isEnd, to: &buffer, room: room) == .done
          ? .done : .malformed
      }
      switch step {
      case .message(_, let range): received.append(copy(bytes.span.extracting(range)))
      case .assembled: received.append(copy(machine.gathered))
      default: return
      }
    }
  }
  if received != expected { fatalError("sent \(expected), received \(received)") }
}
