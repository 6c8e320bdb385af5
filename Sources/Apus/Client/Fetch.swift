// A fetch: a request as the host builds it, and what is done to have its response:
// connections, redirects, answers to challenges, attempts anew.
//
// Who is in it: threads that set it up, start, wait and cancel; the loop that does the
// work; and whoever tells the host. What they share stands behind `lock`. Each counts as
// a reference: the handle, a run from its start to its end, mail and events on their way.
// The last one frees it. Its handle keeps a pin of the server.

import Synchronization

typealias FetchFunction = @convention(c) (UnsafeMutableRawPointer?, UInt64, UInt64) -> Void
typealias FetchBodyFunction =
  @convention(c) (UnsafeMutableRawPointer?, UInt64, UnsafeRawPointer?, Int) -> Void
typealias FetchedFunction =
  @convention(c) (UnsafeMutableRawPointer?, UInt64, UInt64, Int32) -> Void
typealias FetchSourceFunction =
  @convention(c) (UnsafeMutableRawPointer?, UInt64, UnsafeMutableRawPointer?, Int) -> Int64

@safe struct Fetch: ~Copyable {
  enum State: UInt8 {
    case idle = 0
    case running
    case done
  }

  // ---- who it is
  let slotIndex: UInt32
  let slot: Ref<Slot>
  var handle = Handle(bits: 0)
  let server: Ref<Server>
  let client: Ref<HTTPClient>
  let references = Atomic<Int32>(1)  // its maker's
  let mail: Ref<Mail>
  let isPosted = Atomic<Bool>(false)
  let lock = Lock()

  // ---- behind the lock: what the host has set
  var method = ByteBuffer()
  var url = ByteBuffer()
  var query = ByteBuffer()
  var fields = FieldLines()
  /// Lines of its client, as they were when it was made, where it has none of its own.
  var defaults = FieldLines()
  var unixPath = ByteBuffer()
  var options: FetchOptions
  var body = FetchBody()
  var form = FetchForm()
  var credentials = FetchCredentials()
  /// Its client's, as they were when it was made.
  var base = ByteBuffer()
  var defaultCredentials = FetchCredentials()
  var output = ByteBuffer()
  var onResponse = unsafe Callback<FetchFunction>.none
  var onBody = unsafe Callback<FetchBodyFunction>.none
  var onComplete = unsafe Callback<FetchedFunction>.none
  var source = unsafe Callback<FetchSourceFunction>.none
  /// Its end is an event for whoever takes these by himself.
  var teller = Teller()
  var isEndDue = false
  /// Set once, before it runs: what it brings is a stream of events, for that.
  var events: Ref<Source>? = nil

  // ---- and how it stands
  var state = State.idle
  var isCancelled = false
  var isPaused = false
  var failure: Failure? = nil
  var response: Ref<Response>? = nil
  /// Nil while it does not run.
  var worker: Ref<Worker>? = nil
  var condition: Ref<Condition>? = nil
  /// Somebody waits for its end by running callbacks.
  var isTickedFor = false
  /// What the host was asked for and has given, and whether that was all.
  var given = ByteBuffer()
  var isGivenWhole = false
  var isAsking = false
  /// The host has none to give after all.
  var isRefused = false
  /// Bytes on their way to the thread that ticks.
  var untold: Int64 = 0
  /// What is still to be told, and contexts of callbacks that were replaced meanwhile.
  var telling = 0
  var parked = List<Parked>()

  // ---- the loop's
  var run = FetchRun()
  let timer: Ref<Timer>
  var next: Ref<Fetch>? = nil
  var previous: Ref<Fetch>? = nil
  var nextWaiting: Ref<Fetch>? = nil

  init(
    slotIndex: UInt32, slot: Ref<Slot>, server: Ref<Server>, client: Ref<HTTPClient>,
    options: FetchOptions, mail: Ref<Mail>, timer: Ref<Timer>
  ) {
    self.slotIndex = slotIndex
    self.slot = slot
    self.server = server
    self.client = client
    self.options = options
    self.mail = mail
    self.timer = timer
  }

  deinit {
    mail.free()
    timer.free()
    condition?.free()
  }

  /// A context that ends once nobody can be in its callback.
  @safe struct Parked {
    nonisolated(unsafe) let drop: Drop
    nonisolated(unsafe) let context: UnsafeMutableRawPointer?
  }

  /// Bytes that may be on their way to the thread that ticks before reading pauses.
  static var mostUntold: Int64 { 256 * 1024 }
}

extension Ref where Object == Fetch {
  static func make(on server: Ref<Server>) throws(Failure) -> Ref<Fetch> {
    let client = try server.httpClient()
    guard let memory = unsafe allocate(bytes: MemoryLayout<Fetch>.stride) else { throw .noMemory }
    guard let timer = Ref<Timer>(make: Timer()) else {
      unsafe deallocate(memory)
      throw .noMemory
    }
    let mail = unsafe Ref<Mail>(
      make: Mail(
        memory,
        {
          let fetch = unsafe Ref<Fetch>(opaque: $0)
          fetch.settle()
          fetch.release()
        }))
    guard let mail, let index = unsafe Slots.take(.fetch, memory, fetchUnpinned),
      let slot = Slots.slot(UInt64(index))
    else {
      mail?.free()
      timer.free()
      unsafe deallocate(memory)
      throw .noMemory
    }
    client.o.lock.lock()
    let options = client.o.options
    client.o.lock.unlock()
    let typed = unsafe memory.bindMemory(to: Fetch.self, capacity: 1)
    unsafe typed.initialize(
      to: Fetch(
        slotIndex: index, slot: slot, server: server, client: client, options: options,
        mail: mail, timer: timer))
    let fetch = unsafe Ref(typed)
    unsafe timer.o.owner = unsafe memory
    unsafe timer.o.run = { unsafe Ref<Fetch>(opaque: $0).expired() }
    guard fetch.o.lock.isUsable, fetch.copyDefaults() else {
      fetch.release()
      throw .noMemory
    }
    return fetch
  }

  private func copyDefaults() -> Bool {
    let client = o.client
    client.o.lock.lock()
    defer { client.o.lock.unlock() }
    o.base.append(client.o.base.bytes)
    return !o.base.failed && o.defaults.copy(client.o.fields)
      && o.defaultCredentials.copy(client.o.credentials)
  }

  /// Lets everybody find it, once it is what it is to be. The maker's reference becomes
  /// the handle's.
  func open() throws(Failure) -> UInt64 {
    Slots.hold(o.server.o.slot)
    // The client may end it as soon as it is there.
    retain()
    defer { release() }
    o.handle = Slots.live(o.slot, o.slotIndex, at: Clock.now, open: true)
    let bits = o.handle.bits
    // Destroyed since this call has begun: nobody would end the fetch.
    if o.server.o.isDying.load(ordering: .sequentiallyConsistent) {
      _ = end(o.handle)
      throw .deadHandle
    }
    return bits
  }

  // ---- references

  func retain() { o.references.wrappingAdd(1, ordering: .relaxed) }

  func release() {
    let left = o.references.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue
    if left == 0 { endObject() }
  }

  @inline(never)
  private func endObject() {
    let server = o.server
    o.response?.drop()
    unsafe ThreadContext.inside(server.opaque) {
      unsafe o.onResponse.end()
      unsafe o.onBody.end()
      unsafe o.onComplete.end()
      unsafe o.source.end()
      while let parked = o.parked.removeLast() { unsafe parked.drop(parked.context) }
    }
    let index = o.slotIndex
    free()
    Slots.give(index)
  }

  /// Ends the handle, and what runs; true for the one caller that did.
  func end(_ handle: Handle) -> Bool {
    let (ended, pinned) = Slots.end(o.slot, handle)
    guard ended else { return false }
    cancel()
    dropResponse()
    silence()
    if !pinned { handleEnded() }
    return true
  }

  /// What the handle's end takes with it, unless a run is to see to that.
  private func dropResponse() {
    o.lock.lock()
    let response = o.state == .running ? nil : o.response
    if response != nil { o.response = nil }
    o.lock.unlock()
    response?.drop()
  }

  /// The handle's reference goes, and with it what kept the server.
  fileprivate func handleEnded() {
    let server = o.server.o.slot
    release()
    Slots.unpin(server)
  }

  @inline(__always)
  func locked<Result, Thrown: Error>(_ body: () throws(Thrown) -> Result) throws(Thrown)
    -> Result
  {
    o.lock.lock()
    defer { o.lock.unlock() }
    return try body()
  }

  /// Has the loop look at it. The caller holds the lock, so that the loop is there.
  func notifyLoop() {
    guard let worker = o.worker else { return }
    if o.isPosted.exchange(true, ordering: .acquiringAndReleasing) { return worker.hurry() }
    retain()
    worker.post(o.mail)
  }

  // ---- callbacks that may be under way

  /// The context of a callback that was replaced ends later. The caller holds the lock.
  /// False: at once.
  func park<Function>(_ callback: Callback<Function>) -> Bool {
    guard o.telling > 0, let drop = unsafe callback.drop else { return false }
    return unsafe o.parked.append(Fetch.Parked(drop: drop, context: callback.context))
  }

  /// Something was told.
  func doneTelling() {
    var parked = List<Fetch.Parked>()
    o.lock.lock()
    o.telling &-= 1
    if o.telling == 0 { swap(&parked, &o.parked) }
    let isListed = o.telling == 0 && listIfDue()
    o.lock.unlock()
    let server = o.server
    if isListed { server.newsCame() }
    while let one = parked.removeLast() {
      unsafe ThreadContext.inside(server.opaque) { unsafe one.drop(one.context) }
    }
  }

  /// What the host sets, while it does not run; with its lock.
  func change(_ body: () throws(Failure) -> Void) throws(Failure) {
    try locked { () throws(Failure) in
      if o.state == .running { throw Failure(.state, "the fetch runs") }
      try body()
    }
  }

}

/// The last pin of a handle that has ended.
private func fetchUnpinned(_ object: UnsafeMutableRawPointer) {
  unsafe Ref<Fetch>(opaque: object).handleEnded()
}
