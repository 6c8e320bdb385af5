// A writer of events: made ready, and what the host writes on it. Any thread; but for
// its making, the caller holds the exchange's lock.

import Synchronization

extension Ref where Object == Exchange {
  /// Makes a writer whose head is on its way. The thread that the request belongs to.
  func makeEvents() throws(Failure) -> Handle {
    guard let server = o.worker?.o.server else { throw Failure(.closed, "there is no client") }
    let events = Ref<EventStream>(
      make: EventStream(
        heartbeat: server.o.options.heartbeat,
        closesWhenSlow: server.o.options.closesWhenSlow))
    guard let events else { throw .noMemory }
    do throws(Failure) {
      try prepareEvents(events)
      // From the writer's making on another thread may see all of this.
      o.writer.events = events
      o.writer.hasBegun = true
      // RFC 9112 §6.1: never chunked to a 1.0 client; there the close is the end.
      o.framing = o.head.version >= 11 ? .chunked : .untilClose
      // The head is all that a HEAD gets.
      o.isReplied = o.isHead
      let handle = try makeWriter()
      notifyLoop()
      return handle
    } catch {
      o.isReplied = false
      o.writer.events = nil
      o.writer.hasBegun = false
      events.free()
      throw error
    }
  }

  private func prepareEvents(_ events: Ref<EventStream>) throws(Failure) {
    if let id = lastEventID {
      // No id has an LF in it: that is one that nobody knows.
      let isLong = id.count > EventStream.longestID
      if isLong { events.o.lastID.append("\n") } else { events.o.lastID.append(id.bytes) }
      if events.o.lastID.failed { throw .noMemory }
    }
    o.reply.status = 200
    try setType(Text("text/event-stream"))
    let (cache, noStore) = (Text("Cache-Control"), Text("no-store"))
    try setField(cache.bytes, noStore.bytes, replacing: true, isOwn: true)
    // Proxies that know it hand each piece on as it comes.
    let (buffering, no) = (Text("X-Accel-Buffering"), Text("no"))
    try setField(buffering.bytes, no.bytes, replacing: true, isOwn: true)
  }

  /// What a client that connects anew says it has had last.
  var lastEventID: Text? {
    let name = Text("last-event-id")
    guard let id = field(name.bytes), id.count > 0 else { return nil }
    return id
  }

  func eventStream() throws(Failure) -> Ref<EventStream> {
    guard let events = o.writer.events else {
      throw Failure(.state, "the writer is not one of events")
    }
    return events
  }

  // ---- what the host writes

  private func write(_ format: (inout ByteBuffer) throws(Failure) -> Void) throws(Failure) {
    try checkOpen()
    _ = try eventStream()
    var text = ByteBuffer()
    try format(&text)
    if text.failed { throw .noMemory }
    try write(text.bytes)
  }

  func writeEvent(name: Text?, id: Text?, data: Text) throws(Failure) {
    try write { text throws(Failure) in
      try EventFormat.append(name: name?.bytes, id: id?.bytes, data: data.bytes, to: &text)
    }
  }

  func writeRetry(_ milliseconds: Int64) throws(Failure) {
    try write { text throws(Failure) in
      try EventFormat.append(retry: milliseconds, to: &text)
    }
  }

  func writeComment(_ comment: Text) throws(Failure) {
    try write { text throws(Failure) in
      try EventFormat.append(comment: comment.bytes, to: &text)
    }
  }

  // ---- topics

  /// The loop does it, in the order of the calls.
  func ask(for name: Bytes, joins: Bool) throws(Failure) {
    try checkOpen()
    let events = try eventStream()
    guard let worker = o.worker else { throw Failure(.closed, "there is no client") }
    let server = worker.o.server
    guard name.count > 0, name.count <= Topics.longestName else {
      throw Failure(.argument, "a topic's name has 1 to 255 bytes")
    }
    // As long as the exchange has a connection, the server keeps all of its workers.
    let workers = server.o.workers.count
    guard let topic = server.o.topics.use(name, makes: joins, workers: workers) else {
      if joins { throw .noMemory }
      return
    }
    do throws(Failure) {
      let errand = try unsafe Ref<TopicErrand>.make(opaque, topicMailCame)
      guard events.o.requests.append(TopicRequest(topic: topic, joins: joins)) else {
        errand.end()
        throw .noMemory
      }
      // Whoever publishes from now on makes an event of it.
      if joins { topic.o.readers.wrappingAdd(1, ordering: .sequentiallyConsistent) }
      // While mail names it, the exchange stays what it is.
      o.queued &+= 1
      errand.post(to: worker)
    } catch {
      server.o.topics.leave(topic)
      throw error
    }
  }
}

/// The loop's thread: what is due is done when the exchange's turn has come.
private func topicMailCame(_ object: UnsafeMutableRawPointer) {
  let exchange = unsafe Ref<Exchange>(opaque: object)
  exchange.o.lock.lock()
  exchange.o.queued &-= 1
  exchange.o.writer.events?.o.requests.mailCame()
  exchange.o.lock.unlock()
  if let connection = exchange.o.connection, !exchange.o.isPopped { return connection.pump() }
  exchange.recycleIfFree()
}
