// ByteBuffer: filled at the end, taken from the front.

import Testing

@testable import Apus

@Suite struct ByteBufferTests {
  @Test func startsEmpty() {
    let buffer = ByteBuffer()
    #expect(buffer.isEmpty == true)
    #expect(buffer.bytes.count == 0)
    #expect(buffer.pointer == nil)
    #expect(buffer.capacity == 0)
  }

  @Test func appends() {
    var buffer = ByteBuffer()
    buffer.append(UInt8(ascii: "a"))
    buffer.append("bc")
    with("def") { buffer.append($0) }
    with("") { buffer.append($0) }
    #expect(string(buffer) == "abcdef")
    #expect(buffer.count == 6)
  }

  @Test(arguments: [
    0, 1, 9, 10, 99, 100, 12345, -1, -10, 999_999_999_999_999_999, Int64.max, Int64.min,
  ])
  func appendsDecimals(_ number: Int64) {
    #expect(written { $0.append(decimal: number) } == String(number))
  }

  /// A number that ends exactly where the memory does.
  @Test func appendsDecimalsAtTheEndOfItsMemory() {
    for free in 0...24 {
      var buffer = ByteBuffer()
      for _ in 0..<(256 - free) { buffer.append(UInt8(ascii: ".")) }
      buffer.append(decimal: Int64.min)
      let text = String(repeating: ".", count: 256 - free) + "-9223372036854775808"
      #expect(string(buffer) == text)
      #expect(buffer.count <= buffer.capacity)
    }
  }

  @Test(arguments: [0, 1, 9, 10, 15, 16, 255, 256, 0x1000, 0xDEAD_BEEF, Int.max])
  func appendsHexadecimals(_ number: Int) {
    #expect(written { $0.append(hexadecimal: number) } == String(number, radix: 16))
  }

  /// Memory doubles, but not past what will ever be needed.
  @Test func growsUpToALimit() {
    var buffer = ByteBuffer()
    #expect(buffer.reserve(200, upTo: 300) == true)
    #expect(buffer.capacity == 256)
    for _ in 0..<256 { buffer.append(1) }
    #expect(buffer.reserve(1, upTo: 300) == true)
    #expect(buffer.capacity == 300)
    #expect(buffer.reserve(100, upTo: 300) == true)
    #expect(buffer.capacity == 356)
    #expect(buffer.reserve(101, upTo: .max) == true)
    #expect(buffer.capacity == 712)
    #expect(buffer.failed == false)
  }

  @Test func takesFromTheFront() {
    var buffer = ByteBuffer()
    buffer.append("hello, world")
    buffer.consume(7)
    #expect(string(buffer) == "world")
    buffer.consume(0)
    buffer.consume(-3)
    #expect(string(buffer) == "world")
    buffer.append("!")
    #expect(string(buffer) == "world!")
    buffer.consume(99)
    #expect(buffer.isEmpty == true)
    buffer.append("again")
    #expect(string(buffer) == "again")
  }

  /// What was taken from the front is used again before more memory is asked for.
  @Test func growsWithAFrontOffset() {
    var buffer = ByteBuffer()
    let first = (0..<256).map { UInt8(truncatingIfNeeded: $0) }
    buffer.append(first.span)
    #expect(buffer.capacity == 256)
    buffer.consume(100)
    buffer.append(first[0..<100].span)
    #expect(buffer.capacity == 256)
    #expect(array(buffer.bytes) == Array(first[100...]) + Array(first[..<100]))
    buffer.consume(10)
    buffer.append(first.span)
    #expect(buffer.capacity == 512)
    #expect(array(buffer.bytes) == Array(first[110...]) + Array(first[..<100]) + first)
  }

  @Test func refusesToGrowWithoutBound() {
    var buffer = ByteBuffer()
    buffer.append("kept")
    let huge = buffer.reserve(Int.max)
    #expect(!huge)
    #expect(buffer.failed == true)
    #expect(string(buffer) == "kept")
    buffer.clear()
    #expect(buffer.failed == false)
  }

  @Test func removesFromTheMiddle() {
    func removing(_ range: Range<Int>, skipping: Int = 0) -> String {
      written {
        for _ in 0..<skipping { $0.append("-") }
        $0.append("0123456789")
        $0.consume(skipping)
        $0.remove(range)
      }
    }
    #expect(removing(0..<0) == "0123456789")
    #expect(removing(0..<3) == "3456789")
    #expect(removing(4..<6) == "01236789")
    #expect(removing(8..<10) == "01234567")
    #expect(removing(0..<10) == "")
    #expect(removing(4..<6, skipping: 5) == "01236789")
    #expect(removing(8..<11) == "0123456789")
    #expect(removing(-1..<2) == "0123456789")
  }

  @Test func truncates() {
    func truncated(to count: Int) -> String {
      written {
        $0.append("-0123")
        $0.consume(1)
        $0.truncate(to: count)
      }
    }
    #expect(truncated(to: 2) == "01")
    #expect(truncated(to: 0) == "")
    #expect(truncated(to: 9) == "0123")
    #expect(truncated(to: -1) == "")
  }

  @Test func terminates() throws {
    for count in [0, 1, 255, 256, 257] {
      var buffer = ByteBuffer()
      for _ in 0..<count { buffer.append(UInt8(ascii: "x")) }
      let done = buffer.terminate()
      #expect(done)
      #expect(buffer.count == count)
      let pointer = buffer.pointer
      let start = try #require(pointer)
      #expect(start[count] == 0)
      #expect(String(cString: start).utf8.count == count)
    }
  }

  @Test func offersSpace() {
    var buffer = ByteBuffer()
    buffer.append("ab")
    if let space = buffer.space(300) {
      for index in 0..<300 { space[index] = UInt8(ascii: "c") }
    }
    buffer.filled(3)
    buffer.filled(-1)
    #expect(string(buffer) == "abccc")
    buffer.filled(1 << 20)
    #expect(buffer.count == buffer.capacity)
  }

  @Test func givesMemoryBackAboveWhatIsKept() {
    var buffer = ByteBuffer()
    for _ in 0..<300 { buffer.append("x") }
    buffer.clear(keep: 512)
    #expect(buffer.isEmpty == true)
    #expect(buffer.capacity == 512)
    buffer.append("y")
    buffer.clear(keep: 511)
    #expect(buffer.capacity == 0)
    #expect(buffer.pointer == nil)
    buffer.append("z")
    #expect(string(buffer) == "z")
  }

  /// Against an array, over random operations.
  @Test func behavesLikeAnArray() {
    var random = Random(seed: Random.seed)
    for _ in 0..<50 {
      var buffer = ByteBuffer()
      var model: [UInt8] = []
      for _ in 0..<200 {
        let amount = Int.random(in: 0...90, using: &random)
        switch Int.random(in: 0..<6, using: &random) {
        case 0, 1, 2:
          let bytes = (0..<amount).map { _ in UInt8.random(in: 0...255, using: &random) }
          buffer.append(bytes.span)
          model += bytes
        case 3:
          buffer.consume(amount)
          model.removeFirst(min(amount, model.count))
        case 4:
          let start = Int.random(in: 0...model.count, using: &random)
          let range = start..<min(start + amount, model.count)
          buffer.remove(range)
          model.removeSubrange(range)
        default:
          let count = Int.random(in: 0...(model.count + 9), using: &random)
          buffer.truncate(to: count)
          model.removeLast(max(0, model.count - count))
        }
        guard array(buffer.bytes) == model else {
          Issue.record("differs from the array; \(Random.note)")
          return
        }
      }
    }
  }

  @Test func trimsWhatIsMuch() {
    var buffer = ByteBuffer()
    for index in 0..<20_000 { buffer.append(UInt8(truncatingIfNeeded: index)) }
    buffer.trim()
    #expect(buffer.capacity == 20_000)
    buffer.consume(15_000)
    buffer.trim()
    #expect(buffer.capacity == 5_000)
    #expect(buffer.count == 5_000)
    for index in 0..<5_000 {
      #expect(buffer.bytes[index] == UInt8(truncatingIfNeeded: 15_000 + index))
    }
    // Little is left alone, and an empty one.
    buffer.consume(500)
    buffer.trim()
    #expect(buffer.capacity == 5_000)
    buffer.consume(4_500)
    buffer.trim()
    #expect(buffer.capacity == 5_000)
    buffer.append("more")
    #expect(string(buffer) == "more")
  }
}
