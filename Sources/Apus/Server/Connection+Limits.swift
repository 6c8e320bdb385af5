// The time limits of a connection. It has one timer, which is looked at when its
// deadline comes: the limit that holds by then may have moved on, and the timer
// is set again. So a request costs no timer at all.

import Synchronization

extension Ref where Object == Connection {
  /// What the connection waits for, and until when (microseconds; 0: no limit).
  private var wait: (status: Int32, until: Int64) {
    let options = o.worker.o.server.o.options
    if o.isLingering { return (0, o.since &+ ServerOptions.lingerTimeout &* 1000) }
    if o.stream.o.buffered > 0 {
      return (-1, limit(options.writeTimeout, from: o.stream.o.lastSent))
    }
    if o.stream.o.isPaused, !isUpgradeDue { return (0, 0) }
    if o.current != nil {
      return o.machine.isInBody
        ? (408, bodyEnd(options)) : (408, limit(options.headerTimeout, from: o.since))
    }
    if let first = o.first { return (101, ticketEnd(of: first, options)) }
    // A handshake has the time of a head, however much of it has come.
    if o.stream.o.isHandshaking { return (0, limit(options.headerTimeout, from: o.since)) }
    // The last reply may have taken long to be sent.
    let rest = max(o.since, o.stream.o.lastSent)
    return (0, limit(options.keepAliveTimeout, from: rest))
  }

  /// Until when an exchange's ticket is good; one with a ticket is shared.
  private func ticketEnd(of exchange: Ref<Exchange>, _ options: ServerOptions) -> Int64 {
    guard exchange.o.isShared else { return 0 }
    exchange.o.lock.lock()
    defer { exchange.o.lock.unlock() }
    guard let upgrade = exchange.o.upgrade, !exchange.o.isReplied else { return 0 }
    if upgrade.o.since == 0 {
      // The turn may have begun long before the handler made it.
      let system = o.worker.o.loop.o.system
      upgrade.o.since = unsafe system.now(system.context)
    }
    return limit(options.upgradeTimeout, from: upgrade.o.since)
  }

  /// Until when more of a body is due: the time between two reads, or the least rate.
  private func bodyEnd(_ options: ServerOptions) -> Int64 {
    let end = limit(options.bodyTimeout, from: o.since)
    if options.bodyRate == 0 || isContinueOwed { return end }
    let due = o.since &+ o.patience
    return end == 0 ? due : min(end, due)
  }

  /// Whether the peer may wait for a 100 (Continue) that has not gone yet.
  private var isContinueOwed: Bool {
    guard let exchange = o.current, exchange.o.head.expectsContinue else { return false }
    if exchange.reach == .away { return true }
    return exchange.locked { exchange.o.continueDue }
  }

  /// A body begins.
  @inline(never)
  func startPatience() { o.patience = server.o.options.bodyGrace &* 1000 }

  /// Bytes of a body came, or none: reading it pauses. Each byte buys time; what is saved
  /// up by haste is no more than a body may rest, so that none is fast once and then drips.
  func notePatience(bytes: Int) {
    let now = o.worker.o.loop.o.now
    let passed = now &- o.since
    o.since = now
    let server = o.worker.o.server
    let rate = server.o.options.bodyRate
    guard rate > 0 else { return }
    // No trap: it is not 0. No overflow: a piece has been in memory.
    let bought = Int64(bytes) &* 1_000_000 / rate
    let rest = server.o.options.bodyTimeout
    let most = rest == 0 ? Int64.max : max(server.o.options.bodyGrace, rest) &* 1000
    o.patience = min(o.patience &- passed &+ bought, most)
  }

  /// The host takes no more of a body for now: its peer's time stands still.
  func holdBody() {
    notePatience(bytes: 0)
    o.stream.pause(true)
  }

  private func limit(_ milliseconds: Int64, from start: Int64) -> Int64 {
    milliseconds == 0 ? 0 : start &+ milliseconds &* 1000
  }

  /// Whether nothing is under way and the timer is set for that, or sooner. What is
  /// to be sent is sent at once, and sets the timer if it cannot be.
  @inline(__always)
  var isTimedForRest: Bool {
    let deadline = o.stream.o.timer.o.deadline
    let patience = server.o.options.keepAliveTimeout &* 1000
    return o.first == nil && deadline != 0 && (deadline <= o.since &+ patience || patience == 0)
  }

  /// Bytes ran out: a head that has begun has its time limit from here on.
  func waitForMore() {
    if o.isDead || o.isLingering { return }
    if o.current != nil, !o.machine.isInBody, !o.isHeadBegun {
      o.isHeadBegun = true
      o.since = o.worker.o.loop.o.now
    }
    armTimer()
  }

  /// Sets the timer for what is waited for, where that ends sooner than what it
  /// is set to. Called where a wait may begin.
  func armTimer() {
    var (_, until) = wait
    if let first = o.first, first.o.isShared {
      let due = writerDue(first)
      if due != 0, until == 0 || due < until { until = due }
    }
    if until == 0 { return }
    let deadline = o.stream.o.timer.o.deadline
    if deadline == 0 || until < deadline { o.stream.setDeadline(until) }
  }

  func expired() {
    let now = o.worker.o.loop.o.now
    if let first = o.first, first.o.isShared, !o.isLingering {
      serveWriter(first, now)
      if o.isDead { return }
    }
    let (status, until) = wait
    o.stream.clearDeadline()
    guard until != 0, until <= now else { return armTimer() }
    if o.isLingering { return die(reset: false) }
    if status == -1 {
      o.worker.o.counters.add(.timeoutWrite)
      o.worker.report(
        self, Failure(.timeout, "the client took too long to read a reply"), status: 0)
      return die(reset: true)
    }
    if status == 408, let exchange = o.current {
      refuse(Refusal(status: 408, reason: "The request took too long to arrive."), exchange)
      return armTimer()
    }
    if status == 101, let exchange = o.first {
      o.worker.o.counters.add(.refusedTimeout)
      o.worker.report(
        self, Failure(.timeout, "a ticket for a channel was not used in time"), status: 408)
      return exchange.expireUpgrade()
    }
    if o.stream.o.isHandshaking {
      o.worker.o.counters.add(.refusedTimeout)
      o.worker.report(self, Failure(.timeout, "the TLS handshake took too long"), status: 0)
      return die(reset: true)
    }
    o.worker.o.counters.add(.timeoutIdle)
    die(reset: false)
  }
}
