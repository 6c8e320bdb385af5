// What a worker tells the host: on its own thread, or through the queue to the
// thread that ticks.

import Synchronization

extension Ref where Object == Worker {
  /// A request is in, or at least its head: off to its handler.
  @inline(__always)
  func dispatch(_ exchange: Ref<Exchange>) {
    exchange.o.isDispatched = true
    exchange.o.holds.insert(.handler)
    let server = o.server
    if server.o.isQueued, unsafe !server.o.onReceive.isEmpty || exchange.o.destination.isForHost {
      return queue(exchange)
    }
    if server.keepsUntaken, server.isForPull(exchange) { return keep(exchange) }
    server.run(exchange)
    handled(exchange)
  }

  /// It waits for a host that has not begun to take requests, unless a listener answers it.
  @inline(never)
  private func keep(_ exchange: Ref<Exchange>) {
    guard o.server.hear(exchange) else { return handled(exchange) }
    exchange.o.isHeard = true
    queue(exchange, behind: o.server.o.held.count)
  }

  /// Off to the thread that ticks.
  @inline(never)
  private func queue(_ exchange: Ref<Exchange>, behind held: Int = 0) {
    let size = exchange.o.body.count
    if o.server.o.queue.hasRoom(for: size, behind: o.batch.count &+ held, o.server),
      enqueue(.request, exchange)
    {
      o.server.o.queue.bytes.wrappingAdd(Int64(size), ordering: .relaxed)
      return
    }
    o.counters.add(.refusedBusy)
    exchange.completeOrBreak(503)
    if let connection = exchange.o.connection {
      report(
        connection, Failure(.full, "more requests wait than the limits allow"), status: 503)
    }
    handled(exchange)
  }

  /// The handler has returned, on the loop's thread.
  @inline(__always)
  func handled(_ exchange: Ref<Exchange>) {
    guard let connection = exchange.o.connection else { return exchange.handlerReturned() }
    if connection.isAnswered(exchange) {
      exchange.o.holds.remove(.handler)
      connection.pop(exchange)
      // What is left of a pump: it is over, or it goes on with the next request.
      if connection.o.isClosing || connection.o.stream.o.isPaused { connection.pump() }
      return
    }
    exchange.handlerReturned()
    if connection.o.isDead {
      exchange.recycleIfFree()
    } else {
      connection.pump()
    }
  }

  private func enqueue(_ kind: Event.Kind, _ exchange: Ref<Exchange>) -> Bool {
    guard unsafe o.batch.append(Event(kind: kind, object: exchange.opaque)) else { return false }
    // The batch is pushed at the end of the turn: nobody sees it before.
    exchange.o.queued &+= 1
    exchange.o.isAway.store(true, ordering: .releasing)
    return true
  }

  /// A channel is open. Its request is there until this was told.
  func opened(_ exchange: Ref<Exchange>, _ channel: Ref<Channel>) {
    let isUntaken =
      o.server.keepsUntaken && o.server.isOpeningForPull(exchange)
      && o.server.o.queue.hasRoom(for: 0, behind: o.batch.count &+ o.server.o.held.count, o.server)
    guard o.server.o.isQueued || isUntaken else {
      return o.server.tellOpened(exchange, channel)
    }
    guard exchange.o.route?.o.channels != nil else { return }
    channel.locked { channel.o.isUntaken = isUntaken }
    exchange.o.lock.lock()
    exchange.o.opened = channel
    if enqueue(.upgraded, exchange) {
      channel.retain()
    } else {
      exchange.o.opened = nil
    }
    exchange.o.lock.unlock()
    if exchange.o.opened == nil {
      channel.locked { channel.o.isUntaken = false }
      channel.refuse(.noMemory)
    }
  }

  /// Queues an event that must not be lost: without memory it is for the next turn.
  /// Until then mail is under way, so that the exchange stays.
  private func enqueueOrOwe(_ kind: Event.Kind, _ exchange: Ref<Exchange>) {
    if enqueue(kind, exchange) { return }
    exchange.o.owed.insert(Owed(kind))
    exchange.notifyLoop()
  }

  /// Once more. When the worker has finished nobody hears of it any more.
  func enqueueOwed(_ exchange: Ref<Exchange>) {
    let owed = exchange.o.owed
    exchange.o.owed = []
    if o.isFinished { return }
    exchange.o.lock.lock()
    defer { exchange.o.lock.unlock() }
    if owed.contains(Owed(.body)) { enqueueOrOwe(.body, exchange) }
    if owed.contains(Owed(.writerDrained)) { enqueueOrOwe(.writerDrained, exchange) }
    if owed.contains(Owed(.writerMissed)) { enqueueOrOwe(.writerMissed, exchange) }
    if owed.contains(Owed(.writerClosed)) { enqueueOrOwe(.writerClosed, exchange) }
  }

  /// A piece of a streamed body, or its end (1: whole, -1: cut).
  func deliver(_ exchange: Ref<Exchange>, _ piece: Bytes, last: Int32) {
    guard exchange.o.isShared else { return }
    exchange.o.lock.lock()
    guard unsafe exchange.o.bodyCallback.isSet, exchange.o.incomingEnd == 0 else {
      exchange.o.lock.unlock()
      return
    }
    if last != 0 { exchange.o.incomingEnd = last }
    if o.server.o.isQueued {
      exchange.o.incoming.append(piece)
      // Bytes that there was no memory for: the body will not be whole.
      if exchange.o.incoming.failed { exchange.o.incomingEnd = -1 }
      if !exchange.o.isBodyQueued {
        exchange.o.isBodyQueued = true
        enqueueOrOwe(.body, exchange)
      }
      exchange.o.lock.unlock()
      return
    }
    let callback = unsafe exchange.o.bodyCallback
    exchange.o.lock.unlock()
    unsafe o.server.call(callback, exchange, piece, last: last)
  }

  func writerDrained(_ exchange: Ref<Exchange>) {
    exchange.o.lock.lock()
    let isNew = unsafe exchange.o.writer.onDrain.isSet && !exchange.o.writer.isDrainQueued
    if isNew, o.server.o.isQueued {
      exchange.o.writer.isDrainQueued = true
      enqueueOrOwe(.writerDrained, exchange)
    } else if !exchange.o.writer.isDrainQueued {
      exchange.list(isEnd: false)
    }
    exchange.o.lock.unlock()
    if isNew, !o.server.o.isQueued { o.server.call(.drain, exchange) }
  }

  /// Events were left out for a slow client. The caller holds the lock; who listens hears
  /// of it without.
  func eventsMissed(_ exchange: Ref<Exchange>, _ events: Ref<EventStream>) {
    guard unsafe events.o.onMissed.isSet, !events.o.isMissedQueued else { return }
    events.o.isMissedQueued = true
    if o.server.o.isQueued {
      enqueueOrOwe(.writerMissed, exchange)
    } else {
      exchange.notifyLoop()
    }
  }

  /// A reply in pieces has come to its end, or its client has left; once.
  func writerClosed(_ exchange: Ref<Exchange>) {
    exchange.o.lock.lock()
    // Of a worker that has gone nobody takes what queues.
    let isNew =
      unsafe exchange.o.writer.onClose.isSet && !exchange.o.writer.isCloseQueued
      && !o.isRetired.load(ordering: .acquiring)
    exchange.o.writer.isCloseUnheard = !exchange.o.writer.isCloseQueued && !isNew
    exchange.o.writer.isCloseQueued = true
    // Whoever takes events by himself hears of it behind the callback.
    if isNew, o.server.o.isQueued {
      exchange.o.writer.isClosePending = true
      enqueueOrOwe(.writerClosed, exchange)
    } else {
      exchange.list(isEnd: true)
    }
    exchange.o.lock.unlock()
    if isNew, !o.server.o.isQueued { o.server.call(.close, exchange) }
  }

  /// A reply has gone to the kernel.
  @inline(__always)
  func replied(_ exchange: Ref<Exchange>) {
    if o.server.o.hasReplyListeners, exchange.o.handle.bits != 0 { tellReplied(exchange) }
  }

  @inline(never)
  private func tellReplied(_ exchange: Ref<Exchange>) {
    // Whoever still has a writer, or is in a call on the handle that has ended,
    // may look at the handle.
    let isShared = exchange.o.isShared
    if isShared { exchange.o.lock.lock() }
    let isAnew = !Slots.isAlive(exchange.o.handle, .request)
    if isAnew {
      exchange.o.handle = Slots.live(
        exchange.o.slot, exchange.o.slotIndex, at: o.loop.o.now, open: false)
      // This one is no hold of the caller's, and not his to end.
      exchange.o.isDeferred = false
    }
    if isShared { exchange.o.lock.unlock() }
    if o.server.o.isQueued {
      // The thread that ticks ends the handle.
      if queueReplied(exchange) { return }
      o.counters.add(.unheard)
    } else {
      o.server.tellReplied(exchange)
    }
    // It was for the listeners alone, and a writer may be held for long.
    if isAnew { Slots.endPrivate(exchange.o.slot) }
  }

  /// What waits is bounded; a listener that cannot keep up misses replies.
  private func queueReplied(_ exchange: Ref<Exchange>) -> Bool {
    guard o.server.o.queue.hasRoom(for: 0, behind: o.batch.count, o.server) else { return false }
    let isShared = exchange.o.isShared
    if isShared { exchange.o.lock.lock() }
    defer { if isShared { exchange.o.lock.unlock() } }
    return enqueue(.replied, exchange)
  }

  func connected(_ connection: Ref<Connection>) {
    guard unsafe !o.server.o.onConnect.isEmpty else { return }
    tell(.connected, Note(connection: connection.o.id, peer: connection.o.peer))
  }

  func disconnected(_ connection: Ref<Connection>) {
    guard unsafe !o.server.o.onDisconnect.isEmpty else { return }
    tell(.disconnected, Note(connection: connection.o.id, peer: connection.o.peer))
  }

  func report(_ connection: Ref<Connection>, _ failure: Failure, status: Int32) {
    guard unsafe !o.server.o.onError.isEmpty else { return }
    tell(
      .failed,
      Note(
        connection: connection.o.id, failure: failure, status: status, peer: connection.o.peer))
  }

  private func tell(_ kind: Event.Kind, _ note: Note) {
    let hasRoom = o.server.o.queue.hasRoom(for: 0, behind: o.batch.count, o.server)
    if o.server.o.isQueued, !hasRoom { return o.counters.add(.unheard) }
    guard let kept = Ref<Note>(make: note) else { return o.counters.add(.unheard) }
    if !o.server.o.isQueued { return o.server.tell(kind, kept) }
    if unsafe o.batch.append(Event(kind: kind, object: kept.opaque)) { return }
    kept.free()
    o.counters.add(.unheard)
  }
}

extension Destination {
  /// Whether the host has a say in the reply.
  var isForHost: Bool {
    switch self {
    case .route, .pulled: true
    default: false
    }
  }
}
