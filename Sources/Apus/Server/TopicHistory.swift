// What a topic keeps of its events, for writers whose clients have missed some: the
// latest, up to a number and a size. All of it stands behind the server's lock.

@safe struct TopicHistory: ~Copyable {
  private(set) var mostEvents: Int64 = 0
  private var mostBytes: Int64 = 0
  private var first: Ref<SharedEvent>? = nil
  private var last: Ref<SharedEvent>? = nil
  private(set) var count: Int64 = 0
  private(set) var bytes: Int64 = 0

  init() {}

  deinit {
    var event = first
    while let old = event {
      event = old.o.next
      old.release()
    }
  }

  var isKept: Bool { mostEvents > 0 }

  mutating func limit(events: Int64, bytes: Int64) {
    mostEvents = events
    mostBytes = bytes
    trim()
  }

  /// Keeps an event, which is in no other history. One that is too large by itself leaves
  /// nothing: what is kept has no holes.
  mutating func add(_ event: Ref<SharedEvent>) {
    guard isKept else { return }
    event.retain()
    if let last { last.o.next = event } else { first = event }
    last = event
    count &+= 1
    bytes &+= event.o.weight
    trim()
  }

  private mutating func trim() {
    while count > mostEvents || bytes > mostBytes, let oldest = first {
      first = oldest.o.next
      if first == nil { last = nil }
      oldest.o.next = nil
      count &-= 1
      bytes &-= oldest.o.weight
      oldest.release()
    }
  }

  /// What came behind the latest event of an id; all that is kept where there is none of
  /// that id. The caller has a reference to each. False without memory.
  func collect(after id: Bytes, to list: inout List<Ref<SharedEvent>>) -> Bool {
    var start = first
    var event = first
    while let found = event {
      if found.o.chunk.bytes.extracting(found.o.id).equals(id) { start = found.o.next }
      event = found.o.next
    }
    while let found = start {
      guard list.append(found) else { return false }
      found.retain()
      start = found.o.next
    }
    return true
  }
}
