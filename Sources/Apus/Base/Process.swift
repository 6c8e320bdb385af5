// What the library knows of the process that it lives in: whether it is the
// child of a fork, which has none of the parent's threads, and where to send log
// messages and the report of leaks.

import CSystem
import Synchronization

enum Process {
  private static let isChild = Atomic<Bool>(false)
  private static let isPrepared: Bool = {
    _ = sys_at_fork_child { Process.isChild.store(true, ordering: .relaxed) }
    return true
  }()

  /// Whether this is the child of a fork that came after `prepare`.
  static var isForked: Bool { isChild.load(ordering: .relaxed) }

  /// Called by what makes the first object.
  static func prepare() { _ = isPrepared }

  // ---- the leak report at exit

  private static let reportDescriptor = Atomic<Int32>(-1)
  private static let isAtExit: Bool = {
    _ = sys_at_exit { Process.report() }
    return true
  }()

  static func reportLeaks(to descriptor: Int32) {
    reportDescriptor.store(descriptor, ordering: .relaxed)
    if descriptor >= 0 { _ = isAtExit }
  }

  private static func report() {
    let descriptor = reportDescriptor.load(ordering: .relaxed)
    guard descriptor >= 0, !isForked else { return }
    Slots.forEach { slot, handle in
      guard Slots.isOpen(slot) else { return }
      var line = ByteBuffer()
      line.append("apus: still alive: ")
      line.append(handle.kind?.name ?? "")
      line.append(" index ")
      line.append(decimal: Int64(handle.index))
      line.append(" generation ")
      line.append(decimal: Int64(handle.generation))
      line.append(" age ")
      line.append(decimal: (sys_monotonic_us() &- slot.o.birth) / 1000)
      line.append(" ms tag \"")
      appendTag(slot, to: &line)
      line.append("\"\n")
      if let start = unsafe line.pointer {
        _ = unsafe sys_write(descriptor, start, line.count)
      }
    }
  }

  private static func appendTag(_ slot: Ref<Slot>, to line: inout ByteBuffer) {
    guard let space = unsafe line.space(Slots.longestTag &+ 1) else { return }
    line.filled(unsafe Slots.copyTag(slot, to: space))
  }
}

typealias LogFunction =
  @convention(c) (UnsafeMutableRawPointer?, Int32, UnsafePointer<CChar>?) -> Void

/// Messages for the host's log: to a callback, and to nobody by default.
enum Log {
  enum Level: Int32 {
    case error = 0
    case warning
    case info
    case debug
  }

  private static let lock = Lock()
  private static let isSet = Atomic<Bool>(false)
  nonisolated(unsafe) private static var callback = unsafe Callback<LogFunction>.none

  /// The thread that is in the callback, or 0.
  private static let writer = Atomic<UInt>(0)

  /// False: it is the callback that calls this.
  static func set(_ new: Callback<LogFunction>) -> Bool {
    if isWriting { return false }
    lock.lock()
    let old = unsafe callback
    unsafe callback = unsafe new
    unsafe isSet.store(new.isSet, ordering: .relaxed)
    lock.unlock()
    unsafe old.end()
    return true
  }

  /// Whether this thread is in the host's function.
  static var isWriting: Bool {
    writer.load(ordering: .relaxed) == ThreadContext.identity
  }

  static func write(_ level: Level, _ text: StaticString) {
    guard isSet.load(ordering: .relaxed), !isWriting else { return }
    lock.lock()
    writer.store(ThreadContext.identity, ordering: .relaxed)
    unsafe callback.function?(callback.context, level.rawValue, Text(text).characters)
    writer.store(0, ordering: .relaxed)
    lock.unlock()
  }
}
