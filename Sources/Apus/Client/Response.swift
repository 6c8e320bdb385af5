// A response as the host has it: its head, once that has come, and with the end of the
// fetch its body and how it all went. From then on nothing of it changes.
//
// It belongs to the fetch that brought it, and to events on their way, by references;
// its handle is one more. The handle ends with the fetch, unless the host keeps it.

import Synchronization

@safe struct Response: ~Copyable {
  let slotIndex: UInt32
  let slot: Ref<Slot>
  var handle = Handle(bits: 0)
  /// Its maker's.
  let references = Atomic<Int32>(1)
  /// The host ends it.
  let isKept = Atomic<Bool>(false)
  /// The body and what follows are there.
  let isWhole = Atomic<Bool>(false)

  // ---- from the beginning
  var version: Int32 = 11
  var status: Int32 = 0
  /// With a NUL behind it.
  var reason = ByteBuffer()
  var fields = FieldList()
  var contentLength: Int64 = -1
  var url = ByteBuffer()
  var redirects: Int32 = 0
  var peer = Peer()

  // ---- with the end
  var body = ByteBuffer()
  /// Bytes that came as the body, decoded.
  var bodyBytes: Int64 = 0
  var trailers = FieldList()
  var times = FetchTimes()

  init(slotIndex: UInt32, slot: Ref<Slot>) {
    self.slotIndex = slotIndex
    self.slot = slot
  }
}

/// When what has happened, in microseconds since the fetch was started; -1: not at all,
/// as on a connection that stood already.
struct FetchTimes {
  var resolved: Int64 = -1
  var connected: Int64 = -1
  var secured: Int64 = -1
  var firstByte: Int64 = -1
  var total: Int64 = -1
}

extension Ref where Object == Response {
  /// With a live handle.
  static func make() -> Ref<Response>? {
    guard let memory = unsafe allocate(bytes: MemoryLayout<Response>.stride) else { return nil }
    guard let index = unsafe Slots.take(.response, memory, responseUnpinned),
      let slot = Slots.slot(UInt64(index))
    else {
      unsafe deallocate(memory)
      return nil
    }
    let typed = unsafe memory.bindMemory(to: Response.self, capacity: 1)
    unsafe typed.initialize(to: Response(slotIndex: index, slot: slot))
    return unsafe Ref(typed)
  }

  /// Lets everybody find it.
  func open() {
    retain()
    o.handle = Slots.live(o.slot, o.slotIndex, at: Clock.now, open: true)
  }

  func retain() { o.references.wrappingAdd(1, ordering: .relaxed) }

  func release() {
    let left = o.references.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue
    if left > 0 { return }
    let index = o.slotIndex
    free()
    Slots.give(index)
  }

  /// Ends the handle; true for the one caller that did.
  func end() -> Bool {
    guard o.handle.bits != 0 else { return false }
    let (ended, pinned) = Slots.end(o.slot, o.handle)
    if ended, !pinned { release() }
    return ended
  }

  /// Its fetch lets go of it.
  func drop() {
    if !o.isKept.load(ordering: .acquiring) { _ = end() }
    release()
  }

  // ---- looking things up

  var reason: Text {
    guard let start = unsafe o.reason.pointer else { return Text("") }
    return unsafe Text(start: start, count: o.reason.count)
  }

  func field(_ index: Int, trailer: Bool) -> Pair? {
    let name = trailer ? o.trailers.name(at: index) : o.fields.name(at: index)
    let value = trailer ? o.trailers.value(at: index) : o.fields.value(at: index)
    guard let name, let value else { return nil }
    return Pair(name: name, value: value)
  }

  /// The first field of a name.
  func field(_ name: Bytes, trailer: Bool) -> Text? {
    trailer ? o.trailers.value(of: name) : o.fields.value(of: name)
  }

  // ---- filling it

  /// Takes a copy of a head, whose bytes these are. False without memory.
  func take(_ head: borrowing ResponseHead, of bytes: Bytes) -> Bool {
    o.reason.append(bytes.extracting(head.reason))
    return o.reason.terminate() && o.fields.append(head, of: bytes)
  }
}

/// The last pin of a handle that has ended.
private func responseUnpinned(_ object: UnsafeMutableRawPointer) {
  unsafe Ref<Response>(opaque: object).release()
}
