// One request and its reply. It belongs to one side at a time: the loop while it
// is received, the thread of its handler while that runs, and again the loop once
// it was replied to. A deferred one, and one with a writer, is shared by threads
// and then every access takes its lock.
//
// Exchanges are pooled by their worker, with their slot and their memory, so that
// a request in the steady state allocates nothing.

import Synchronization

/// Who may still touch an exchange, besides its loop.
struct Holds: OptionSet {
  let rawValue: UInt8
  static var handler: Holds { Holds(rawValue: 1) }  // its handler runs, or is due
  static var request: Holds { Holds(rawValue: 2) }  // deferred: the caller owns it
  static var writer: Holds { Holds(rawValue: 4) }  // there is a writer
  static var upgrade: Holds { Holds(rawValue: 8) }  // there is a ticket for a channel
  static var file: Holds { Holds(rawValue: 16) }  // of its reply a file is left to be sent
  static var folder: Holds { Holds(rawValue: 32) }  // its loop is to answer it from a folder
}

/// A name and a value that live in the arena, or with the route.
struct Pair {
  var name: Text
  var value: Text
}

/// What the router said.
enum Destination: Equatable {
  case undecided
  case route(Int32)
  case otherMethod
  case nothing
  /// A folder's, which its loop answers.
  case folder
  /// No routes at all: whoever pulls decides.
  case pulled
  /// It was answered before it could be routed.
  case answered
}

typealias BodyFunction =
  @convention(c) (UnsafeMutableRawPointer?, UInt64, UnsafeRawPointer?, Int, Int32) -> Void
typealias WriterFunction = @convention(c) (UnsafeMutableRawPointer?, UInt64) -> Void

@safe struct Exchange: ~Copyable {
  // ---- who it is
  var slotIndex: UInt32
  var slot: Ref<Slot>
  var handle = Handle(bits: 0)
  /// Nil for a request that was parsed without a connection.
  let worker: Ref<Worker>?
  var connection: Ref<Connection>? = nil
  /// The next one of its connection, or of the pool.
  var next: Ref<Exchange>? = nil
  let mail: Ref<Mail>?
  let lock = Lock()
  /// Whether the mail is on its way.
  let isPosted = Atomic<Bool>(false)
  /// Whether the client has left.
  let isGone = Atomic<Bool>(false)

  // ---- the request
  var head = RequestHead()
  var arena = Arena()
  /// The head, copied, with NULs behind its parts.
  nonisolated(unsafe) var text: UnsafeMutablePointer<UInt8>? = nil
  var path = Text("")
  /// Whether what most requests do without is there: these down to the form.
  var hasExtras = false
  var host = Text("")
  var told = ToldClient()
  /// The client's address as text, once it was asked for.
  nonisolated(unsafe) var client: UnsafePointer<CChar>? = nil
  var captures = List<Capture>()
  var parameters = List<Pair>()
  var hasParameters = false
  var queries = List<Pair>()
  var hasQueries = false
  var trailers = List<Pair>()
  var cookies = List<Pair>()
  var hasCookies = false
  var form: Ref<Form>? = nil
  var body = ByteBuffer()
  var destination = Destination.undecided
  /// That of the destination: it stays where it is, while the server's list may move.
  var route: Ref<Route>? = nil
  var receivedAt: Int64 = 0

  // ---- where it is: these, down to isBodyQueued, are reset with one store
  var holds: Holds = []
  var isInputEnded = false
  var continueDue = false
  var isDeferred = false
  /// Deferred by being pulled, and not by the host's own word.
  var isPulled = false
  /// The listeners have let it through before it is taken.
  var isHeard = false
  /// Whether its connection has let go of it.
  var isPopped = false
  /// Whether its handler, or a listener before it, was started.
  var isDispatched = false
  var isReplied = false
  var isBroken = false
  var isHeadWritten = false
  var closes = false
  /// Whether the page that has sent it may see the reply.
  var isOriginAllowed = false
  /// A reply was to be a file that is not there.
  var isFileMissing = false
  var isBodyQueued = false
  /// Events in the queue that name it.
  var queued: Int32 = 0
  var clientPort: Int32 = 0
  /// Events that could not be queued; the loop's thread alone looks at these.
  var owed: Owed = []
  /// Whether several threads may touch it; from then on, under the lock.
  let shared = Atomic<Bool>(false)
  /// Whether the thread that ticks has it; the loop leaves it alone, unless shared.
  let isAway = Atomic<Bool>(false)

  // ---- the reply
  var reply = ReplyHead()
  var framing = ReplyHead.Framing.none
  /// Bytes of the body, framed, that have not gone to the stream.
  var output = ByteBuffer()
  var bodyBytes: Int64 = 0
  /// What comes behind that, and from files.
  var parcels = Parcels()

  // ---- a streamed body
  var bodyCallback = unsafe Callback<BodyFunction>.none
  /// What the callback is told: the handle itself changes when the reply is out.
  var bodyHandle = Handle(bits: 0)
  var incoming = ByteBuffer()
  /// How the body ended, once it has: 1 whole, -1 cut.
  var incomingEnd: Int32 = 0

  // ---- an upgrade
  var upgrade: Ref<Upgrade>? = nil
  /// What the connection becomes when the reply has gone.
  var channel: Ref<Channel>? = nil
  /// A channel whose opening is to be told.
  var opened: Ref<Channel>? = nil

  // ---- a writer
  var writer = WriterState()

  init(slotIndex: UInt32, slot: Ref<Slot>, worker: Ref<Worker>?, mail: Ref<Mail>?) {
    self.slotIndex = slotIndex
    self.slot = slot
    self.worker = worker
    self.mail = mail
  }

  deinit {
    mail?.free()
    upgrade?.free()
    form?.free()
    writer.trailers?.free()
    writer.gzip?.free()
    writer.events?.free()
  }

  var isHead: Bool { head.method == Method.head }
  var hasLeft: Bool { isGone.load(ordering: .acquiring) }
  var isShared: Bool { shared.load(ordering: .acquiring) }
}

extension Ref where Object == Exchange {
  /// Makes an exchange with a slot of its own; nil when there is no memory.
  static func make(worker: Ref<Worker>?) -> Ref<Exchange>? {
    let memory = unsafe allocate(bytes: MemoryLayout<Exchange>.stride)
    guard let memory = unsafe memory else { return nil }
    guard let index = unsafe Slots.take(.request, memory, exchangeUnpinned),
      let slot = Slots.slot(UInt64(index))
    else {
      unsafe deallocate(memory)
      return nil
    }
    let mail = unsafe Ref<Mail>(make: Mail(memory, { unsafe Ref<Exchange>(opaque: $0).mailed() }))
    let typed = unsafe memory.bindMemory(to: Exchange.self, capacity: 1)
    unsafe typed.initialize(
      to: Exchange(slotIndex: index, slot: slot, worker: worker, mail: mail))
    let exchange = unsafe Ref(typed)
    guard mail != nil, exchange.o.lock.isUsable else {
      Slots.give(index)
      exchange.free()
      return nil
    }
    return exchange
  }

  /// Forgets a request, for the next; what is large is given back.
  @inline(__always)
  func reset() {
    if o.isShared {
      endCallbacks()
      endUpgrade()
    }
    if o.hasExtras { resetExtras() }
    o.handle = Handle(bits: 0)
    o.connection = nil
    o.next = nil
    o.head.reset()
    o.arena.reset()
    unsafe o.text = nil
    o.path = Text("")
    o.body.clear(keep: 4096)
    o.destination = .undecided
    o.route = nil
    o.reply.reset()
    o.framing = .none
    o.output.clear(keep: 4096)
    o.bodyBytes = 0
    o.incomingEnd = 0
    o.isInputEnded = false
    o.continueDue = false
    o.holds = []
    o.isDeferred = false
    o.isPulled = false
    o.isHeard = false
    o.isPopped = false
    o.isDispatched = false
    o.isReplied = false
    o.isBroken = false
    o.isHeadWritten = false
    o.closes = false
    o.isOriginAllowed = false
    o.isFileMissing = false
    o.isBodyQueued = false
    o.shared.store(false, ordering: .relaxed)
    o.isGone.store(false, ordering: .relaxed)
    if o.writer.hasBegun || o.writer.handle.bits != 0 { resetWriter() }
  }

  private func endUpgrade() {
    o.upgrade?.free()
    o.upgrade = nil
    o.channel = nil
  }

  @inline(never)
  private func resetExtras() {
    o.hasExtras = false
    o.host = Text("")
    o.told = ToldClient()
    unsafe o.client = nil
    o.captures.removeAll()
    o.parameters.removeAll()
    o.hasParameters = false
    o.queries.removeAll()
    o.hasQueries = false
    o.trailers.removeAll()
    o.parcels.clear()
    o.cookies.removeAll()
    o.hasCookies = false
    dropForm()
  }

  @inline(never)
  private func resetWriter() {
    o.writer.handle = Handle(bits: 0)
    o.writer.hasBegun = false
    o.writer.highWater = 0
    o.writer.remaining = -1
    o.writer.unsent.store(0, ordering: .relaxed)
    o.writer.wantsDrain = false
    o.writer.isDrainQueued = false
    o.writer.isCloseQueued = false
    o.writer.isClosePending = false
    o.writer.isCloseUnheard = false
    o.writer.isDetached = false
    o.writer.teller = Teller()
    o.writer.isDrainDue = false
    o.writer.isEndDue = false
    o.writer.isEndListed = false
    o.writer.dropTrailers()
    o.writer.dropGzip()
    o.writer.idleTimeout = 0
    o.writer.lastWrite = 0
    o.writer.events?.free()
    o.writer.events = nil
  }

  /// Ends the contexts of callbacks that were registered with it.
  func endCallbacks() {
    if unsafe o.bodyCallback.isSet { unsafe end(&o.bodyCallback) }
    if unsafe o.writer.onDrain.isSet { unsafe end(&o.writer.onDrain) }
    if unsafe o.writer.onClose.isSet { unsafe end(&o.writer.onClose) }
    if let events = o.writer.events, unsafe events.o.onMissed.isSet {
      unsafe end(&events.o.onMissed)
    }
    o.incoming.clear()
  }

  var hasCallbacks: Bool {
    unsafe o.bodyCallback.isSet || o.writer.onDrain.isSet || o.writer.onClose.isSet
      || o.writer.events?.o.onMissed.isSet ?? false
  }

  private func end<Function>(_ callback: inout Callback<Function>) {
    let old = callback
    callback = .none
    o.worker?.o.server.drop(old)
  }
}
