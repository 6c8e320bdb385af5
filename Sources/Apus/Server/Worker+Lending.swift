// Who waits for a client's fetch does its work: the client's only thread lends its loop
// to the caller while nothing else goes on, so that a request costs no switch of threads.
//
// The thread lends when its last fetch has ended: it waits beside the poller, for mail
// and for a moment. Mail of others, or time, makes it take the loop back, as soon as the
// borrower is out of it; and the borrower leaves when he is not alone any more.

import Synchronization

struct Lending: ~Copyable {
  enum Holder {
    case thread
    case nobody
    case borrower
  }

  let lock = Lock()
  let changed = Condition()
  /// Behind the lock, like the others.
  var holder = Holder.thread
  var isAwaited = false
  var visits = 0

  var isUsable: Bool { lock.isUsable && changed.isUsable }

  /// How long a loop is on offer, in milliseconds, before its thread watches it again:
  /// meanwhile nobody sees that a server has closed a connection.
  static var moment: Int32 { 50 }
}

extension Ref where Object == Worker {
  /// What goes on: fetches and channels, but not connections that rest.
  private var activities: Int64 { o.callers.load(ordering: .acquiring) &- o.links }

  /// Whether the loop must be run: it is whoever's who holds it.
  private var isBusy: Bool { activities > 0 || o.isDraining || o.loop.o.isPressed }

  // ---- the worker's thread

  /// Offers the loop where its last fetch has just ended; back when it is the thread's
  /// own again.
  func offerLoop() {
    o.hasServed = false
    guard let lending = o.lending, !isBusy else { return }
    lending.o.lock.lock()
    lending.o.holder = .nobody
    var visits = lending.o.visits
    while true {
      lending.o.lock.unlock()
      o.loop.o.mailbox.waitForMail(Lending.moment)
      lending.o.lock.lock()
      while lending.o.holder == .borrower {
        lending.o.isAwaited = true
        lending.o.changed.wait(lending.o.lock, until: -1)
      }
      // What mail there was a borrower may have seen to.
      if visits == lending.o.visits || !o.loop.o.mailbox.isEmpty || isBusy { break }
      visits = lending.o.visits
    }
    lending.o.holder = .thread
    lending.o.lock.unlock()
    o.loop.o.isSheltered = true
    o.loop.o.readClock()
  }

  // ---- the borrower's

  /// Takes the loop if it is on offer. The caller holds the server's lock: until the loop
  /// is given back the worker cannot end.
  func borrowLoop() -> Bool {
    guard let lending = o.lending else { return false }
    lending.o.lock.lock()
    defer { lending.o.lock.unlock() }
    guard lending.o.holder == .nobody else { return false }
    lending.o.holder = .borrower
    lending.o.visits &+= 1
    return true
  }

  /// Runs the loop until there is what was wanted, or something else goes on as well. The
  /// first thing is to have `begin` give it work.
  func drive(
    _ begin: () throws(Failure) -> Void, until isEnough: () -> Bool
  ) throws(Failure) {
    let before = unsafe ThreadContext.loop
    unsafe ThreadContext.loop = unsafe o.loop.opaque
    o.loop.o.isSheltered = false
    o.loop.o.readClock()
    defer {
      unsafe ThreadContext.loop = unsafe before
      giveBackLoop()
    }
    try begin()
    deliverOwnMail()
    o.loop.flushDirty()
    while activities <= 1, !isEnough() { o.loop.turn(timeout: patience) }
  }

  private func giveBackLoop() {
    guard let lending = o.lending else { return }
    let isLeft = isBusy
    lending.o.lock.lock()
    lending.o.holder = .nobody
    if lending.o.isAwaited {
      lending.o.isAwaited = false
      lending.o.changed.wakeAll()
    } else if isLeft {
      o.loop.o.mailbox.wake()
    }
    lending.o.lock.unlock()
  }
}

extension Ref where Object == Server {
  /// The worker whose loop this thread may run, which it must then `drive`. Once it runs
  /// the condition is looked at, under the lock.
  func borrowLoop(if isFit: () -> Bool) -> Ref<Worker>? {
    guard o.slot.o.kind == .client else { return nil }
    o.lock.lock()
    defer { o.lock.unlock() }
    guard o.state == .running, o.hasThreads, o.workers.count == 1, isFit(),
      o.workers[0].borrowLoop()
    else { return nil }
    return o.workers[0]
  }
}
