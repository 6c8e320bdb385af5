// Who holds an exchange, who may look at it, and its way back to the pool.

import Synchronization

extension Ref where Object == Exchange {
  /// Whose it is, as its loop's thread may ask.
  enum Reach {
    /// The loop's alone.
    case own
    /// Whoever has the lock.
    case shared
    /// The thread that ticks has it.
    case away
  }

  /// What is given back was shared before, if it was: so this is asked first.
  @inline(__always)
  var reach: Reach {
    let isAway = o.isAway.load(ordering: .acquiring)
    if o.isShared { return .shared }
    return isAway ? .away : .own
  }

  /// Runs with the lock held, if the exchange is shared.
  @inline(__always)
  func locked<Result, Thrown: Error>(_ body: () throws(Thrown) -> Result) throws(Thrown)
    -> Result
  {
    guard o.isShared else { return try body() }
    o.lock.lock()
    defer { o.lock.unlock() }
    return try body()
  }

  /// Runs with what the server was set up with as it is. That cannot change as long as
  /// the connection is there, which the exchange's lock keeps; a request that was kept
  /// outlives a stop.
  func withSettings<Result: ~Copyable, Thrown: Error>(
    of server: Ref<Server>, _ body: () throws(Thrown) -> Result
  ) throws(Thrown) -> Result {
    guard o.isShared, o.hasLeft else { return try body() }
    server.o.lock.lock()
    defer { server.o.lock.unlock() }
    return try body()
  }

  /// Lets go of it, and tells the loop if nobody is left.
  func release(_ hold: Holds) {
    guard let worker = o.worker, let mail = o.mail else { return }
    // With the hold goes what keeps the worker, and a drop in there may end the
    // server: both stay until this thread is out of them.
    let server = worker.o.server.o.slot
    Slots.hold(server)
    worker.o.visitors.wrappingAdd(1, ordering: .relaxed)
    o.lock.lock()
    o.holds.remove(hold)
    // Before the loop can see the hold gone: it waits for mail that is posted.
    postLocked(mail, to: worker)
    o.lock.unlock()
    worker.settleRetired()
    worker.o.visitors.wrappingSubtract(1, ordering: .releasing)
    Slots.unpin(server)
  }

  /// The caller holds the lock: whoever has it next and finds the mail posted must find it
  /// in the mailbox, too, to hurry it.
  private func postLocked(_ mail: Ref<Mail>, to worker: Ref<Worker>) {
    let isFirst = !o.isPosted.exchange(true, ordering: .sequentiallyConsistent)
    if isFirst { worker.post(mail) } else { worker.hurry() }
  }

  /// Has the loop look at it: there is output, or an end. Any thread.
  func notifyLoop() {
    guard let worker = o.worker, let mail = o.mail else { return }
    if o.isPosted.exchange(true, ordering: .acquiringAndReleasing) { return worker.hurry() }
    worker.post(mail)
  }

  /// On the loop's thread: what was the news?
  func mailed() {
    o.isPosted.store(false, ordering: .sequentiallyConsistent)
    if !o.owed.isEmpty { o.worker?.enqueueOwed(self) }
    if o.isDispatched, reach != .away { dropUnusedForm() }
    // Where the pump is done with it, it has let it go already.
    if let connection = o.connection, !o.isPopped { return connection.pump() }
    recycleIfFree()
  }

  /// Who listens to replies may look at their requests.
  private var isReplyHeard: Bool { o.worker?.o.server.o.hasReplyListeners ?? false }

  /// A form goes, and its file, once nobody can ask for it, however long the reply goes on.
  private func dropUnusedForm() {
    locked {
      guard o.form != nil, o.queued == 0, !isReplyHeard else { return }
      if o.holds.isDisjoint(with: [.handler, .request, .upgrade]) { dropForm() }
    }
  }

  /// On the loop's thread: back to the pool, once nobody holds it.
  func recycleIfFree() {
    guard o.isPopped, let worker = o.worker else { return }
    let reach = reach
    if reach == .shared {
      endTopics()
      o.lock.lock()
      let isUntold = o.writer.handle.bits != 0 && !o.writer.isCloseQueued
      // Whoever takes events by himself has come later than its end.
      if o.writer.isCloseQueued { list(isEnd: true) }
      let isBodyOpen = unsafe o.bodyCallback.isSet && o.incomingEnd == 0
      o.lock.unlock()
      // What was made after the connection had gone has not heard of that.
      if isUntold { worker.writerClosed(self) }
      if isBodyOpen { worker.deliver(self, Bytes(), last: -1) }
      endIfDetached()
      o.lock.lock()
      dropParcels()
      let isFree = o.holds.isEmpty && o.queued == 0
      o.lock.unlock()
      guard isFree else { return }
    } else if reach == .away || !(o.holds.isEmpty || holdsFilesAlone()) {
      return
    } else if worker.o.server.o.isQueued {
      // The thread that ticked posts under the lock: it must be out of there.
      o.lock.lock()
      o.lock.unlock()
    }
    // Mail that is still under way would find another request here.
    if o.isPosted.load(ordering: .sequentiallyConsistent) { return }
    if reach == .shared, worker.setAside(self) { return }
    let connection = o.connection
    Slots.endPrivate(o.slot)
    reset()
    worker.give(self)
    connection?.exchangeLeft()
  }

  /// Keeps the request for any thread. The thread that it belongs to calls this.
  func keep() {
    o.holds.insert(.request)
    o.isDeferred = true
    o.shared.store(true, ordering: .releasing)
    Slots.open(o.slot)
  }

  /// Makes a handle by which other threads may have it, one more of them or the first.
  /// Somebody may find the handle before its maker knows it (`apus_live_next()`), and
  /// then finds the lock held.
  func share(_ make: (Ref<Exchange>) -> Handle) -> Handle {
    if o.isShared { return make(self) }
    o.lock.lock()
    defer { o.lock.unlock() }
    o.shared.store(true, ordering: .releasing)
    return make(self)
  }

  /// Nobody has replied, and nobody will.
  @inline(never)
  func completeUnanswered() { completeOrBreak(o.isFileMissing ? 404 : 500) }

  /// The handler has returned, on the thread that ran it: a request that was
  /// neither replied to nor kept gets 500, or 404 where a file was missing.
  func handlerReturned() {
    let isShared = o.isShared
    if isShared { o.lock.lock() }
    o.holds.remove(.handler)
    if !o.isReplied, o.holds.isEmpty { completeUnanswered() }
    // A writer outlives the request's handle, unless that was deferred.
    if isShared, !o.isDeferred { Slots.endPrivate(o.slot) }
    if o.hasExtras, !o.isDeferred, !isReplyHeard { dropForm() }
    if isShared { o.lock.unlock() }
  }

  /// An event that named it is done: the loop may have it back.
  func eventDone() {
    guard let worker = o.worker, let mail = o.mail else { return }
    // Under the lock, also of one that nobody shares: once the loop sees that it is
    // not away it must see the mail that is to come, too.
    o.lock.lock()
    o.queued &-= 1
    o.isAway.store(false, ordering: .releasing)
    postLocked(mail, to: worker)
    o.lock.unlock()
  }

  /// A parsed request has no worker: its memory and its slot go at once.
  func freeParsed() {
    let index = o.slotIndex
    free()
    Slots.give(index)
  }

  /// Ends the handle of a deferred request; true for the one caller that did. The
  /// caller holds the lock: through a pin, whose end then ends the hold, or inside
  /// the handler, which is itself a hold.
  func endDeferredLocked() -> Bool {
    let (ended, pinned) = Slots.end(o.slot, o.handle)
    if ended, !pinned { o.holds.remove(.request) }
    if ended { notifyLoop() }
    return ended
  }
}

/// The last pin of a deferred request's handle has gone: the caller's hold ends.
func exchangeUnpinned(_ object: UnsafeMutableRawPointer) {
  let exchange = unsafe Ref<Exchange>(opaque: object)
  if exchange.o.worker == nil {
    exchange.freeParsed()
  } else {
    exchange.release(.request)
  }
}
