// A writer's topics, on its loop's thread: it joins and leaves them in the order in which
// that was asked for, and gets what is published.

import Synchronization

extension Ref where Object == Exchange {
  private var server: Ref<Server>? { o.worker?.o.server }

  /// Of a request that was kept, the thread that has it may make a writer at any time: not
  /// to be read without the lock until something else has told that there is one.
  private var madeEvents: Ref<EventStream>? { locked { o.writer.events } }

  /// Its turn has come, or there is news: does what was asked for.
  func settleEvents() {
    guard let events = madeEvents else { return }
    // One that has come since the stop began.
    if let server, server.o.isStopping.load(ordering: .relaxed) { endEvents() }
    settleTopics(events, isOver: false)
    // Where it is queued it is of the thread that ticks, and not to be looked at here.
    if let server, !server.o.isQueued, events.o.isMissedQueued { server.callMissed(self) }
    giveBackMemory(events)
    // The last thing: it may end the connection, and this with it.
    flushWaiting(events)
  }

  /// The server stops, and its client may connect anew elsewhere.
  func endEvents() {
    o.lock.lock()
    defer { o.lock.unlock() }
    // Where this fails the connection is closed by the time limit of the stop.
    if o.writer.events != nil, !o.isReplied { try? endWriting() }
  }

  /// Its reply has ended, or its client has gone.
  func endTopics() {
    guard let events = madeEvents else { return }
    while let membership = events.o.memberships {
      events.o.memberships = membership.o.next
      end(membership)
    }
    settleTopics(events, isOver: true)
    o.lock.lock()
    while let event = events.o.takeWaiting() { event.release() }
    o.lock.unlock()
  }

  private func settleTopics(_ events: Ref<EventStream>, isOver: Bool) {
    while true {
      o.lock.lock()
      let request = events.o.requests.take(all: isOver)
      o.lock.unlock()
      guard let request, let server else { return }
      if request.joins {
        if isOver || !join(request.topic, events, server) { server.unused(request.topic) }
      } else {
        if !isOver { depart(request.topic, events) }
        server.o.topics.leave(request.topic)
      }
    }
  }

  /// The use of the topic becomes the membership's. False: it is the caller's still.
  private func join(
    _ topic: Ref<Topic>, _ events: Ref<EventStream>, _ server: Ref<Server>
  ) -> Bool {
    var other = events.o.memberships
    while let found = other {
      if found.o.topic == topic { return false }
      other = found.o.next
    }
    guard let worker = o.worker, let members = topic.members(of: worker),
      let membership = Ref<WriterMembership>(make: WriterMembership(self, topic))
    else { return false }
    membership.o.index = members.o.writers.count
    guard members.o.writers.append(membership) else {
      membership.free()
      return false
    }
    membership.o.next = events.o.memberships
    events.o.memberships = membership
    topic.o.count.wrappingAdd(1, ordering: .relaxed)
    if !events.o.lastID.isEmpty, !events.o.hasLeft(topic) { replay(membership, events, server) }
    return true
  }

  /// What its client has missed of a topic that it joins.
  private func replay(
    _ membership: Ref<WriterMembership>, _ events: Ref<EventStream>, _ server: Ref<Server>
  ) {
    let topic = membership.o.topic
    var missed = List<Ref<SharedEvent>>()
    var isWhole = true
    server.o.lock.lock()
    // What is published from here on comes as to all; up to here it is replayed.
    if topic.o.history.isKept {
      isWhole = topic.o.history.collect(after: events.o.lastID.bytes, to: &missed)
      membership.o.from = topic.o.sequence
    }
    server.o.lock.unlock()
    replay(missed, events)
    if !isWhole { breakOffStream() }
  }

  private func replay(_ list: borrowing List<Ref<SharedEvent>>, _ events: Ref<EventStream>) {
    o.lock.lock()
    for index in 0..<list.count {
      let event = list[index]
      if events.o.wait(event) {
        events.o.allowance &+= event.o.weight
      } else if !o.isReplied {
        breakOff()
      }
      event.release()
    }
    o.lock.unlock()
  }

  private func depart(_ topic: Ref<Topic>, _ events: Ref<EventStream>) {
    var before: Ref<WriterMembership>? = nil
    var membership = events.o.memberships
    while let found = membership, found.o.topic != topic {
      before = found
      membership = found.o.next
    }
    guard let membership else { return }
    if let before {
      before.o.next = membership.o.next
    } else {
      events.o.memberships = membership.o.next
    }
    if !events.o.lastID.isEmpty, let server { noteLeft(topic, events, server) }
    end(membership)
  }

  /// It may join again: then nothing is sent twice.
  private func noteLeft(
    _ topic: Ref<Topic>, _ events: Ref<EventStream>, _ server: Ref<Server>
  ) {
    server.o.lock.lock()
    let isKept = topic.o.history.isKept
    server.o.lock.unlock()
    if isKept, !events.o.noteLeft(topic) { breakOffStream() }
  }

  /// Its client connects anew, and says what it has had.
  private func breakOffStream() {
    locked { if !o.isReplied { breakOff() } }
  }

  private func end(_ membership: Ref<WriterMembership>) {
    let topic = membership.o.topic
    if let worker = o.worker, let members = topic.members(of: worker),
      let last = members.o.writers.removeLast(), last != membership
    {
      members.o.writers[membership.o.index] = last
      last.o.index = membership.o.index
    }
    membership.free()
    topic.o.count.wrappingSubtract(1, ordering: .relaxed)
    server?.unused(topic)
  }

  // ---- what is published

  /// From how many bytes on they are sent before the turn ends.
  private var mostGathered: Int64 { max(1, min(64 * 1024, o.writer.highWater / 4)) }

  /// Takes an event that is published: it is sent when the turn ends, with those that come
  /// until then, or when its client reads on. True: there is much to be sent by now.
  func pass(on event: Ref<SharedEvent>) -> Bool {
    guard let connection = o.connection, !connection.o.isDead, !o.isPopped,
      let events = o.writer.events
    else { return false }
    o.lock.lock()
    defer { o.lock.unlock() }
    if o.isReplied { return false }
    o.writer.lastWrite = connection.o.stream.o.loop.o.now
    keep(event, events, connection)
    if connection.o.stream.o.isBlocked { return false }
    notifyLoop()
    return events.o.weight >= mostGathered
  }

  /// Sends what has gathered if that is much, before more of it is thrown away.
  func flushMuch() {
    guard let events = o.writer.events, locked({ events.o.weight >= mostGathered }) else {
      return
    }
    flushWaiting(events)
  }

  /// One after the other, so that the memory for what goes out is the same for all.
  private func flushWaiting(_ events: Ref<EventStream>) {
    guard let connection = o.connection, !connection.o.isDead, !o.isPopped else { return }
    o.lock.lock()
    let hasMore = events.o.hasWaiting
    sendWaiting(events)
    o.lock.unlock()
    if hasMore, !connection.o.stream.o.isBlocked { connection.o.stream.flush() }
  }

  private func send(_ event: Ref<SharedEvent>, on stream: Ref<Stream>) {
    o.bodyBytes &+= Int64(event.o.event.count)
    if o.framing == .chunked { return stream.send(with: event.o.chunk.bytes) }
    stream.send(with: event.o.chunk.bytes.extracting(event.o.event))
  }

  /// Keeps an event for when it can be sent; above the mark in place of the oldest one,
  /// if at all. The caller holds the lock.
  private func keep(
    _ event: Ref<SharedEvent>, _ events: Ref<EventStream>, _ connection: Ref<Connection>
  ) {
    let most = o.writer.highWater &+ events.o.allowance
    var dropped: Int64 = 0
    while buffered >= most {
      if events.o.closesWhenSlow {
        connection.o.worker.o.counters.add(.unheard)
        return breakOff()
      }
      guard let oldest = events.o.takeWaiting() else { break }
      oldest.release()
      dropped &+= 1
    }
    if buffered >= most || !events.o.wait(event) { dropped &+= 1 }
    guard dropped > 0 else { return }
    events.o.missed &+= dropped
    connection.o.worker.o.counters.add(.unheard, dropped)
    connection.o.worker.eventsMissed(self, events)
  }

  /// Sends what has waited, as far as the kernel takes it. The caller holds the lock.
  func sendWaiting(_ events: Ref<EventStream>) {
    guard events.o.hasWaiting, let connection = o.connection, !connection.o.isDead,
      connection.o.first == self, o.isHeadWritten, !o.isBroken
    else { return }
    let stream = connection.o.stream
    while !stream.o.isBlocked, Int64(stream.o.buffered) < mostGathered,
      let event = events.o.takeWaiting()
    {
      send(event, on: stream)
      event.release()
    }
    o.writer.unsent.store(Int64(stream.o.buffered), ordering: .relaxed)
  }

  // ---- memory

  /// Once the handler is done with the request, its writer alone is left of it.
  private func giveBackMemory(_ events: Ref<EventStream>) {
    guard !events.o.isSlim, let server, !server.o.hasReplyListeners else { return }
    o.lock.lock()
    defer { o.lock.unlock() }
    // Another thread may have written since the output was sent.
    guard o.holds == .writer, o.isHeadWritten, o.isInputEnded, o.output.isEmpty else { return }
    events.o.isSlim = true
    unsafe o.text = nil
    o.path = Text("")
    o.host = Text("")
    unsafe o.client = nil
    o.head.fields = List<Field>()
    o.captures = List<Capture>()
    o.parameters = List<Pair>()
    o.queries = List<Pair>()
    o.trailers = List<Pair>()
    o.cookies = List()
    o.hasCookies = false
    o.body.clear()
    o.output.clear()
    o.reply.giveBack()
    o.arena = Arena()
  }
}

extension Ref where Object == Server {
  /// A writer does not hear a topic any more, or not yet.
  fileprivate func unused(_ topic: Ref<Topic>) {
    topic.o.readers.wrappingSubtract(1, ordering: .relaxed)
    o.topics.leave(topic)
  }
}
