// The vectors of Vectors/*.md through RequestMachine: in one piece, split at each
// place, byte by byte and split at random, always with the same log.

import Testing

@testable import Apus

@Suite struct RequestVectorTests {
  @Test func canBeRead() throws {
    let vectors = try RequestVector.load()
    #expect(vectors.count >= 80)
    #expect(Set(vectors.map(\.testDescription)).count == vectors.count)
  }

  @Test(arguments: RequestVector.all)
  func givesItsLog(_ vector: RequestVector) throws {
    let bytes = vector.request
    let memory = GuardedMemory(capacity: bytes.count)
    func run(_ ends: [Int]) -> MachineRun {
      MachineRun.run(bytes, endingAt: ends, limits: vector.limits, memory: memory)
    }
    let whole = run([bytes.count])
    if whole.log != vector.log {
      Issue.record("\(vector.testDescription)\n\(Splits.difference(whole.log, vector.log))")
      return
    }
    var random = Random(seed: Random.seed)
    for ends in Splits.of(bytes.count, &random) {
      let split = run(ends)
      if split.log != vector.log || split.reason != whole.reason {
        Issue.record(
          """
          \(vector.testDescription), split at \(ends.prefix(50)), \(Random.note)
          \(Splits.difference(split.log, vector.log)) \(split.reason) - \(whole.reason)
          """)
        return
      }
    }
  }

  /// Vectors with bytes changed, cut out and doubled: whatever comes of them, it
  /// must not depend on the pieces, and no index may go astray.
  @Test func mutationsDoNotDependOnThePieces() {
    let seed = Random.seed
    var random = Random(seed: seed)
    let vectors = RequestVector.all.filter { $0.request.count < 600 }
    guard !vectors.isEmpty else {
      Issue.record("there are no vectors")
      return
    }
    let memory = GuardedMemory(capacity: 4096)
    for _ in 0..<4000 {
      let vector = vectors[Int.random(in: 0..<vectors.count, using: &random)]
      let bytes = mutated(vector.request, &random)
      let whole = MachineRun.run(
        bytes, endingAt: [bytes.count], limits: vector.limits, memory: memory)
      var ends = (0..<Int.random(in: 1...12, using: &random)).map { _ in
        Int.random(in: 0...bytes.count, using: &random)
      }
      ends = Array(Set(ends + [bytes.count])).sorted()
      for ends in [ends, Array(0...bytes.count)] {
        let split = MachineRun.run(bytes, endingAt: ends, limits: vector.limits, memory: memory)
        if split.log != whole.log || split.reason != whole.reason {
          Issue.record(
            """
            \(Escapes.encode(bytes)) split at \(ends.prefix(50)), APUS_SEED=\(seed)
            \(Splits.difference(split.log, whole.log)) \(split.reason) - \(whole.reason)
            """)
          return
        }
      }
    }
  }

  private func mutated(_ bytes: [UInt8], _ random: inout Random) -> [UInt8] {
    var bytes = bytes
    let special = Array("\r\n\t\0 :;,=\"\\/?#%*@[]0aG\u{7F}".utf8) + [0x80, 0xFF]
    for _ in 0..<Int.random(in: 1...3, using: &random) {
      let place = Int.random(in: 0..<max(bytes.count, 1), using: &random)
      guard bytes.indices.contains(place) else { return [0] }
      switch Int.random(in: 0..<5, using: &random) {
      case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
      case 1: bytes[place] = special[Int.random(in: 0..<special.count, using: &random)]
      case 2: bytes.remove(at: place)
      case 3: bytes.insert(special[Int.random(in: 0..<special.count, using: &random)], at: place)
      default:
        let end = min(place + Int.random(in: 1...30, using: &random), bytes.count)
        bytes.insert(contentsOf: bytes[place..<end], at: place)
      }
    }
    return bytes
  }
}
