// Words behind a failure: kept by a ticket, cut at their limit, and gone once many others
// have come.

import Testing

@testable import Apus

private func kept(_ ticket: UInt32, capacity: Int = 1000) -> String {
  let space = UnsafeMutablePointer<UInt8>.allocate(capacity: max(capacity, 1))
  defer { space.deallocate() }
  let count = Details.copy(ticket, to: space, capacity: capacity)
  return String(decoding: UnsafeBufferPointer(start: space, count: count), as: UTF8.self)
}

@Suite(.serialized) struct DetailsTests {
  @Test func givesWhatWasKept() {
    let ticket = with("a word") { Details.keep($0) }
    #expect(kept(ticket) == "a word")
    #expect(kept(ticket, capacity: 3) == "a w")
    #expect(kept(ticket, capacity: 0) == "")
    #expect(kept(0) == "")
    #expect(with("") { Details.keep($0) } == 0)
  }

  @Test func cutsWhatIsTooLong() {
    let most = String(repeating: "x", count: Details.longest)
    #expect(kept(with(most) { Details.keep($0) }) == most)
    #expect(kept(with(most + "y") { Details.keep($0) }) == most)
  }

  @Test func forgetsTheOldest() {
    let first = with("first") { Details.keep($0) }
    for _ in 1...Details.places { _ = with("another") { Details.keep($0) } }
    #expect(kept(first) == "")
  }

  @Test func standsBehindTheSentence() {
    let detail = with("the words") { Details.keep($0) }
    ThreadContext.note(Failure(.tls, "a sentence", detail: detail))
    #expect(String(cString: ThreadContext.message) == "a sentence: the words")
    let long = with(String(repeating: "z", count: 192)) { Details.keep($0) }
    ThreadContext.note(Failure(.tls, "a sentence", number: 2, detail: long))
    #expect(String(cString: ThreadContext.message).utf8.count <= 251)
  }
}
