// The vectors of Vectors/WebSocket/frames-*.md through MessageReceiver, for both
// roles: in one piece, split at each place, byte by byte and split at random,
// always with the same log.

import Testing

@testable import Apus

@Suite struct FrameVectorTests {
  @Test func canBeRead() throws {
    let vectors = try FrameVector.load()
    #expect(vectors.count >= 500)
    #expect(Set(vectors.map(\.testDescription)).count == vectors.count)
  }

  @Test(arguments: FrameVector.all)
  func givesItsLog(_ vector: FrameVector) throws {
    for role in vector.roles {
      let bytes = try vector.bytes(to: role)
      let setting = vector.setting(role)
      let memory = GuardedMemory(capacity: bytes.count)
      let whole = ReceiverRun.run(bytes, endingAt: [bytes.count], setting, memory: memory)
      if whole.log != vector.log {
        let difference = Splits.difference(whole.log, vector.log)
        Issue.record("\(vector.testDescription), \(role)\n\(difference) \(whole.reason)")
        return
      }
      var random = Random(seed: Random.seed)
      for ends in Splits.of(bytes.count, &random) {
        let split = ReceiverRun.run(bytes, endingAt: ends, setting, memory: memory)
        if split.log != vector.log || split.reason != whole.reason {
          Issue.record(
            """
            \(vector.testDescription), \(role), split at \(ends.prefix(50)), \(Random.note)
            \(Splits.difference(split.log, vector.log)) \(split.reason) - \(whole.reason)
            """)
          return
        }
      }
    }
  }

  /// Vectors with bytes changed, cut out and doubled: whatever comes of them, it
  /// must not depend on the pieces, and no index may go astray.
  @Test func mutationsDoNotDependOnThePieces() throws {
    let seed = Random.seed
    var random = Random(seed: seed)
    let vectors = FrameVector.all.filter { $0.lines.joined().utf8.count < 300 }
    try #require(!vectors.isEmpty)
    let memory = GuardedMemory(capacity: 1 << 18)
    for _ in 0..<4000 {
      let vector = vectors[Int.random(in: 0..<vectors.count, using: &random)]
      let role = vector.roles[0]
      var setting = vector.setting(role)
      if Bool.random(using: &random) { setting.allowsCompression.toggle() }
      let bytes = mutated(try vector.bytes(to: role), &random)
      if bytes.count > 2000 { continue }
      let whole = ReceiverRun.run(bytes, endingAt: [bytes.count], setting, memory: memory)
      var ends = (0..<Int.random(in: 1...12, using: &random)).map { _ in
        Int.random(in: 0...bytes.count, using: &random)
      }
      ends = Array(Set(ends + [bytes.count])).sorted()
      for ends in [ends, Array(0...bytes.count)] {
        let split = ReceiverRun.run(bytes, endingAt: ends, setting, memory: memory)
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
    for _ in 0..<Int.random(in: 1...3, using: &random) {
      let place = Int.random(in: 0..<max(bytes.count, 1), using: &random)
      guard bytes.indices.contains(place) else { return [0x81] }
      switch Int.random(in: 0..<5, using: &random) {
      case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
      case 1: bytes[place] ^= 1 << UInt8.random(in: 0...7, using: &random)
      case 2: bytes.remove(at: place)
      case 3: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
      default:
        let end = min(place + Int.random(in: 1...30, using: &random), bytes.count)
        bytes.insert(contentsOf: bytes[place..<end], at: place)
      }
    }
    return bytes
  }
}
