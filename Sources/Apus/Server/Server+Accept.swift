// Accepting. Worker 0 does it for all, and hands connections round: with one
// socket for each worker the kernel's hash leaves some with twice the
// connections of others.
//
// Descriptors are given out lowest first, so a new one's number tells how many
// are in use: near the limit accepting pauses, and what is open is served on.

import Synchronization

/// A connected descriptor on its way to another worker.
struct Handover: ~Copyable {
  let worker: Ref<Worker>
  let descriptor: Int32
  let peer: Peer
  var mail: Ref<Mail>? = nil
}

extension Ref where Object == Server {
  static var acceptsPerTurn: Int { 64 }

  func watchListeners() throws(Failure) {
    for index in 0..<o.listeners.count {
      let listener = o.listeners[index]
      unsafe listener.o.owner = unsafe opaque
      unsafe listener.o.ready = { object in
        let listener = unsafe Ref<Listener>(opaque: object)
        if let owner = unsafe listener.o.owner {
          unsafe Ref<Server>(opaque: owner).accept(from: listener)
        }
      }
      guard o.workers[0].o.loop.watch(listener, on: true) else {
        throw Failure(.io, "a listener cannot be watched")
      }
      listener.o.isWatched = true
    }
  }

  fileprivate func accept(from listener: Ref<Listener>) {
    let system = o.workers[0].o.loop.o.system
    for _ in 0..<Ref.acceptsPerTurn {
      if o.isAcceptPaused { return }
      var (descriptor, peer): (Int32, Peer) = (-1, Peer())
      switch listener.accept(system) {
      case .connection(let number, let address): (descriptor, peer) = (number, address)
      case .aborted: continue
      case .none: return
      case .exhausted: return pauseAccepting()
      }
      if Int64(descriptor) &+ o.options.descriptorReserve >= o.descriptorLimit {
        // One of the last: it is served, and no more are taken until some go.
        pauseAccepting()
      }
      do throws(Failure) {
        try handOver(descriptor, peer, isInLoop: true)
      } catch {
        unsafe system.end(system.context, descriptor, 1)
      }
    }
  }

  /// Gives a connection to the next worker; any thread, and by mail unless this
  /// is that worker's own and no lock is held.
  func handOver(_ descriptor: Int32, _ peer: Peer, isInLoop: Bool) throws(Failure) {
    let turn = o.nextWorker.wrappingAdd(1, ordering: .relaxed).newValue
    let index = Int(bitPattern: UInt(bitPattern: turn) % UInt(max(1, o.workers.count)))
    let worker = o.workers[index]
    if unsafe isInLoop && ThreadContext.loop == worker.o.loop.opaque {
      return worker.adopt(descriptor, peer)
    }
    guard
      let handover = Ref<Handover>(
        make: Handover(worker: worker, descriptor: descriptor, peer: peer)),
      let mail = unsafe Ref<Mail>(make: Mail(handover.opaque, takeHandover))
    else { throw .noMemory }
    handover.o.mail = mail
    worker.o.loop.o.mailbox.post(mail)
  }

  private func pauseAccepting() {
    if o.isAcceptPaused { return }
    o.isAcceptPaused = true
    o.workers[0].o.counters.add(.acceptPauses)
    Log.write(.warning, "accepting pauses: file descriptors run short")
    o.nextAcceptTry = o.workers[0].o.loop.o.now &+ 50_000
    setWatching(false)
  }

  /// Tries again: what was closed meanwhile, here or by the host, is free.
  func resumeAccepting() {
    guard o.workers[0].o.loop.o.now >= o.nextAcceptTry else { return }
    o.descriptorLimit = Descriptors.limit
    guard let next = Descriptors.next,
      next &+ o.options.descriptorReserve < o.descriptorLimit
    else {
      o.nextAcceptTry = o.workers[0].o.loop.o.now &+ 50_000
      return
    }
    o.isAcceptPaused = false
    Log.write(.info, "accepting goes on")
    setWatching(true)
  }

  private func setWatching(_ on: Bool) {
    for index in 0..<o.listeners.count where o.listeners[index].o.isWatched != on {
      if o.workers[0].o.loop.watch(o.listeners[index], on: on) {
        o.listeners[index].o.isWatched = on
      }
    }
  }

  /// The server stops: on worker 0's thread.
  func closeListeners() {
    setWatching(false)
    for index in 0..<o.listeners.count { o.listeners[index].close() }
  }
}

private func takeHandover(_ object: UnsafeMutableRawPointer) {
  let handover = unsafe Ref<Handover>(opaque: object)
  handover.o.worker.adopt(handover.o.descriptor, handover.o.peer)
  handover.o.mail?.free()
  handover.free()
}
