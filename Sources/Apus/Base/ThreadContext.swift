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

  /// The loop that this thread is running, or nil.
  static var loop: UnsafeMutableRawPointer? {
    get { unsafe block.pointee.loop }
    set { unsafe block.pointee.loop = newValue }
  }

  /// A callback, or a tick, that runs on a thread: it lives on the stack and knows
  /// the one around it, since a callback of one server may tick another.
  @safe private struct Frame {
    var outer: UnsafeMutableRawPointer?
    var server: UnsafeMutableRawPointer
    var isTick: Bool
    /// What the block held before.
    var request: UInt64
    var exchange: UnsafeMutableRawPointer?
  }

  /// Runs what is a callback of a server's, or, without one, its tick.
  @inline(__always)
  static func inside<Result, Thrown: Error>(
    _ server: UnsafeMutableRawPointer, request: UInt64 = 0,
    exchange: UnsafeMutableRawPointer? = nil, isTick: Bool = false,
    _ body: () throws(Thrown) -> Result
  ) throws(Thrown) -> Result {
    let block = unsafe block
    var frame = unsafe Frame(
      outer: block.pointee.frame, server: server, isTick: isTick,
      request: block.pointee.request, exchange: block.pointee.exchange)
    return try unsafe withUnsafeMutablePointer(to: &frame) { frame throws(Thrown) in
      unsafe block.pointee.frame = UnsafeMutableRawPointer(frame)
      unsafe block.pointee.request = request
      unsafe block.pointee.exchange = unsafe exchange
      defer {
        unsafe block.pointee.frame = unsafe frame.pointee.outer
        unsafe block.pointee.request = unsafe frame.pointee.request
        unsafe block.pointee.exchange = unsafe frame.pointee.exchange
      }
      return try body()
    }
  }

  private static func outer(_ place: UnsafeMutableRawPointer?) -> UnsafeMutablePointer<Frame>? {
    unsafe place?.assumingMemoryBound(to: Frame.self)
  }

  /// Whether a callback of a server's, or its tick, is anywhere on this thread's stack.
  static func isInside(_ server: UnsafeMutableRawPointer) -> Bool {
    var frame = unsafe outer(block.pointee.frame)
    while let current = unsafe frame {
      if unsafe current.pointee.server == server { return true }
      unsafe frame = unsafe outer(current.pointee.outer)
    }
    return false
  }

  /// Whether what runs on this thread is a server's tick, or called by that with
  /// nothing of another server between.
  static func isTicking(_ server: UnsafeMutableRawPointer) -> Bool {
    var frame = unsafe outer(block.pointee.frame)
    while let current = unsafe frame, unsafe current.pointee.server == server {
      if unsafe current.pointee.isTick { return true }
      unsafe frame = unsafe outer(current.pointee.outer)
    }
    return false
  }

  /// Tells this thread from the others that live.
  static var identity: UInt { unsafe UInt(bitPattern: block) }

  /// The server whose tick is on this thread, with nothing of another server within it.
  static var ticking: UnsafeMutableRawPointer? {
    guard let frame = unsafe outer(block.pointee.frame) else { return nil }
    let server = unsafe frame.pointee.server
    return unsafe isTicking(server) ? server : nil
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
    if failure.detail != 0, count < messageCapacity &- 3 {
      let room = messageCapacity &- 3 &- count
      let more = unsafe Details.copy(failure.detail, to: text + count + 2, capacity: room)
      unsafe text[count] = UInt8(ascii: ":")
      unsafe text[count &+ 1] = UInt8(ascii: " ")
      if more > 0 { count &+= more &+ 2 }
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
