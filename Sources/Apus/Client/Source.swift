// An event source: a fetch that begins anew whenever its stream has ended (WHATWG HTML
// §9.2.3), and what the host has set for it and is to hear of it.
//
// Who is in it: threads that set it up, open, take events and close; the loop that the
// fetch runs on; and whoever tells the host. What they share stands behind `lock`. Each
// counts as a reference: the handle, a run from its opening to its end, news on their
// way. The last one frees it. Its handle keeps a pin of the server.

import Synchronization

typealias SourceFunction = @convention(c) (UnsafeMutableRawPointer?, UInt64) -> Void
typealias SourceEventFunction =
  @convention(c) (
    UnsafeMutableRawPointer?, UInt64, UnsafePointer<CChar>?, UnsafePointer<CChar>?,
    UnsafePointer<CChar>?, Int
  ) -> Void
typealias SourceErrorFunction =
  @convention(c) (UnsafeMutableRawPointer?, UInt64, Int32, Int32, Int32) -> Void

@safe struct Source: ~Copyable {
  enum State: Int32 {
    case connecting = 0
    case open = 1
    case closed = 3
  }

  // ---- who it is
  let slotIndex: UInt32
  let slot: Ref<Slot>
  var handle = Handle(bits: 0)
  let server: Ref<Server>
  let fetch: Ref<Fetch>
  let references = Atomic<Int32>(1)  // its maker's
  let lock = Lock()

  // ---- behind the lock: what the host has set
  var retry = SourceRetry()
  var limits = EventParser.Limits()
  var onOpen = unsafe Callback<SourceFunction>.none
  var onEvent = unsafe Callback<SourceEventFunction>.none
  var onError = unsafe Callback<SourceErrorFunction>.none
  /// What waits is told by events, to whoever takes these by himself.
  var teller = Teller()
  /// There is something to say, and it is that the source has closed by itself.
  var isDue = false
  var isCloseDue = false
  /// News for callbacks that are under way.
  var telling = 0

  // ---- and how it stands
  var state = State.closed
  /// From an opening until its fetch is done.
  var isRunning = false
  /// Its callbacks are settled from its first opening on.
  var hasRun = false
  /// Counts the openings: news of an earlier one are not told.
  var run: UInt32 = 0
  /// Why it has closed by itself.
  var failure: Failure? = nil
  var lastID = ByteBuffer()
  /// Events that wait for who takes them, and the one that he has.
  var first: Ref<EventLetter>? = nil
  var last: Ref<EventLetter>? = nil
  var current: Ref<EventLetter>? = nil
  var condition: Ref<Condition>? = nil
  var isCancelled = false
  var isRead = false

  // ---- the loop's
  var parser = EventParser()
  /// The answer under way is a stream of events.
  var isStream = false
  /// When it began, in microseconds.
  var openedAt: Int64 = 0
  /// It is not to be tried again, whatever comes.
  var isFatal = false
  var status: Int32 = 0
  /// While its end is told: where its fetch ran.
  var home: Ref<Worker>? = nil

  init(slotIndex: UInt32, slot: Ref<Slot>, server: Ref<Server>, fetch: Ref<Fetch>) {
    self.slotIndex = slotIndex
    self.slot = slot
    self.server = server
    self.fetch = fetch
  }

  /// The microseconds from which on a stream without events counts as one.
  static var shortest: Int64 { 1_000_000 }

  deinit {
    current?.free()
    var letter = first
    while let kept = letter {
      letter = kept.o.next
      kept.free()
    }
    condition?.free()
  }
}

/// When a source connects anew. Times are in milliseconds.
struct SourceRetry {
  /// Until the stream says otherwise.
  var time: Int64 = 3_000
  var most: Int64 = 60_000
  /// How often in a row it may fail; -1: for ever.
  var attempts: Int32 = -1
  var failures: Int32 = 0

  private static var leastDoubled: Int64 { 100 }

  var mayTry: Bool { attempts < 0 || failures < attempts }

  /// The next wait: what the stream wants at first, doubled with each failure, and up to
  /// half as long again by chance, of 65,536, so that not all come back at once.
  mutating func next(chance: Int64) -> Int64 {
    var delay = min(time, most)
    if failures > 0 { delay = max(delay, min(SourceRetry.leastDoubled, most)) }
    var count = failures
    while count > 0, delay < most {
      delay = min(delay &* 2, most)
      count &-= 1
    }
    if failures < Int32.max { failures &+= 1 }
    return delay &+ (delay / 2) &* chance / 65_536
  }
}

/// An event on its way to the host: its texts, each with a NUL behind it.
struct EventLetter: ~Copyable {
  private var text = ByteBuffer()
  private(set) var typeCount = 0
  private(set) var idCount = 0
  private(set) var dataCount = 0
  var next: Ref<EventLetter>? = nil

  fileprivate init() {}

  /// What it counts for: a thousand small ones are a lot.
  var weight: Int64 { Int64(text.count) &+ 256 }

  static func make(type: Bytes, id: Bytes, data: Bytes) -> Ref<EventLetter>? {
    var letter = EventLetter()
    letter.typeCount = type.count
    letter.idCount = id.count
    letter.dataCount = data.count
    letter.text.append(type)
    letter.text.append(0)
    letter.text.append(id)
    letter.text.append(0)
    letter.text.append(data)
    letter.text.append(0)
    return letter.text.failed ? nil : Ref<EventLetter>(make: letter)
  }

  private func part(_ start: Int, _ count: Int) -> Text {
    guard let pointer = unsafe text.pointer else { return Text("") }
    return unsafe Text(start: pointer + start, count: count)
  }

  var type: Text { part(0, typeCount) }
  var id: Text { part(typeCount &+ 1, idCount) }
  var data: Text { part(typeCount &+ idCount &+ 2, dataCount) }
}

extension Ref where Object == Source {
  static func make(on server: Ref<Server>, url: Bytes) throws(Failure) -> Ref<Source> {
    let fetch = try Ref<Fetch>.make(on: server)
    do throws(Failure) {
      try prepare(fetch, url)
      guard let memory = unsafe allocate(bytes: MemoryLayout<Source>.stride) else {
        throw .noMemory
      }
      guard let index = unsafe Slots.take(.source, memory, sourceUnpinned),
        let slot = Slots.slot(UInt64(index))
      else {
        unsafe deallocate(memory)
        throw .noMemory
      }
      let typed = unsafe memory.bindMemory(to: Source.self, capacity: 1)
      unsafe typed.initialize(
        to: Source(slotIndex: index, slot: slot, server: server, fetch: fetch))
      let source = unsafe Ref(typed)
      fetch.o.events = source
      guard source.o.lock.isUsable else {
        Slots.give(index)
        source.free()
        throw .noMemory
      }
      return source
    } catch {
      fetch.release()
      throw error
    }
  }

  private static func prepare(_ fetch: Ref<Fetch>, _ url: Bytes) throws(Failure) {
    let (get, accept, cache) = (Text("GET"), Text("Accept"), Text("Cache-Control"))
    let (stream, noStore) = (Text("text/event-stream"), Text("no-store"))
    try fetch.set(method: get.bytes)
    try fetch.set(url: url)
    try fetch.o.fields.set(accept.bytes, stream.bytes)
    try fetch.o.fields.set(cache.bytes, noStore.bytes)
    fetch.o.options.totalTimeout = 0
    fetch.o.options.retries = 0
  }

  /// Lets everybody find it. The maker's reference becomes the handle's.
  func publish() throws(Failure) -> UInt64 {
    Slots.hold(o.server.o.slot)
    // The client may end it as soon as it is there.
    retain()
    defer { release() }
    o.handle = Slots.live(o.slot, o.slotIndex, at: Clock.now, open: true)
    let bits = o.handle.bits
    // Destroyed since this call has begun: nobody would end the source.
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
    unsafe ThreadContext.inside(server.opaque) {
      unsafe o.onOpen.end()
      unsafe o.onEvent.end()
      unsafe o.onError.end()
    }
    let index = o.slotIndex
    let fetch = o.fetch
    free()
    Slots.give(index)
    fetch.release()
  }

  /// Ends the handle, and what it is at; true for the one caller that did.
  func end(_ handle: Handle) -> Bool {
    let (ended, pinned) = Slots.end(o.slot, handle)
    guard ended else { return false }
    close()
    silence()
    if !pinned { handleEnded() }
    return true
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

  /// What the host sets, while it does not run.
  func change(_ body: () throws(Failure) -> Void) throws(Failure) {
    try locked { () throws(Failure) in
      if o.isRunning { throw Failure(.state, "the source is open") }
      try body()
    }
  }
}

/// The last pin of a handle that has ended.
private func sourceUnpinned(_ object: UnsafeMutableRawPointer) {
  unsafe Ref<Source>(opaque: object).handleEnded()
}
