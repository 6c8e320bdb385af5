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
  /// The bytes of the head; a NUL stands behind the reason and each name and value.
  var head = ByteBuffer()
  var reason = 0..<0
  var fields = List<Field>()
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

  private func text(_ buffer: borrowing ByteBuffer, _ range: Range<Int>) -> Text {
    guard let base = unsafe buffer.pointer, range.upperBound < buffer.count else {
      return Text("")
    }
    return unsafe Text(start: base + range.lowerBound, count: range.count)
  }

  var reason: Text { text(o.head, o.reason) }

  func field(_ index: Int, trailer: Bool) -> Pair? {
    if trailer {
      guard let name = o.trailers.name(at: index), let value = o.trailers.value(at: index) else {
        return nil
      }
      return Pair(name: name, value: value)
    }
    guard index >= 0, index < o.fields.count else { return nil }
    let field = o.fields[index]
    return Pair(name: text(o.head, field.name), value: text(o.head, field.value))
  }

  /// The first field of a name.
  func field(_ name: Bytes, trailer: Bool = false) -> Text? {
    var index = 0
    while let pair = field(index, trailer: trailer) {
      if pair.name.bytes.equalsIgnoringCase(name) { return pair.value }
      index &+= 1
    }
    return nil
  }

  // ---- filling it

  /// Takes a copy of the head's bytes. False without memory.
  func take(_ bytes: Bytes, reason: Range<Int>, fields: borrowing List<Field>) -> Bool {
    o.head.append(bytes)
    guard o.head.terminate(), let base = unsafe o.head.pointer else { return false }
    o.reason = reason
    unsafe base[min(reason.upperBound, bytes.count)] = 0
    var index = 0
    while index < fields.count {
      let field = fields[index]
      unsafe base[field.name.upperBound] = 0
      unsafe base[field.value.upperBound] = 0
      guard o.fields.append(field) else { return false }
      index &+= 1
    }
    return true
  }
}

/// The last pin of a handle that has ended.
private func responseUnpinned(_ object: UnsafeMutableRawPointer) {
  unsafe Ref<Response>(opaque: object).release()
}
