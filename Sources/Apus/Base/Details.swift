// Words about a failure that are known only when it happens, such as the name in a
// certificate. A failure carries a ticket and no memory: the words stand in a ring of the
// process's, and whoever looks them up after many others were kept finds none.

enum Details {
  /// How many are kept, and the bytes of each with its ticket and length before them.
  static var places: UInt32 { 128 }
  static var longest: Int { 192 }
  private static var stride: Int { longest &+ 8 }

  private static let lock = Lock()
  nonisolated(unsafe) private static let memory: UnsafeMutableRawPointer? =
    unsafe allocateZeroed(bytes: Int(places) &* stride)
  nonisolated(unsafe) private static var latest: UInt32 = 0

  private static func place(of ticket: UInt32) -> UnsafeMutableRawPointer? {
    unsafe memory.map { unsafe $0 + Int(ticket % places) &* stride }
  }

  /// Keeps words; 0 where there is no memory.
  static func keep(_ words: Bytes) -> UInt32 {
    lock.lock()
    defer { lock.unlock() }
    unsafe latest &+= 1
    if unsafe latest == 0 { unsafe latest = 1 }
    let ticket = unsafe latest
    guard words.count > 0, let place = unsafe place(of: ticket) else { return 0 }
    let count = min(words.count, longest)
    unsafe place.storeBytes(of: ticket, as: UInt32.self)
    unsafe place.storeBytes(of: UInt32(truncatingIfNeeded: count), toByteOffset: 4, as: UInt32.self)
    unsafe (place + 8).assumingMemoryBound(to: UInt8.self).copy(words.extracting(0..<count))
    return ticket
  }

  /// Copies the words of a ticket, as far as there is room; how many bytes.
  @unsafe static func copy(
    _ ticket: UInt32, to text: UnsafeMutablePointer<UInt8>, capacity: Int
  ) -> Int {
    lock.lock()
    defer { lock.unlock() }
    guard ticket != 0, let place = unsafe place(of: ticket),
      unsafe place.load(as: UInt32.self) == ticket
    else { return 0 }
    let kept = unsafe Int(place.load(fromByteOffset: 4, as: UInt32.self))
    let count = max(0, min(kept, capacity))
    unsafe text.update(from: (place + 8).assumingMemoryBound(to: UInt8.self), count: count)
    return count
  }
}
