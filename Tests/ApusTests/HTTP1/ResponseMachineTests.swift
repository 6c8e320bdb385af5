// ResponseMachine and what keeps its fields: what vectors cannot say.

import Testing

@testable import Apus

@Suite struct ResponseMachineTests {
  /// The steps that come of a text, by name.
  private func steps(
    _ machine: inout ResponseMachine, _ head: inout ResponseHead, _ text: String,
    _ limits: ResponseLimits = ResponseLimits()
  ) -> [String] {
    let bytes = Array(text.utf8)
    var index = 0
    var steps: [String] = []
    while steps.count < 20 {
      switch machine.next(bytes.span, at: &index, head: &head, limits: limits) {
      case .more: return steps + ["more \(bytes.count - index)"]
      case .interim: steps.append("interim")
      case .head: steps.append("head")
      case .body(let range): steps.append("body \(range.count)")
      case .trailer: steps.append("trailer")
      case .end: return steps + ["end \(bytes.count - index)"]
      case .failed(let failure): steps.append("failed \(failure.message.text)")
      }
    }
    return steps
  }

  @Test func oneAfterTheOther() {
    var machine = ResponseMachine()
    var head = ResponseHead()
    let chunked =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\n\r\n"
    for _ in 0..<3 {
      #expect(machine.isAtStart)
      #expect(steps(&machine, &head, chunked + "x") == ["head", "body 2", "trailer", "end 1"])
      #expect(machine.isEnded)
      #expect(steps(&machine, &head, "x") == ["end 1"])
      machine.nextResponse(to: RequestFacts(isHead: true))
      #expect(steps(&machine, &head, chunked) == ["head", "end 18"])
      #expect(head.fields.count == 1)
      machine.nextResponse(to: RequestFacts())
    }
  }

  /// What one response has counted is nothing to the next.
  @Test func countsBeginAnew() {
    var machine = ResponseMachine()
    var head = ResponseHead()
    var limits = ResponseLimits()
    limits.interim = 2
    limits.body = 4
    limits.trailers = 8
    let interim = "HTTP/1.1 103 x\r\n\r\n"
    let last = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\nA: b\r\n\r\n"
    for _ in 0..<3 {
      let all = steps(&machine, &head, interim + interim + last, limits)
      #expect(all == ["interim", "interim", "head", "body 4", "trailer", "end 0"])
      machine.nextResponse(to: RequestFacts())
    }
  }

  @Test func aFailureIsFinal() {
    var machine = ResponseMachine()
    var head = ResponseHead()
    #expect(steps(&machine, &head, "x").first?.hasPrefix("failed") == true)
    #expect(steps(&machine, &head, "HTTP/1.1 204 x\r\n\r\n") == ["more 18"])
    guard case .failed = machine.finish() else {
      Issue.record("a failed response is complete")
      return
    }
  }

  @Test func untilCloseHasALimit() {
    var machine = ResponseMachine()
    var head = ResponseHead()
    var limits = ResponseLimits()
    limits.body = 5
    let first = steps(&machine, &head, "HTTP/1.1 200 x\r\n\r\nabcde", limits)
    #expect(first == ["head", "body 5", "more 0"])
    let second = steps(&machine, &head, "f", limits)
    #expect(second.first == "failed the response's body is longer than its limit")
  }

  @Test func fieldsByName() throws {
    let response = "HTTP/1.1 204 x\r\nA: 1\r\nb: 2\r\na: 3\r\nSet-Cookie: 4\r\n\r\n"
    let bytes = Array(response.utf8)
    var machine = ResponseMachine()
    var head = ResponseHead()
    var index = 0
    guard
      case .head(let range) = machine.next(
        bytes.span, at: &index, head: &head, limits: ResponseLimits())
    else {
      Issue.record("no head")
      return
    }
    func value(_ name: String, _ number: Int) -> String? {
      with(name) { name in
        head.field(name, number: number, in: bytes.span.extracting(range)).map {
          string(bytes.span.extracting($0.value))
        }
      }
    }
    #expect(value("a", 0) == "1")
    #expect(value("A", 1) == "3")
    #expect(value("A", 2) == nil)
    #expect(value("SET-COOKIE", 0) == "4")
    #expect(value("c", 0) == nil)
    #expect(value("a", -1) == nil)

    var list = FieldList()
    let isThere = list.append(head, of: bytes.span.extracting(range))
    #expect(isThere)
    let owned = (0..<list.count).map { index in
      "\(text(of: list.name(at: index)))=\(text(of: list.value(at: index)))"
    }
    #expect(owned == ["A=1", "b=2", "a=3", "Set-Cookie=4"])
    // A NUL stands behind each.
    for index in 0..<list.count {
      for part in [list.name(at: index), list.value(at: index)] {
        #expect(part.map { $0.start[$0.count] } == 0)
      }
    }
  }

  private func text(of text: Text?) -> String { text.map { string($0.bytes) } ?? "nil" }

  @Test func listOfFields() {
    var list = FieldList()
    for (name, value) in [("A", "1"), ("b", ""), ("a", "2"), ("C", "3"), ("A", "4")] {
      let isThere = with(name) { name in with(value) { list.append(name: name, value: $0) } }
      #expect(isThere)
    }
    func value(_ name: String, _ number: Int = 0) -> String {
      with(name) { text(of: list.value(of: $0, number: number)) }
    }
    #expect([value("a"), value("A", 1), value("a", 2), value("a", 3)] == ["1", "2", "4", "nil"])
    #expect(value("B") == "")
    #expect(value("a", -1) == "nil")
    let outside = [list.value(at: 5), list.value(at: -1), list.name(at: 5), list.name(at: -1)]
    #expect(outside.allSatisfy { $0 == nil })
  }
}
