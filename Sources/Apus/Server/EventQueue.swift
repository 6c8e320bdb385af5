// What waits for the thread that ticks: events in order, behind a lock that is
// taken once a batch, and a descriptor that is readable while there are any.

import Synchronization

@safe struct Event {
  enum Kind: UInt8 {
    case request
    case body
    case replied
    case writerDrained
    case writerClosed
    case connected
    case disconnected
    case failed
    case upgraded
    case channel
    case guest
    case writerMissed
  }

  let kind: Kind
  /// An exchange, a note, the note of a channel, or a guest's event.
  nonisolated(unsafe) let object: UnsafeMutableRawPointer
}

/// What a listener is told of a connection, when that may be gone by then.
struct Note {
  var connection: UInt64
  var failure: Failure? = nil
  var status: Int32 = 0
  var peer: Peer
}

/// Events that memory ran out for.
struct Owed: OptionSet {
  let rawValue: UInt16
  init(rawValue: UInt16) { self.rawValue = rawValue }
  init(_ kind: Event.Kind) { rawValue = 1 << kind.rawValue }
}

struct EventQueue: ~Copyable {
  private let lock = Lock()
  private var events = List<Event>()
  private var news = NewsList()
  private var isSignalled = false
  let count = Atomic<Int64>(0)
  /// Bytes of bodies in it.
  let bytes = Atomic<Int64>(0)
  let descriptor: EventDescriptor

  init() throws(Failure) { descriptor = try EventDescriptor() }

  var isUsable: Bool { lock.isUsable }

  /// Any thread. What does not fit in memory stays in `batch`.
  mutating func push(_ batch: inout List<Event>) {
    lock.lock()
    var index = 0
    while index < batch.count, events.append(batch[index]) { index &+= 1 }
    count.wrappingAdd(Int64(index), ordering: .relaxed)
    signal()
    lock.unlock()
    if index == batch.count { batch.removeAll() } else { batch.removeFirst(index) }
  }

  /// The ticking thread: takes all there is into an empty list. The descriptor
  /// stays readable until nothing was found.
  mutating func take(_ list: inout List<Event>) {
    lock.lock()
    swap(&events, &list)
    if list.isEmpty, isSignalled {
      descriptor.clear()
      isSignalled = false
    }
    lock.unlock()
  }

  /// Any thread; `Server.list` has the rest.
  mutating func list(_ news: Ref<News>) -> Bool {
    lock.lock()
    defer { lock.unlock() }
    let isNew = self.news.add(news)
    if isNew { signal() }
    return isNew
  }

  mutating func unlist(_ news: Ref<News>) -> Bool {
    lock.lock()
    defer { lock.unlock() }
    return self.news.remove(news)
  }

  mutating func takeNews() -> Ref<News>? {
    lock.lock()
    defer { lock.unlock() }
    return news.take()
  }

  var hasNews: Bool {
    mutating get {
      lock.lock()
      defer { lock.unlock() }
      return !news.isEmpty
    }
  }

  /// Whether there is somebody who takes news.
  mutating func openNews(_ on: Bool) {
    lock.lock()
    news.isOpen = on
    lock.unlock()
  }

  mutating func wake() {
    lock.lock()
    signal()
    lock.unlock()
  }

  private mutating func signal() {
    if isSignalled { return }
    isSignalled = true
    descriptor.signal()
  }

  /// Whether the limits allow one more request with a body of so many bytes.
  func hasRoom(for body: Int, behind batched: Int, _ server: Ref<Server>) -> Bool {
    let options = server.o.options
    return count.load(ordering: .relaxed) &+ Int64(batched) < options.maxPending
      && bytes.load(ordering: .relaxed) &+ Int64(body) <= options.maxPendingBytes
  }
}
