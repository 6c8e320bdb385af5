// Memory that grows in blocks which never move, freed all at once: what a
// request hands out as borrowed text lives in one of these.

@safe struct Arena: ~Copyable {
  @safe private struct Block {
    var next: UnsafeMutableRawPointer?
    var capacity: Int
  }

  private var first: UnsafeMutableRawPointer?
  private var current: UnsafeMutableRawPointer?
  private var used = 0
  private static var header: Int { MemoryLayout<Block>.stride }
  private static var smallest: Int { 2048 }

  init() {
    unsafe first = nil
    unsafe current = nil
  }

  deinit { unsafe Arena.free(first) }

  private static func free(_ block: UnsafeMutableRawPointer?) {
    var block = unsafe block
    while let memory = unsafe block {
      unsafe block = memory.load(as: Block.self).next
      unsafe deallocate(memory)
    }
  }

  /// Memory for `count` bytes, aligned to eight; nil when there is none.
  @inline(__always)
  mutating func allocate(_ count: Int) -> UnsafeMutableRawPointer? {
    guard count >= 0, count < Int.max / 2 else { return nil }
    let size = (count &+ 7) & ~7
    if let block = unsafe current {
      let capacity = unsafe block.load(as: Block.self).capacity
      if capacity &- used >= size {
        let memory = unsafe block + Arena.header + used
        used &+= size
        return unsafe memory
      }
    }
    return unsafe allocateBlock(size)
  }

  @inline(never)
  private mutating func allocateBlock(_ size: Int) -> UnsafeMutableRawPointer? {
    let capacity = max(size, Arena.smallest)
    guard let block = unsafe Apus.allocate(bytes: Arena.header &+ capacity) else { return nil }
    unsafe block.storeBytes(of: Block(next: nil, capacity: capacity), as: Block.self)
    if let last = unsafe current {
      let old = unsafe last.load(as: Block.self).capacity
      unsafe last.storeBytes(of: Block(next: block, capacity: old), as: Block.self)
    } else {
      unsafe first = unsafe block
    }
    unsafe current = unsafe block
    used = size
    return unsafe block + Arena.header
  }

  /// A copy of bytes with a NUL behind them; nil when there is no memory.
  mutating func copy(_ bytes: Bytes) -> Text? {
    guard let memory = unsafe allocate(bytes.count &+ 1) else { return nil }
    let text = unsafe memory.assumingMemoryBound(to: UInt8.self)
    unsafe text.copy(bytes)
    unsafe text[bytes.count] = 0
    return unsafe Text(start: text, count: bytes.count)
  }

  /// Forgets everything; a first block of the usual size is kept for next time.
  @inline(__always)
  mutating func reset() {
    // Nearly always the one block of the usual size is all there is.
    if used == 0 { return }
    if let block = unsafe first, unsafe block == current,
      unsafe block.load(as: Block.self).capacity == Arena.smallest
    {
      used = 0
      return
    }
    resetBlocks()
  }

  @inline(never)
  private mutating func resetBlocks() {
    guard let block = unsafe first else { return }
    let head = unsafe block.load(as: Block.self)
    unsafe Arena.free(head.next)
    if head.capacity > Arena.smallest {
      unsafe deallocate(block)
      unsafe first = nil
      unsafe current = nil
    } else {
      unsafe block.storeBytes(of: Block(next: nil, capacity: head.capacity), as: Block.self)
      unsafe current = unsafe block
    }
    used = 0
  }
}
