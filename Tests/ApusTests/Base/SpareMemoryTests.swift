// SpareMemory: blocks are used again, and no more of them kept than the limit says.

import Testing

@testable import Apus

private func taken(_ size: Int, of spare: inout SpareMemory) throws -> UnsafeMutableRawPointer {
  let block = spare.take(size)
  return try #require(block)
}

@Suite struct SpareMemoryTests {
  @Test(arguments: [0, 1, 255, 256, 257, 512, 513, 16_384 + 65, 65_536])
  func aBlockIsUsedAgain(_ size: Int) throws {
    var spare = SpareMemory()
    let block = try taken(size, of: &spare)
    block.initializeMemory(as: UInt8.self, repeating: 7, count: size)
    spare.give(block, size)
    let kept = spare.bytes
    #expect(kept >= max(size, 256))
    // What is larger has blocks of its own.
    let other = try taken(size * 2 + 257, of: &spare)
    #expect(spare.bytes == kept)
    spare.give(other, size * 2 + 257)
    let again = try taken(size, of: &spare)
    #expect(again == block)
    spare.give(again, size)
  }

  @Test func keepsNoMoreThanTheLimit() throws {
    var spare = SpareMemory()
    let size = 65_536
    var blocks: [UnsafeMutableRawPointer] = []
    for _ in 0...(SpareMemory.limit / size) { blocks.append(try taken(size, of: &spare)) }
    for block in blocks { spare.give(block, size) }
    let kept = spare.bytes
    #expect(kept == SpareMemory.limit)
    let small = try taken(100, of: &spare)
    spare.give(small, 100)
    #expect(spare.bytes == kept)
  }

  @Test func whatIsTooLargeIsNotKept() throws {
    var spare = SpareMemory()
    let block = try taken(65_537, of: &spare)
    spare.give(block, 65_537)
    #expect(spare.bytes == 0)
  }
  /// A buffer without memory is lent a block, and that comes back.
  @Test func lendsToBuffers() throws {
    var spare = SpareMemory()
    var buffer = ByteBuffer()
    spare.lend(to: &buffer, 5000)
    #expect(buffer.capacity == 8192)
    // One that has memory keeps it.
    spare.lend(to: &buffer, 20_000)
    #expect(buffer.capacity == 8192)
    buffer.append("abc")
    #expect(string(buffer) == "abc")
    spare.reclaim(&buffer, keep: 8192)
    #expect(buffer.capacity == 8192 && buffer.isEmpty)
    #expect(spare.bytes == 0)
    spare.reclaim(&buffer, keep: 4096)
    #expect(buffer.capacity == 0 && buffer.isEmpty)
    #expect(spare.bytes == 8192)
    spare.lend(to: &buffer, 8192)
    #expect(buffer.capacity == 8192)
    #expect(spare.bytes == 0)
  }

  /// What a buffer has made by itself is kept only where it is as large as a block.
  @Test func takesNoOddSizes() {
    var spare = SpareMemory()
    var buffer = ByteBuffer()
    buffer.reserve(5000, upTo: 5000)
    #expect(buffer.capacity == 5000)
    spare.reclaim(&buffer, keep: 0)
    #expect(buffer.capacity == 0)
    #expect(spare.bytes == 0)
    spare.lend(to: &buffer, 1 << 20)
    #expect(buffer.capacity == 0)
  }
}
