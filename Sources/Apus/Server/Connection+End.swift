// How a connection comes to its end: closed when all is said, lingering so that a
// refusal is read, left by its peer, or broken.

import Synchronization

extension Ref where Object == Connection {
  /// When all replies are out: closes, lets the peer read a refusal, or waits.
  func closeIfDone() {
    guard o.first == nil || o.hasSaidClose, !o.isDead, !o.isLingering, o.stream.o.output == nil
    else { return }
    if o.isClosing {
      // Unread bytes would make the close a reset, which may overtake the reply.
      linger()
    } else if server.o.isStopping.load(ordering: .relaxed), o.machine.isAtStart {
      die(reset: false)
    }
  }

  private func linger() {
    o.isLingering = true
    o.isClosing = true
    o.since = o.worker.o.loop.o.now
    o.stream.shutdownOutput()
    if o.sawEnd { return die(reset: false) }
    o.stream.pause(false)
    let now = o.worker.o.loop.o.now
    o.stream.setDeadline(now &+ ServerOptions.lingerTimeout &* 1000)
  }

  func inputEnded() {
    o.sawEnd = true
    if o.isLingering || (o.first == nil && o.stream.o.output == nil) { return die(reset: false) }
    // The last of its replies is on its way.
    if o.hasSaidClose { return }
    // A request that will never be whole, and handlers that wait for a client
    // that has gone; what is being answered is answered.
    if let current = o.current {
      if o.first == current { return die(reset: false) }
      o.current = nil
      dropLast(current)
    }
    var exchange = o.first
    while let waiting = exchange {
      // RFC 9112 §9.6 lets a client end its side and wait; but who waits for long
      // has most likely left, and a deferred reply must learn of that.
      if waiting.o.isShared, !waiting.o.isPulled { return die(reset: false) }
      exchange = waiting.o.next
    }
    o.isClosing = true
  }

  /// Takes back an exchange whose request never came to an end.
  func dropLast(_ exchange: Ref<Exchange>) {
    var before = o.first
    while let candidate = before, candidate.o.next != exchange { before = candidate.o.next }
    guard let before else { return }
    before.o.next = nil
    o.last = before
    o.pipelined &-= 1
    leave(exchange)
  }

  func failed(_ number: Int32) {
    let number = o.stream.o.tlsFailure?.number ?? number
    if let failure = o.stream.o.tlsFailure, !ConnectionError.isReset(number) {
      o.worker.o.counters.add(.errors)
      o.worker.report(self, failure, status: 0)
      // The alert that says why has gone: a reset could overtake it.
      return die(reset: false)
    } else if !ConnectionError.isReset(number) {
      o.worker.o.counters.add(.errors)
      o.worker.report(
        self, Failure(.io, "the connection has failed", number: number), status: 0)
    } else if o.first != nil {
      o.worker.report(
        self, Failure(.closed, "the client left before the end of a reply"), status: 0)
    }
    die(reset: true)
  }

  /// For want of memory.
  func lose() -> Int {
    o.worker.o.counters.add(.errors)
    o.worker.report(self, .noMemory, status: 0)
    die(reset: true)
    return 0
  }

  /// Ends the connection. Exchanges that somebody holds learn that the client
  /// has gone; the connection's memory goes after the last of them.
  func die(reset: Bool) {
    if o.isDead { return }
    o.isDead = true
    o.isClosing = true
    if o.current != nil { noteEarlyReply() }
    o.stream.end(reset: reset || isCutShort)
    o.worker.forget(self)
    o.current = nil
    while let exchange = o.first {
      o.first = exchange.o.next
      exchange.o.next = nil
      leave(exchange)
    }
    o.last = nil
    o.channel?.gone()
  }

  /// Whether an orderly end would make the half of a body that is out look like all of it:
  /// an HTTP/1.0 client takes the close for its end. A stream of events has none.
  private var isCutShort: Bool {
    guard let exchange = o.first, exchange.o.isShared else { return false }
    return exchange.locked {
      exchange.o.isHeadWritten && exchange.o.framing == .untilClose && !exchange.o.isReplied
        && exchange.o.writer.events == nil
    }
  }

  /// A reply that went out whole before its request was in, as it now never will be: those
  /// who hear of replies hear of this one, too.
  @inline(never)
  private func noteEarlyReply() {
    guard let exchange = o.first, exchange == o.current, o.stream.o.output == nil,
      exchange.reach != .away
    else { return }
    let isSent = exchange.locked {
      exchange.o.isReplied && exchange.o.isHeadWritten && !exchange.o.isBroken
        && exchange.o.output.isEmpty && exchange.o.holds.isDisjoint(with: [.file, .folder])
    }
    guard isSent else { return }
    o.worker.o.counters.add(.replies)
    exchange.o.isPopped = true
    o.worker.replied(exchange)
  }

  func leave(_ exchange: Ref<Exchange>) {
    // Who makes it shared looks at this after that: one of the two sees the other's.
    exchange.o.isGone.store(true, ordering: .sequentiallyConsistent)
    exchange.o.isPopped = true
    if exchange.o.isShared { leaveChannel(exchange) }
    if exchange.o.isDispatched, !exchange.o.isInputEnded {
      exchange.o.isInputEnded = true
      o.worker.deliver(exchange, Bytes(), last: -1)
    }
    exchange.recycleIfFree()
  }

  /// A channel that was accepted and whose connection did not come to be.
  private func leaveChannel(_ exchange: Ref<Exchange>) {
    exchange.o.lock.lock()
    let channel = exchange.o.channel
    exchange.o.channel = nil
    exchange.o.lock.unlock()
    // Those of a route are not known before they are open.
    channel?.gone(isKnown: (channel?.o.route ?? -1) < 0)
    channel?.release()
  }

  /// The reply that accepted a channel has gone: what comes is the channel's.
  func switchOver(_ exchange: Ref<Exchange>, to channel: Ref<Channel>) {
    exchange.o.lock.lock()
    exchange.o.channel = nil
    exchange.o.lock.unlock()
    o.isSwitched = true
    (o.isClosing, o.hasSaidClose) = (false, false)
    o.channel = channel
    channel.attach(to: self)
    o.worker.opened(exchange, channel)
    if o.isDead { return }
    if server.o.isStopping.load(ordering: .relaxed) { channel.goAway() }
    o.stream.pause(false)
    o.stream.deliver()
    channel.armTimer()
  }

  func buried() {
    o.isBuried = true
    freeIfLast()
  }

  func exchangeLeft() {
    o.exchanges &-= 1
    freeIfLast()
  }

  func freeIfLast() {
    if o.isBuried, o.exchanges == 0 { free() }
  }

  /// No request is read.
  func refuseAtOnce(_ refusal: Refusal) {
    guard let exchange = o.worker.takeExchange() else { return die(reset: true) }
    exchange.o.connection = self
    o.exchanges &+= 1
    o.first = exchange
    o.last = exchange
    o.pipelined &+= 1
    refuse(refusal, exchange)
    armTimer()
  }

  /// A handler has the exchange, the last one, and its request went wrong behind its head:
  /// in its turn, if nothing of a reply has gone, the refusal is sent in its place.
  func abandon(_ exchange: Ref<Exchange>, _ refusal: Refusal) {
    if o.hasSaidClose { return closeIfDone() }
    let (isBegun, isWhole) = exchange.locked {
      (exchange.o.isHeadWritten, exchange.o.isReplied && !exchange.o.isBroken)
    }
    if isBegun { return isWhole ? pump() : die(reset: true) }
    if exchange == o.first { return sendInstead(of: exchange, refusal) }
    guard let due = Ref<Refusal>(make: refusal) else { return die(reset: true) }
    o.dueRefusal = due
    o.isAbandoned = true
  }

  /// The turn of an exchange that was abandoned has come.
  @inline(never)
  func sendDueRefusal() {
    guard let exchange = o.first, let refusal = o.dueRefusal else { return }
    o.isAbandoned = false
    sendInstead(of: exchange, refusal.o)
  }

  private func sendInstead(of exchange: Ref<Exchange>, _ refusal: Refusal) {
    var reply = ReplyHead()
    reply.status = refusal.status
    let page = server.errorPage(refusal.status)
    let type = page?.o.type ?? Text("text/plain; charset=utf-8")
    let reason = page?.o.text ?? Text(refusal.reason)
    reply.setContentType(type.bytes)
    server.o.crossOrigin.addFields(
      for: exchange.pageOrigin, isAllowed: exchange.o.isOriginAllowed, to: &reply)
    guard let output = o.stream.writing() else { return die(reset: true) }
    let length: Int64 = exchange.o.isHead ? 0 : Int64(reason.count)
    write(&reply, to: output, framing: .length(length), close: true, isOld: false)
    if !exchange.o.isHead { output.o.append(reason.bytes) }
    exchange.o.isHeadWritten = true
    // It closes once all of this is sent, which may take several turns.
    o.hasSaidClose = true
    o.stream.o.loop.addDirty(o.stream)
    armTimer()
  }

  /// The server stops: a connection without a request under way goes at once.
  func closeIfIdle() {
    if let channel = o.channel { return channel.goAway() }
    if let first = o.first, first.o.isShared { first.endEvents() }
    if o.first == nil, o.stream.o.output == nil, o.current == nil { die(reset: false) }
  }
}

extension Refusal {
  static var tooMany: Refusal {
    Refusal(status: 503, reason: "This server has as many connections as it takes.")
  }
}
