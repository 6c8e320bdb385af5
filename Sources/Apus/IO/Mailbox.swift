// What other threads want of a loop: a stack of items, pushed without a lock and
// taken all at once, and an eventfd that is written once until it is taken.

import CSystem
import Synchronization

@safe struct Mail: ~Copyable {
  nonisolated(unsafe) fileprivate var next: UnsafeMutableRawPointer? = nil
  /// Runs on the loop's thread.
  nonisolated(unsafe) var run: @convention(c) (UnsafeMutableRawPointer) -> Void
  nonisolated(unsafe) var object: UnsafeMutableRawPointer

  init(
    _ object: UnsafeMutableRawPointer, _ run: @convention(c) (UnsafeMutableRawPointer) -> Void
  ) {
    unsafe self.object = unsafe object
    unsafe self.run = unsafe run
  }
}

/// Items to be run together, newest first.
@safe struct MailChain {
  fileprivate var first: Ref<Mail>? = nil

  init() {}

  fileprivate init(first: UInt) {
    self.first = unsafe UnsafeMutableRawPointer(bitPattern: first).map {
      unsafe Ref<Mail>(opaque: $0)
    }
  }

  var isEmpty: Bool { first == nil }

  mutating func add(_ mail: Ref<Mail>) {
    unsafe mail.o.next = unsafe first?.opaque
    first = mail
  }
}

extension MailChain {
  /// Runs what has come, oldest first.
  consuming func deliver() {
    var stack = first
    var queue: Ref<Mail>? = nil
    while let mail = stack {
      stack = unsafe mail.o.next.map { unsafe Ref<Mail>(opaque: $0) }
      unsafe mail.o.next = unsafe queue?.opaque
      queue = mail
    }
    while let mail = queue {
      queue = unsafe mail.o.next.map { unsafe Ref<Mail>(opaque: $0) }
      unsafe mail.o.next = nil
      let run = unsafe mail.o.run
      unsafe run(mail.o.object)
    }
  }
}

struct Mailbox: ~Copyable {
  /// The newest item's address, and in its lowest bit whether the eventfd has been written.
  private let head = Atomic<UInt>(0)
  let descriptor: Int32

  init(descriptor: Int32) { self.descriptor = descriptor }

  private static var isTold: UInt { 1 }

  /// Any thread. The mail stays its owner's, who posts it once at a time. Quietly: the loop
  /// need not be woken for it yet, and the caller calls `hurry` later.
  func post(_ mail: Ref<Mail>, quietly: Bool = false) {
    let new = UInt(bitPattern: unsafe mail.opaque)
    var old = head.load(ordering: .relaxed)
    while true {
      unsafe mail.o.next = unsafe UnsafeMutableRawPointer(bitPattern: old & ~Mailbox.isTold)
      let told = quietly ? old & Mailbox.isTold : Mailbox.isTold
      let (done, seen) = head.weakCompareExchange(
        expected: old, desired: new | told, ordering: .acquiringAndReleasing)
      if done { break }
      old = seen
    }
    if !quietly, old & Mailbox.isTold == 0 { wake() }
  }

  /// Whether there is mail of which the loop has not been told.
  var isHeldBack: Bool {
    let old = head.load(ordering: .acquiring)
    return old != 0 && old & Mailbox.isTold == 0
  }

  /// Has the loop take what was posted quietly, too. Any thread.
  func hurry() {
    guard isHeldBack else { return }
    let (old, _) = head.bitwiseOr(Mailbox.isTold, ordering: .acquiringAndReleasing)
    if old & Mailbox.isTold == 0 { wake() }
  }

  var isEmpty: Bool {
    head.load(ordering: .sequentiallyConsistent) & ~Mailbox.isTold == 0
  }

  func wake() { sys_event_signal(descriptor) }

  /// Waits beside the poller, up to so many milliseconds.
  func waitForMail(_ timeout: Int32) { _ = sys_wait_readable(descriptor, timeout) }

  /// The loop's thread: runs what has come, oldest first.
  func deliver() {
    let stack = head.exchange(0, ordering: .acquiringAndReleasing)
    MailChain(first: stack & ~Mailbox.isTold).deliver()
  }
}
