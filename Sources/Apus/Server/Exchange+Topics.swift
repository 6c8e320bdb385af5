// A writer's topics, on its loop's thread: it joins and leaves them in the order in which
// that was asked for, and gets what is published.

import Synchronization

extension Ref where Object == Exchange {
  private var server: Ref<Server>? { o.worker?.o.server }

  /// Its turn has come, or there is news: does what was asked for.
  func settleEvents() {
    guard let events = o.writer.events else { return }
    settleTopics(events, isOver: false)
    o.lock.lock()
    sendWaiting(events)
    o.lock.unlock()
    if events.o.isMissedQueued, let server, !server.o.isQueued { server.callMissed(self) }
    giveBackMemory(events)
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
    guard let events = o.writer.events else { return }
    while let membership = events.o.memberships.removeLast() { end(membership) }
    settleTopics(events, isOver: true)
    o.lock.lock()
    while let event = events.o.takeWaiting() { event.release() }
    o.lock.unlock()
  }

  private func settleTopics(_ events: Ref<EventStream>, isOver: Bool) {
    while true {
      o.lock.lock()
      let request = events.o.requests.isEmpty ? nil : events.o.requests[0]
      if request != nil { events.o.requests.removeFirst(1) }
      if events.o.requests.isEmpty { events.o.requests = List<TopicRequest>() }
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
    for index in 0..<events.o.memberships.count
    where events.o.memberships[index].o.topic == topic {
      return false
    }
    guard let worker = o.worker, let members = topic.members(of: worker),
      let membership = Ref<WriterMembership>(make: WriterMembership(self, topic))
    else { return false }
    membership.o.index = members.o.writers.count
    guard events.o.memberships.append(membership) else {
      membership.free()
      return false
    }
    guard members.o.writers.append(membership) else {
      _ = events.o.memberships.removeLast()
      membership.free()
      return false
    }
    topic.o.count.wrappingAdd(1, ordering: .relaxed)
    if events.o.lastID.isEmpty { return true }
    var missed = List<Ref<SharedEvent>>()
    server.o.lock.lock()
    // What is published from here on comes as to all; up to here it is replayed.
    if topic.o.history.isKept {
      _ = topic.o.history.collect(after: events.o.lastID.bytes, to: &missed)
      membership.o.from = topic.o.sequence
    }
    server.o.lock.unlock()
    replay(missed, events)
    return true
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
    for index in 0..<events.o.memberships.count
    where events.o.memberships[index].o.topic == topic {
      let membership = events.o.memberships[index]
      if let last = events.o.memberships.removeLast(), last != membership {
        events.o.memberships[index] = last
      }
      return end(membership)
    }
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
  private static var mostGathered: Int { 64 * 1024 }

  /// Sends an event, or keeps it for when its client reads on. True: there is much to be
  /// sent by now.
  func pass(on event: Ref<SharedEvent>) -> Bool {
    guard let connection = o.connection, !connection.o.isDead, !o.isPopped,
      let events = o.writer.events
    else { return false }
    o.lock.lock()
    defer { o.lock.unlock() }
    if o.isReplied { return false }
    let stream = connection.o.stream
    o.writer.lastWrite = stream.o.loop.o.now
    let isTurn = connection.o.first == self && o.isHeadWritten && !connection.o.isLingering
    guard isTurn, !events.o.hasWaiting, !stream.o.isBlocked else {
      keep(event, events, connection)
      return false
    }
    if !o.output.isEmpty {
      stream.send(with: o.output.bytes)
      o.output.clear()
    }
    send(event, on: stream)
    o.writer.unsent.store(Int64(stream.o.buffered), ordering: .relaxed)
    return stream.o.buffered >= Self.mostGathered
  }

  /// Sends what has gathered if that is much, before more of it is thrown away.
  func flushMuch() {
    guard let connection = o.connection, !connection.o.isDead, !o.isPopped,
      !connection.o.stream.o.isBlocked, connection.o.stream.o.buffered >= Self.mostGathered
    else { return }
    connection.o.stream.flush()
  }

  private func send(_ event: Ref<SharedEvent>, on stream: Ref<Stream>) {
    o.bodyBytes &+= Int64(event.o.event.count)
    if o.framing == .chunked { return stream.send(with: event.o.chunk.bytes) }
    stream.send(with: event.o.chunk.bytes.extracting(event.o.event))
  }

  /// The client reads too slowly, or it is not its turn. The caller holds the lock.
  private func keep(
    _ event: Ref<SharedEvent>, _ events: Ref<EventStream>, _ connection: Ref<Connection>
  ) {
    let most = o.writer.highWater &+ events.o.allowance
    var dropped: Int64 = 0
    while buffered &+ event.o.weight > most {
      if events.o.closesWhenSlow {
        connection.o.worker.o.counters.add(.unheard)
        return breakOff()
      }
      guard let oldest = events.o.takeWaiting() else { break }
      oldest.release()
      dropped &+= 1
    }
    if buffered &+ event.o.weight > most || !events.o.wait(event) { dropped &+= 1 }
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
    while !stream.o.isBlocked, stream.o.buffered < Self.mostGathered,
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
    guard o.holds == .writer, o.isHeadWritten, o.isInputEnded else { return }
    events.o.isSlim = true
    unsafe o.text = nil
    o.path = Text("")
    o.host = Text("")
    o.head.fields = List<Field>()
    o.captures = List<Capture>()
    o.parameters = List<Pair>()
    o.queries = List<Pair>()
    o.trailers = List<Pair>()
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
