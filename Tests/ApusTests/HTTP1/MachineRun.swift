// Feeds bytes to a RequestMachine in pieces, as a connection does, and keeps the
// log of what came of them. What the machine has not taken comes again with more
// behind it, each time flush against memory that must not be read.

@testable import Apus

struct MachineRun {
  private(set) var log: [[UInt8]] = []
  /// Why it was refused; no part of the log.
  private(set) var reason = ""
  private var body: [UInt8] = []
  private var isOver = false

  /// The pieces end at these places, in order; the last is the end of the bytes.
  static func run(
    _ bytes: [UInt8], endingAt ends: [Int], limits: RequestLimits, memory: GuardedMemory
  ) -> MachineRun {
    var run = MachineRun()
    var machine = RequestMachine()
    var head = RequestHead()
    var consumed = 0
    for end in ends where !run.isOver {
      consumed += memory.with(bytes[consumed..<end]) { piece in
        run.feed(piece, &machine, &head, limits)
      }
    }
    run.finish(machine)
    return run
  }

  /// Gives how many bytes were taken.
  private mutating func feed(
    _ bytes: Span<UInt8>, _ machine: inout RequestMachine, _ head: inout RequestHead,
    _ limits: RequestLimits
  ) -> Int {
    var index = 0
    while true {
      let before = index
      let step = machine.next(bytes, at: &index, head: &head, limits: limits)
      precondition(index >= before && index <= bytes.count, "the index went astray")
      switch step {
      case .more:
        return index
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
        machine.nextRequest()
        head.reset()
      case .refused(let refusal):
        flushBody()
        add("refused \(refusal.status)")
        reason = refusal.reason.text
        isOver = true
        return index
      }
    }
  }

  private mutating func finish(_ machine: RequestMachine) {
    flushBody()
    if isOver { return }
    if machine.isInHead { add("waits in the head") }
    if machine.isInBody { add("waits in the body") }
  }

  // ---- the log

  private mutating func add(_ text: String, _ bytes: [UInt8] = []) {
    log.append(Array(text.utf8) + bytes)
  }

  private mutating func flushBody() {
    if !body.isEmpty { add("body ", body) }
    body = []
  }

  private mutating func note(_ head: borrowing RequestHead, _ bytes: Span<UInt8>) {
    let version = head.version == 10 ? "1.0" : head.version == 11 ? "1.1" : "?"
    let method = array(bytes.extracting(first: head.methodCount))
    add("head ", method + [32] + array(bytes.extracting(head.target)) + Array(" \(version)".utf8))
    if head.method == Method.other {
      add("  method is not in the list")
    } else if Method.name(head.method)?.text != String(decoding: method, as: UTF8.self) {
      add("  method has a wrong number")
    }
    if head.form != .origin { add("  form \(head.form)") }
    if head.form == .origin || head.form == .absolute {
      add("  path ", array(bytes.extracting(head.path)))
    }
    if head.isEncoded != array(bytes.extracting(head.path)).contains(UInt8(ascii: "%")) {
      add("  path is not as encoded as it is said to be")
    }
    if head.hasQuery { add("  query ", array(bytes.extracting(head.query))) }
    if !head.authority.isEmpty { add("  authority ", array(bytes.extracting(head.authority))) }
    for index in 0..<head.fields.count { note(head.fields[index], bytes, "  field ") }
    if head.contentLength >= 0 { add("  length \(head.contentLength)") }
    if head.coding == .chunked { add("  chunked") }
    if head.expectsContinue { add("  expects 100-continue") }
    if !head.persists { add("  closes") }
  }

  private mutating func note(_ field: Field, _ bytes: Span<UInt8>, _ kind: String) {
    let value = array(bytes.extracting(field.value))
    let colon = Array((value.isEmpty ? ":" : ": ").utf8)
    add(kind, array(bytes.extracting(field.name)) + colon + value)
  }
}
