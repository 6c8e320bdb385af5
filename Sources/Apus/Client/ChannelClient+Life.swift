// Opening, resetting and the end of a client's channel, and the waits for that.

import Synchronization

extension Ref where Object == ChannelClient {
  // ---- any thread

  func open(_ text: Text) throws(Failure) {
    let url = try WebSocketURL.parse(text.bytes)
    let server = o.channel.o.server
    if server.o.slot.o.kind == .client { try server.startIfIdle() }
    server.o.lock.lock()
    defer { server.o.lock.unlock() }
    guard server.o.state == .running, server.o.workers.count > 0,
      !server.o.isDying.load(ordering: .relaxed)
    else { throw Failure(.state, "the channel's server does not run") }
    try change { () throws(Failure) in
      // Destroyed since this call has begun: nobody could close it.
      guard Slots.isAlive(o.channel.o.handle, in: o.channel.o.slot) else { throw .deadHandle }
      try note(url)
      bind()
    }
  }

  private func note(_ url: borrowing WebURL) throws(Failure) {
    var path = ByteBuffer()
    guard Percent.decode(path: url.bytes.extracting(url.parts.path), to: &path) else {
      throw Failure(.argument, "the URL's path holds a NUL")
    }
    o.url.truncate(to: 0)
    o.url.append(url.bytes)
    guard !o.url.failed, !path.failed,
      o.channel.note(path: path.bytes, subprotocol: Span(), key: Span())
    else {
      o.url.clear()
      throw .noMemory
    }
    o.address = url.parts
    o.isSecure = url.isSecure
  }

  /// A new run. The caller holds the locks of the server, which runs, and the channel.
  private func bind() {
    let channel = o.channel
    channel.beginRun()
    o.status = 0
    o.failure = .closed
    o.problem = nil
    channel.o.state = .connecting
    channel.o.isAbandoned = false
    channel.o.closeEvent = .none
    channel.o.caller?.o.outbox.restart()
    forgetMessages()
    if channel.o.worker == nil {
      let workers = channel.o.server.o.workers.count
      // Always the same one, as long as the server runs.
      let worker = channel.o.server.o.workers[Int(channel.o.slotIndex) % workers]
      worker.o.callers.wrappingAdd(1, ordering: .acquiringAndReleasing)
      channel.o.worker = worker
      channel.retain()
    }
    channel.notifyLoop()
  }

  private func forgetMessages() {
    while let letter = o.channel.o.inbox.take() { letter.free() }
  }

  /// Drops the connection, or the attempt at one. The caller holds the lock.
  func reset() {
    let channel = o.channel
    if channel.o.state == .closed { return }
    channel.beginRun()
    o.owed &+= 1
    o.failure = .closed
    o.problem = nil
    channel.o.state = .closed
    channel.o.output.clear()
    channel.o.postponed.clear()
    channel.o.caller?.o.outbox.clear()
    forgetMessages()
    wakeWaiting()
    channel.notifyLoop()
  }

  /// The caller holds the lock.
  func wakeWaiting() {
    o.channel.o.inbox.wake()
    o.channel.o.server.lookAgain()
  }

  /// Waits until the channel is open; false when time has passed. The caller holds a
  /// pin, and no lock.
  func waitUntilOpen(timeout: Int32) throws(Failure) -> Bool {
    let channel = o.channel
    let server = channel.o.server
    let until = timeout < 0 ? Int64.max : Clock.now &+ Int64(timeout) &* 1000
    var hasTurned = server.o.hasThreads
    defer { if hasTurned, !server.o.hasThreads { server.leaveWait() } }
    while true {
      channel.o.lock.lock()
      let state = channel.o.state
      let failure = o.failure
      let problem = o.problem
      let left = until == .max ? Int64.max : until &- Clock.now
      let isHere = channel.isOnLoop && server.o.hasThreads
      if state == .connecting, left > 0, !isHere, server.o.hasThreads {
        guard channel.o.inbox.prepareToWait() else {
          channel.o.lock.unlock()
          throw .noMemory
        }
        // What opens it may be what a thread that ticks has asked for.
        Ref<Server>.sendGatheredHere()
        channel.o.worker?.hurry()
        channel.o.inbox.wait(channel.o.lock, until: until == .max ? -1 : until)
      }
      channel.o.lock.unlock()
      if state == .open { return true }
      if state != .connecting {
        // The sentence of the attempt itself, with the system's reason.
        if let problem, problem.code == failure { throw problem }
        throw Failure(failure, "the channel is not open")
      }
      // Its threads may have been started meanwhile.
      hasTurned = hasTurned || server.o.hasThreads
      if left <= 0, hasTurned { return false }
      if isHere { throw Failure(.state, "not on the thread that would open the channel") }
      if server.o.hasThreads { continue }
      hasTurned = true
      do throws(Failure) {
        try channel.turn(max(left, 0)) { $0.o.state == .connecting }
      } catch {
        if left <= 0 { return false }
        throw error
      }
    }
  }

  // ---- the loop's thread

  private struct News {
    let worker: Ref<Worker>
    let run: UInt32
    let isWanted: Bool
    let isAbandoned: Bool
    let owed: Int
    let isDropDue: Bool
  }

  /// Nil once it is not bound any more.
  private func takeNews() -> News? {
    let channel = o.channel
    channel.o.lock.lock()
    defer { channel.o.lock.unlock() }
    guard let worker = channel.o.worker, let caller = channel.o.caller else { return nil }
    let news = News(
      worker: worker, run: channel.o.run.load(ordering: .relaxed),
      isWanted: channel.o.state != .closed, isAbandoned: channel.o.isAbandoned, owed: o.owed,
      isDropDue: !caller.o.outbox.isDropTold)
    caller.o.outbox.isDropTold = true
    o.owed = 0
    return news
  }

  /// There is news of other threads.
  func settle() {
    while let news = takeNews() {
      news.worker.add(caller: o.channel)
      if news.isDropDue {
        o.channel.tellError(.full, "messages that were to be sent later were dropped")
      }
      if news.run == o.channel.o.currentRun {
        if news.isAbandoned, o.channel.o.connection == nil { finish() }
        return
      }
      drop()
      if news.owed > 0 {
        o.channel.o.closeCode = CloseCode.abnormal
        o.channel.o.closeReason.truncate(to: 0)
      }
      o.channel.o.currentRun = news.run
      for _ in 0..<news.owed { tellClosed(news.worker) }
      if news.isWanted {
        o.backoff.failures = 0
        if news.isAbandoned { return finish() }
        return begin()
      }
      if unbind(news.worker) { return }
    }
  }

  /// Lets go of whatever there is, without a word.
  private func drop() {
    let channel = o.channel
    endAttempt()
    guard let connection = channel.o.connection else { return }
    takeBack(connection)
    channel.o.lock.lock()
    forgetSent()
    channel.o.lock.unlock()
    connection.die(reset: true)
  }

  /// What was on its way over a connection that is gone. The caller holds the lock.
  private func forgetSent() {
    o.channel.o.isPongDue = false
    o.channel.o.unsent.store(0, ordering: .relaxed)
    o.channel.o.wantsDrain.store(false, ordering: .relaxed)
  }

  /// The stream of a connection that is not the channel's any more.
  private func takeBack(_ connection: Ref<Connection>) {
    o.channel.o.isDeaf = true
    o.channel.o.connection = nil
    if let handler = ChannelClient.handler {
      unsafe connection.o.stream.hand(to: connection.opaque, handler)
    }
  }

  /// Its connection, or its attempt at one, is dead.
  func lost() {
    let channel = o.channel
    if let attempt = o.attempt, attempt.o.isDead {
      // The worker's doing, which stops.
      o.attempt = nil
      return finish()
    }
    guard let connection = channel.o.connection, connection.o.isDead,
      let caller = channel.o.caller
    else { return }
    takeBack(connection)
    o.stage = .idle
    let code = channel.o.closeCode
    let mayReturn = code == 1001 || code == 1012 || code == 1013
    channel.o.lock.lock()
    // The state alone does not tell: the peer's Close may be unanswered still.
    let isLost = caller.o.isPeerFirst ? mayReturn : channel.o.state == .open
    let isCurrent = channel.isCurrent
    let again = isCurrent && isLost && mayTryAgain
    channel.o.output.clear()
    channel.o.postponed.clear()
    forgetSent()
    if again { channel.o.state = .connecting }
    if isCurrent {
      o.failure = .closed
      o.problem = nil
    }
    channel.o.lock.unlock()
    guard isCurrent else { return }
    if !again { return finish() }
    channel.tellError(.closed, "the connection was lost, and is made anew")
    waitToRetry()
  }

  /// The worker stops: what is open is closed with its connection.
  func stop() { if o.channel.o.connection == nil { finish() } }

  /// The channel is closed for good, unless it was reset meanwhile.
  func finish() {
    let channel = o.channel
    endAttempt()
    channel.o.lock.lock()
    let isCurrent = channel.isCurrent && channel.o.state != .closed
    if isCurrent {
      channel.o.state = .closed
      channel.o.caller?.o.outbox.clear()
      wakeWaiting()
    }
    let worker = channel.o.worker
    channel.o.lock.unlock()
    guard isCurrent, let worker else { return }
    // A listener may have come since the last message did.
    if channel.o.hasListener.load(ordering: .acquiring) { channel.emptyInbox() }
    tellClosed(worker)
    _ = unbind(worker)
  }

  private func tellClosed(_ worker: Ref<Worker>) {
    o.channel.o.isClosedTold = false
    o.channel.tellClosed(worker)
    o.channel.o.closeCode = CloseCode.abnormal
    o.channel.o.closeReason.clear()
  }

  /// False where it was opened meanwhile.
  private func unbind(_ worker: Ref<Worker>) -> Bool {
    let channel = o.channel
    channel.o.lock.lock()
    guard channel.isCurrent, channel.o.state == .closed, channel.o.worker == worker else {
      channel.o.lock.unlock()
      return false
    }
    channel.o.worker = nil
    channel.o.lock.unlock()
    worker.remove(caller: channel)
    worker.o.callers.wrappingSubtract(1, ordering: .acquiringAndReleasing)
    // Whoever called this has a reference.
    channel.release()
    return true
  }
}
