// Memory that goes from one thread to another and back to be used again: the allocator
// would give much of it back to the system each time. Blocks have sizes of powers of
// two, and stand in a list for each.

@safe struct SpareMemory: ~Copyable {
  private let lock = Lock()
  /// The first block of each size, as an address; each begins with that of the next.
  private var lists = List<UInt>()
  private(set) var bytes = 0

  private static var smallest: Int { 256 }
  private static var largest: Int { 64 * 1024 }
  /// More than that is not kept.
  static var limit: Int { 1024 * 1024 }

  init() {
    var size = SpareMemory.smallest
    // Without memory for a list its blocks are not kept.
    while size <= SpareMemory.largest, lists.append(0) { size &*= 2 }
  }

  deinit {
    for index in 0..<lists.count {
      var address = lists[index]
      while let block = unsafe UnsafeMutableRawPointer(bitPattern: address) {
        address = unsafe block.load(as: UInt.self)
        unsafe deallocate(block)
      }
    }
  }

  /// The list for blocks of a size; nil for what is too large.
  private func list(for size: Int) -> Int? {
    let blocks = max(0, size &- 1) / SpareMemory.smallest
    let index = Int.bitWidth &- blocks.leadingZeroBitCount
    return index < lists.count ? index : nil
  }

  /// A block of at least that size; nil when there is no memory.
  @unsafe mutating func take(_ size: Int) -> UnsafeMutableRawPointer? {
    guard let list = list(for: size) else { return unsafe allocate(bytes: size) }
    lock.lock()
    let block = unsafe UnsafeMutableRawPointer(bitPattern: lists[list])
    if let block = unsafe block {
      lists[list] = unsafe block.load(as: UInt.self)
      bytes &-= SpareMemory.smallest &<< list
    }
    lock.unlock()
    return unsafe block ?? allocate(bytes: SpareMemory.smallest &<< list)
  }

  /// Takes a block back that was taken for that size.
  @unsafe mutating func give(_ block: UnsafeMutableRawPointer, _ size: Int) {
    if let list = list(for: size) {
      let whole = SpareMemory.smallest &<< list
      lock.lock()
      let hasRoom = bytes &+ whole <= SpareMemory.limit
      if hasRoom {
        unsafe block.storeBytes(of: lists[list], as: UInt.self)
        lists[list] = UInt(bitPattern: block)
        bytes &+= whole
      }
      lock.unlock()
      if hasRoom { return }
    }
    unsafe deallocate(block)
  }
  /// Gives a buffer without memory a block for so many bytes, where it has one; a
  /// buffer makes its own otherwise.
  mutating func lend(to buffer: inout ByteBuffer, _ size: Int) {
    guard buffer.capacity == 0, let list = list(for: size), let block = unsafe take(size)
    else { return }
    unsafe buffer.adopt(block, capacity: SpareMemory.smallest &<< list)
  }

  /// Empties a buffer, and takes memory above `keep` back.
  mutating func reclaim(_ buffer: inout ByteBuffer, keep: Int) {
    let size = buffer.capacity
    // A buffer that has grown by itself may have another size than the blocks here.
    guard size > keep, let list = list(for: size), size == SpareMemory.smallest &<< list,
      let block = unsafe buffer.surrender()
    else { return buffer.clear(keep: keep) }
    unsafe give(block, size)
  }
}
