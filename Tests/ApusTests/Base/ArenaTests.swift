// Arena: memory that never moves, freed all at once.

import Testing

@testable import Apus

@Suite struct ArenaTests {
  @Test func keepsTextsWhereTheyAre() throws {
    var arena = Arena()
    var texts: [Text] = []
    var expected: [String] = []
    for number in 0..<3000 {
      let text = String(repeating: "text \(number) ", count: number % 7)
      let copied = with(text) { arena.copy($0) }
      texts.append(try #require(copied))
      expected.append(text)
    }
    for (text, expected) in zip(texts, expected) {
      #expect(string(text.bytes) == expected)
      #expect(String(cString: text.characters) == expected)
    }
  }

  @Test func keepsLargeTextsToo() throws {
    var arena = Arena()
    var texts: [Text] = []
    for size in [1, 2046, 2047, 2048, 2049, 100_000, 3] {
      let copied = with(String(repeating: "x", count: size)) { arena.copy($0) }
      texts.append(try #require(copied))
    }
    for (text, size) in zip(texts, [1, 2046, 2047, 2048, 2049, 100_000, 3]) {
      #expect(String(cString: text.characters) == String(repeating: "x", count: size))
    }
  }

  @Test func alignsToEightAndNeverOverlaps() throws {
    var arena = Arena()
    var random = Random(seed: Random.seed)
    var pieces: [Range<UInt>] = []
    for _ in 0..<500 {
      let size = Int.random(in: 0...600, using: &random)
      let memory = arena.allocate(size)
      let start = UInt(bitPattern: try #require(memory))
      #expect(start % 8 == 0)
      pieces.append(start..<(start + UInt(size)))
    }
    pieces.sort { ($0.lowerBound, $0.upperBound) < ($1.lowerBound, $1.upperBound) }
    for (piece, next) in zip(pieces, pieces.dropFirst()) {
      #expect(piece.upperBound <= next.lowerBound, "\(Random.note)")
    }
  }

  @Test func refusesAbsurdSizes() {
    var arena = Arena()
    let sizes = [-1, Int.min, Int.max, Int.max / 2]
    for size in sizes {
      let memory = arena.allocate(size)
      #expect(memory == nil)
    }
    let copied = with("still usable") { arena.copy($0) }
    #expect(copied.map { string($0.bytes) } == "still usable")
  }

  @Test func resetKeepsItsFirstBlock() {
    var arena = Arena()
    arena.reset()
    let first = arena.allocate(100)
    for _ in 0..<100 { _ = arena.allocate(1000) }
    arena.reset()
    let again = arena.allocate(100)
    #expect(first != nil)
    #expect(first == again)
    let other = arena.allocate(100)
    #expect(other != again)
  }

  @Test func resetGivesALargeFirstBlockBack() {
    var arena = Arena()
    _ = arena.allocate(1 << 20)
    arena.reset()
    let copied = with("after") { arena.copy($0) }
    #expect(copied.map { string($0.bytes) } == "after")
    arena.reset()
    arena.reset()
    let last = with("") { arena.copy($0) }
    #expect(last.map { string($0.bytes) } == "")
  }
}
