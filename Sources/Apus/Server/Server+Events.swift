// The server's side of events: the handler of a route, what is published by name, and
// histories.

import Synchronization

extension Ref where Object == Server {
  /// A request of a route for events: its handler gets a writer that is ready.
  @inline(never)
  func openEvents(_ exchange: Ref<Exchange>, _ callback: Callback<EventsFunction>) {
    let writer: Handle
    do throws(Failure) {
      writer = try exchange.makeEvents()
    } catch {
      return exchange.completeOrBreak(500)
    }
    if exchange.o.isHead { return endAtOnce(writer) }
    inside(exchange) {
      unsafe callback.function?(callback.context, writer.bits, exchange.o.handle.bits)
    }
  }

  /// A HEAD gets the head of what a GET would; its handler would have nobody to write to.
  private func endAtOnce(_ writer: Handle) {
    guard case .held(let object, let slot) = Slots.pin(writer, .writer) else { return }
    _ = unsafe Ref<Exchange>(opaque: object).endWriter(slot, writer)
    Slots.unpin(slot)
  }

  /// Tells that a client has missed events. On the thread that calls the host.
  func callMissed(_ exchange: Ref<Exchange>) {
    exchange.o.lock.lock()
    exchange.o.writer.events?.o.isMissedQueued = false
    exchange.o.lock.unlock()
    call(.missed, exchange)
  }

  /// Sends an event to all writers of a topic, and its data to all channels. Any thread.
  func publish(event name: Bytes?, id: Bytes?, data: Bytes, to topic: Bytes) throws(Failure) {
    // Wrong is wrong, also where nobody listens.
    let event = try Ref<SharedEvent>.make(name: name, id: id, data: data)
    defer { event.release() }
    try publish(data, opcode: Opcode.text, to: topic, except: 0, event)
  }

  /// How much a topic keeps of its events. Any thread.
  func keepHistory(of name: Bytes, events: Int64, bytes: Int64) throws(Failure) {
    guard name.count > 0, name.count <= Topics.longestName else {
      throw Failure(.argument, "a topic's name has 1 to 255 bytes")
    }
    o.lock.lock()
    defer { o.lock.unlock() }
    // A topic with a history is in use for as long as it has one.
    guard
      let topic = o.topics.use(name, makes: events > 0, workers: o.workers.count)
    else {
      if events > 0 { throw .noMemory }
      return
    }
    let wasKept = topic.o.history.isKept
    topic.o.history.limit(events: events, bytes: bytes)
    if wasKept { o.topics.leave(topic) }
    if !topic.o.history.isKept { o.topics.leave(topic) }
  }
}
