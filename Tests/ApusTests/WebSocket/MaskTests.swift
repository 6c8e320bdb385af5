// Mask: every length, phase and place, against one byte at a time.

import Testing

@testable import Apus

@Suite struct MaskTests {
  private let key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
  private var maskKey: MaskKey { MaskKey(key[0], key[1], key[2], key[3]) }

  private func expected(_ bytes: some Sequence<UInt8>, phase: Int = 0) -> [UInt8] {
    bytes.enumerated().map { $1 ^ key[(phase + $0) % 4] }
  }

  @Test func theBytesOfAKey() {
    #expect(maskKey.word == 0x3D21_FA37)
    #expect((0..<4).map { maskKey[$0] } == key)
    #expect(MaskKey(word: 0x3D21_FA37) == maskKey)
  }

  @Test func everyLengthPlaceAndPhase() {
    let source = (0..<300).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ 3) }
    let memory = GuardedMemory(capacity: 400)
    for count in Array(0...140) + [191, 192, 193, 255, 256, 257] {
      for phase in 0..<5 {
        for start in [0, 1, 3, 8] {
          let room = memory.place(start + count)
          _ = room.initialize(from: source.prefix(start + count))
          var span = MutableSpan(_unsafeElements: room)
          Mask.apply(maskKey, phase: phase, to: &span, start..<(start + count))
          let found = Array(room)
          let due = expected(source[start..<(start + count)], phase: phase)
          if Array(found.prefix(start)) != Array(source.prefix(start))
            || Array(found.dropFirst(start)) != due
          {
            Issue.record("\(count) bytes at \(start), phase \(phase)")
            return
          }
        }
      }
    }
  }

  /// A range that is not there changes nothing.
  @Test func aRangeOutside() {
    var bytes: [UInt8] = [1, 2, 3]
    var span = bytes.mutableSpan
    Mask.apply(maskKey, phase: 0, to: &span, 1..<4)
    Mask.apply(maskKey, phase: 0, to: &span, -1..<2)
    #expect(bytes == [1, 2, 3])
  }

  @Test func aLargePhase() {
    var bytes: [UInt8] = [1, 2, 3, 4, 5]
    var span = bytes.mutableSpan
    Mask.apply(maskKey, phase: .max, to: &span, 0..<5)
    #expect(bytes == expected([1, 2, 3, 4, 5], phase: 3))
  }

  @Test func copies() {
    let memory = GuardedMemory(capacity: 400)
    for count in Array(0...140) + [255, 256, 257] {
      let source = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 5 &+ 1) }
      var buffer = ByteBuffer()
      buffer.append("before")
      let isDone = memory.with(source) { Mask.append($0, maskKey, to: &buffer) }
      #expect(isDone == true)
      #expect(array(buffer.bytes) == Array("before".utf8) + expected(source))
    }
  }
}
