// A channel of either role from a connected descriptor, whose handshake was done
// elsewhere.

import Synchronization

/// A descriptor on its way to the worker that is to have it.
struct Adoption: ~Copyable {
  let worker: Ref<Worker>
  let channel: Ref<Channel>
  let descriptor: Int32
  let peer: Peer
  var mail: Ref<Mail>? = nil
}

extension Ref where Object == Server {
  /// The channel is open; its handle is the caller's, as is the descriptor where this
  /// fails.
  func adopt(_ descriptor: Int32, as role: Role, path: Bytes) throws(Failure) -> Handle {
    if o.slot.o.kind == .client { try startIfIdle() }
    let peer = try ConnectedSocket.check(descriptor)
    o.lock.lock()
    defer { o.lock.unlock() }
    guard o.state == .running, o.workers.count > 0, !o.isDying.load(ordering: .relaxed) else {
      throw Failure(.state, "the server does not run")
    }
    let turn = o.nextWorker.wrappingAdd(1, ordering: .relaxed).newValue
    let worker = o.workers[Int(bitPattern: UInt(bitPattern: turn) % UInt(o.workers.count))]
    let channel = Ref<Channel>.make(role: role, server: self, worker: worker, deflate: nil)
    guard let channel else { throw .noMemory }
    let adoption = Ref<Adoption>(
      make: Adoption(worker: worker, channel: channel, descriptor: descriptor, peer: peer))
    let mail = adoption.flatMap { unsafe Ref<Mail>(make: Mail($0.opaque, takeAdoption)) }
    do throws(Failure) {
      guard let adoption, let mail,
        channel.note(path: path, subprotocol: Span(), key: Span())
      else { throw .noMemory }
      try ConnectedSocket.makeNonblocking(descriptor)
      adoption.o.mail = mail
      channel.o.isKept = true
      channel.o.isAdopted = true
      channel.o.id = o.nextConnection.wrappingAdd(1, ordering: .relaxed).newValue
      channel.open()
      // Whose loop it is on does not lend that.
      worker.o.callers.wrappingAdd(1, ordering: .acquiringAndReleasing)
      let handle = channel.o.handle
      worker.o.loop.o.mailbox.post(mail)
      return handle
    } catch {
      mail?.free()
      adoption?.free()
      channel.release()
      channel.release()
      throw error
    }
  }
}

/// The worker's thread. What other threads have sent on the channel meanwhile waits.
private func takeAdoption(_ object: UnsafeMutableRawPointer) {
  let adoption = unsafe Ref<Adoption>(opaque: object)
  let (worker, channel) = (adoption.o.worker, adoption.o.channel)
  let (descriptor, peer) = (adoption.o.descriptor, adoption.o.peer)
  adoption.o.mail?.free()
  adoption.free()
  do throws(Failure) {
    let connection = try worker.adopt(descriptor, peer, for: channel, worker.o.channelHandler)
    channel.attach(to: connection)
    guard connection.o.stream.start() else { return connection.die(reset: true) }
    if worker.o.isDraining { channel.goAway() }
    channel.armTimer()
  } catch {
    // The descriptor is closed.
    channel.gone()
    channel.release()
  }
}
