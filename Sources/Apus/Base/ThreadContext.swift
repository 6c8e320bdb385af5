// What a thread knows of itself: its latest failure, and which callback runs on
// it. `block` alone may call sys_thread_block, and must not be inlined: each
// object file that took it in would have a block of its own.

import CSystem

enum ThreadContext {
  private static var block: UnsafeMutablePointer<sys_thread> {
    @inline(never) get { unsafe sys_thread_block() }
  }

  /// The request whose callback runs on this thread, as a handle's bits; or 0.
  static var request: UInt64 {
    get { unsafe block.pointee.request }
    set { unsafe block.pointee.request = newValue }
  }

  /// The exchange whose callback runs on this thread, if that is its handle.
  @inline(__always)
  static func exchange(of handle: UInt64) -> UnsafeMutableRawPointer? {
    let block = unsafe block
    guard handle != 0, unsafe block.pointee.request == handle else { return nil }
    return unsafe block.pointee.exchange
  }

  /// The server whose callback runs on this thread, or nil.
  static var server: UnsafeMutableRawPointer? {
    get { unsafe block.pointee.server }
    set { unsafe block.pointee.server = newValue }
  }

  /// The loop that this thread is running, or nil.
  static var loop: UnsafeMutableRawPointer? {
    get { unsafe block.pointee.loop }
    set { unsafe block.pointee.loop = newValue }
  }

  /// Whose callback runs on a thread, to be put back behind it.
  @safe struct Callback {
    var server: UnsafeMutableRawPointer?
    var request: UInt64
    var exchange: UnsafeMutableRawPointer?
  }

  /// Notes the callback that is about to run; returns the one around it.
  static func enter(_ new: Callback) -> Callback {
    let block = unsafe block
    let old = unsafe Callback(
      server: block.pointee.server, request: block.pointee.request,
      exchange: block.pointee.exchange)
    unsafe block.pointee.server = unsafe new.server
    unsafe block.pointee.request = new.request
    unsafe block.pointee.exchange = unsafe new.exchange
    return old
  }

  static var error: Int32 { unsafe block.pointee.error }

  /// The latest failure in words, NUL-terminated.
  static var message: UnsafePointer<CChar> {
    let block = unsafe block
    let text = unsafe UnsafeRawPointer(block) + messageOffset
    return unsafe text.assumingMemoryBound(to: CChar.self)
  }

  private static var messageOffset: Int { 36 }
  private static var messageCapacity: Int { 252 }

  /// Notes why a call failed: the sentence, and the system's reason after it.
  static func note(_ failure: Failure) {
    let block = unsafe block
    unsafe block.pointee.error = failure.code.rawValue
    let text = unsafe (UnsafeMutableRawPointer(block) + messageOffset)
      .assumingMemoryBound(to: UInt8.self)
    var count = min(failure.message.utf8CodeUnitCount, messageCapacity &- 1)
    unsafe text.update(from: failure.message.utf8Start, count: count)
    if failure.number != 0 {
      count = unsafe append(number: failure.number, to: text, at: count)
    }
    unsafe text[count] = 0
  }

  private static func append(number: Int32, to text: UnsafeMutablePointer<UInt8>, at start: Int)
    -> Int
  {
    unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
      guard let base = buffer.baseAddress,
        let reason = unsafe sys_error_text(number, base, 128)
      else { return start }
      var count = start
      if count < messageCapacity &- 3 {
        unsafe text[count] = UInt8(ascii: ":")
        unsafe text[count &+ 1] = UInt8(ascii: " ")
        count &+= 2
      }
      var index = 0
      while count < messageCapacity &- 1, unsafe reason[index] != 0 {
        unsafe text[count] = UInt8(bitPattern: reason[index])
        count &+= 1
        index &+= 1
      }
      return count
    }
  }
}
