// Feeds bytes to a ResponseMachine in pieces, as a connection does, and keeps the log
// of what came of them. What the machine has not taken comes again with more behind
// it, each time flush against memory that must not be read.

@testable import Apus

struct ResponseRun {
  private(set) var log: [[UInt8]] = []
  private let vector: ResponseVector
  private var body: [UInt8] = []
  private var isOver = false

  /// The pieces end at these places, in order; the last is the end of the bytes.
  static func run(
    _ vector: ResponseVector, _ bytes: [UInt8], endingAt ends: [Int], memory: GuardedMemory
  ) -> ResponseRun {
    var run = ResponseRun(vector: vector)
    var machine = ResponseMachine(to: vector.request)
    var head = ResponseHead()
    var consumed = 0
    for end in ends where !run.isOver {
      consumed += memory.with(bytes[consumed..<end]) { run.feed($0, &machine, &head) }
    }
    if machine.isEnded {
      run.isOver = true
      if consumed < bytes.count { run.add("rest ", Array(bytes[consumed...])) }
      guard case .complete = machine.finish() else { preconditionFailure("ended, not complete") }
    }
    run.finish(&machine)
    return run
  }

  private init(vector: ResponseVector) { self.vector = vector }

  /// Gives how many bytes were taken.
  private mutating func feed(
    _ bytes: Span<UInt8>, _ machine: inout ResponseMachine, _ head: inout ResponseHead
  ) -> Int {
    var index = 0
    while true {
      let before = index
      let step = machine.next(bytes, at: &index, head: &head, limits: vector.limits)
      precondition(index >= before && index <= bytes.count, "the index went astray")
      switch step {
      case .more:
        return index
      case .interim(let range):
        precondition(range.count == head.count && range.upperBound == index, "the head's range")
        add("interim \(head.status)")
        noteFields(head, bytes.extracting(range))
      case .head(let range):
        precondition(range.count == head.count && range.upperBound == index, "the head's range")
        note(head, bytes.extracting(range))
      case .body(let range):
        precondition(!range.isEmpty, "an empty piece of a body")
        body += array(bytes.extracting(range))
      case .trailer(let field):
        flushBody()
        note(field, bytes, "trailer ")
      case .end:
        flushBody()
        add("end")
        isOver = true
        return index
      case .failed(let failure):
        flushBody()
        add("failed " + ResponseRun.text(failure))
        isOver = true
        return index
      }
    }
  }

  private mutating func finish(_ machine: inout ResponseMachine) {
    flushBody()
    let isInBody = machine.isInBody
    let isAtStart = machine.isAtStart
    let finish = machine.finish()
    if isOver { return }
    switch finish {
    case .nothing:
      precondition(isAtStart, "nothing, and not at the start")
      add("eof nothing")
    case .complete:
      precondition(isInBody, "complete, and not in the body")
      add("eof complete")
    case .failed(let failure): add("eof failed " + ResponseRun.text(failure))
    }
  }

  // ---- the log

  private static func text(_ failure: Failure) -> String {
    "\(failure.code.name.text.dropFirst(7)) \(failure.message.text)"
  }

  private mutating func add(_ text: String, _ bytes: [UInt8] = []) {
    log.append(Array(text.utf8) + bytes)
  }

  private mutating func flushBody() {
    if !body.isEmpty { add("body ", body) }
    body = []
  }

  private mutating func note(_ field: Field, _ bytes: Span<UInt8>, _ prefix: String) {
    let value = array(bytes.extracting(field.value))
    add(prefix, array(bytes.extracting(field.name)) + Array(": ".utf8) + value)
  }

  private mutating func noteFields(_ head: borrowing ResponseHead, _ bytes: Span<UInt8>) {
    if !vector.showsFields { return }
    for index in 0..<head.fields.count { note(head.fields[index], bytes, "  ") }
  }

  private mutating func note(_ head: borrowing ResponseHead, _ bytes: Span<UInt8>) {
    let framing =
      switch head.framing {
      case .none: "no body"
      case .length: "length \(head.contentLength)"
      case .chunked: "chunked"
      case .untilClose: "until close"
      }
    add(
      "head 1.\(head.version - 10) \(head.status) ",
      array(bytes.extracting(head.reason))
        + Array(", \(framing), \(head.persists ? "keeps" : "closes")".utf8))
    noteFields(head, bytes)
  }
}
