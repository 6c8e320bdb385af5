// Starting, stopping and the end of a server.
//
// Stopping is asked for by mail to each worker; a worker is finished when its
// last connection is closed, and says so under the lock. Whoever then waits
// outside of a callback takes the workers down (reaps them); if the stop came
// from a callback, the next call that needs them gone does.

import Synchronization

extension Ref where Object == Server {
  // ---- start

  func start() throws(Failure) {
    o.lock.lock()
    let isStopping = o.state == .stopping
    o.lock.unlock()
    if isStopping, !isInCallback { reapIfStopped() }
    sweepRetired()
    o.lock.lock()
    defer { o.lock.unlock() }
    guard o.state == .idle, !o.isReaping else {
      throw Failure(.state, "the server has started")
    }
    // Destroyed since this call has begun: nobody would stop it.
    if o.isDying.load(ordering: .acquiring) { throw .deadHandle }
    do throws(Failure) {
      try startWorkers()
    } catch {
      abandonStart()
      throw error
    }
    o.queue.openNews(true)
    o.state = .running
  }

  /// For what starts by itself with its first use.
  func startIfIdle() throws(Failure) {
    if isRunning { return }
    do throws(Failure) {
      try start()
    } catch {
      // Another thread may have been faster.
      if error.code != .state || !isRunning { throw error }
    }
  }

  private func startWorkers() throws(Failure) {
    let wanted = o.options.workers < 0 ? Thread.processors : o.options.workers
    o.hasThreads = wanted > 0
    o.isQueued = o.hasThreads && o.options.dispatch == .tick
    o.isStopping.store(false, ordering: .relaxed)
    o.descriptorLimit.store(Descriptors.limit, ordering: .relaxed)
    o.acceptAgain.store(0, ordering: .relaxed)
    let count = max(1, Int(wanted))
    for index in 0..<count {
      let worker = try Worker.make(server: self, index: index)
      guard o.gathered.append(false), o.workers.append(worker) else {
        worker.free()
        throw .noMemory
      }
      worker.o.loop.o.readClock()
      if !o.hasThreads { try worker.o.loop.o.watchTimers() }
    }
    if !o.topics.prepare(count) { throw .noMemory }
    for index in 0..<count { try o.workers[index].takeListeners() }
    o.workersLeft = count
    guard o.hasThreads else { return }
    for index in 0..<count {
      let worker = o.workers[index]
      // The thread's own pin; it gives it back as its last act.
      guard case .held = Slots.pin(o.handle, o.slot.o.kind) else { throw .deadHandle }
      do throws(Failure) {
        worker.o.thread = try unsafe Thread.start(runWorker, worker.opaque)
      } catch {
        Slots.unpin(o.slot)
        throw error
      }
    }
  }

  /// Takes back a start that failed half way. The caller holds the lock, which is
  /// given up meanwhile: until this is over the server neither runs nor is idle.
  private func abandonStart() {
    o.isReaping = true
    o.keepsListeners = true
    o.isStopping.store(true, ordering: .releasing)
    o.workersLeft = 0
    for index in 0..<o.workers.count {
      let worker = o.workers[index]
      // Without a thread nobody is in its loop, and nobody else would.
      if worker.o.thread == nil { worker.letGoOfListeners() } else { o.workersLeft &+= 1 }
      worker.o.loop.o.mailbox.post(worker.o.stopMail)
    }
    o.lock.unlock()
    reap()
    o.lock.lock()
    o.isReaping = false
    o.keepsListeners = false
    o.changed.wakeAll()
  }

  // ---- stop

  /// Asks the workers to finish. False when the server was not running.
  func beginStop() -> Bool {
    o.lock.lock()
    let isFirst = o.state == .running
    if isFirst {
      o.state = .stopping
      o.isStopping.store(true, ordering: .releasing)
    }
    let runs = o.state == .stopping
    if isFirst {
      for index in 0..<o.workers.count {
        o.workers[index].o.loop.o.mailbox.post(o.workers[index].o.stopMail)
      }
    }
    o.lock.unlock()
    o.queue.wake()
    return runs
  }

  func stop() throws(Failure) {
    guard beginStop() else { throw Failure(.state, "the server does not run") }
    if isInCallback { return }
    waitUntilStopped()
  }

  /// Outside of callbacks: until all workers have finished and are taken down.
  /// Runs the callbacks that this needs, if nobody else ticks.
  private func waitUntilStopped() {
    Ref.sendGatheredHere()
    // What another thread takes by itself is left to it, as long as requests have; and for a
    // moment more, the news of what has ended last.
    let limit = o.options.drainTimeout &* 1000
    let moment = min(limit, 1_000_000)
    let patience = isPulledElsewhere ? Clock.now &+ limit &+ moment : 0
    var newsPatience: Int64 = 0
    while true {
      o.lock.lock()
      let isOver = o.state != .stopping
      let isReady = o.workersLeft == 0
      let isFree = !o.isTicking && !o.isReaping
      if isReady, newsPatience == 0 { newsPatience = min(patience, Clock.now &+ moment) }
      let isWaitedFor =
        !isReady || hasEvents ? Clock.now < patience : isLeftToTake && Clock.now < newsPatience
      let isLeft = isWaitedFor && !o.isDying.load(ordering: .acquiring)
      let isElsewhere = isLeft || o.isTicking || (o.hasThreads && !o.isQueued)
      if !isOver, isLeft || !isReady || !isFree, isElsewhere {
        o.changed.wait(o.lock, until: Clock.now &+ 100_000)
        o.lock.unlock()
        continue
      }
      o.lock.unlock()
      if isOver { return }
      if isReady, !hasEvents || o.isDying.load(ordering: .acquiring) {
        reapIfStopped()
        continue
      }
      do throws(Failure) {
        try whileTicking { () throws(Failure) in tickToStop(timeout: 20) }
      } catch {
        continue
      }
    }
  }

  /// Whether there is something for a host that takes events by itself.
  private var isLeftToTake: Bool { wasPulled && o.queue.hasNews }

  /// Takes the workers down if they have all finished, unless somebody does, or the host
  /// takes what is left.
  func reapIfStopped(isTaken: Bool = false) {
    o.lock.lock()
    while o.isReaping { o.changed.wait(o.lock, until: -1) }
    // Events that still wait are for the thread that ticks or takes them, unless this is the
    // end; also without threads, where they are queued only while it does.
    let isLeft = hasEvents || (isTaken && isLeftToTake)
    let isRead = !isLeft || o.isDying.load(ordering: .acquiring)
    guard o.state == .stopping, o.workersLeft == 0, !o.isTicking, isRead else {
      o.lock.unlock()
      return
    }
    o.isReaping = true
    o.lock.unlock()
    reap()
    o.lock.lock()
    o.isReaping = false
    o.state = .idle
    o.changed.wakeAll()
    o.lock.unlock()
  }

  /// All workers have finished: threads, loops and listeners go. Requests that
  /// the host still holds keep their worker's memory, until they end.
  private func reap() {
    for index in 0..<o.workers.count {
      let worker = o.workers[index]
      guard let thread = worker.o.thread else { continue }
      worker.o.thread = nil
      thread.joinOrDetach()
    }
    var isLeft = false
    repeat {
      discardEvents()
      isLeft = false
      for index in 0..<o.workers.count {
        settle(o.workers[index])
        // What the queue had no memory for.
        while let event = o.workers[index].o.batch.removeLast() { discard(event) }
        while let event = o.held.removeLast() { discard(event) }
        isLeft = isLeft || !o.workers[index].o.ownMail.isEmpty
      }
    } while isLeft || hasEvents
    dropNews()
    o.lock.lock()
    retireWorkers()
    if !o.keepsListeners {
      while let listener = o.listeners.removeLast() { listener.free() }
    }
    o.lock.unlock()
    sweepRetired()
  }

  /// One more turn on this thread, for the mail that came last.
  func settle(_ worker: Ref<Worker>) {
    let before = unsafe ThreadContext.loop
    unsafe ThreadContext.loop = unsafe worker.o.loop.opaque
    worker.o.loop.turn(timeout: 0)
    unsafe ThreadContext.loop = unsafe before
  }

  /// Events that nobody will run any more.
  private func discardEvents() {
    while let event = nextEvent() { discard(event) }
  }

  private func discard(_ event: Event) {
    switch event.kind {
    case .connected, .disconnected, .failed: unsafe Ref<Note>(opaque: event.object).free()
    case .channel: unsafe Ref<ChannelNote>(opaque: event.object).run(isHeard: false)
    case .guest: unsafe Ref<GuestEvent>(opaque: event.object).run(isHeard: false)
    default:
      let exchange = unsafe Ref<Exchange>(opaque: event.object)
      if event.kind == .request {
        take(exchange)
        exchange.handlerReturned()
      }
      if event.kind == .replied { Slots.endPrivate(exchange.o.slot) }
      if let channel = exchange.takeOpened() {
        channel.openingTold()
        channel.release()
      }
      exchange.eventDone()
    }
  }

  /// Serves on this thread until the server has stopped.
  func serve() throws(Failure) {
    if isInCallback { throw Failure(.state, "not inside a callback of this server") }
    // In a callback of another one that is ticked.
    Ref.sendGatheredHere()
    o.lock.lock()
    let isIdle = o.state == .idle
    let isDeaf = o.listeners.isEmpty
    o.lock.unlock()
    if isIdle {
      if isDeaf { throw Failure(.state, "the server has no listener") }
      try start()
    }
    while true {
      o.lock.lock()
      let isOver = o.state == .idle
      let isReady = o.state == .stopping && o.workersLeft == 0
      if !isOver, !isReady, o.hasThreads, !o.isQueued { o.changed.wait(o.lock, until: -1) }
      let mustTick = !isOver && !isReady && (!o.hasThreads || o.isQueued)
      o.lock.unlock()
      if isOver { return }
      if isReady { reapIfStopped() }
      if mustTick || (isReady && hasEvents) {
        serveOnce()
      }
      if o.isDying.load(ordering: .relaxed) { return }
    }
  }

  /// One tick; where another thread is at it, as a stop is at times, a wait for that.
  private func serveOnce() {
    do throws(Failure) {
      _ = try whileTicking { () throws(Failure) in tick(timeout: -1) }
    } catch {
      o.lock.lock()
      if o.isTicking || o.isReaping { o.changed.wait(o.lock, until: Clock.now &+ 100_000) }
      o.lock.unlock()
    }
  }

  // ---- the end

  /// Ends a server whose handle has just died. The caller holds a pin.
  func destroy() {
    o.isDying.store(true, ordering: .releasing)
    let runs = beginStop()
    // A channel keeps its server.
    endChannels()
    endGuestHandles()
    if isInCallback { return }
    if runs { waitUntilStopped() }
    // Somebody may be in a callback that a tick has called, or takes a start back.
    o.lock.lock()
    while o.isTicking || o.isReaping { o.changed.wait(o.lock, until: -1) }
    o.lock.unlock()
    // Not under the lock: contexts are dropped on the way. A ticket may have become a
    // channel since.
    endHandles()
    endChannels()
    endGuestHandles()
  }

  /// The last pin has gone: nobody is in the server any more.
  func finish() {
    o.lock.lock()
    let isRunning = o.state != .idle
    o.lock.unlock()
    if isRunning {
      if !o.hasThreads, o.workers.count > 0 { turnUntilFinished() }
      reapIfStopped()
    }
    endRetired()
    let index = o.slotIndex
    free()
    Slots.give(index)
  }

  private func turnUntilFinished() {
    while !o.workers[0].o.isFinished { settle(o.workers[0]) }
    o.workers[0].sayFinished()
  }

}

extension Ref where Object == Worker {
  /// The worker's connections are gone: the stop may go on.
  func sayFinished() {
    if o.hasSaidFinished { return }
    o.hasSaidFinished = true
    let server = o.server
    server.o.lock.lock()
    server.o.workersLeft &-= 1
    server.o.changed.wakeAll()
    server.o.lock.unlock()
    server.o.queue.wake()
  }
}

/// A worker's thread. It holds a pin of the server, so that the server outlives
/// it, and its last act is to give that back.
private func runWorker(_ object: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  guard let object = unsafe object else { return nil }
  let worker = unsafe Ref<Worker>(opaque: object)
  let slot = worker.o.server.o.slot
  Thread.shield()
  worker.run()
  worker.sayFinished()
  Slots.unpin(slot)
  return nil
}
