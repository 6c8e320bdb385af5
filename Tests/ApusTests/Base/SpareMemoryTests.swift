// SpareMemory: blocks are used again, and no more of them kept than the limit says.

import Testing

@testable import Apus

@Suite struct SpareMemoryTests {
  @Test func aBlockIsUsedAgain() throws {
    var spare = SpareMemory()
    for size in [0, 1, 255, 256, 257, 512, 513, 16_384 + 65, 65_536] {
      let block = try #require(unsafe spare.take(size))
      unsafe block.initializeMemory(as: UInt8.self, repeating: 7, count: size)
      unsafe spare.give(block, size)
      #expect(spare.bytes >= size && spare.bytes >= 256)
      let again = try #require(unsafe spare.take(max(size, 1)))
      #expect(unsafe again == block)
      #expect(spare.bytes == 0)
      unsafe spare.give(again, size)
      // The next size has blocks of its own.
      let other = try #require(unsafe spare.take(1 << 17))
      #expect(unsafe other != block)
      unsafe spare.give(other, 1 << 17)
      // Back to none.
      let last = try #require(unsafe spare.take(size))
      unsafe deallocate(last)
      #expect(spare.bytes == 0)
    }
  }

  @Test func keepsNoMoreThanTheLimit() throws {
    var spare = SpareMemory()
    let size = 65_536
    var blocks: [UnsafeMutableRawPointer] = []
    for _ in 0..<(SpareMemory.limit / size + 1) { try blocks.append(#require(spare.take(size))) }
    for block in blocks { unsafe spare.give(block, size) }
    #expect(spare.bytes == SpareMemory.limit)
    unsafe spare.give(try #require(spare.take(100)), 100)
    #expect(spare.bytes == SpareMemory.limit)
  }

  @Test func whatIsTooLargeIsNotKept() throws {
    var spare = SpareMemory()
    let block = try #require(unsafe spare.take(65_537))
    unsafe spare.give(block, 65_537)
    #expect(spare.bytes == 0)
  }
}
