// What the poller says of a stream, and what it is asked for.
//
// A TCP connection that reads, and that nothing waits to be sent on, is told of once when
// something comes (epoll's edge-triggered mode): the kernel need not look at it again. All
// else is told of as long as it holds. Where one read need not have taken all, the poller
// is asked again, and that is at once answered: a read that filled its space, one that was
// interrupted, an end or a reset behind what was read, and urgent data (RFC 9293 §3.8.5),
// at which a read stops.

import CSystem

extension Ref where Object == Stream {
  /// What a stream that reads is watched for.
  var readingInterest: UInt32 {
    guard o.isTCP, o.tls == nil, !o.isBlocked else { return SYS_POLL_IN }
    return SYS_POLL_IN | SYS_POLL_PEER_END | SYS_POLL_URGENT | SYS_POLL_EDGE
  }

  func handle(events: UInt32) {
    if o.isEnded { return }
    if events & (SYS_POLL_ERROR | SYS_POLL_HANGUP) != 0, o.isPaused || o.isInputEnded {
      // A Unix socket says so as soon as its peer has closed it, whatever is still to be
      // read; and it cannot be told not to.
      if events & SYS_POLL_ERROR == 0, !o.isInputEnded { return lookAway() }
      fail(ECONNRESET)
      return
    }
    if events & SYS_POLL_OUT != 0 { flush() }
    if o.isEnded || o.isInputEnded { return }
    if o.isPaused {
      if let tls = o.tls, tls.isHeldUp, events & SYS_POLL_IN != 0 { return receive(through: tls) }
      return seeEnd(events)
    }
    guard events & ~SYS_POLL_OUT != 0 else { return }
    if let tls = o.tls { return receive(through: tls) }
    if events & SYS_POLL_PEER_END != 0 { o.isEndKnown = true }
    let isAll = receive()
    if !isAll || events & ~(SYS_POLL_IN | SYS_POLL_OUT) != 0 { askAgain(events, isAll) }
  }

  /// Of urgent data alone only what was read behind it counts, and of an error alone what it
  /// gave: the kernel may call either there for ever (an error's notice, where the host has
  /// asked for such).
  @inline(never)
  private func askAgain(_ events: UInt32, _ isAll: Bool) {
    if o.isEnded || o.interest & SYS_POLL_EDGE == 0 { return }
    if !isAll, events & ~(SYS_POLL_URGENT | SYS_POLL_ERROR | SYS_POLL_OUT) == 0 { return }
    if !o.loop.watch(self, events: o.interest, isNew: false) { fail(EIO) }
  }

  /// Until reading goes on the poller has nothing to say that matters.
  private func lookAway() {
    if o.isUnwatched { return }
    o.isUnwatched = true
    if o.isWatched { o.loop.unwatch(self) }
    o.isWatched = false
    if o.isEndNear { return }
    o.isEndNear = true
    unsafe o.handler.o.endIsNear(o.owner)
  }

  /// Told once: from then on the poller would say nothing else.
  private func seeEnd(_ events: UInt32) {
    guard events & SYS_POLL_PEER_END != 0, !o.isEndNear else { return }
    o.isEndNear = true
    updateInterest()
    if !o.isEnded { unsafe o.handler.o.endIsNear(o.owner) }
  }

  /// Stops or goes on reading.
  func pause(_ on: Bool) {
    guard on != o.isPaused else { return }
    o.isPaused = on
    updateInterest()
    if !on, o.tls != nil { o.loop.addDirty(self) }
  }

  func updateInterest() {
    if o.isEnded { return }
    var wanted: UInt32 = 0
    if !o.isPaused, !o.isInputEnded { wanted |= readingInterest }
    if o.isPaused, !o.isInputEnded, !o.isEndNear { wanted |= SYS_POLL_PEER_END }
    if o.isBlocked, let tls = o.tls, tls.isHeldUp {
      // What comes while the user does not read waits for him in the input.
      if !o.isInputEnded { wanted |= SYS_POLL_IN }
    } else if o.isBlocked {
      wanted |= SYS_POLL_OUT
    }
    if o.isUnwatched {
      if o.isPaused { return }
      o.isUnwatched = false
      o.interest = wanted
      o.isWatched = o.loop.watch(self, events: wanted, isNew: true)
      if !o.isWatched { fail(EIO) }
      return
    }
    guard wanted != o.interest else { return }
    o.interest = wanted
    if !o.loop.watch(self, events: wanted, isNew: false) { fail(EIO) }
  }
}
