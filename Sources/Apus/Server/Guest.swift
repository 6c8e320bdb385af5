// What else may live on a server's workers: a client has its requests and connections
// there. The server knows it by functions alone.

/// What a server has of it: made at the first need, ended with the server.
@safe struct Guest {
  typealias Call = @convention(c) (UnsafeMutableRawPointer) -> Void

  nonisolated(unsafe) let object: UnsafeMutableRawPointer
  /// The server is about to be freed.
  nonisolated(unsafe) let end: Call
  /// The server is being destroyed: handles that are the guest's end.
  nonisolated(unsafe) let endHandles: Call
}

/// What a worker has of it. The loop's thread.
@safe struct WorkerGuest {
  nonisolated(unsafe) let object: UnsafeMutableRawPointer
  /// The worker takes on no more, and waits for what there is.
  nonisolated(unsafe) let stop: Guest.Call
  nonisolated(unsafe) let end: Guest.Call
}

/// An event for the thread that ticks. It stands first in whatever has it.
@safe struct GuestEvent {
  /// Runs the host's callback; false: nobody is to hear of it any more.
  nonisolated(unsafe) let run: @convention(c) (UnsafeMutableRawPointer, Bool) -> Void
}

extension Ref where Object == Server {
  /// Runs a callback that is the guest's, as one of this server's.
  @inline(__always)
  func insideGuest(_ body: () -> Void) {
    if !o.hasThreads || o.isQueued { o.callbacks &+= 1 }
    unsafe ThreadContext.inside(opaque, body)
  }

  func endGuestHandles() {
    o.lock.lock()
    let guest = o.guest
    o.lock.unlock()
    if let guest { unsafe guest.endHandles(guest.object) }
  }
}

extension Ref where Object == GuestEvent {
  func run(isHeard: Bool) { unsafe o.run(opaque, isHeard) }
}
