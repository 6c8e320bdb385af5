// A mutual exclusion lock and a condition over pthreads, which ThreadSanitizer
// and both modes of Swift know. Each lives in memory of its own, so that its
// address stays.

import CSystem

@safe struct Lock: ~Copyable, @unchecked Sendable {
  fileprivate let mutex: UnsafeMutablePointer<sys_mutex>?

  init() {
    unsafe mutex = allocateZeroed(bytes: MemoryLayout<sys_mutex>.size)?
      .bindMemory(to: sys_mutex.self, capacity: 1)
    if let mutex = unsafe mutex { _ = unsafe sys_mutex_make(mutex) }
  }

  deinit {
    guard let mutex = unsafe mutex else { return }
    unsafe sys_mutex_end(mutex)
    unsafe deallocate(UnsafeMutableRawPointer(mutex))
  }

  /// False when there was no memory for it: then it must not be used.
  var isUsable: Bool { unsafe mutex != nil }

  /// Brings it near while something else is done.
  @inline(__always)
  func prefetch() {
    if let mutex = unsafe mutex { unsafe sys_prefetch(mutex, MemoryLayout<sys_mutex>.size) }
  }

  func lock() { if let mutex = unsafe mutex { unsafe sys_mutex_lock(mutex) } }
  func unlock() { if let mutex = unsafe mutex { unsafe sys_mutex_unlock(mutex) } }
  func tryLock() -> Bool {
    guard let mutex = unsafe mutex else { return false }
    return unsafe sys_mutex_try(mutex) != 0
  }
}

@safe struct Condition: ~Copyable, @unchecked Sendable {
  private let condition: UnsafeMutablePointer<sys_condition>?

  init() {
    unsafe condition = allocateZeroed(bytes: MemoryLayout<sys_condition>.size)?
      .bindMemory(to: sys_condition.self, capacity: 1)
    if let condition = unsafe condition { _ = unsafe sys_condition_make(condition) }
  }

  deinit {
    guard let condition = unsafe condition else { return }
    unsafe sys_condition_end(condition)
    unsafe deallocate(UnsafeMutableRawPointer(condition))
  }

  var isUsable: Bool { unsafe condition != nil }

  func wakeAll() {
    if let condition = unsafe condition { unsafe sys_condition_broadcast(condition) }
  }

  /// Waits with the lock given up; until a time in microseconds, or -1 for ever.
  func wait(_ lock: borrowing Lock, until time: Int64) {
    guard let condition = unsafe condition, let mutex = unsafe lock.mutex else { return }
    unsafe sys_condition_wait(condition, mutex, time)
  }
}
