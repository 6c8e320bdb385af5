// What other threads want of a loop: a stack of items, pushed without a lock and
// taken all at once, and an eventfd that is written when the stack was empty.

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

/// Items to be posted together, newest first.
@safe struct MailChain {
  fileprivate var first: Ref<Mail>? = nil
  fileprivate var last: Ref<Mail>? = nil

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
    if last == nil { last = mail }
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
  private let head = Atomic<UInt>(0)
  let descriptor: Int32

  init(descriptor: Int32) { self.descriptor = descriptor }

  /// Any thread. The mail stays its owner's, who posts it once at a time.
  func post(_ mail: Ref<Mail>) { push(first: mail, last: mail) }

  func post(_ chain: MailChain) {
    if let first = chain.first, let last = chain.last { push(first: first, last: last) }
  }

  private func push(first: Ref<Mail>, last: Ref<Mail>) {
    let new = UInt(bitPattern: unsafe first.opaque)
    var old = head.load(ordering: .relaxed)
    while true {
      unsafe last.o.next = unsafe UnsafeMutableRawPointer(bitPattern: old)
      let (done, seen) = head.weakCompareExchange(
        expected: old, desired: new, ordering: .acquiringAndReleasing)
      if done { break }
      old = seen
    }
    if old == 0 { wake() }
  }

  var isEmpty: Bool { head.load(ordering: .sequentiallyConsistent) == 0 }

  func wake() { sys_event_signal(descriptor) }

  /// Waits beside the poller, up to so many milliseconds.
  func waitForMail(_ timeout: Int32) { _ = sys_wait_readable(descriptor, timeout) }

  /// The loop's thread: runs what has come, oldest first.
  func deliver() {
    let stack = head.exchange(0, ordering: .acquiringAndReleasing)
    MailChain(first: stack).deliver()
  }
}
