// What a vector can't say of RequestMachine: its questions, its default limits,
// and that a refusal is final.

import Testing

@testable import Apus

@Suite struct RequestMachineTests {
  private func run(_ text: String, _ limits: RequestLimits = RequestLimits()) -> [String] {
    let bytes = Array(text.utf8)
    let memory = GuardedMemory(capacity: bytes.count)
    return MachineRun.run(bytes, endingAt: [bytes.count], limits: limits, memory: memory)
      .log.map { String(decoding: $0, as: UTF8.self) }
  }

  private func step(_ machine: inout RequestMachine, _ text: String) -> RequestMachine.Step {
    var head = RequestHead()
    var index = 0
    return with(text) {
      machine.next($0, at: &index, head: &head, limits: RequestLimits())
    }
  }

  @Test func knowsWhereItStands() {
    func state(after text: String) -> [Bool] {
      var machine = RequestMachine()
      var head = RequestHead()
      let bytes = Array(text.utf8)
      var index = 0
      loop: while true {
        let step = machine.next(bytes.span, at: &index, head: &head, limits: RequestLimits())
        switch step {
        case .more, .end, .refused: break loop
        default: break
        }
      }
      return [machine.isAtStart, machine.isInHead, machine.isInBody]
    }
    #expect(state(after: "") == [true, false, false])
    #expect(state(after: "G") == [false, true, false])
    #expect(state(after: "\r") == [false, true, false])
    #expect(state(after: "\r\n") == [true, false, false])
    let head = "POST / HTTP/1.1\r\nHost: a\r\n"
    #expect(state(after: head) == [false, true, false])
    #expect(state(after: head + "Content-Length: 2\r\n\r\n") == [false, false, true])
    #expect(state(after: head + "Content-Length: 2\r\n\r\na") == [false, false, true])
    #expect(state(after: head + "Content-Length: 2\r\n\r\nab") == [false, false, false])
    let chunked = head + "Transfer-Encoding: chunked\r\n\r\n"
    #expect(state(after: chunked) == [false, false, true])
    #expect(state(after: chunked + "0\r\n") == [false, false, true])
    #expect(state(after: chunked + "0\r\n\r\n") == [false, false, false])
    #expect(state(after: "nonsense\r\n") == [false, false, false])
  }

  @Test func aRefusalIsFinal() {
    var machine = RequestMachine()
    guard case .refused = step(&machine, "GET /\n") else {
      Issue.record("not refused")
      return
    }
    guard case .more = step(&machine, "GET / HTTP/1.1\r\nHost: a\r\n\r\n") else {
      Issue.record("goes on after a refusal")
      return
    }
  }

  @Test func anEndStaysOneUntilTheNextRequestIsAskedFor() {
    var machine = RequestMachine()
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    guard case .head = step(&machine, request) else {
      Issue.record("no head")
      return
    }
    for _ in 0..<3 {
      guard case .end = step(&machine, request) else {
        Issue.record("no end")
        return
      }
    }
    machine.nextRequest()
    guard case .head = step(&machine, request) else {
      Issue.record("no second head")
      return
    }
  }

  @Test func defaultLimits() {
    let limits = RequestLimits()
    #expect(limits.requestLine == 8192)
    #expect(limits.head == 32 * 1024)
    #expect(limits.fields == 100)
    #expect(limits.body == 8 * 1024 * 1024)
    #expect(RequestLimits.extensionOfChunk == 256)
    #expect(RequestLimits.extensions == 16 * 1024)
  }

  @Test func theDefaultHeadLimit() {
    let start = "GET / HTTP/1.1\r\nHost: a\r\nX: "
    for (over, last) in [(0, "end"), (1, "refused 431")] {
      let fill = String(repeating: "x", count: 32 * 1024 - start.utf8.count - 4 + over)
      #expect(run(start + fill + "\r\n\r\n").last == last)
    }
    // Refused as soon as it is too long, not when it ends.
    #expect(run(start + String(repeating: "x", count: 40_000)).last == "refused 431")
    #expect(run(start + String(repeating: "x", count: 20_000)).last == "waits in the head")
  }

  /// No limit is that high, but a host may set it so: nothing overflows.
  @Test func theHighestBodyLimit() {
    var limits = RequestLimits()
    limits.body = .max
    let head = "POST / HTTP/1.1\r\nHost: a\r\n"
    let length = head + "Content-Length: 9223372036854775807\r\n\r\nabc"
    #expect(run(length, limits).suffix(2) == ["body abc", "waits in the body"])
    let chunked = head + "Transfer-Encoding: chunked\r\n\r\n"
    let large = chunked + "03fffffffffffffff\r\nabc"
    #expect(run(large, limits).last == "refused 400")
    let chunk = chunked + "3ffffffffffffff\r\nabc"
    #expect(run(chunk, limits).suffix(2) == ["body abc", "waits in the body"])
    for size in ["7fffffffffffffff", "8000000000000000", "ffffffffffffffff"] {
      let last = run(chunked + size + "\r\nabc", limits).last ?? ""
      #expect(last == "waits in the body" || last == "refused 413", "\(size)")
    }
  }

  /// A body limit that is lowered once the head is in, as a route may have it.
  @Test func theLimitMayChangeBehindTheHead() {
    var machine = RequestMachine()
    var head = RequestHead()
    var index = 0
    var limits = RequestLimits()
    let bytes = Array(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".utf8)
    guard case .head = machine.next(bytes.span, at: &index, head: &head, limits: limits) else {
      Issue.record("no head")
      return
    }
    limits.body = 4
    guard
      case .refused(let refusal) = machine.next(
        bytes.span, at: &index, head: &head, limits: limits)
    else {
      Issue.record("not refused")
      return
    }
    #expect(refusal.status == 413)
  }

  /// Nothing of one request is left for the next.
  @Test func manyRequestsOnOneMachine() {
    let request = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
    let log = run(String(repeating: request, count: 1000))
    #expect(log.count == 5000)
    #expect(log.filter { $0 == "end" }.count == 1000)
  }
}
