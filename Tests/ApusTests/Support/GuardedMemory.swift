// Memory with a page behind it that must not be touched: bytes placed flush
// against that page, so that a read past their end is a crash and no accident.

import Glibc

final class GuardedMemory {
  let capacity: Int
  private let base: UnsafeMutablePointer<UInt8>
  private let mapped: Int

  init(capacity: Int) {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let size = (capacity + page - 1) / page * page
    let protection = PROT_READ | PROT_WRITE
    guard let memory = mmap(nil, size + page, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      memory != MAP_FAILED, mprotect(memory + size, page, PROT_NONE) == 0
    else { fatalError("no memory for a test") }
    base = memory.assumingMemoryBound(to: UInt8.self)
    self.capacity = size
    mapped = size + page
  }

  deinit { munmap(base, mapped) }

  /// Room for so many bytes, of which the last is the last before the guard.
  func place(_ count: Int) -> UnsafeMutableBufferPointer<UInt8> {
    precondition(count <= capacity)
    return UnsafeMutableBufferPointer(start: base + (capacity - count), count: count)
  }

  /// Calls a function with a copy of the bytes that ends at the guard.
  func with<Result>(_ bytes: ArraySlice<UInt8>, _ body: (Span<UInt8>) -> Result) -> Result {
    let room = place(bytes.count)
    _ = room.initialize(from: bytes)
    return body(Span(_unsafeElements: UnsafeBufferPointer(room)))
  }

  func with<Result>(_ bytes: [UInt8], _ body: (Span<UInt8>) -> Result) -> Result {
    with(bytes[...], body)
  }
}
