// From a request to a channel: a ticket that is made inside the request's handler
// and is good for one answer, from any thread, within a time limit.
//
// The answer is written as the exchange's reply, in its turn; when it has gone, the
// connection's stream goes over to the channel.

import Synchronization

/// What the ticket has of its request.
struct Upgrade: ~Copyable {
  var handle = Handle(bits: 0)
  let slotIndex: UInt32
  let slot: Ref<Slot>
  var accept = ByteBuffer()
  var protocols = ProtocolList()
  let deflate: DeflateParameters?
  /// When the loop first heard of it; 0: not yet.
  var since: Int64 = 0
  /// Frames are wanted one by one.
  var givesFrames = false

  init(slotIndex: UInt32, slot: Ref<Slot>, deflate: DeflateParameters?) {
    self.slotIndex = slotIndex
    self.slot = slot
    self.deflate = deflate
  }
}

extension Ref where Object == Exchange {
  /// Makes the ticket; the thread that the request belongs to calls this. A request
  /// that is no sound handshake is answered here, and there is no ticket.
  func makeUpgrade() throws(Failure) -> Handle {
    guard let server = o.worker?.o.server else {
      throw Failure(.closed, "a parsed request has no client")
    }
    var handshake = ServerHandshake(
      isGet: o.head.method == Method.get, version: o.head.version, hasBody: o.head.hasBody,
      deflate: server.o.options.deflates ? DeflateSettings() : nil)
    for index in 0..<o.head.fields.count {
      let field = o.head.fields[index]
      if let name = part(field.name), let value = part(field.value) {
        handshake.take(name.bytes, value.bytes)
      }
    }
    if let problem = handshake.problem() {
      try refuseHandshake(problem)
      throw Failure(.protocolBroken, problem.reason)
    }
    guard isOriginAllowed(server.o.options.originPolicy, server.o.origins) else {
      try completeStatus(403, reason: "This page's origin may not open a WebSocket here.")
      throw Failure(.permission, "the origin is not allowed")
    }
    return try keepUpgrade(&handshake)
  }

  private func keepUpgrade(_ handshake: inout ServerHandshake) throws(Failure) -> Handle {
    guard let index = unsafe Slots.take(.upgrade, opaque, upgradeUnpinned),
      let slot = Slots.slot(UInt64(index))
    else { throw .noMemory }
    let upgrade = Ref<Upgrade>(
      make: Upgrade(slotIndex: index, slot: slot, deflate: handshake.deflate))
    guard let upgrade, HandshakeKey.appendAccept(key: handshake.key, to: &upgrade.o.accept) else {
      upgrade?.free()
      Slots.give(index)
      throw Failure(.io, "no memory, or no SHA-1 from OpenSSL")
    }
    swap(&upgrade.o.protocols, &handshake.protocols)
    o.upgrade = upgrade
    o.holds.insert(.upgrade)
    let handle = share { _ in
      upgrade.o.handle = Slots.live(slot, index, at: Clock.now, open: true)
      return upgrade.o.handle
    }
    // Its time limit is the loop's.
    notifyLoop()
    return handle
  }

  private func refuseHandshake(_ problem: HandshakeProblem) throws(Failure) {
    if problem.status == 426 {
      // RFC 9110 §15.5.22, RFC 6455 §4.4.
      o.reply.addUpgrade()
      let name = Text("Sec-WebSocket-Version")
      let value = Text("13")
      try setField(name.bytes, value.bytes, replacing: true)
    } else if problem.status == 405 {
      let name = Text("Allow")
      let value = Text("GET")
      try setField(name.bytes, value.bytes, replacing: true)
    }
    try completeStatus(problem.status, reason: problem.reason)
  }

  /// A request with a ticket is that one's to answer.
  func checkNoTicket() throws(Failure) {
    if o.holds.contains(.upgrade) { throw Failure(.state, "the request has a ticket") }
  }

  // ---- the answer; the caller holds the lock

  func checkUpgrade() throws(Failure) -> Ref<Upgrade> {
    guard let upgrade = o.upgrade, Slots.isAlive(upgrade.o.handle, .upgrade) else {
      throw .deadHandle
    }
    if o.hasLeft {
      endUpgrade(upgrade)
      endKept()
      throw Failure(.closed, "the client has gone")
    }
    if o.isReplied {
      endUpgrade(upgrade)
      endKept()
      throw Failure(.timeout, "the request was answered meanwhile")
    }
    return upgrade
  }

  /// Accepts, with one of the subprotocols that the client offers, or with none.
  func acceptUpgrade(subprotocol: Bytes) throws(Failure) -> Ref<Channel> {
    let upgrade = try checkUpgrade()
    guard let worker = o.worker else { throw .deadHandle }
    if subprotocol.count > 0, upgrade.o.protocols.index(of: subprotocol) == nil {
      throw Failure(.argument, "the client does not offer that subprotocol")
    }
    let channel = Ref<Channel>.make(
      role: .server, server: worker.o.server, worker: worker, deflate: upgrade.o.deflate)
    guard let channel else { throw .noMemory }
    let name = Text("sec-websocket-key")
    let key = field(name.bytes) ?? Text("")
    channel.o.id = o.connection?.o.id ?? 0
    channel.o.receiver.givesFrames = upgrade.o.givesFrames
    if case .route(let number) = o.destination { channel.adoptRoute(number, o.route?.o.channels) }
    guard channel.note(path: o.path.bytes, subprotocol: subprotocol, key: key.bytes) else {
      channel.release()
      channel.release()
      throw .noMemory
    }
    channel.open()
    o.channel = channel
    o.closes = false
    writeSwitch(upgrade, subprotocol)
    endUpgrade(upgrade)
    return channel
  }

  /// RFC 9110 §15.2.2 and RFC 6455 §4.2.2 item 5.
  private func writeSwitch(_ upgrade: Ref<Upgrade>, _ subprotocol: Bytes) {
    o.output.append("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n")
    o.output.append("Connection: Upgrade\r\nSec-WebSocket-Accept: ")
    o.output.append(upgrade.o.accept.bytes)
    o.output.append("\r\n")
    if subprotocol.count > 0 {
      o.output.append("Sec-WebSocket-Protocol: ")
      o.output.append(subprotocol)
      o.output.append("\r\n")
    }
    if let deflate = upgrade.o.deflate {
      o.output.append("Sec-WebSocket-Extensions: ")
      deflate.append(to: &o.output)
      o.output.append("\r\n")
    }
    o.output.append(o.reply.fields.bytes)
    o.output.append("\r\n")
    o.reply.status = 101
    o.isHeadWritten = true
    o.isReplied = true
    if o.output.failed { o.isBroken = true }
    endKept()
    notifyLoop()
  }

  /// Refuses, with a status of the host's choice.
  func refuseUpgrade(_ status: Int32) throws(Failure) {
    let upgrade = try checkUpgrade()
    try completeStatus(status)
    endUpgrade(upgrade)
    endKept()
    notifyLoop()
  }

  /// The ticket is used; the caller holds the lock.
  func endUpgrade(_ upgrade: Ref<Upgrade>) {
    let (ended, pinned) = Slots.end(upgrade.o.slot, upgrade.o.handle)
    if ended, !pinned {
      o.holds.remove(.upgrade)
      Slots.give(upgrade.o.slotIndex)
      notifyLoop()
    }
  }

  /// The same for a caller without the lock, which gives the ticket up.
  func destroyUpgrade() -> Bool {
    guard let upgrade = o.upgrade else { return false }
    let (ended, pinned) = Slots.end(upgrade.o.slot, upgrade.o.handle)
    guard ended else { return false }
    o.lock.lock()
    if !o.isReplied { completeOrBreak(500) }
    endKept()
    o.lock.unlock()
    if !pinned { unsafe upgradeUnpinned(unsafe opaque) }
    return true
  }

  /// The loop: the ticket's time is over, RFC 9110 §15.5.9.
  func expireUpgrade() {
    o.lock.lock()
    if !o.isReplied {
      o.closes = true
      completeOrBreak(408)
    }
    if let upgrade = o.upgrade { endUpgrade(upgrade) }
    o.lock.unlock()
  }

  /// The channel whose opening is to be told; its reference is the caller's then.
  func takeOpened() -> Ref<Channel>? {
    o.lock.lock()
    defer { o.lock.unlock() }
    let channel = o.opened
    o.opened = nil
    return channel
  }

  // ---- a route for WebSockets: each sound handshake is accepted

  /// The handler of such a route, on whatever thread handlers run.
  func openChannel(_ route: Ref<ChannelRoute>) {
    // On the loop's thread all of it is seen to when the handler has returned: mail would
    // only keep the exchange from being used again.
    var isQuiet = false
    if let worker = o.worker, !worker.o.server.o.isQueued,
      unsafe ThreadContext.loop == worker.o.loop.opaque
    {
      isQuiet = !o.isPosted.exchange(true, ordering: .acquiringAndReleasing)
    }
    defer { if isQuiet { o.isPosted.store(false, ordering: .sequentiallyConsistent) } }
    do throws(Failure) {
      _ = try makeUpgrade()
      try locked { () throws(Failure) in
        guard let upgrade = o.upgrade else { return }
        _ = try acceptUpgrade(subprotocol: upgrade.o.protocols.first(of: route.o.protocols))
      }
    } catch {
      locked { if !o.isReplied { completeOrBreak(500) } }
    }
  }
}

/// The last pin of a ticket's handle has gone.
private func upgradeUnpinned(_ object: UnsafeMutableRawPointer) {
  let exchange = unsafe Ref<Exchange>(opaque: object)
  if let upgrade = exchange.o.upgrade { Slots.give(upgrade.o.slotIndex) }
  exchange.release(.upgrade)
}

extension ProtocolList {
  /// The first of another list that is in this one; empty if none is.
  @_lifetime(borrow self)
  borrowing func first(of others: borrowing ProtocolList) -> Bytes {
    for index in 0..<others.count {
      if let own = self.index(of: others[index]) { return self[own] }
    }
    return Span()
  }
}
