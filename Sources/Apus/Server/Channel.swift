// A WebSocket connection of either role, as the host has it: a handle, settings,
// listeners, and what waits to be sent or to be read.
//
// Who is in it: the loop that has its stream, threads that send, and whoever tells
// the host. What they share stands behind `lock`. Each of them counts as a
// reference: the handle, the loop, mail and events on their way. The last one frees
// it, on whatever thread that is; from the moment on that the loop has let go of it
// nothing of the loop is touched. Its handle keeps a pin of the server; all else that
// has it is the server's own, and ends with that.

import Synchronization

@safe struct Channel: ~Copyable {
  enum State: UInt8 {
    case connecting = 0
    case open
    case closing
    case closed
  }

  /// The event of its close, for who takes these by himself.
  enum CloseEvent: UInt8 {
    /// It is not closed, or the event was given.
    case none
    /// What tells the listeners is on its way, and the event comes behind that.
    case underWay
    /// The listeners have heard: it is given once it is wanted.
    case due
  }

  // ---- what each message looks at: it stands together, and is brought near ahead of its
  // time (`warm`). Of these the state, the worker, the sender, the output, what is postponed,
  // the high-water mark and the listeners stand behind the lock.
  let slot: Ref<Slot>
  var handle = Handle(bits: 0)
  let server: Ref<Server>
  /// The loop's.
  var connection: Ref<Connection>? = nil
  /// Nil once the loop has let go of it.
  var worker: Ref<Worker>? = nil
  /// What its route's channels share.
  var shared: Ref<ChannelRoute>? = nil
  let lock = Lock()
  var highWater: Int64
  /// Bytes that the stream holds and the kernel has not taken.
  let unsent = Atomic<Int64>(0)
  /// The loop's, as the next one: since when the receiver counts control frames.
  var lastHeard: Int64 = 0
  var controlsSince: Int64 = 0
  /// Counts what a client's channel was opened and reset, behind the lock; and which of these
  /// runs the loop is at. What comes of another one is not told any more.
  let run = Atomic<UInt32>(0)
  var currentRun: UInt32 = 0
  let role: Role
  var state = State.connecting
  /// What was negotiated; set once.
  var deflate: DeflateParameters? = nil
  /// Whether messages are told, and not kept in the inbox; whether the channel has
  /// listeners of its own; and whether anybody hears of anything.
  let hasListener = Atomic<Bool>(false)
  let hasOwnListeners = Atomic<Bool>(false)
  let isHeard = Atomic<Bool>(false)
  let wantsDrain = Atomic<Bool>(false)
  // The loop's: whether nothing that comes is looked at any more; whether the inbox may hold
  // something, which a listener hears first; whether a ping is not answered, as output waits.
  var isDeaf = false
  var hasKept = false
  var isPongDue = false
  var sender: MessageSender
  /// Frames that wait for the loop.
  var output = ByteBuffer()
  /// Published meanwhile, to follow the message that is being sent in frames.
  var postponed = ByteBuffer()
  /// What was received and not read.
  var inbox = Inbox()
  /// The loop's.
  var receiver: MessageReceiver

  static var hotSize: Int { 384 }

  // ---- who it is
  let slotIndex: UInt32
  var id: UInt64 = 0
  /// -1: none.
  var route: Int32 = -1
  /// Path, subprotocol and key, each with a NUL.
  var facts = ByteBuffer()
  var pathCount = 0
  var protocolCount = 0
  var keyCount = 0

  let references = Atomic<Int32>(2)  // the handle and the loop
  let mail: Ref<Mail>
  let isPosted = Atomic<Bool>(false)
  /// Whether whoever takes events by himself is told of it.
  let givesEvents = Atomic<Bool>(false)

  // ---- behind the lock
  var deflater: Ref<Deflater>? = nil
  var keys = MaskKeys()
  /// Where messages are compressed.
  var scratch = ByteBuffer()
  var closesWhenFull = false
  /// An event that says what was missed is on its way.
  let isMissOnWay = Atomic<Bool>(false)
  /// Made with the first one.
  var listeners: Ref<ChannelListeners>? = nil
  /// The caller has it beyond its close, until it destroys it.
  var isKept = false
  /// It waits to be taken by the host, and stays for that when it closes.
  var isUntaken = false
  /// Its connection was made elsewhere.
  var isAdopted = false
  /// Destroyed, while its stream may still be there.
  var isAbandoned = false
  var pingInterval: Int64 = 30_000
  var pongTimeout: Int64 = 0
  /// When the last pong came, in microseconds of the loop's clock; 0: none.
  var lastPong: Int64 = 0
  var requests = TopicRequests()
  /// Whether what is deflated once for all can be sent to it.
  var takesShared = false
  /// Such a message was sent: the other end's window is not the deflater's any more.
  var mustForget = false
  /// An event that says that messages wait in the inbox is on its way.
  var isAnnounced = false
  var closeEvent = CloseEvent.none
  /// What messages on their way to the thread that ticks count for.
  let waiting = Atomic<Int64>(0)

  /// What makes its connections, if it does that itself.
  var caller: Ref<Caller>? = nil

  // ---- the loop's
  var inflater: Ref<Inflater>? = nil
  var memberships = List<Ref<Membership>>()
  var lastPing: Int64 = 0
  /// The payload of the newest ping that is not answered.
  var latePing = ByteBuffer()
  var closeDeadline: Int64 = 0
  /// The peer's Close waits for its answer, until the host has seen what came before.
  var isAnswerDue = false
  var isClosedTold = false
  var closeCode: UInt16 = 1006
  var closeReason = ByteBuffer()

  init(
    slotIndex: UInt32, slot: Ref<Slot>, role: Role, server: Ref<Server>, mail: Ref<Mail>,
    limits: MessageReceiver.Limits, deflates: Bool
  ) {
    self.slotIndex = slotIndex
    self.slot = slot
    self.role = role
    self.server = server
    self.mail = mail
    highWater = server.o.options.channelHighWater
    sender = MessageSender(role: role)
    receiver = MessageReceiver(role: role, allowsCompression: deflates, limits: limits)
  }

  deinit {
    caller?.free()
    mail.free()
    deflater?.free()
    inflater?.free()
  }

  /// Memory for what other threads send, beyond which it is given back.
  static var keptOutput: Int { 4096 }
  /// Shorter messages are not compressed.
  static var leastCompressed: Int { 64 }
}

extension Ref where Object == Channel {
  /// Makes a channel, whose handle is not live yet; its references are the caller's.
  /// Nil without memory. The server runs, or the caller holds its lock.
  static func make(
    role: Role, server: Ref<Server>, worker: Ref<Worker>?, deflate: DeflateParameters?
  ) -> Ref<Channel>? {
    guard let memory = unsafe allocate(bytes: MemoryLayout<Channel>.stride) else { return nil }
    guard let index = unsafe Slots.take(.channel, memory, channelUnpinned),
      let slot = Slots.slot(UInt64(index))
    else {
      unsafe deallocate(memory)
      return nil
    }
    let mail = unsafe Ref<Mail>(make: Mail(memory, { unsafe Ref<Channel>(opaque: $0).mailed() }))
    guard let mail else {
      Slots.give(index)
      unsafe deallocate(memory)
      return nil
    }
    let typed = unsafe memory.bindMemory(to: Channel.self, capacity: 1)
    unsafe typed.initialize(
      to: Channel(
        slotIndex: index, slot: slot, role: role, server: server, mail: mail,
        limits: server.o.options.messages, deflates: deflate != nil))
    let channel = unsafe Ref(typed)
    channel.o.pingInterval = server.o.options.pingInterval
    channel.o.deflate = deflate
    channel.o.takesShared = role == .server && deflate?.serverMaxWindowBits == 15
    guard channel.o.lock.isUsable else {
      Slots.give(index)
      channel.free()
      return nil
    }
    channel.o.worker = worker
    server.o.channels.wrappingAdd(1, ordering: .relaxed)
    if channel.o.takesShared { server.o.deflating.wrappingAdd(1, ordering: .relaxed) }
    return channel
  }

  /// Lets everybody find it, once it is what it is to be.
  func open(as state: Channel.State = .open) {
    o.lock.lock()
    o.state = state
    Slots.hold(o.server.o.slot)
    o.handle = Slots.live(o.slot, o.slotIndex, at: Clock.now, open: true)
    o.lock.unlock()
  }

  // A quarter of a megabyte each: a channel that compresses nothing has none.

  func makeDeflater() -> Ref<Deflater>? {
    if let deflater = o.deflater { return deflater }
    guard let deflate = o.deflate else { return nil }
    let isServer = o.role == .server
    let bits = isServer ? deflate.serverMaxWindowBits : deflate.clientMaxWindowBits
    let forgets = isServer ? deflate.serverNoContextTakeover : deflate.clientNoContextTakeover
    guard let deflater = Deflater(bits: bits, keepsContext: !forgets) else { return nil }
    o.deflater = Ref<Deflater>(make: deflater)
    return o.deflater
  }

  func makeInflater() -> Ref<Inflater>? {
    if let inflater = o.inflater { return inflater }
    guard let deflate = o.deflate else { return nil }
    let isServer = o.role == .server
    let bits = isServer ? deflate.clientMaxWindowBits : deflate.serverMaxWindowBits
    let forgets = isServer ? deflate.clientNoContextTakeover : deflate.serverNoContextTakeover
    guard let inflater = Inflater(bits: bits, keepsContext: !forgets) else { return nil }
    o.inflater = Ref<Inflater>(make: inflater)
    return o.inflater
  }

  /// Notes what the handshake told. False without memory.
  func note(path: Bytes, subprotocol: Bytes, key: Bytes) -> Bool {
    o.facts.truncate(to: 0)
    let count = path.count &+ subprotocol.count &+ key.count &+ 3
    o.facts.reserve(count, upTo: count)
    for text in 0..<3 {
      o.facts.append(text == 0 ? path : text == 1 ? subprotocol : key)
      o.facts.append(0)
    }
    o.pathCount = path.count
    o.protocolCount = subprotocol.count
    o.keyCount = key.count
    return !o.facts.failed
  }

  private func fact(_ start: Int, _ count: Int) -> Text {
    guard let base = unsafe o.facts.pointer, o.facts.count > start &+ count else { return Text("") }
    return unsafe Text(start: base + start, count: count)
  }

  var path: Text { fact(0, o.pathCount) }
  var subprotocol: Text { fact(o.pathCount &+ 1, o.protocolCount) }
  var key: Text { fact(o.pathCount &+ o.protocolCount &+ 2, o.keyCount) }

  /// It is one of a route's, whose listeners hear of it.
  func adoptRoute(_ number: Int32, _ channels: Ref<ChannelRoute>?) {
    guard let channels else { return }
    o.route = number
    o.shared = channels
    let hears = unsafe !channels.o.listeners.onMessage.isEmpty
    o.hasListener.store(hears, ordering: .releasing)
  }

  /// Where listeners of its own go; nil without memory. The caller holds the lock.
  func listening() -> Ref<ChannelListeners>? {
    if o.listeners == nil { o.listeners = Ref<ChannelListeners>(make: ChannelListeners()) }
    return o.listeners
  }

  /// A listener was added, of messages among others. The caller holds the lock.
  func listenersChanged(hears: Bool) {
    o.isHeard.store(true, ordering: .releasing)
    if hears {
      o.hasOwnListeners.store(true, ordering: .releasing)
      o.hasListener.store(true, ordering: .releasing)
    }
    // What has come before is told by the loop.
    if hears || o.wantsDrain.load(ordering: .relaxed) { notifyLoop() }
  }

  /// The caller holds the lock; the loop sees to its timer.
  func setPing(interval: Int64, deadline: Int64) {
    o.pingInterval = interval
    o.pongTimeout = deadline
    notifyLoop()
  }

  // ---- references

  func retain() { o.references.wrappingAdd(1, ordering: .relaxed) }

  func release() {
    let left = o.references.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue
    if left == 0 { end() }
  }

  /// Nobody has it any more.
  @inline(never)
  private func end() {
    let server = o.server
    if let listeners = o.listeners {
      o.listeners = nil
      unsafe listeners.o.end { drop, context in
        unsafe ThreadContext.inside(server.opaque) { unsafe drop(context) }
      }
      listeners.free()
    }
    o.inbox.clear()
    let index = o.slotIndex
    if o.takesShared { server.o.deflating.wrappingSubtract(1, ordering: .relaxed) }
    free()
    Slots.give(index)
    server.o.channels.wrappingSubtract(1, ordering: .relaxed)
  }

  /// Ends the handle; true for the one caller that did.
  func end(_ handle: Handle) -> Bool {
    let (ended, pinned) = Slots.end(o.slot, handle)
    if ended, !pinned { handleEnded() }
    return ended
  }

  /// The handle's reference goes, and with it what kept the server.
  fileprivate func handleEnded() {
    let server = o.server.o.slot
    release()
    Slots.unpin(server)
  }

  /// Runs with the lock held.
  @inline(__always)
  func locked<Result, Thrown: Error>(_ body: () throws(Thrown) -> Result) throws(Thrown)
    -> Result
  {
    o.lock.lock()
    defer { o.lock.unlock() }
    return try body()
  }

  /// Whether the loop is at what was asked for last.
  @inline(__always)
  var isCurrent: Bool { o.run.load(ordering: .relaxed) == o.currentRun }

  /// The caller holds the lock; the loop drops what it has.
  func beginRun() { o.run.wrappingAdd(1, ordering: .relaxed) }

  var isOnLoop: Bool {
    guard let worker = o.worker else { return false }
    return unsafe ThreadContext.loop == worker.o.loop.opaque
  }

  /// Has the loop look at it. The caller holds the lock, so that the loop is there.
  func notifyLoop() {
    guard let worker = o.worker else { return }
    if o.isPosted.exchange(true, ordering: .acquiringAndReleasing) { return worker.hurry() }
    retain()
    worker.post(o.mail)
  }
}

/// The last pin of a handle that has ended.
private func channelUnpinned(_ object: UnsafeMutableRawPointer) {
  unsafe Ref<Channel>(opaque: object).handleEnded()
}
