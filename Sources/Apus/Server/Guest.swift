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

/// News of something of the guest's, for who takes events by himself.
@safe struct GuestNews: ~Copyable {
  /// It must stand first.
  let event = unsafe GuestEvent(run: {
    unsafe Ref<GuestNews>(opaque: $0).deliver(isHeard: $1)
  })
  let server: Ref<Server>
  let kind: Pulled.Kind
  let handle: Handle
  let object: Kind
}

extension Ref where Object == GuestNews {
  /// The thread that ticks.
  fileprivate func deliver(isHeard: Bool) {
    if isHeard { o.server.pull(o.kind, o.handle, o.object) }
    free()
  }
}

extension Ref where Object == Worker {
  /// Has them be told by an event. False without memory. The loop's thread.
  func give(_ kind: Pulled.Kind, _ handle: Handle, _ object: Kind) -> Bool {
    guard o.server.canBePulled else { return true }
    let news = Ref<GuestNews>(
      make: GuestNews(server: o.server, kind: kind, handle: handle, object: object))
    guard let news else { return false }
    guard unsafe o.batch.append(Event(kind: .guest, object: news.opaque)) else {
      news.free()
      return false
    }
    // What is told from a mail's end must not wait for another event.
    o.loop.o.isPressed = true
    return true
  }
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
