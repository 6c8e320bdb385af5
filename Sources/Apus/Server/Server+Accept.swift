// Accepting. All workers watch the listeners and whichever is awake accepts, so
// that one that a callback blocks holds up nothing but its own; what was accepted
// is handed round: with one socket for each worker the kernel's hash leaves some
// with twice the connections of others.
//
// Descriptors are given out lowest first, so a new one's number tells how many
// are in use: near the limit accepting pauses, and what is open is served on.
// A pause is one atomic, which workers look at when a turn ends: whoever sees it
// takes its poller off the listeners, and puts it back when it is over.

import Synchronization

/// A connected descriptor on its way to another worker.
struct Handover: ~Copyable {
  let worker: Ref<Worker>
  let descriptor: Int32
  let peer: Peer
  let listener: Ref<Listener>?
  var mail: Ref<Mail>? = nil
}

extension Ref where Object == Server {
  static var acceptsPerTurn: Int { 64 }
  static var acceptPause: Int64 { 50_000 }

  /// Whether a new descriptor is one of those that are left to the host.
  func runsShort(at descriptor: Int32) -> Bool {
    let limit = o.descriptorLimit.load(ordering: .relaxed)
    return Int64(descriptor) &+ o.options.descriptorReserve >= limit
  }

  @inline(__always)
  var isAcceptPaused: Bool { o.acceptAgain.load(ordering: .relaxed) != 0 }

  /// Gives a connection to the next worker; any thread, and by mail unless this
  /// is that worker's own and no lock is held.
  func handOver(
    _ descriptor: Int32, _ peer: Peer, from listener: Ref<Listener>?, isInLoop: Bool
  ) throws(Failure) {
    let turn = o.nextWorker.wrappingAdd(1, ordering: .relaxed).newValue
    let index = Int(bitPattern: UInt(bitPattern: turn) % UInt(max(1, o.workers.count)))
    let worker = o.workers[index]
    if unsafe isInLoop && ThreadContext.loop == worker.o.loop.opaque {
      return worker.adopt(descriptor, peer, from: listener)
    }
    guard
      let handover = Ref<Handover>(
        make: Handover(
          worker: worker, descriptor: descriptor, peer: peer, listener: listener)),
      let mail = unsafe Ref<Mail>(make: Mail(handover.opaque, takeHandover))
    else { throw .noMemory }
    handover.o.mail = mail
    worker.o.loop.o.mailbox.post(mail)
  }

  /// Descriptors run short; false when that is known. Others that are accepting
  /// right now take one connection more each.
  fileprivate func pauseAccepting(_ now: Int64) -> Bool {
    let (isFirst, _) = o.acceptAgain.compareExchange(
      expected: 0, desired: now &+ Ref.acceptPause, ordering: .relaxed)
    if isFirst { Log.write(.warning, "accepting pauses: file descriptors run short") }
    return isFirst
  }

  /// Ends the pause if what was closed meanwhile, here or by the host, is enough.
  /// One worker at a time looks, and one that another has overtaken changes nothing.
  fileprivate func resumeAccepting(_ now: Int64) -> Bool {
    let due = o.acceptAgain.load(ordering: .relaxed)
    guard due != 0, now >= due else { return false }
    let later = now &+ Ref.acceptPause
    guard
      o.acceptAgain.compareExchange(expected: due, desired: later, ordering: .relaxed).exchanged
    else { return false }
    let limit = Descriptors.limit
    o.descriptorLimit.store(limit, ordering: .relaxed)
    guard let next = Descriptors.next, next &+ o.options.descriptorReserve < limit else {
      return false
    }
    let (isOver, _) = o.acceptAgain.compareExchange(
      expected: later, desired: 0, ordering: .relaxed)
    if isOver { Log.write(.info, "accepting goes on") }
    return isOver
  }
}

extension Ref where Object == Worker {
  /// Before the worker's thread starts.
  func takeListeners() throws(Failure) {
    o.isAcceptor = true
    o.server.o.acceptors.wrappingAdd(1, ordering: .relaxed)
    watchListeners()
    if !o.isWatching { throw Failure(.io, "a listener cannot be watched") }
  }

  /// The server stops: on the worker's thread, or before it has one. The last one
  /// closes the listeners: their numbers are soon others', and must be in no use.
  func letGoOfListeners() {
    guard o.isAcceptor else { return }
    o.isAcceptor = false
    unwatchListeners()
    let left = o.server.o.acceptors.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue
    guard left == 0, !o.server.o.keepsListeners else { return }
    for index in 0..<o.server.o.listeners.count { o.server.o.listeners[index].close() }
  }

  /// At the end of a turn, when a pause has begun or was there before. A listener
  /// that nobody may accept from would wake its watchers again and again.
  func reviewListeners() {
    guard o.isAcceptor else { return }
    if o.server.isAcceptPaused { o.files?.o.closeAll() }
    if o.server.resumeAccepting(o.loop.o.now) { wakeOthers() }
    if o.server.isAcceptPaused { unwatchListeners() } else { watchListeners() }
  }

  private func watchListeners() {
    let server = o.server
    while o.watched < server.o.listeners.count {
      let listener = server.o.listeners[o.watched]
      guard o.loop.watch(listener, isShared: server.o.workers.count > 1) else { return }
      o.watched &+= 1
    }
    o.isWatching = true
  }

  private func unwatchListeners() {
    o.isWatching = false
    while o.watched > 0 {
      o.watched &-= 1
      o.loop.unwatch(o.server.o.listeners[o.watched])
    }
  }

  func accept(from listener: Ref<Listener>) {
    guard o.isAcceptor else { return }
    let (server, system) = (o.server, o.loop.o.system)
    for _ in 0..<Ref<Server>.acceptsPerTurn {
      // A worker that has finished takes nothing on any more.
      if server.isAcceptPaused || server.o.isStopping.load(ordering: .relaxed) { return }
      var (descriptor, peer): (Int32, Peer) = (-1, Peer())
      switch listener.accept(system) {
      case .connection(let number, let address): (descriptor, peer) = (number, address)
      case .aborted: continue
      case .none: return
      case .exhausted: return pauseAccepting()
      }
      // One of the last: it is served, and no more are taken until some go.
      if server.runsShort(at: descriptor) { pauseAccepting() }
      do throws(Failure) {
        try server.handOver(descriptor, peer, from: listener, isInLoop: true)
      } catch {
        unsafe system.end(system.context, descriptor, 1)
      }
    }
  }

  private func pauseAccepting() {
    guard o.server.pauseAccepting(o.loop.o.now) else { return }
    o.counters.add(.acceptPauses)
    wakeOthers()
  }

  /// They see what has changed without waiting for something else to wake them:
  /// this worker may be in a callback for long.
  private func wakeOthers() {
    let workers = o.server.o.workers.count
    for index in 0..<workers where index != o.index {
      o.server.o.workers[index].o.loop.o.mailbox.wake()
    }
  }
}

private func takeHandover(_ object: UnsafeMutableRawPointer) {
  let handover = unsafe Ref<Handover>(opaque: object)
  handover.o.worker.adopt(
    handover.o.descriptor, handover.o.peer, from: handover.o.listener)
  handover.o.mail?.free()
  handover.free()
}
