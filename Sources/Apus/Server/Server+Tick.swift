// The thread that ticks: it takes the queued events and calls the host, or,
// without workers, turns the one loop itself.

import Synchronization

extension Ref where Object == Server {
  private var worker: Ref<Worker>? { o.workers.count > 0 ? o.workers[0] : nil }

  /// Does something as the thread that ticks: one at a time, and not from inside
  /// a callback. This thread counts as the server's own until then.
  func whileTicking<Result>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    if isInCallback { throw Failure(.state, "not inside a callback of this server") }
    // In a callback of another one that is ticked.
    Ref.sendGatheredHere()
    o.lock.lock()
    let isIdle = o.state == .idle || o.isReaping
    let isTaken = o.isTicking
    if !isIdle, !isTaken { o.isTicking = true }
    o.lock.unlock()
    if isIdle { throw Failure(.state, "the server does not run") }
    if isTaken { throw Failure(.thread, "another thread ticks this server") }
    defer {
      o.lock.lock()
      o.isTicking = false
      o.changed.wakeAll()
      o.lock.unlock()
    }
    return try unsafe ThreadContext.inside(opaque, isTick: true) { () throws(Failure) in
      defer { sendGathered() }
      return try body()
    }
  }

  /// Does the work that brings what this thread waits for, up to a time in microseconds.
  /// Whoever calls this calls `leaveWait` once it waits no more.
  /// While another thread does it, that one may have brought it already, and have taken
  /// the wake-up that was meant for this one: so whether it still waits is asked for once
  /// nobody else is at it. Until then `pause` waits for that thread, up to a point in time.
  func tick(
    for left: Int64, while isWaiting: () -> Bool, pause: (_ until: Int64) throws(Failure) -> Void
  ) throws(Failure) {
    let milliseconds = (left == .max ? Int64.max : left &+ 999) / 1000
    let timeout = Int32(truncatingIfNeeded: min(milliseconds, 3_600_000))
    do throws(Failure) {
      try whileTicking { () throws(Failure) in
        _ = o.mustLook.exchange(false, ordering: .acquiringAndReleasing)
        if !isWaiting() { return }
        if wasPulled { bring(timeout: timeout) } else { stepHolding(timeout: timeout) }
      }
    } catch {
      // Another thread wakes this one, unless it stops to.
      if error.code == .thread { return try pause(Clock.now &+ min(left, 20_000)) }
      // It may also have brought the end of the server, and with it what ends the wait.
      if isWaiting() { throw error }
    }
  }

  /// The same where the host takes events by itself: those are left to its next call, in
  /// their order. What stands for no event, such as the callbacks of a fetch, is told.
  private func bring(timeout: Int32) {
    let until = Clock.now &+ Int64(timeout) &* 1000
    while !runGuests(), !hasStopped, !o.mustLook.load(ordering: .relaxed) {
      let left = max(0, until &- Clock.now)
      sendGathered()
      let wait = Int32(truncatingIfNeeded: (left &+ 999) / 1000)
      if !o.hasThreads {
        // Also where there is no time to wait: nobody else does the I/O.
        o.isQueued = true
        turn(wait)
        o.isQueued = false
        _ = runGuests()
        break
      }
      if left == 0 || o.isDying.load(ordering: .relaxed) { break }
      if !o.queue.descriptor.wait(wait) { wasInterrupted() }
    }
  }

  /// After a wait that did the work here: whoever watches the descriptor comes for what is
  /// left, be it the host's own wake-up. Not between its turns, which that would end.
  func leaveWait() {
    let isLeft = hasEvents || o.queue.hasNews || o.isWoken.load(ordering: .relaxed)
    if isLeft { if o.hasThreads { o.queue.wake() } else { newsCame() } }
  }

  /// Runs the guests' events among those that wait; false where there were none.
  private func runGuests() -> Bool {
    var others = List<Event>()
    var hasRun = false
    repeat {
      while o.tickIndex < o.tickEvents.count {
        let event = o.tickEvents[o.tickIndex]
        o.tickIndex &+= 1
        // Without memory to keep it, it is told as a tick would.
        if event.kind != .guest, others.append(event) { continue }
        o.queue.count.wrappingSubtract(1, ordering: .relaxed)
        run(event)
        hasRun = true
      }
      o.tickIndex = 0
      o.tickEvents.removeAll()
      o.queue.take(&o.tickEvents)
    } while !o.tickEvents.isEmpty
    swap(&o.tickEvents, &others)
    return hasRun
  }

  /// Without threads: whoever does the work for something else that it waits for looks
  /// whether that has come.
  func lookAgain() { if !o.hasThreads { o.mustLook.store(true, ordering: .releasing) } }

  /// The same from any thread, and with threads too. A wake-up of the host's is for its
  /// own tick: no wait takes that away.
  func endWait() {
    o.mustLook.store(true, ordering: .releasing)
    wakeThread()
  }

  /// Runs callbacks; returns how many. The caller is the thread that ticks.
  func tick(timeout: Int32) -> Int32 {
    step(timeout: timeout)
    if isPulledElsewhere { leaveWait() }
    return o.callbacks
  }

  /// The same while this thread stops the server: a wake-up stays for the host's own tick.
  func tickToStop(timeout: Int32) {
    step(timeout: timeout, isHosts: false)
    if isPulledElsewhere { leaveWait() }
  }

  /// The same, and leaves to whoever may take events by himself what is for him alone.
  private func stepHolding(timeout: Int32) {
    o.isHolding = true
    step(timeout: timeout)
    o.isHolding = false
    if !o.held.isEmpty { o.queue.push(&o.held) }
  }

  private func step(timeout: Int32, isHosts: Bool = true) {
    o.callbacks = 0
    step(timeout: timeout, isHosts: isHosts) { $0.o.callbacks > 0 }
    tellTick()
  }

  /// Goes on until there is what was wanted, the time has come, the server was
  /// woken, or it has stopped.
  private func step(timeout: Int32, isHosts: Bool, _ isEnough: (Ref<Server>) -> Bool) {
    let until = timeout < 0 ? Int64.max : Clock.now &+ Int64(timeout) &* 1000
    var isFirst = true
    while true {
      while !isEnough(self), let event = nextEvent() { run(event) }
      if o.isPulling { pullNews() }
      if isEnough(self) { return finishBatch() }
      let left = until == .max ? -1 : max(0, until &- Clock.now)
      if hasStopped { return runRest() }
      if o.isHolding {
        if o.mustLook.load(ordering: .relaxed) { return }
      } else if isHosts, o.isWoken.exchange(false, ordering: .relaxed) {
        return
      }
      if !isFirst, left == 0 || o.isDying.load(ordering: .relaxed) { return }
      let wait = left < 0 ? -1 : Int32(truncatingIfNeeded: min((left &+ 999) / 1000, 3_600_000))
      sendGathered()
      if o.hasThreads {
        if !o.queue.descriptor.wait(wait) { wasInterrupted() }
      } else {
        turn(wait)
      }
      isFirst = false
    }
  }

  /// The workers say that they have finished after their last events.
  private func runRest() {
    while o.pulled == nil, let event = nextEvent() { run(event) }
    if o.isPulling { pullNews() }
  }

  /// The host takes events by itself.
  var wasPulled: Bool { o.puller.load(ordering: .relaxed) != 0 }

  /// It is another thread than this that does so.
  var isPulledElsewhere: Bool {
    let puller = o.puller.load(ordering: .relaxed)
    return puller != 0 && puller != ThreadContext.identity
  }

  /// Whether events wait.
  var hasEvents: Bool { o.queue.count.load(ordering: .acquiring) > 0 }

  /// What has come in the meantime is run too, when it is not a pull.
  private func finishBatch() {
    if o.pulled != nil { return }
    while let event = nextEvent() { run(event) }
  }

  /// A signal came to this thread: its host may want to act on that.
  private func wasInterrupted() { o.isWoken.store(true, ordering: .relaxed) }

  private var hasStopped: Bool {
    if !o.hasThreads { return worker?.o.isFinished ?? true }
    o.lock.lock()
    defer { o.lock.unlock() }
    return o.state == .stopping && o.workersLeft == 0
  }

  /// Without threads: one turn of the loop, on this thread.
  private func turn(_ wait: Int32) {
    guard let worker else { return }
    let before = unsafe ThreadContext.loop
    unsafe ThreadContext.loop = unsafe worker.o.loop.opaque
    let patience = worker.patience
    let limit = patience < 0 || (wait >= 0 && wait < patience) ? wait : patience
    if worker.o.loop.turn(timeout: limit) < 0 { wasInterrupted() }
    // What the last turn ended is told and buried in one more, as on a thread.
    if worker.o.isFinished, !worker.o.hasSaidFinished { worker.o.loop.turn(timeout: 0) }
    unsafe ThreadContext.loop = unsafe before
    if worker.o.isFinished { worker.sayFinished() }
  }

  func nextEvent() -> Event? {
    if o.tickIndex >= o.tickEvents.count {
      o.tickIndex = 0
      o.tickEvents.removeAll()
      sendGathered()
      o.queue.take(&o.tickEvents)
      if o.tickEvents.isEmpty { return nil }
    }
    let event = o.tickEvents[o.tickIndex]
    o.tickIndex &+= 1
    o.queue.count.wrappingSubtract(1, ordering: .relaxed)
    return event
  }

  private func run(_ event: Event) {
    switch event.kind {
    case .connected, .disconnected, .failed:
      tell(event.kind, unsafe Ref<Note>(opaque: event.object))
      return
    case .channel:
      let note = unsafe Ref<ChannelNote>(opaque: event.object)
      if o.isHolding, note.isForPull, o.held.append(event) { return }
      note.run(isHeard: true)
      return
    case .guest:
      unsafe Ref<GuestEvent>(opaque: event.object).run(isHeard: true)
      return
    default: break
    }
    let exchange = unsafe Ref<Exchange>(opaque: event.object)
    switch event.kind {
    case .request:
      if o.isHolding, isForPull(exchange), o.held.append(event) { return }
      take(exchange)
      if o.isPulling, pull(exchange) { return }
      if !o.isPulling { if isMissed(exchange) { refuseMissed(exchange) } else { run(exchange) } }
      exchange.handlerReturned()
    case .upgraded:
      if o.isHolding, isOpeningForPull(exchange), o.held.append(event) { return }
      open(exchange)
    case .body: deliverBody(exchange)
    case .replied:
      tellReplied(exchange)
      Slots.endPrivate(exchange.o.slot)
    case .writerDrained:
      exchange.o.lock.lock()
      exchange.o.writer.isDrainQueued = false
      exchange.o.lock.unlock()
      call(.drain, exchange)
      exchange.locked { exchange.list(isEnd: false) }
    case .writerMissed: callMissed(exchange)
    default:
      call(.close, exchange)
      exchange.locked {
        exchange.o.writer.isClosePending = false
        exchange.list(isEnd: true)
      }
    }
    exchange.eventDone()
  }

  private func open(_ exchange: Ref<Exchange>) {
    guard let channel = exchange.takeOpened() else { return }
    tellOpened(exchange, channel)
    channel.release()
  }

  /// It counts no longer against the limit of pending bytes.
  func take(_ exchange: Ref<Exchange>) {
    o.queue.bytes.wrappingSubtract(Int64(exchange.o.body.count), ordering: .relaxed)
  }

  private func deliverBody(_ exchange: Ref<Exchange>) {
    var piece = ByteBuffer()
    exchange.o.lock.lock()
    swap(&piece, &exchange.o.incoming)
    exchange.o.isBodyQueued = false
    let last = exchange.o.incomingEnd
    let callback = unsafe exchange.o.bodyCallback
    exchange.o.lock.unlock()
    // A body that was cut ends without bytes, after what had come of it.
    if last < 0, !piece.isEmpty {
      unsafe call(callback, exchange, piece.bytes, last: 0)
      piece.clear()
    }
    unsafe call(callback, exchange, piece.bytes, last: last)
  }

  // ---- pull

  /// Takes the next request; nil when time has passed. The caller is the thread
  /// that ticks.
  func next(timeout: Int32) -> Pulled? {
    o.isPulling = true
    o.puller.store(ThreadContext.identity, ordering: .relaxed)
    if !o.hasThreads { o.isQueued = true }
    if o.prefersNews { pullNews() }
    o.prefersNews.toggle()
    step(timeout: timeout, isHosts: true) { $0.o.pulled != nil }
    o.isPulling = false
    if !o.hasThreads { o.isQueued = false }
    let pulled = o.pulled
    o.pulled = nil
    return pulled
  }

  /// Whether it is for a host that takes requests by itself, and has stopped to.
  private func isMissed(_ exchange: Ref<Exchange>) -> Bool { wasPulled && isForPull(exchange) }

  private func refuseMissed(_ exchange: Ref<Exchange>) {
    if !o.isDying.load(ordering: .relaxed), exchange.o.isHeard || hear(exchange) {
      exchange.completeOrBreak(503)
    }
  }

  /// Hands a request over, unless a listener or the router has answered it.
  private func pull(_ exchange: Ref<Exchange>) -> Bool {
    guard !o.isDying.load(ordering: .relaxed), exchange.o.isHeard || hear(exchange) else {
      return false
    }
    switch exchange.o.destination {
    case .route where exchange.o.route?.o.isHandled ?? false:
      handle(exchange)
    case .route, .pulled:
      exchange.o.isPulled = true
      exchange.keep()
      o.pulled = Pulled(exchange)
      exchange.handlerReturned()
      exchange.eventDone()
      return true
    default:
      handle(exchange)
    }
    return false
  }

  // ---- replies of this tick

  /// Whether a worker need not be woken for what this thread posts before the end of the
  /// batch: it is the one that ticks.
  func gathers(for worker: Ref<Worker>) -> Bool {
    guard unsafe ThreadContext.isTicking(opaque), unsafe ThreadContext.loop == nil else {
      return false
    }
    // A worker that has stopped has left its number to another.
    let index = worker.o.index
    guard index < o.gathered.count, index < o.workers.count, o.workers[index] == worker else {
      return false
    }
    o.gathered[index] = true
    return true
  }

  /// Before this thread waits: what it has kept for the end of a tick, of whatever server,
  /// may be what somebody must have before what is waited for can come.
  static func sendGatheredHere() {
    guard let server = unsafe ThreadContext.ticking else { return }
    unsafe Ref(opaque: server).sendGathered()
  }

  func sendGathered() {
    var index = 0
    while index < o.gathered.count {
      if o.gathered[index], index < o.workers.count {
        o.gathered[index] = false
        o.workers[index].o.loop.o.mailbox.hurry()
      }
      index &+= 1
    }
  }
}
