// A growing run of bytes with one owner: filled at the end, taken from the
// front. When memory runs out it stays as it is and says so in `failed`, which
// its owner looks at once, when it is about to use the whole.

import CSystem

/// What parsers and writers take: bytes that somebody else keeps.
typealias Bytes = Span<UInt8>

@safe struct ByteBuffer: ~Copyable {
  private(set) var base: UnsafeMutablePointer<UInt8>?
  private var start = 0
  private var end = 0
  private(set) var capacity = 0
  private(set) var failed = false

  init() { unsafe base = nil }

  deinit { unsafe deallocate(UnsafeMutableRawPointer(base)) }

  var count: Int { end &- start }
  var isEmpty: Bool { end == start }

  /// The first byte; nil only while nothing was ever stored.
  var pointer: UnsafeMutablePointer<UInt8>? { unsafe base.map { unsafe $0 + start } }

  var bytes: Bytes {
    @_lifetime(borrow self) get {
      guard let base = unsafe base else { return Span() }
      return unsafe _overrideLifetime(
        Span(_unsafeStart: base + start, count: end &- start), borrowing: self)
    }
  }

  /// Makes room for more bytes behind the last; false when there is no memory.
  @discardableResult
  mutating func reserve(_ more: Int) -> Bool {
    if capacity &- end >= more { return true }
    return grow(more)
  }

  /// The same for bytes that may come to `most` and not beyond: memory grows by
  /// doubling, but not past that.
  @discardableResult
  mutating func reserve(_ more: Int, upTo most: Int) -> Bool {
    if capacity &- end >= more { return true }
    return grow(more, upTo: most)
  }

  @inline(never)
  private mutating func grow(_ more: Int, upTo most: Int = .max) -> Bool {
    let (wanted, overflow) = count.addingReportingOverflow(more)
    guard !overflow, wanted <= Int.max / 2 else {
      failed = true
      return false
    }
    if start > 0 {
      if count > 0, let base = unsafe base { unsafe base.update(from: base + start, count: count) }
      end = count
      start = 0
      if capacity >= wanted { return true }
    }
    var size = max(capacity, 256)
    while size < wanted { size &*= 2 }
    size = min(size, max(most, wanted))
    guard let memory = unsafe reallocate(UnsafeMutableRawPointer(base), bytes: size) else {
      failed = true
      return false
    }
    unsafe base = memory.assumingMemoryBound(to: UInt8.self)
    capacity = size
    return true
  }

  mutating func append(_ byte: UInt8) {
    guard reserve(1), let base = unsafe base else { return }
    unsafe base[end] = byte
    end &+= 1
  }

  @inline(__always)
  mutating func append(_ bytes: Bytes) {
    let count = bytes.count
    guard count > 0, reserve(count), let base = unsafe base else { return }
    unsafe (base + end).copy(bytes)
    end &+= count
  }

  /// The same, with room for more behind them.
  @inline(__always)
  mutating func append(_ bytes: Bytes, more: Int) {
    let count = bytes.count
    guard reserve(count &+ more), let base = unsafe base else { return }
    unsafe (base + end).copy(bytes)
    end &+= count
  }

  @inline(__always)
  mutating func append(_ text: StaticString) {
    append(unsafe Span(_unsafeStart: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  @inline(__always)
  mutating func append(decimal number: Int64) {
    guard reserve(20), let base = unsafe base else { return }
    guard number >= 0, number < 100 else { return unsafe appendLong(number, base) }
    let tens = UInt8(truncatingIfNeeded: (number &* 103) >> 10)
    unsafe base[end] = tens &+ 48
    end &+= tens > 0 ? 1 : 0
    unsafe base[end] = UInt8(truncatingIfNeeded: number) &- tens &* 10 &+ 48
    end &+= 1
  }

  @inline(never)
  private mutating func appendLong(_ number: Int64, _ base: UnsafeMutablePointer<UInt8>) {
    if number < 0 { append(UInt8(ascii: "-")) }
    var rest = number.magnitude
    var digits = 1
    var probe = rest / 10
    while probe > 0 {
      digits &+= 1
      probe /= 10
    }
    var index = end &+ digits
    repeat {
      index &-= 1
      unsafe base[index] = UInt8(truncatingIfNeeded: rest % 10) &+ 48
      rest /= 10
    } while index > end
    end &+= digits
  }

  /// Appends a field line, RFC 9112 §5.
  @inline(__always)
  mutating func append(name: Bytes, value: Bytes) {
    guard reserve(name.count &+ value.count &+ 4), let base = unsafe base else { return }
    let colon = end &+ name.count
    let tail = colon &+ 2 &+ value.count
    unsafe base.advanced(by: end).copy(name)
    unsafe base[colon] = UInt8(ascii: ":")
    unsafe base[colon &+ 1] = 32
    unsafe base.advanced(by: colon &+ 2).copy(value)
    unsafe base[tail] = 13
    unsafe base[tail &+ 1] = 10
    end = tail &+ 2
  }

  mutating func append(hexadecimal number: Int) {
    var shift = (Int.bitWidth &- number.leadingZeroBitCount &- 1) & ~3
    if number == 0 { shift = 0 }
    while shift >= 0 {
      let digit = UInt8(truncatingIfNeeded: number >> shift) & 15
      append(digit < 10 ? digit &+ 48 : digit &+ 87)
      shift &-= 4
    }
  }

  /// Space for `count` bytes behind the last, to be filled by a system call.
  mutating func space(_ count: Int) -> UnsafeMutablePointer<UInt8>? {
    guard reserve(count), let base = unsafe base else { return nil }
    return unsafe base + end
  }

  /// Says how much of `space` was filled.
  mutating func filled(_ count: Int) { end = min(end &+ max(count, 0), capacity) }

  /// Drops bytes from the front.
  mutating func consume(_ count: Int) {
    start = min(start &+ max(count, 0), end)
    if start == end {
      start = 0
      end = 0
    }
  }

  /// Drops bytes from the end.
  mutating func truncate(to count: Int) {
    if count < self.count { end = start &+ max(count, 0) }
  }

  /// Cuts a range of bytes out of the middle.
  mutating func remove(_ range: Range<Int>) {
    guard range.lowerBound >= 0, range.upperBound <= count, let base = unsafe base else { return }
    let tail = count &- range.upperBound
    unsafe (base + start + range.lowerBound).update(
      from: base + start + range.upperBound, count: tail)
    end &-= range.count
  }

  /// Empties it; memory above `keep` is given back.
  mutating func clear(keep: Int = 0) {
    start = 0
    end = 0
    failed = false
    if capacity > keep {
      unsafe deallocate(UnsafeMutableRawPointer(base))
      unsafe base = nil
      capacity = 0
    }
  }

  /// Gives back memory behind the last byte, if there is much: what is kept will wait.
  @inline(never)
  mutating func trim() {
    let count = count
    guard count > 0, capacity &- count >= 512, let base = unsafe base else { return }
    if start > 0 { unsafe base.update(from: base + start, count: count) }
    start = 0
    end = count
    guard let memory = unsafe reallocate(UnsafeMutableRawPointer(base), bytes: count) else {
      return
    }
    unsafe self.base = memory.assumingMemoryBound(to: UInt8.self)
    capacity = count
  }

  /// Has memory of the allocator's that somebody else has made, as long as it has none.
  @unsafe mutating func adopt(_ memory: UnsafeMutableRawPointer, capacity: Int) {
    if unsafe base != nil { return unsafe deallocate(memory) }
    unsafe base = unsafe memory.bindMemory(to: UInt8.self, capacity: capacity)
    self.capacity = capacity
  }

  /// Empties it, and lets go of its memory, which is the caller's.
  @unsafe mutating func surrender() -> UnsafeMutableRawPointer? {
    let memory = unsafe UnsafeMutableRawPointer(base)
    unsafe base = nil
    capacity = 0
    clear()
    return unsafe memory
  }

  /// A NUL behind the last byte, which does not count; false without memory.
  mutating func terminate() -> Bool {
    guard !failed, reserve(1), let base = unsafe base else { return false }
    unsafe base[end] = 0
    return true
  }
}

extension UnsafeMutablePointer where Pointee == UInt8 {
  /// Copies bytes to where there is room for them.
  @inline(__always)
  @unsafe func copy(_ bytes: Bytes) {
    unsafe bytes.withUnsafeBufferPointer { source in
      if let from = source.baseAddress { unsafe sys_copy(self, from, source.count) }
    }
  }
}
