// A server: its options, routes and listeners, which stand still while it runs,
// and the life of its workers. What is shared between threads is atomic or
// behind `lock`.

import Synchronization

typealias ConnectionFunction =
  @convention(c) (UnsafeMutableRawPointer?, UInt64, UInt64, UnsafePointer<CChar>?, Int32) -> Void
typealias RepliedFunction = @convention(c) (UnsafeMutableRawPointer?, UInt64, Int32, UInt64) -> Void
typealias FailedFunction =
  @convention(c) (UnsafeMutableRawPointer?, UInt64, UInt64, Int32, Int32, UnsafePointer<CChar>?)
  -> Void
typealias ServerFunction = @convention(c) (UnsafeMutableRawPointer?, UInt64) -> Void
typealias AccessFunction =
  @convention(c) (UnsafeMutableRawPointer?, UInt64, UnsafePointer<CChar>?, Int) -> Void

@safe struct Server: ~Copyable {
  enum State {
    case idle, running, stopping
  }

  var handle = Handle(bits: 0)
  let slotIndex: UInt32
  let slot: Ref<Slot>

  // ---- set while it does not run
  var options = ServerOptions()
  var router: Router
  /// "Server: ...\r\n", or nothing.
  var serverLine = ByteBuffer()
  /// With the policy of a list: the origins, one behind the other with commas.
  var origins = OriginList()
  /// Where uploads wait, with a NUL behind it; empty: /tmp.
  var uploads = ByteBuffer()
  /// What cookies are signed with, the first one, and accepted by.
  var cookieKeys = List<Ref<ByteBuffer>>()
  var crossOrigin = CrossOrigin()
  var proxies = TrustedProxies()
  var listeners = List<Ref<Listener>>()
  var mounts = List<Ref<Mount>>()
  var errorPages = List<Ref<ErrorPage>>()
  /// Certificates, where there are any.
  var tls: Ref<TLSServer>? = nil
  var onConnect = unsafe List<Callback<ConnectionFunction>>()
  var onDisconnect = unsafe List<Callback<ConnectionFunction>>()
  var onReceive = unsafe List<Callback<HandlerFunction>>()
  var onReply = unsafe List<Callback<RepliedFunction>>()
  var onError = unsafe List<Callback<FailedFunction>>()
  var onTick = unsafe List<Callback<ServerFunction>>()
  var onAccess = unsafe Callback<AccessFunction>.none
  var hasReplyListeners: Bool { unsafe !onReply.isEmpty || onAccess.isSet }

  // ---- while it runs
  var workers = List<Ref<Worker>>()
  /// Workers that have stopped and whose requests the host still holds; a list.
  var retired: Ref<Worker>? = nil
  var queue: EventQueue
  /// For notes on their way through it, and for what other threads send.
  var spare = SpareMemory()
  private let queues = Atomic<Bool>(false)
  private let threads = Atomic<Bool>(false)
  let nextConnection = Atomic<UInt64>(0)
  let connections = Atomic<Int64>(0)
  let channels = Atomic<Int64>(0)
  /// Channels that take what is deflated once for all.
  let deflating = Atomic<Int64>(0)
  var topics = Topics()
  /// Behind the lock.
  var guest: Guest? = nil
  let isStopping = Atomic<Bool>(false)
  let isDying = Atomic<Bool>(false)
  /// By the host, or by a signal: for its next tick.
  let isWoken = Atomic<Bool>(false)
  /// Whoever does the work while it waits for something has to look for that.
  let mustLook = Atomic<Bool>(false)
  /// What stopped workers had counted.
  let pastCounters: Counters
  let nextWorker = Atomic<Int>(0)
  /// Fields of trusted proxies that were malformed, by whoever asked for them.
  let malformedForwards = Atomic<Int64>(0)
  /// Bytes of what was published and has not reached all workers.
  let underWay = Atomic<Int64>(0)
  /// While accepting pauses: when to look for descriptors again. Otherwise 0.
  let acceptAgain = Atomic<Int64>(0)
  let descriptorLimit = Atomic<Int64>(1024)
  /// Workers that may still accept. The last one to let go closes the listeners.
  let acceptors = Atomic<Int>(0)

  // ---- the thread that ticks
  var tickEvents = List<Event>()
  var tickIndex = 0
  /// The workers that are told of mail when the batch ends.
  var gathered = List<Bool>()
  var callbacks: Int32 = 0
  /// A pull is under way, and what it has got.
  var isPulling = false
  /// The thread that has taken an event by itself last; 0: none.
  let puller = Atomic<UInt>(0)
  var pulled: Pulled? = nil
  /// Whether news come before events the next time: they take turns.
  var prefersNews = false
  /// During a call that waits, before anybody has pulled: what only he would hear of.
  var isHolding = false
  var held = List<Event>()

  // ---- its life, behind the lock
  let lock = Lock()
  let changed = Condition()
  var state = State.idle
  var workersLeft = 0
  var isTicking = false
  /// Somebody takes the workers down.
  var isReaping = false
  /// A start has failed, after which there may be another one.
  var keepsListeners = false

  init(
    slotIndex: UInt32, slot: Ref<Slot>, router: consuming Router, queue: consuming EventQueue,
    counters: consuming Counters
  ) {
    self.slotIndex = slotIndex
    self.slot = slot
    self.router = router
    self.queue = queue
    self.pastCounters = counters
  }

  /// Whether callbacks wait for the thread that ticks. Without threads, while they are
  /// pulled.
  var isQueued: Bool {
    get { queues.load(ordering: .relaxed) }
    nonmutating set { queues.store(newValue, ordering: .relaxed) }
  }

  /// Since its last start.
  var hasThreads: Bool {
    get { threads.load(ordering: .relaxed) }
    nonmutating set { threads.store(newValue, ordering: .relaxed) }
  }

  deinit {
    if let guest { unsafe guest.end(guest.object) }
    for index in 0..<cookieKeys.count { cookieKeys[index].free() }
    for index in 0..<listeners.count { listeners[index].free() }
    for index in 0..<mounts.count { mounts[index].free() }
    for index in 0..<errorPages.count { errorPages[index].free() }
    tls?.free()
    for index in unsafe 0..<onConnect.count { unsafe onConnect[index].end() }
    for index in unsafe 0..<onDisconnect.count { unsafe onDisconnect[index].end() }
    for index in unsafe 0..<onReceive.count { unsafe onReceive[index].end() }
    for index in unsafe 0..<onReply.count { unsafe onReply[index].end() }
    for index in unsafe 0..<onError.count { unsafe onError[index].end() }
    for index in unsafe 0..<onTick.count { unsafe onTick[index].end() }
    unsafe onAccess.end()
    unsafe crossOrigin.check.end()
  }
}

extension Ref where Object == Server {
  /// Makes a server, or a client: the same without listeners and routes.
  static func make(_ kind: Kind = .server) throws(Failure) -> Ref<Server> {
    let queue = try EventQueue()
    let memory = unsafe allocate(bytes: MemoryLayout<Server>.stride)
    guard let memory = unsafe memory else { throw .noMemory }
    guard let router = Router(), let counters = Counters(),
      let index = unsafe Slots.take(kind, memory, serverUnpinned),
      let slot = Slots.slot(UInt64(index))
    else {
      unsafe deallocate(memory)
      throw .noMemory
    }
    let typed = unsafe memory.bindMemory(to: Server.self, capacity: 1)
    unsafe typed.initialize(
      to: Server(
        slotIndex: index, slot: slot, router: router, queue: queue, counters: counters))
    let server = unsafe Ref(typed)
    guard server.o.lock.isUsable, server.o.changed.isUsable, server.o.queue.isUsable,
      server.o.topics.isUsable
    else {
      Slots.give(index)
      server.free()
      throw .noMemory
    }
    server.o.handle = Slots.live(slot, index, at: Clock.now, open: true)
    return server
  }

  /// Whether this thread is inside a callback of this server, or its tick; others
  /// of other servers may run inside that. The log's function is one of all: whoever is about
  /// to write waits for it.
  var isInCallback: Bool { unsafe ThreadContext.isInside(opaque) || Log.isWriting }

  var uploadFolder: Text {
    guard let start = unsafe o.uploads.pointer, !o.uploads.isEmpty else { return Text("/tmp") }
    return unsafe Text(start: start, count: o.uploads.count)
  }

  /// Options, routes and listeners are set while the server is idle.
  func whileIdle<Result>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    o.lock.lock()
    defer { o.lock.unlock() }
    guard o.state == .idle, !o.isReaping else {
      throw Failure(.state, "the server has started")
    }
    return try body()
  }

  func counter(_ counter: Counter) -> Int64 {
    switch counter {
    case .connections: return o.connections.load(ordering: .relaxed)
    case .pending: return o.queue.count.load(ordering: .relaxed)
    case .malformedForwards: return o.malformedForwards.load(ordering: .relaxed)
    default: break
    }
    o.lock.lock()
    defer { o.lock.unlock() }
    var sum = o.pastCounters.value(counter)
    for index in 0..<o.workers.count { sum &+= o.workers[index].o.counters.value(counter) }
    return sum
  }

  // ---- for other threads than its own

  var isRunning: Bool {
    o.lock.lock()
    defer { o.lock.unlock() }
    return o.state != .idle
  }

  var isAccepting: Bool {
    o.lock.lock()
    defer { o.lock.unlock() }
    return o.state == .running && !isAcceptPaused
  }

  /// With worker dispatch and threads nothing is queued.
  var canBePulled: Bool { o.isQueued || !o.hasThreads }

  /// The descriptor that tells when to tick; nil when there is nothing to tick.
  var eventDescriptor: Int32? {
    o.lock.lock()
    defer { o.lock.unlock() }
    guard o.state != .idle, o.workers.count > 0 else { return nil }
    return o.hasThreads ? o.queue.descriptor.number : o.workers[0].o.loop.o.poller
  }

  func wake() {
    o.isWoken.store(true, ordering: .relaxed)
    wakeThread()
  }

  /// The thread that ticks, from what it sleeps in.
  func wakeThread() {
    o.queue.wake()
    o.lock.lock()
    if !o.hasThreads, o.workers.count > 0 { o.workers[0].o.loop.o.mailbox.wake() }
    o.lock.unlock()
  }

  /// Takes on a connected socket.
  func adopt(_ descriptor: Int32) throws(Failure) {
    let peer = try ConnectedSocket.check(descriptor)
    o.lock.lock()
    defer { o.lock.unlock() }
    guard o.state == .running, o.workers.count > 0 else {
      throw Failure(.state, "the server does not run")
    }
    try ConnectedSocket.makeNonblocking(descriptor)
    try handOver(descriptor, peer, from: nil, isInLoop: false)
  }

  // ---- routing

  @inline(__always)
  func route(_ exchange: Ref<Exchange>) -> Destination {
    if !exchange.o.head.isEncoded, let path = exchange.part(exchange.o.head.path),
      let number = o.router.findPlain(path.bytes, method: exchange.o.head.method)
    {
      return .route(number)
    }
    return search(exchange)
  }

  @inline(never)
  private func search(_ exchange: Ref<Exchange>) -> Destination {
    exchange.o.hasExtras = true
    if o.router.routes.isEmpty { return o.isQueued || keepsUntaken ? .pulled : .nothing }
    let path = exchange.rawPath
    let name = exchange.methodName
    let match = o.router.find(
      path.bytes, isEncoded: exchange.o.head.isEncoded, method: exchange.o.head.method,
      name: name.bytes,
      captures: &exchange.o.captures)
    switch match {
    case .found(let number): return .route(number)
    case .otherMethod: return .otherMethod
    case .none: return .nothing
    case .noMemory: return .undecided
    }
  }
}

/// The last pin of a destroyed server has gone.
private func serverUnpinned(_ object: UnsafeMutableRawPointer) {
  unsafe Ref<Server>(opaque: object).finish()
}
