// The vectors of Vectors/Responses through ResponseMachine: in one piece, split at each
// place, byte by byte and split at random, always with the same log.

import Testing

@testable import Apus

@Suite struct ResponseVectorTests {
  @Test func canBeRead() throws {
    let vectors = try ResponseVector.load()
    #expect(vectors.count >= 150)
    #expect(Set(vectors.map(\.title)).count == vectors.count)
  }

  @Test(arguments: ResponseVector.all)
  func givesItsLog(_ vector: ResponseVector) throws {
    let bytes = vector.response
    let memory = GuardedMemory(capacity: max(bytes.count, 1))
    let whole = ResponseRun.run(vector, bytes, endingAt: [bytes.count], memory: memory)
    if whole.log != vector.log {
      Issue.record("\(vector.title)\n\(Splits.difference(whole.log, vector.log))")
      return
    }
    var random = Random(seed: Random.seed)
    for ends in Splits.of(bytes.count, &random) {
      let split = ResponseRun.run(vector, bytes, endingAt: ends, memory: memory)
      if split.log != vector.log {
        Issue.record(
          """
          \(vector.title), split at \(ends.prefix(50)), \(Random.note)
          \(Splits.difference(split.log, vector.log))
          """)
        return
      }
    }
  }

  /// Vectors with bytes changed, cut out and doubled: whatever comes of them, it must
  /// not depend on the pieces, and no index may go astray.
  @Test func mutationsDoNotDependOnThePieces() throws {
    var random = Random(seed: Random.seed)
    let vectors = ResponseVector.all.filter { (1..<600).contains($0.response.count) }
    try #require(!vectors.isEmpty)
    let memory = GuardedMemory(capacity: 4096)
    let special = Array("\r\n\t\0 :;,=\"\\/0159aGHC\u{7F}".utf8) + [0x80, 0xFF]
    for _ in 0..<4000 {
      let vector = vectors[Int.random(in: 0..<vectors.count, using: &random)]
      var bytes = vector.response
      for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
        let place = Int.random(in: 0..<bytes.count, using: &random)
        let byte = special[Int.random(in: 0..<special.count, using: &random)]
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes[place] = byte
        case 1: bytes.remove(at: place)
        case 2: bytes.insert(byte, at: place)
        default:
          let end = min(place + Int.random(in: 1...30, using: &random), bytes.count)
          bytes.insert(contentsOf: bytes[place..<end], at: place)
        }
      }
      let whole = ResponseRun.run(vector, bytes, endingAt: [bytes.count], memory: memory)
      let ends = (0..<Int.random(in: 1...12, using: &random)).map { _ in
        Int.random(in: 0...bytes.count, using: &random)
      }
      for ends in [Array(Set(ends + [bytes.count])).sorted(), Array(0...bytes.count)] {
        let split = ResponseRun.run(vector, bytes, endingAt: ends, memory: memory)
        if split.log != whole.log {
          Issue.record(
            """
            \(Escapes.encode(bytes)) split at \(ends.prefix(50)), \(Random.note)
            \(Splits.difference(split.log, whole.log))
            """)
          return
        }
      }
    }
  }
}
