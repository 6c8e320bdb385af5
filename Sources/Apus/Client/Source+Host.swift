// What a source tells the host: on the loop's thread, by events on the thread that ticks,
// or to whoever takes events by himself. And what the host asks of it.

import Synchronization

@safe struct SourceNote: ~Copyable {
  enum Kind {
    case open
    case event
    case error
  }

  /// It must stand first.
  let event: GuestEvent
  let source: Ref<Source>
  let kind: Kind
  let run: UInt32
  var letter: Ref<EventLetter>? = nil
  var failure: Failure? = nil
  var status: Int32 = 0
  var again: Int32 = 0

  init(_ kind: Kind, of source: Ref<Source>) {
    event = unsafe GuestEvent(run: {
      unsafe Ref<SourceNote>(opaque: $0).deliver(isHeard: $1)
    })
    self.source = source
    self.kind = kind
    run = source.o.run
    source.retain()
    source.locked { source.o.telling &+= 1 }
  }

  deinit {
    letter?.free()
    source.doneTelling()
    source.release()
  }
}

extension Ref where Object == SourceNote {
  /// The thread that ticks.
  fileprivate func deliver(isHeard: Bool) {
    let source = o.source
    if isHeard { source.call(self) }
    if let letter = o.letter { source.o.fetch.told(letter.o.weight) }
    free()
  }
}

extension Ref where Object == Source {
  // ---- the loop's thread

  func tellOpen() {
    if unsafe o.onOpen.isSet { send(SourceNote(.open, of: self)) }
  }

  func tellError(_ failure: Failure, status: Int32, again: Int32) {
    guard unsafe o.onError.isSet else { return }
    var note = SourceNote(.error, of: self)
    note.failure = failure
    note.status = status
    note.again = again
    send(note)
  }

  func tell(_ letter: Ref<EventLetter>) {
    guard unsafe o.onEvent.isSet else { return keep(letter) }
    var note = SourceNote(.event, of: self)
    note.letter = letter
    send(note)
  }

  private func send(_ note: consuming SourceNote) {
    guard let kept = Ref<SourceNote>(make: note) else { return }
    if o.server.o.isQueued, let worker = o.home ?? o.fetch.o.worker,
      unsafe worker.o.batch.append(Event(kind: .guest, object: kept.opaque))
    {
      // What is told from a mail's end must not wait for another event.
      worker.o.loop.o.isPressed = true
      return
    }
    kept.deliver(isHeard: true)
  }

  /// For whoever takes events by himself.
  private func keep(_ letter: Ref<EventLetter>) {
    o.lock.lock()
    let isClosed = o.state == .closed
    if !isClosed {
      if let last = o.last { last.o.next = letter } else { o.first = letter }
      o.last = letter
      o.condition?.o.wakeAll()
      _ = listWaiting()
    }
    o.lock.unlock()
    if isClosed {
      let weight = letter.o.weight
      letter.free()
      o.fetch.told(weight)
    }
    o.server.lookAgain()
  }

  // ---- on the thread that calls the host

  fileprivate func call(_ note: Ref<SourceNote>) {
    guard !o.server.o.isDying.load(ordering: .relaxed), Slots.isAlive(o.handle, .source) else {
      return
    }
    // Of a source that the host has closed, or opened anew, nothing is told.
    let isStale = locked { o.run != note.o.run || (o.state == .closed && o.failure == nil) }
    if isStale { return }
    let handle = o.handle.bits
    // Set before the first opening, and not since.
    switch note.o.kind {
    case .open:
      let callback = unsafe o.onOpen
      o.server.insideGuest { unsafe callback.function?(callback.context, handle) }
    case .error:
      let callback = unsafe o.onError
      let (status, again) = (note.o.status, note.o.again)
      let failure = note.o.failure ?? Failure(.closed, "the stream has ended")
      o.server.insideGuest {
        // The sentence, since none comes with the call.
        ThreadContext.note(failure)
        unsafe callback.function?(callback.context, handle, failure.code.rawValue, status, again)
      }
    case .event:
      guard let letter = note.o.letter else { return }
      let callback = unsafe o.onEvent
      let (type, id, data) = (letter.o.type, letter.o.id, letter.o.data)
      o.server.insideGuest {
        unsafe callback.function?(
          callback.context, handle, type.characters, id.characters, data.characters, data.count)
      }
    }
  }

  // ---- any thread

  func open() throws(Failure) {
    o.lock.lock()
    if o.isRunning {
      o.lock.unlock()
      throw Failure(.state, "the source is open, or closes")
    }
    o.isRunning = true
    o.hasRun = true
    o.run &+= 1
    o.state = .connecting
    o.failure = nil
    o.retry.failures = 0
    let weight = dropKept()
    // No run is under way: these are this thread's.
    o.parser.limits = o.limits
    o.isFatal = false
    let isSet = o.parser.set(lastID: o.lastID.bytes)
    o.lock.unlock()
    if weight > 0 { o.fetch.told(weight) }
    retain()
    do throws(Failure) {
      if !isSet { throw .noMemory }
      prepareNext()
      try o.fetch.start()
      // Closed before there was anything to cancel.
      if locked({ o.isRunning && o.state == .closed }) { o.fetch.cancel() }
    } catch {
      o.lock.lock()
      o.isRunning = false
      o.state = .closed
      o.condition?.o.wakeAll()
      o.lock.unlock()
      if !o.server.o.hasThreads { o.server.endWait() }
      release()
      throw error
    }
  }

  /// What waits is not for anybody any more. The caller holds the lock.
  private func dropKept() -> Int64 {
    o.isDue = false
    o.isCloseDue = false
    var weight: Int64 = 0
    while let letter = o.first {
      o.first = letter.o.next
      weight &+= letter.o.weight
      letter.free()
    }
    o.last = nil
    return weight
  }

  func close() {
    o.lock.lock()
    o.state = .closed
    o.failure = nil
    let weight = dropKept()
    o.condition?.o.wakeAll()
    o.lock.unlock()
    if weight > 0 { o.fetch.told(weight) }
    o.fetch.cancel()
    if !o.server.o.hasThreads { o.server.endWait() }
  }

  /// Ends a wait for an event, or else the next one.
  func cancel() {
    o.lock.lock()
    o.isCancelled = true
    o.condition?.o.wakeAll()
    o.lock.unlock()
    if !o.server.o.hasThreads { o.server.endWait() }
  }

  /// Waits for an event, up to a time (-1: for ever). False when that has passed or the wait
  /// was cancelled. What it gives stands until the next call; it is used while no other
  /// thread can take one, with the lock held. The caller holds a pin.
  func next(timeout: Int32, use: (Ref<EventLetter>) -> Void) throws(Failure) -> Bool {
    let until = timeout < 0 ? Int64.max : Clock.now &+ Int64(timeout) &* 1000
    try locked { () throws(Failure) in
      if unsafe o.onEvent.isSet { throw Failure(.state, "its events go to a callback") }
      if o.isRead { throw Failure(.thread, "another thread waits for this source") }
      o.isRead = true
      o.current?.free()
      o.current = nil
    }
    defer { locked { o.isRead = false } }
    var hasTurned = o.server.o.hasThreads
    defer { if hasTurned, !o.server.o.hasThreads { o.server.leaveWait() } }
    while true {
      let left = until == .max ? Int64.max : until &- Clock.now
      let isHere = isOnLoop && o.server.o.hasThreads
      o.lock.lock()
      if isWaiting, left > 0, o.server.o.hasThreads, !isHere {
        guard prepareToWait(), let condition = o.condition else {
          o.lock.unlock()
          throw .noMemory
        }
        // What was sent on a thread that ticks may be what the server waits for.
        Ref<Server>.sendGatheredHere()
        o.fetch.locked { o.fetch.o.worker?.hurry() }
        condition.o.wait(o.lock, until: until == .max ? -1 : until)
      }
      let letter = takeKept()
      if let letter { use(letter) }
      let failure = o.failure
      let isClosed = o.state == .closed
      let isCancelled = o.isCancelled
      if letter == nil { o.isCancelled = false }
      if letter == nil, isClosed { o.isCloseDue = false }
      // One at a time: there is more to take.
      let isListed = listWaiting()
      o.lock.unlock()
      if isListed { o.server.newsCame() }
      if let letter {
        o.fetch.told(letter.o.weight)
        return true
      }
      if isClosed { throw failure ?? Failure(.closed, "the source is closed") }
      // Its threads may have been started meanwhile.
      hasTurned = hasTurned || o.server.o.hasThreads
      if isCancelled || (left <= 0 && hasTurned) { return false }
      if isHere { throw Failure(.state, "not on the thread that would bring the event") }
      if !o.server.o.hasThreads {
        hasTurned = true
        do throws(Failure) {
          try turn(max(left, 0))
        } catch {
          // Inside a callback, say: then nothing more has come.
          if left <= 0 { return false }
          throw error
        }
      }
    }
  }

  /// The caller holds the lock.
  private func takeKept() -> Ref<EventLetter>? {
    guard let letter = o.first else { return nil }
    o.first = letter.o.next
    if o.first == nil { o.last = nil }
    o.current = letter
    return letter
  }

  private var isOnLoop: Bool {
    guard let loop = unsafe ThreadContext.loop else { return false }
    return o.fetch.locked { unsafe o.fetch.o.worker?.o.loop.opaque == loop }
  }

  /// The caller holds the lock.
  private func prepareToWait() -> Bool {
    if o.condition == nil { o.condition = Ref<Condition>(make: Condition()) }
    return o.condition?.o.isUsable ?? false
  }

  /// Without threads whoever waits does the I/O.
  private func turn(_ left: Int64) throws(Failure) {
    try o.server.tick(for: left) {
      locked { isWaiting }
    } pause: { (until) throws(Failure) in
      o.lock.lock()
      defer { o.lock.unlock() }
      guard prepareToWait(), let condition = o.condition else { throw .noMemory }
      if isWaiting { condition.o.wait(o.lock, until: until) }
    }
  }

  /// For an event. The caller holds the lock.
  private var isWaiting: Bool { o.first == nil && o.state != .closed && !o.isCancelled }
}

// ---- for who takes events by himself

extension Ref where Object == Source {
  /// The same of its events. The caller holds the lock.
  func setEvents(_ on: Bool) throws(Failure) {
    try unsafe o.teller.set(on, opaque) {
      unsafe Ref<Source>(opaque: $0).tellNews(isHeard: $1)
    }
  }

  /// Nobody hears of it any more. The handle has a reference still.
  func silence() {
    if locked({ o.server.silence(&o.teller) }) { release() }
  }

  /// Whether somebody should call `next`: the caller holds the lock, and a reference. True
  /// where it was listed.
  func listWaiting() -> Bool {
    o.isDue = o.first != nil || o.isCloseDue
    return o.isDue && o.telling == 0 && o.server.list(o.teller, keeping: o.references)
  }

  /// Something was told to a callback: what comes behind it may be due.
  fileprivate func doneTelling() {
    o.lock.lock()
    o.telling &-= 1
    let isListed = listWaiting()
    o.lock.unlock()
    if isListed { o.server.newsCame() }
  }

  private func tellNews(isHeard: Bool) {
    let isDue = locked {
      let isDue = o.isDue && o.teller.isOn
      o.isDue = false
      return isDue
    }
    if isHeard, isDue { o.server.pull(.source, o.handle, .source) }
    release()
  }
}
