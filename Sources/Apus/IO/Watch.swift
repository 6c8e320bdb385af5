// A descriptor on a loop whose owner hears that it is ready, and nothing else: for a
// socket that is not connected yet, and so not the matter of a Stream.

import CSystem

@safe struct Watch: ~Copyable {
  /// Takes the owner and the watch.
  typealias Run = @convention(c) (UnsafeMutableRawPointer, UnsafeMutableRawPointer) -> Void

  let descriptor: Int32
  let loop: Ref<Loop>
  /// The owner's own.
  let number: Int
  nonisolated(unsafe) private let owner: UnsafeMutableRawPointer
  nonisolated(unsafe) private let run: Run
  fileprivate var isEnded = false
  fileprivate var isWatched = false
  var nextEnded: Ref<Watch>? = nil

  init(
    descriptor: Int32, loop: Ref<Loop>, number: Int, owner: UnsafeMutableRawPointer, run: Run
  ) {
    self.descriptor = descriptor
    self.loop = loop
    self.number = number
    unsafe self.owner = unsafe owner
    unsafe self.run = unsafe run
  }
}

extension Ref where Object == Watch {
  /// Until the descriptor can be written to, or has failed; false when the kernel refuses.
  func start() -> Bool {
    o.isWatched = o.loop.watch(self, events: SYS_POLL_OUT)
    return o.isWatched
  }

  func handle() { if !o.isEnded { unsafe o.tell(opaque) } }

  /// No more of it; the descriptor stays open where it goes on elsewhere. It is freed
  /// when the loop's turn ends.
  func end(closes: Bool) {
    if o.isEnded { return }
    o.isEnded = true
    // Also where it is closed: another process may have it.
    if o.isWatched { o.loop.unwatch(self) }
    if closes {
      let system = o.loop.o.system
      unsafe system.end(system.context, o.descriptor, 1)
    }
    o.loop.addEnded(self)
  }
}

extension Watch {
  fileprivate func tell(_ itself: UnsafeMutableRawPointer) { unsafe run(owner, itself) }
}
