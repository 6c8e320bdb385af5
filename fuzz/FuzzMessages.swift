// The machines that take what a peer sends in pieces.

private func refused(_ refusal: Refusal) -> String {
  "refused \(refusal.status) \(String(describing: refusal.reason))"
}

private let limits: RequestLimits = {
  var limits = RequestLimits()
  limits.requestLine = 200
  limits.head = 700
  limits.fields = 12
  limits.body = 900
  return limits
}()

func fuzzRequest(_ bytes: [UInt8], _ ends: [Int]) -> FuzzLog {
  var log = FuzzLog()
  var body: Int64 = 0
  var trailers = 0
  var machine = RequestMachine()
  var head = RequestHead()
  feed(bytes, ends) { piece in
    var index = 0
    while true {
      let before = index
      let step = machine.next(piece, at: &index, head: &head, limits: limits)
      if index < before || index > piece.count { fatalError("the index went astray") }
      switch step {
      case .more: return index
      case .head(let range):
        if range.count != head.count || range.upperBound != index { fatalError("the head") }
        if range.count > limits.head || head.fields.count > limits.fields
          || head.target.upperBound > limits.requestLine
        {
          fatalError("a head past its limits")
        }
        body = 0
        trailers = 0
        note(head, piece.extracting(range), in: &log)
      case .body(let range):
        body += Int64(range.count)
        if body > limits.body { fatalError("a body past its limit") }
        log.add(body: piece.extracting(range))
      case .trailer(let field):
        trailers += 1
        if trailers > limits.fields { fatalError("more trailers than may be") }
        note(field, piece, "trailer", in: &log)
      case .end:
        if head.contentLength >= 0, body != head.contentLength { fatalError("a body cut short") }
        log.add("end")
        machine.nextRequest()
        head.reset()
      case .refused(let refusal):
        log.add(refused(refusal))
        return nil
      }
    }
  }
  log.add("in head \(machine.isInHead), in body \(machine.isInBody)")
  return log
}

private func note(_ field: Field, _ bytes: Span<UInt8>, _ kind: String, in log: inout FuzzLog) {
  log.add(kind, copy(bytes.extracting(field.name)) + [58] + copy(bytes.extracting(field.value)))
}

private func note(_ head: borrowing RequestHead, _ bytes: Span<UInt8>, in log: inout FuzzLog) {
  log.add("head \(head.method) \(head.version) \(head.form)", copy(bytes.extracting(head.target)))
  log.add("path", copy(bytes.extracting(head.path)))
  log.add("query \(head.hasQuery)", copy(bytes.extracting(head.query)))
  log.add("authority", copy(bytes.extracting(head.authority)))
  log.add("length \(head.contentLength) \(head.coding) \(head.persists) \(head.expectsContinue)")
  log.add("usual \(head.isUsual), asks \(head.isPreflight), upgrades \(head.wantsUpgrade)")
  for index in 0..<head.fields.count { note(head.fields[index], bytes, "field", in: &log) }
}

func fuzzResponse(_ bytes: [UInt8], _ ends: [Int]) -> FuzzLog {
  var log = FuzzLog()
  var machine = ResponseMachine()
  var head = ResponseHead()
  var bounds = ResponseLimits()
  bounds.head = 700
  bounds.fields = 12
  bounds.body = 900
  feed(bytes, ends) { piece in
    var index = 0
    while true {
      let before = index
      let step = machine.next(piece, at: &index, head: &head, limits: bounds)
      if index < before || index > piece.count { fatalError("the index went astray") }
      switch step {
      case .more: return index
      case .interim(let range): note(head, piece.extracting(range), "interim", in: &log)
      case .head(let range):
        if range.count > bounds.head || head.fields.count > bounds.fields {
          fatalError("a head past its limits")
        }
        note(head, piece.extracting(range), "head", in: &log)
      case .body(let range):
        log.add(body: piece.extracting(range))
        if log.bodyCount > bounds.body { fatalError("a body past its limit") }
      case .trailer(let field): note(field, piece, "trailer", in: &log)
      case .end:
        log.add("end")
        return nil
      case .failed(let failure):
        log.add("failed \(failure.code) \(String(describing: failure.message))")
        return nil
      }
    }
  }
  log.add("in body \(machine.isInBody), at start \(machine.isAtStart)")
  return log
}

private func note(
  _ head: borrowing ResponseHead, _ bytes: Span<UInt8>, _ kind: String, in log: inout FuzzLog
) {
  log.add("\(kind) \(head.version) \(head.status)", copy(bytes.extracting(head.reason)))
  log.add("\(head.framing) \(head.contentLength) \(head.persists)")
  for index in 0..<head.fields.count { note(head.fields[index], bytes, "field", in: &log) }
}

func fuzzChunked(_ bytes: [UInt8], _ ends: [Int]) -> FuzzLog {
  var log = FuzzLog()
  var decoder = ChunkedDecoder()
  var taken: Int64 = 0
  feed(bytes, ends) { piece in
    var index = 0
    while true {
      switch decoder.next(piece, at: &index, room: limits.body &- taken) {
      case .more: return index
      case .data(let range):
        taken += Int64(range.count)
        if taken > limits.body { fatalError("more than there is room for") }
        log.add(body: piece.extracting(range))
      case .trailers:
        log.add("trailers")
        return nil
      case .refused(let refusal):
        log.add(refused(refusal))
        return nil
      }
    }
  }
  log.add("taken \(taken)")
  return log
}

private let messageLimit = 600

/// The first byte says whether messages may be deflated, and told by frames.
func fuzzFrames(_ bytes: [UInt8], _ ends: [Int], role: Role) -> FuzzLog {
  var log = FuzzLog()
  guard let settings = bytes.first else { return log }
  var bounds = MessageReceiver.Limits()
  bounds.message = messageLimit
  bounds.frames = 6
  var machine = MessageReceiver(
    role: role, allowsCompression: settings & 1 != 0, limits: bounds)
  machine.givesFrames = settings & 2 != 0
  guard var inflater = Inflater(bits: 15, keepsContext: settings & 4 != 0) else { return log }
  let frames = Array(bytes.dropFirst())
  var consumed = 0
  for end in ends.map({ max($0 - 1, 0) }) where end >= consumed {
    let taken: Int? = alone(frames[consumed..<end]) { room in
      var span = MutableSpan(_unsafeElements: room)
      let taken = receive(&span, &machine, &inflater, &log)
      // What was not taken must not have been changed: it comes again.
      for place in (taken ?? room.count)..<room.count
      where room[place] != frames[consumed + place] {
        fatalError("bytes were changed that were not taken")
      }
      return taken
    }
    guard let taken else { return log }
    consumed += taken
  }
  log.add("over \(machine.isOver), in a message \(machine.isInMessage)")
  return log
}

private func receive(
  _ bytes: inout MutableSpan<UInt8>, _ machine: inout MessageReceiver, _ inflater: inout Inflater,
  _ log: inout FuzzLog
) -> Int? {
  var index = 0
  while true {
    let step = machine.next(&bytes, at: &index) { piece, isEnd, buffer, room in
      switch inflater.inflate(piece, isEnd: isEnd, to: &buffer, room: room) {
      case .done: .done
      case .tooLong: .tooLong
      case .malformed: .malformed
      case .noMemory: .noMemory
      }
    }
    switch step {
    case .more: return index
    case .message(let opcode, let range):
      if range.count > messageLimit { fatalError("a message past its limit") }
      log.add("message \(opcode)", copy(bytes.span.extracting(range)))
    case .assembled(let opcode):
      if machine.gathered.count > messageLimit { fatalError("a message past its limit") }
      log.add("message \(opcode)", copy(machine.gathered))
    case .frame(let opcode, let isFinal, let range):
      log.add("frame \(opcode) \(isFinal)", copy(bytes.span.extracting(range)))
    case .assembledFrame(let opcode, let isFinal):
      log.add("frame \(opcode) \(isFinal)", copy(machine.gathered))
    case .ping(let range): log.add("ping", copy(bytes.span.extracting(range)))
    case .pong(let range): log.add("pong", copy(bytes.span.extracting(range)))
    case .close(let code, let range):
      log.add("close \(code.map { Int($0) } ?? -1)", copy(bytes.span.extracting(range)))
      return nil
    case .refused(let violation):
      log.add("refused \(violation.code) \(String(describing: violation.reason))")
      return nil
    }
  }
}
