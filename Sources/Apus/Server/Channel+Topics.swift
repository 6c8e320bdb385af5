// A channel's topics: it joins and leaves on its loop's thread, in the order in
// which that was asked for.

import Synchronization

extension Ref where Object == Channel {
  /// Any thread; the caller holds the lock.
  func ask(for name: Bytes, joins: Bool) throws(Failure) {
    guard name.count > 0, name.count <= Topics.longestName else {
      throw Failure(.argument, "a topic's name has 1 to 255 bytes")
    }
    // Its frames are masked, each by itself.
    if o.role == .client { throw Failure(.unsupported, "topics are for a server's channels") }
    guard o.state != .closing, o.state != .closed, let worker = o.worker else {
      throw Failure(.closed, "the channel is closed")
    }
    // As long as the channel has a worker, the server keeps all of them.
    let workers = o.server.o.workers.count
    guard let topic = o.server.o.topics.use(name, makes: joins, workers: workers) else {
      if joins { throw .noMemory }
      return
    }
    do throws(Failure) {
      let errand = try unsafe Ref<TopicErrand>.make(opaque, topicMailCame)
      guard o.requests.append(TopicRequest(topic: topic, joins: joins)) else {
        errand.end()
        throw .noMemory
      }
      retain()
      errand.post(to: worker)
    } catch {
      o.server.o.topics.leave(topic)
      throw error
    }
  }

  /// The loop: does what was asked for and is due.
  func settleTopics() {
    while true {
      o.lock.lock()
      let worker = o.state == .closed ? nil : o.worker
      let request = o.requests.take(all: worker == nil)
      o.lock.unlock()
      guard let request else { return }
      if request.joins, let worker {
        join(request.topic, worker)
      } else if request.joins {
        o.server.o.topics.leave(request.topic)
      } else {
        depart(request.topic)
        o.server.o.topics.leave(request.topic)
      }
    }
  }

  private func place(of topic: Ref<Topic>) -> Int? {
    for index in 0..<o.memberships.count where o.memberships[index].o.topic == topic {
      return index
    }
    return nil
  }

  /// The use of the topic becomes the membership's.
  private func join(_ topic: Ref<Topic>, _ worker: Ref<Worker>) {
    guard place(of: topic) == nil, let members = topic.members(of: worker),
      let membership = Ref<Membership>(make: Membership(self, topic, members))
    else { return o.server.o.topics.leave(topic) }
    membership.o.index = members.o.list.count
    guard members.o.list.append(membership) else {
      membership.free()
      return o.server.o.topics.leave(topic)
    }
    guard o.memberships.append(membership) else {
      _ = members.o.list.removeLast()
      membership.free()
      return o.server.o.topics.leave(topic)
    }
    topic.o.count.wrappingAdd(1, ordering: .relaxed)
  }

  private func depart(_ topic: Ref<Topic>) {
    guard let place = place(of: topic) else { return }
    let membership = o.memberships[place]
    if let last = o.memberships.removeLast(), last != membership { o.memberships[place] = last }
    end(membership)
  }

  private func end(_ membership: Ref<Membership>) {
    let (topic, members) = (membership.o.topic, membership.o.members)
    if let last = members.o.list.removeLast(), last != membership {
      members.o.list[membership.o.index] = last
      last.o.index = membership.o.index
    }
    membership.free()
    topic.o.count.wrappingSubtract(1, ordering: .relaxed)
    o.server.o.topics.leave(topic)
  }

  /// The connection has ended.
  func leaveTopics() {
    while let membership = o.memberships.removeLast() { end(membership) }
    settleTopics()
  }

  /// Sends what was published: as it is, framed and deflated once for all.
  func pass(on frame: Ref<SharedFrame>) {
    if o.isDeaf { return }
    guard let connection = o.connection else { return wait(with: frame) }
    if connection.o.isDead { return }
    o.lock.lock()
    guard o.state == .open else { return o.lock.unlock() }
    let stream = connection.o.stream
    let waiting = o.output.count &+ o.postponed.count &+ stream.o.buffered
    if Int64(waiting) >= o.highWater { return missOne(connection) }
    // A frame of another message must not stand within one.
    if o.sender.isInMessage {
      postpone(frame, connection.o.worker)
    } else {
      moveOutput(to: stream)
      if o.takesShared, !frame.o.deflated.isEmpty {
        o.mustForget = true
        stream.send(with: frame.o.deflated.bytes)
      } else {
        stream.send(with: frame.o.plain.bytes)
      }
    }
    o.lock.unlock()
  }

  /// The reply that accepts the channel is still to be sent: it goes behind that.
  @inline(never)
  private func wait(with frame: Ref<SharedFrame>) {
    o.lock.lock()
    defer { o.lock.unlock() }
    guard o.state == .open, let worker = o.worker else { return }
    if Int64(o.output.count &+ o.postponed.count) >= o.highWater {
      worker.o.counters.add(.unheard)
      if o.closesWhenFull {
        try? close(code: CloseCode.policy, reason: Text("too slow a reader").bytes)
      }
    } else if o.sender.isInMessage {
      postpone(frame, worker)
    } else {
      o.output.append(frame.o.plain.bytes)
      if o.output.failed { breakOff() }
    }
  }

  /// Keeps it until the message that is being sent is whole. Without memory it is missed,
  /// and those before it wait on. The caller holds the lock.
  private func postpone(_ frame: Ref<SharedFrame>, _ worker: Ref<Worker>) {
    if o.postponed.reserve(frame.o.plain.count) {
      o.postponed.append(frame.o.plain.bytes)
    } else {
      worker.o.counters.add(.unheard)
    }
  }

  /// Too slow a reader. The caller holds the lock, which is given up.
  @inline(never)
  private func missOne(_ connection: Ref<Connection>) {
    let closes = o.closesWhenFull
    o.wantsDrain.store(true, ordering: .relaxed)
    o.lock.unlock()
    connection.o.worker.o.counters.add(.unheard)
    if closes {
      let reason: StaticString = "This side's reader is too slow."
      refuse(Violation(code: CloseCode.policy, reason: reason), counts: false)
    } else {
      tellMissed()
    }
  }

  /// Once until that has been heard: what waits for the thread that ticks has its limits,
  /// and requests are refused past those.
  private func tellMissed() {
    if o.isMissOnWay.load(ordering: .acquiring) { return }
    let failure = Failure(.full, "a published message was not sent: the channel is full")
    o.isMissOnWay.store(true, ordering: .releasing)
    if !tellError(failure, .missed) { o.isMissOnWay.store(false, ordering: .releasing) }
  }
}

/// The loop's thread. It has a reference.
private func topicMailCame(_ object: UnsafeMutableRawPointer) {
  let channel = unsafe Ref<Channel>(opaque: object)
  channel.locked { channel.o.requests.mailCame() }
  channel.settleTopics()
  channel.release()
}
