// Inflater: its limit, its memory, and what it refuses. Which bytes make which
// message is told by the vectors of Vectors/WebSocket/frames-deflate.md.

import Testing

@testable import Apus

@Suite struct InflaterTests {
  private func compressed(_ message: [UInt8]) -> [UInt8] {
    var deflater = makeDeflater(level: 9, bits: 15, keepsContext: true)
    return deflated(&deflater, message)
  }

  @Test(arguments: [0, 1, 255, 256, 257, 16_383, 16_384, 16_385, 100_000])
  func atTheLimitAndPastIt(_ count: Int) {
    let message = [UInt8](repeating: 0x61, count: count)
    let bytes = compressed(message)
    for (room, expected) in [(count, .done), (count - 1, .tooLong), (count + 1, .done)]
      as [(Int, Inflater.Outcome)] where room >= 0
    {
      var inflater = makeInflater(bits: 15, keepsContext: true)
      var buffer = ByteBuffer()
      let outcome = inflater.inflate(bytes.span, isEnd: true, to: &buffer, room: room)
      #expect(outcome == expected, "\(room)")
      if outcome == .done { #expect(array(buffer.bytes) == message) }
    }
  }

  @Test func theLimitIsOfWhatComesInPieces() {
    let bytes = compressed([UInt8](repeating: 0x61, count: 1000))
    for (most, expected) in [(1000, Inflater.Outcome.done), (999, .tooLong)] {
      var inflater = makeInflater(bits: 15, keepsContext: true)
      var buffer = ByteBuffer()
      var outcome = Inflater.Outcome.done
      for index in bytes.indices where outcome == .done {
        outcome = inflater.inflate(
          bytes.span.extracting(index..<index + 1), isEnd: index == bytes.count - 1, to: &buffer,
          room: most - buffer.count)
      }
      #expect(outcome == expected)
    }
  }

  /// A thousandfold, refused at the limit: no more memory than that and a block.
  @Test func aBomb() {
    let bytes = compressed([UInt8](repeating: 0, count: 20_000_000))
    #expect(bytes.count < 20_000)
    for room in [0, 1000, 1_000_000, 3_000_001] {
      var inflater = makeInflater(bits: 15, keepsContext: true)
      var buffer = ByteBuffer()
      let outcome = inflater.inflate(bytes.span, isEnd: true, to: &buffer, room: room)
      #expect(outcome == .tooLong)
      #expect(buffer.capacity <= max(room, 256) + Inflater.block, "\(buffer.capacity)")
    }
  }

  /// Many blocks with BFINAL, each of which starts zlib anew, in little time.
  @Test func manyFinalBlocks() {
    var inflater = makeInflater(bits: 15, keepsContext: true)
    var bytes: [UInt8] = []
    for _ in 0..<200_000 { bytes += [3, 0] }
    var buffer = ByteBuffer()
    let outcome = inflater.inflate(bytes.span, isEnd: true, to: &buffer, room: 10)
    #expect(outcome == .done)
    #expect(buffer.isEmpty == true)
  }

  /// Bytes from behind the window are not there any more. In one piece they are, in the
  /// output itself, and zlib takes them; they are the message's own.
  @Test func fartherBackThanTheWindow() {
    var random = Random(seed: Random.seed)
    let part = (0..<600).map { _ in UInt8.random(in: 0...255, using: &random) }
    let bytes = compressed(part + part)
    #expect(bytes.count < 700)
    var inflater = makeInflater(bits: 9, keepsContext: true)
    var buffer = ByteBuffer()
    var outcome = Inflater.Outcome.done
    for index in bytes.indices where outcome == .done {
      outcome = inflater.inflate(
        bytes.span.extracting(index..<index + 1), isEnd: index == bytes.count - 1, to: &buffer,
        room: 5000)
    }
    #expect(outcome == .malformed, "\(Random.note)")
    #expect((part + part).starts(with: array(buffer.bytes)), "\(Random.note)")
    inflater = makeInflater(bits: 9, keepsContext: true)
    if let message = inflated(&inflater, bytes) { #expect(message == part + part) }
  }

  @Test func aFailureIsFinal() {
    var inflater = makeInflater(bits: 15, keepsContext: true)
    #expect(inflated(&inflater, [0xFF, 0xFF]) == nil)
    #expect(inflated(&inflater, [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 7, 0]) == nil)
  }

  @Test func appendsBehindWhatIsThere() {
    var inflater = makeInflater(bits: 15, keepsContext: true)
    var buffer = ByteBuffer()
    buffer.append("> ")
    let hello: [UInt8] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 7, 0]
    #expect(inflater.inflate(hello.span, isEnd: true, to: &buffer, room: 5) == .done)
    #expect(string(buffer) == "> Hello")
  }

  /// Noise never does more than fail.
  @Test func noise() {
    var random = Random(seed: Random.seed)
    for _ in 0..<2000 {
      var inflater = makeInflater(bits: 15, keepsContext: true)
      let count = Int.random(in: 0...60, using: &random)
      let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
      var buffer = ByteBuffer()
      _ = inflater.inflate(bytes.span, isEnd: true, to: &buffer, room: 5000)
      #expect(buffer.count <= 5001, "\(Escapes.encode(bytes)), \(Random.note)")
    }
  }
}
