// What comes in on a channel: bytes to frames to messages, on the loop's thread.

import Synchronization

/// How a channel's stream calls it.
private func received(
  _ owner: UnsafeMutableRawPointer, _ start: UnsafeMutablePointer<UInt8>, _ count: Int
) -> Int {
  unsafe Ref<Channel>(opaque: owner).take(start, count)
}

func makeChannelHandler() -> Ref<StreamHandler>? {
  unsafe Ref(
    make: StreamHandler(
      received: received,
      inputEnded: { unsafe Ref<Channel>(opaque: $0).inputEnded() },
      drained: { unsafe Ref<Channel>(opaque: $0).drained() },
      failed: { unsafe Ref<Channel>(opaque: $0).failed($1) },
      expired: { unsafe Ref<Channel>(opaque: $0).expired() },
      buried: { unsafe Ref<Channel>(opaque: $0).buried() },
      endIsNear: { unsafe Ref<Channel>(opaque: $0).endIsNear() },
      warm: { owner, isNext in
        let channel = unsafe Ref<Channel>(opaque: owner)
        if isNext { channel.warm() } else { channel.prefetch(bytes: Channel.hotSize) }
      }))
}

extension Ref where Object == Channel {
  /// Brings near what a message looks at beside the channel itself.
  @inline(__always)
  fileprivate func warm() {
    o.connection?.prefetch(bytes: 64)
    o.lock.prefetch()
    o.slot.prefetch(bytes: 24)
  }

  /// Takes what it can of bytes, behind which there is room for one more; returns
  /// how many.
  @unsafe func take(_ start: UnsafeMutablePointer<UInt8>, _ count: Int) -> Int {
    guard let connection = o.connection else { return count }
    o.lastHeard = connection.o.worker.o.loop.o.now
    if o.lastHeard &- o.controlsSince >= 1_000_000 {
      o.controlsSince = o.lastHeard
      o.receiver.resetControls()
    }
    var bytes = unsafe MutableSpan<UInt8>(_unsafeStart: start, count: count)
    var index = 0
    while !o.isDeaf, isCurrent {
      if o.inbox.isStalled.load(ordering: .relaxed), mustWait(connection) { return index }
      let step = next(&bytes, at: &index)
      switch step {
      case .more: return index
      case .message(let opcode, let range), .frame(let opcode, _, let range):
        var isFinal = true
        if case .frame(_, let isLast, _) = step { isFinal = isLast }
        unsafe deliver(opcode, isFinal, start + range.lowerBound, range.count)
      case .assembled(let opcode): deliverGathered(opcode, true)
      case .assembledFrame(let opcode, let isFinal): deliverGathered(opcode, isFinal)
      case .ping(let range):
        unsafe pinged(Span(_unsafeStart: start + range.lowerBound, count: range.count))
      case .pong(let range):
        unsafe ponged(start + range.lowerBound, range.count)
      case .close(let code, let range):
        unsafe peerCloses(code, Span(_unsafeStart: start + range.lowerBound, count: range.count))
      case .refused(let violation): refuse(violation)
      }
    }
    return count
  }

  @inline(__always)
  private func next(_ bytes: inout MutableSpan<UInt8>, at index: inout Int)
    -> MessageReceiver.Step
  {
    if o.deflate == nil { return o.receiver.next(&bytes, at: &index) }
    let channel = self
    return o.receiver.next(&bytes, at: &index) { piece, isEnd, buffer, room in
      guard let inflater = channel.makeInflater() else { return .noMemory }
      return switch inflater.o.inflate(piece, isEnd: isEnd, to: &buffer, room: room) {
      case .done: .done
      case .tooLong: .tooLong
      case .malformed: .malformed
      case .noMemory: .noMemory
      }
    }
  }

  /// Too much waits for the host: reading stops until it has taken some.
  fileprivate func mustWait(_ connection: Ref<Connection>) -> Bool {
    o.lock.lock()
    let waiting = o.waiting.load(ordering: .sequentiallyConsistent)
    let isFull = max(o.inbox.bytes, waiting) >= inboxLimit
    if !isFull { o.inbox.isStalled.store(false, ordering: .relaxed) }
    o.lock.unlock()
    if isFull {
      connection.o.stream.pause(true)
      if connection.o.stream.o.isEndNear { armTimer() }
    }
    return isFull
  }

  /// Goes on reading, where that had stopped and there is room.
  func readOn() {
    guard let connection = o.connection, !connection.o.isDead else { return }
    if o.hasListener.load(ordering: .acquiring) { emptyInbox() }
    guard connection.o.stream.o.isPaused, !mustWait(connection) else { return }
    connection.o.stream.pause(false)
    // What it has said meanwhile was not looked at.
    o.lastHeard = connection.o.worker.o.loop.o.now
    armTimer()
    if connection.o.stream.o.hasInput { connection.o.stream.deliver() }
  }

  private func deliverGathered(_ opcode: UInt8, _ isFinal: Bool) {
    guard o.receiver.terminate(), let (start, count) = unsafe o.receiver.gatheredMemory else {
      return refuse(.noMemory)
    }
    unsafe tellMessage(opcode, isFinal, start, count)
  }

  /// A message that lies in the input: the byte behind it is a NUL for as long.
  @inline(__always)
  private func deliver(
    _ opcode: UInt8, _ isFinal: Bool, _ start: UnsafeMutablePointer<UInt8>, _ count: Int
  ) {
    let behind = unsafe start[count]
    unsafe start[count] = 0
    unsafe tellMessage(opcode, isFinal, start, count)
    unsafe start[count] = behind
  }

  /// RFC 6455 §5.5.2: a Pong with the same payload, as soon as is practical. While output
  /// waits that is later, and then for the newest Ping alone (§5.5.3): a peer that asks and
  /// takes nothing costs no more than one.
  private func pinged(_ payload: Bytes) {
    o.lock.lock()
    let waits = !o.output.isEmpty || o.connection?.o.stream.o.isBlocked ?? false
    if waits || buffered >= o.highWater {
      o.latePing.truncate(to: 0)
      o.latePing.append(payload)
      o.isPongDue = !o.latePing.failed
    } else {
      // It closes, or the stream has failed.
      try? send(payload, opcode: Opcode.pong)
    }
    o.lock.unlock()
  }

  /// Answers the newest ping, once output has gone.
  func answerLatePing() {
    o.lock.lock()
    // Others may have filled it: then once that has gone.
    let isDue = buffered < o.highWater
    if isDue {
      o.isPongDue = false
      try? send(o.latePing.bytes, opcode: Opcode.pong)
    }
    o.lock.unlock()
    if isDue { o.latePing.clear() }
  }

  private func ponged(_ start: UnsafeMutablePointer<UInt8>, _ count: Int) {
    o.lock.lock()
    o.lastPong = o.lastHeard
    o.lock.unlock()
    let behind = unsafe start[count]
    unsafe start[count] = 0
    unsafe tellPong(start, count)
    unsafe start[count] = behind
  }

  // ---- the end of it

  /// RFC 6455 §5.5.1: a Close is answered by a Close, and then the server ends the
  /// connection first (§7.1.1).
  private func peerCloses(_ code: UInt16?, _ reason: Bytes) {
    o.closeCode = code ?? CloseCode.noneReceived
    o.closeReason.truncate(to: 0)
    o.closeReason.append(reason)
    o.isDeaf = true
    o.lock.lock()
    if o.state == .open { o.caller?.o.isPeerFirst = true }
    o.lock.unlock()
    answerWhenHeard()
  }

  /// Answers the peer's Close, unless messages of before wait for the host, which may
  /// have an answer to those (RFC 6455 §5.5.1): then the close time is its time.
  func answerWhenHeard() {
    // In this order: who takes the last of them sees that, and says so.
    o.inbox.isStalled.store(true, ordering: .sequentiallyConsistent)
    o.lock.lock()
    let isUnheard = o.waiting.load(ordering: .sequentiallyConsistent) > 0 || o.inbox.isUnread
    o.isAnswerDue = o.state == .open && isUnheard
    let isAsked = o.isAnswerDue && o.givesEvents.load(ordering: .relaxed) && o.inbox.asksForTurn()
    o.lock.unlock()
    if isAsked { give(.turnIsOver) }
    if o.isAnswerDue { startClosing() } else { answer() }
  }

  func answer() {
    let wasDue = o.isAnswerDue
    o.isAnswerDue = false
    let code = o.closeCode == CloseCode.noneReceived ? nil : o.closeCode
    o.lock.lock()
    if o.state == .open {
      try? close(code: code, reason: Bytes())
      o.state = .closing
    }
    if let connection = o.connection { moveOutput(to: connection.o.stream) }
    o.lock.unlock()
    if wasDue { o.closeDeadline = 0 }
    startClosing()
    o.connection?.o.isClosing = true
    closeIfSaid()
  }

  /// The peer broke the protocol or passed a limit: a Close that says so, and the
  /// end (RFC 6455 §7.1.7).
  func refuse(_ violation: Violation, counts: Bool = true) {
    guard !o.isDeaf, let connection = o.connection else { return }
    o.isDeaf = true
    if counts, violation.isLimit { connection.o.worker.o.counters.add(.refusedMessage) }
    o.closeCode = violation.code
    o.closeReason.truncate(to: 0)
    o.closeReason.append(violation.reason)
    let text = Text(violation.reason)
    o.lock.lock()
    let isFirst = o.state == .open
    if isFirst {
      try? close(code: violation.code, reason: text.bytes)
      o.state = .closing
    }
    moveOutput(to: connection.o.stream)
    o.lock.unlock()
    if isFirst { tellError(violation.result, violation.reason) }
    startClosing()
    connection.o.isClosing = true
    closeIfSaid()
  }

  /// The close handshake has its time limit from here on.
  func startClosing() {
    guard o.closeDeadline == 0, let connection = o.connection else { return }
    let now = connection.o.worker.o.loop.o.now
    o.closeDeadline = now &+ o.server.o.options.channelCloseTimeout &* 1000
    connection.o.stream.setDeadline(o.closeDeadline)
  }

  /// All is said: a server ends the connection, a client waits for that. What the
  /// peer still sends would make the end a reset: it is taken in for a while.
  func closeIfSaid() {
    guard let connection = o.connection, connection.o.isClosing, !connection.o.isDead,
      connection.o.stream.o.output == nil
    else { return }
    if connection.o.sawEnd { return connection.die(reset: false) }
    if connection.o.isLingering { return }
    connection.o.isLingering = true
    if o.role == .server { connection.o.stream.shutdownOutput() }
    connection.o.stream.pause(false)
    let now = connection.o.worker.o.loop.o.now
    connection.o.stream.setDeadline(now &+ ServerOptions.lingerTimeout &* 1000)
  }

  fileprivate func inputEnded() {
    guard let connection = o.connection else { return }
    connection.o.sawEnd = true
    // What is on its way out is sent first, if it was the end of a conversation.
    if o.isAnswerDue || (o.isDeaf && connection.o.stream.o.output != nil) { return }
    connection.die(reset: false)
  }

  fileprivate func failed(_ number: Int32) {
    guard let connection = o.connection else { return }
    let failure = connection.o.stream.o.tlsFailure
    let isReset = ConnectionError.isReset(failure?.number ?? number)
    if !isReset { connection.o.worker.o.counters.add(.errors) }
    if !o.isDeaf { tellError(.io, "the connection failed") }
    // An alert that says why could be overtaken by a reset.
    connection.die(reset: failure == nil || isReset)
  }

  /// The caller has destroyed it: a word to the peer, and the end.
  func abandon() {
    if o.isAnswerDue { return answer() }
    guard let connection = o.connection, !o.isDeaf else { return }
    o.isDeaf = true
    o.lock.lock()
    if o.state == .open {
      try? close(code: CloseCode.goingAway, reason: Bytes())
      o.state = .closing
    }
    moveOutput(to: connection.o.stream)
    o.lock.unlock()
    connection.o.isClosing = true
    startClosing()
    closeIfSaid()
  }

  /// The server stops.
  func goAway() {
    o.lock.lock()
    if o.state == .open { try? close(code: CloseCode.goingAway, reason: Bytes()) }
    o.lock.unlock()
    startClosing()
  }

  /// The handshake is over: the stream is the channel's from here on. The connection's
  /// reference is the loop's.
  func attach(to connection: Ref<Connection>) {
    o.connection = connection
    o.lastHeard = connection.o.worker.o.loop.o.now
    unsafe connection.o.stream.hand(to: opaque, connection.o.worker.o.channelHandler)
    o.lock.lock()
    moveOutput(to: connection.o.stream)
    let isAbandoned = o.isAbandoned
    let isClosing = o.state == .closing
    o.lock.unlock()
    if isAbandoned { abandon() } else if isClosing { startClosing() }
  }

  /// The connection is dead: nothing of the loop is touched by others from here on.
  /// Of a channel that the host does not know it is told nothing.
  func gone(isKnown: Bool = true) {
    o.isDeaf = true
    if let caller = o.caller { return unsafe caller.o.lost(opaque) }
    o.lock.lock()
    let worker = o.worker
    o.state = .closed
    o.postponed.clear()
    o.worker = nil
    o.output.clear()
    o.inbox.wake()
    o.lock.unlock()
    o.server.lookAgain()
    if o.isAdopted { worker?.o.callers.wrappingSubtract(1, ordering: .acquiringAndReleasing) }
    leaveTopics()
    guard isKnown else { return closeTold() }
    // A listener may have come since the last message did.
    if o.hasListener.load(ordering: .acquiring) { emptyInbox() }
    if let worker { tellClosed(worker) }
  }

  fileprivate func buried() {
    let connection = o.connection
    o.connection = nil
    connection?.buried()
    release()
  }
}

extension Violation {
  /// What the host is told.
  fileprivate var result: Code {
    switch code {
    case CloseCode.tooBig: .tooLarge
    case CloseCode.internalError: .memory
    case Violation.busy.code: .full
    default: .protocolBroken
    }
  }
}
