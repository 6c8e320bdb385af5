// One loop with its connections, its pool of exchanges and its counters: a
// thread of the server's own, or, without threads, whoever ticks.

import Synchronization

struct Worker: ~Copyable {
  let server: Ref<Server>
  let loop: Ref<Loop>
  let handler: Ref<StreamHandler>
  let channelHandler: Ref<StreamHandler>
  /// For connections that begin with a proxy's header; made at the first need.
  var proxyHandler: Ref<StreamHandler>? = nil
  let counters: Counters
  let index: Int
  var thread: Thread? = nil
  /// Exchanges to be used again.
  var pool: Ref<Exchange>? = nil
  var pooled = 0
  /// Exchanges that are not in the pool.
  var outstanding = 0
  var firstConnection: Ref<Connection>? = nil
  var connections: Int64 = 0
  /// Channels that make their connections themselves; and how many of these and of a
  /// guest's things there are, with those that it has not heard of yet: it stays until
  /// they are gone.
  var firstCaller: Ref<Channel>? = nil
  let callers = Atomic<Int64>(0)
  /// Connections among these. The loop's.
  var links: Int64 = 0
  /// A client's: who runs the loop. And whether something was done since it was on offer.
  let lending: Ref<Lending>?
  var hasServed = false
  var guest: WorkerGuest? = nil
  /// Events of this turn, for the thread that ticks.
  var batch = List<Event>()
  /// Made with the first request for a file.
  var files: Ref<FileCache>? = nil
  /// What its replies start with.
  var opening = ReplyOpening()
  /// Mail to itself, handled at the end of the turn.
  var ownMail = MailChain()
  let stopMail: Ref<Mail>
  /// Stopped, with requests that the host still holds.
  let isRetired = Atomic<Bool>(false)
  let retiredLock = Lock()
  /// Threads that have let go of a request and are not out of here yet.
  let visitors = Atomic<Int64>(0)
  var nextRetired: Ref<Worker>? = nil
  /// Exchanges whose callbacks' contexts are to be dropped, once it has stopped.
  var firstEnding: Ref<Exchange>? = nil
  /// Whether it may touch the listeners, how many of them its poller watches, and
  /// whether that is all.
  var isAcceptor = false
  var watched = 0
  var isWatching = false
  /// Set on the loop's thread: no more is taken on, and why the loop ends.
  var isDraining = false
  var isFinished = false
  var hasSaidFinished = false
  var drainDeadline: Int64 = 0

  static var poolSize: Int { 256 }

  init(
    server: Ref<Server>, loop: Ref<Loop>, handler: Ref<StreamHandler>,
    channelHandler: Ref<StreamHandler>,
    counters: consuming Counters, index: Int, stopMail: Ref<Mail>, lending: Ref<Lending>?
  ) {
    self.server = server
    self.loop = loop
    self.handler = handler
    self.channelHandler = channelHandler
    self.counters = counters
    self.index = index
    self.stopMail = stopMail
    self.lending = lending
  }

  deinit {
    if let guest { unsafe guest.end(guest.object) }
    files?.free()
    loop.free()
    handler.free()
    channelHandler.free()
    proxyHandler?.free()
    stopMail.free()
    lending?.free()
  }

  static func make(server: Ref<Server>, index: Int) throws(Failure) -> Ref<Worker> {
    let loop = try Loop.make()
    guard let counters = Counters(), let handler = makeConnectionHandler(),
      let channelHandler = makeChannelHandler(),
      let mail = unsafe Ref<Mail>(
        make: Mail(loop.opaque, { unsafe Ref<Worker>(opaque: $0).beginDraining() }))
    else {
      loop.free()
      throw .noMemory
    }
    let lending = server.o.slot.o.kind == .client ? Ref<Lending>(make: Lending()) : nil
    // From here on the worker frees them, also where it gets no memory itself.
    guard
      let worker = Ref(
        make: Worker(
          server: server, loop: loop, handler: handler, channelHandler: channelHandler,
          counters: counters, index: index, stopMail: mail, lending: lending))
    else { throw .noMemory }
    guard worker.o.retiredLock.isUsable, lending?.o.isUsable ?? true else {
      worker.free()
      throw .noMemory
    }
    unsafe mail.o.object = unsafe worker.opaque
    unsafe loop.o.turnContext = unsafe worker.opaque
    unsafe loop.o.turnEnded = { context in
      if let context = unsafe context { unsafe Ref<Worker>(opaque: context).turnEnded() }
    }
    unsafe loop.o.accept = { context, listener in
      guard let context = unsafe context else { return }
      unsafe Ref<Worker>(opaque: context).accept(from: Ref<Listener>(opaque: listener))
    }
    return worker
  }
}

extension Ref where Object == Worker {
  // ---- exchanges

  @inline(__always)
  func takeExchange() -> Ref<Exchange>? {
    o.outstanding &+= 1
    if let exchange = o.pool {
      o.pool = exchange.o.next
      o.pooled &-= 1
      exchange.o.next = nil
      return exchange
    }
    return makeExchange()
  }

  @inline(never)
  private func makeExchange() -> Ref<Exchange>? {
    if let exchange = Ref<Exchange>.make(worker: self) {
      if o.server.o.crossOrigin.isOn { exchange.o.reply.begin(.crossOrigin) }
      return exchange
    }
    o.outstanding &-= 1
    return nil
  }

  /// Takes one back that was reset.
  @inline(__always)
  func give(_ exchange: Ref<Exchange>) {
    o.outstanding &-= 1
    if o.pooled < Worker.poolSize, !Slots.isUsedUp(exchange.o.slot) {
      exchange.o.next = o.pool
      o.pool = exchange
      o.pooled &+= 1
      return
    }
    let index = exchange.o.slotIndex
    exchange.free()
    Slots.give(index)
  }

  /// Frees the pool; the loop does not run any more.
  func freePool() {
    while let exchange = o.pool {
      o.pool = exchange.o.next
      let index = exchange.o.slotIndex
      exchange.free()
      Slots.give(index)
    }
    o.pooled = 0
  }

  /// Has the loop look at an exchange: any thread.
  func post(_ mail: Ref<Mail>) {
    if unsafe ThreadContext.loop == o.loop.opaque {
      o.ownMail.add(mail)
      o.loop.o.isPressed = true
    } else {
      o.loop.o.mailbox.post(mail, quietly: o.server.gathers(for: self))
    }
  }

  /// There is more for mail that was posted before. It may be held back by a thread that
  /// ticks, and this be another, which the end of that one's callback may wait for.
  func hurry() {
    if o.loop.o.mailbox.isHeldBack, !o.server.gathers(for: self) { o.loop.o.mailbox.hurry() }
  }

  /// Once: what this brings about is for the next turn, which does not wait.
  func deliverOwnMail() {
    if o.ownMail.isEmpty { return }
    let mail = o.ownMail
    o.ownMail = MailChain()
    mail.deliver()
  }

  func turnEnded() {
    deliverOwnMail()
    if !o.batch.isEmpty {
      o.server.o.queue.push(&o.batch)
      // Memory ran out for the rest: no waiting for another event.
      if !o.batch.isEmpty { o.loop.o.isPressed = true }
    }
    o.counters.set(.connections, o.connections)
    o.counters.set(.bytesIn, o.loop.o.bytesIn)
    o.counters.set(.bytesOut, o.loop.o.bytesOut)
    if o.isDraining {
      drain()
    } else if !o.isWatching || o.server.isAcceptPaused {
      reviewListeners()
    }
    // A tick that waits is back before: this is for who polls the descriptor.
    let patience = patience
    o.loop.o.nextTurn = patience < 0 ? .max : o.loop.o.now &+ Int64(patience) &* 2000
  }

  // ---- connections

  /// Takes on a connected descriptor; closes it when it can't. The listener is there as
  /// long as its worker is.
  func adopt(_ descriptor: Int32, _ peer: Peer, from listener: Ref<Listener>?) {
    o.counters.add(.accepted)
    let system = o.loop.o.system
    if o.isDraining {
      unsafe system.end(system.context, descriptor, 1)
      return
    }
    let now = o.loop.o.now
    let id = o.server.o.nextConnection.wrappingAdd(1, ordering: .relaxed).newValue
    guard
      let connection = Ref<Connection>(
        make: Connection(
          worker: self, id: id, descriptor: descriptor, peer: peer, since: now)),
      let timer = Ref<Timer>(make: Timer()),
      let stream = unsafe Ref<Stream>(
        make: Stream(
          descriptor: descriptor, loop: o.loop, handler: o.handler, owner: connection.opaque,
          timer: timer))
    else {
      // What was made of it leaks no more than once per failure of memory.
      unsafe system.end(system.context, descriptor, 1)
      return
    }
    add(connection, stream)
    o.server.o.connections.wrappingAdd(1, ordering: .relaxed)
    let isSecure = listener?.o.isSecure ?? false
    connection.o.isToBeSecure = isSecure
    connection.notePeer()
    connection.o.proxyMode = connection.mode(of: listener)
    let isFull = o.server.o.connections.load(ordering: .relaxed) > o.server.o.options.maxConnections
    if connection.o.proxyMode != .off, !isFull { return connection.awaitProxyHeader() }
    connection.o.proxyMode = .off
    connected(connection)
    if isSecure, !connection.secure() { return connection.die(reset: true) }
    if !stream.start() { return connection.die(reset: true) }
    if isFull {
      // To say so in TLS would take a handshake.
      return isSecure ? connection.die(reset: true) : connection.refuseAtOnce(.tooMany)
    }
    connection.armTimer()
  }

  func add(_ connection: Ref<Connection>, _ stream: Ref<Stream>) {
    connection.o.stream = stream
    connection.o.nextOfWorker = o.firstConnection
    o.firstConnection?.o.previousOfWorker = connection
    o.firstConnection = connection
    o.connections &+= 1
  }

  func forget(_ connection: Ref<Connection>) {
    if let previous = connection.o.previousOfWorker {
      previous.o.nextOfWorker = connection.o.nextOfWorker
    } else {
      o.firstConnection = connection.o.nextOfWorker
    }
    connection.o.nextOfWorker?.o.previousOfWorker = connection.o.previousOfWorker
    connection.o.nextOfWorker = nil
    connection.o.previousOfWorker = nil
    o.connections &-= 1
    if connection.o.isOutgoing { return }
    o.server.o.connections.wrappingSubtract(1, ordering: .relaxed)
    // Of one that was never told whom it stands for nobody has heard.
    if connection.o.proxyMode == .off { disconnected(connection) }
  }

  // ---- stopping

  func beginDraining() {
    if o.isDraining { return }
    o.isDraining = true
    o.drainDeadline = o.loop.o.now &+ o.server.o.options.drainTimeout &* 1000
    letGoOfListeners()
    var connection = o.firstConnection
    while let candidate = connection {
      connection = candidate.o.nextOfWorker
      candidate.closeIfIdle()
    }
    stopCallers()
    if let guest = o.guest { unsafe guest.stop(guest.object) }
  }

  /// At the end of each turn while the server stops.
  private func drain() {
    let isLate = o.loop.o.now >= o.drainDeadline || o.server.o.isDying.load(ordering: .relaxed)
    if isLate {
      while let connection = o.firstConnection { connection.die(reset: true) }
    }
    if o.connections == 0, o.callers.load(ordering: .acquiring) == 0 { o.isFinished = true }
  }

  /// How long a turn may wait: while the server stops, and while nothing but time
  /// tells that accepting goes on.
  var patience: Int32 { o.isDraining ? 20 : o.isWatching ? -1 : 50 }

  /// The thread's life: turns until the server has stopped.
  func run() {
    unsafe ThreadContext.loop = unsafe o.loop.opaque
    o.loop.o.isSheltered = true
    while !o.isFinished {
      o.loop.turn(timeout: patience)
      if o.hasServed { offerLoop() }
    }
    // What the last turn ended is buried in one more.
    o.loop.turn(timeout: 0)
    unsafe ThreadContext.loop = nil
  }
}
