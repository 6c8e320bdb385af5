// What a channel gives to whoever takes events by himself. That he wants them he may say
// late: once the channel has closed there is no loop any more that would look at it.

import Synchronization

extension Ref where Object == Channel {
  /// An event is taken.
  func pulled(_ kind: Pulled.Kind, isHeard: Bool) {
    o.lock.lock()
    if kind == .message { o.isAnnounced = false }
    // A client's channel gets a new number with each connection.
    let pulled = Pulled(self, kind)
    o.lock.unlock()
    if isHeard, o.server.o.isPulling, isWanted { o.server.o.pulled = pulled }
  }

  /// Its opening was told, or nobody is to hear of it: what has ended before ends now.
  func openingTold() {
    o.lock.lock()
    let isOver = o.isUntaken && !o.isKept && o.closeEvent == .due
    o.isUntaken = false
    o.lock.unlock()
    if isOver { _ = end(o.handle) }
  }

  /// Whether events are wanted. False: there is no memory for those that are due.
  func setEvents(_ on: Bool) -> Bool {
    o.lock.lock()
    o.givesEvents.store(on, ordering: .releasing)
    if on {
      o.isKept = true
      // What has come before is told by the loop, as is room that there is since.
      notifyLoop()
    }
    let isDue = on && o.closeEvent == .due
    o.lock.unlock()
    return !isDue || giveLate()
  }

  /// The event of the close, behind what tells the listeners, where that is on its way: the
  /// loop's thread.
  func giveClosed(by worker: Ref<Worker>, isOnWay: Bool) {
    o.lock.lock()
    let isDue = o.givesEvents.load(ordering: .relaxed) && o.server.canBePulled
    let later: Channel.CloseEvent = isOnWay ? .underWay : .due
    markClosed(isDue ? .none : later)
    o.lock.unlock()
    guard isDue else { return }
    if let note = ChannelNote.make(self, .isClosed) {
      if add(note, to: worker) { return }
      note.giveBack()
    }
    locked { markClosed(later) }
  }

  /// A client's channel may have been opened anew since: nobody asks for its close then.
  /// The caller holds the lock.
  private func markClosed(_ event: Channel.CloseEvent) {
    if o.state == .closed { o.closeEvent = event }
  }

  /// The listeners have heard of the close of a run; the thread that ticks.
  func closeHeard(of run: UInt32) {
    o.lock.lock()
    let isNew = o.closeEvent == .underWay && run == o.run.load(ordering: .relaxed)
    if isNew { o.closeEvent = .due }
    let isDue = isNew && o.givesEvents.load(ordering: .relaxed)
    o.lock.unlock()
    // Without memory it is taken at once.
    if !isDue || giveLate() || !o.server.o.isPulling { return }
    locked { o.closeEvent = .none }
    pulled(.close, isHeard: true)
  }

  /// Queues what a loop would have: that messages wait, if they do, and the close. False
  /// without memory. The caller has no lock.
  private func giveLate() -> Bool {
    let server = o.server
    server.o.lock.lock()
    // Of a server that has stopped nobody takes anything.
    let isOpen = server.o.state != .idle && !server.o.isReaping && server.canBePulled
    let isGiven = !isOpen || locked { queueLate() }
    server.o.lock.unlock()
    server.newsCame()
    return isGiven
  }

  /// The caller holds the locks of the server, which runs, and the channel.
  private func queueLate() -> Bool {
    guard o.closeEvent == .due, o.givesEvents.load(ordering: .relaxed) else { return true }
    if !o.inbox.isEmpty, !o.isAnnounced { o.isAnnounced = queueLate(.hasMessage) }
    guard queueLate(.isClosed) else { return false }
    o.closeEvent = .none
    return true
  }

  private func queueLate(_ kind: ChannelNote.Kind) -> Bool {
    let run = o.run.load(ordering: .relaxed)
    guard let note = ChannelNote.make(self, kind, number: 1, run: run) else { return false }
    var events = List<Event>()
    if unsafe events.append(Event(kind: .channel, object: note.opaque)) {
      retain()
      o.server.o.queue.push(&events)
      if events.isEmpty { return true }
      // The caller has one still.
      o.references.wrappingSubtract(1, ordering: .relaxed)
    }
    note.giveBack()
    return false
  }
}

// Without threads, a call that waits does the work of a tick, maybe before the host has taken
// an event by itself. What only he would hear of waits for him then.

extension Ref where Object == Server {
  /// Such a call is under way.
  var keepsUntaken: Bool { !o.hasThreads && o.isHolding }

  /// Whether nobody answers a request but who takes it.
  func isForPull(_ exchange: Ref<Exchange>) -> Bool {
    switch exchange.o.destination {
    case .route: exchange.o.route?.o.isPulled ?? false
    case .pulled: true
    default: false
    }
  }

  /// Whether nobody hears of the channel that it has become but who takes that.
  func isOpeningForPull(_ exchange: Ref<Exchange>) -> Bool {
    guard let channels = exchange.o.route?.o.channels else { return false }
    return unsafe channels.o.listeners.onOpen.isEmpty
  }
}
