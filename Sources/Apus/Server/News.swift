// What is told to whoever takes events by himself, of things that have a state to look at:
// fetches, sources and writers. Nothing is queued for it, and so nothing can be lost, grow
// old or pile up: a thing that has something to say stands in a list, once, and is asked
// when its turn has come.

import Synchronization

/// Of one thing, which owns it.
@safe struct News: ~Copyable {
  /// Ends its stand in the list; whoever put it there has kept the thing for that. False:
  /// nobody is to hear of it any more. The thread that ticks, with no lock.
  typealias Settle = @convention(c) (UnsafeMutableRawPointer, Bool) -> Void

  nonisolated(unsafe) let owner: UnsafeMutableRawPointer
  nonisolated(unsafe) let settle: Settle
  // ---- the queue's, behind its lock
  var next: Ref<News>? = nil
  var previous: Ref<News>? = nil
  var isListed = false

  init(_ owner: UnsafeMutableRawPointer, _ settle: @escaping Settle) {
    unsafe self.owner = owner
    unsafe self.settle = settle
  }
}

/// What a thing has for its news, behind its own lock: whether they are wanted, and its place
/// in the list once they were.
@safe struct Teller: ~Copyable {
  var isOn = false
  fileprivate var news: Ref<News>? = nil

  deinit { news?.free() }

  mutating func set(
    _ on: Bool, _ owner: UnsafeMutableRawPointer, _ settle: @escaping News.Settle
  ) throws(Failure) {
    if on, news == nil {
      guard let made = unsafe Ref<News>(make: News(owner, settle)) else { throw .noMemory }
      news = made
    }
    isOn = on
  }
}

/// Behind the lock of the queue of events.
@safe struct NewsList: ~Copyable {
  private var first: Ref<News>? = nil
  private var last: Ref<News>? = nil
  /// Whether there is somebody who will take them.
  var isOpen = false

  var isEmpty: Bool { first == nil }

  /// False: it stands there already, or the list is closed.
  mutating func add(_ news: Ref<News>) -> Bool {
    if !isOpen || news.o.isListed { return false }
    news.o.isListed = true
    news.o.previous = last
    if let last { last.o.next = news } else { first = news }
    last = news
    return true
  }

  mutating func take() -> Ref<News>? {
    guard let news = first, remove(news) else { return nil }
    return news
  }

  /// False: it does not stand there.
  mutating func remove(_ news: Ref<News>) -> Bool {
    if !news.o.isListed { return false }
    if let next = news.o.next { next.o.previous = news.o.previous } else { last = news.o.previous }
    if let previous = news.o.previous { previous.o.next = news.o.next } else { first = news.o.next }
    news.o.isListed = false
    news.o.next = nil
    news.o.previous = nil
    return true
  }
}

extension Ref where Object == Server {
  /// Lists it; true where it was not listed, and the caller's keeping of the thing is the
  /// list's now. Any thread. One that is no loop's calls `newsCame` without a lock then.
  func list(_ teller: borrowing Teller) -> Bool {
    guard teller.isOn, canBePulled, let news = teller.news else { return false }
    return o.queue.list(news)
  }

  /// The same for a thing that is kept by counting, of which the caller has a reference.
  func list(_ teller: borrowing Teller, keeping references: borrowing Atomic<Int32>) -> Bool {
    references.wrappingAdd(1, ordering: .relaxed)
    if list(teller) { return true }
    references.wrappingSubtract(1, ordering: .relaxed)
    return false
  }

  /// Nobody is to hear of it any more; true where what the list has kept is the caller's again.
  func silence(_ teller: inout Teller) -> Bool {
    teller.isOn = false
    return teller.news.map { o.queue.unlist($0) } ?? false
  }

  /// Without threads whoever waits does so for the loop.
  func newsCame() {
    if o.hasThreads { return }
    o.lock.lock()
    defer { o.lock.unlock() }
    guard o.workers.count > 0 else { return }
    let loop = o.workers[0].o.loop
    // The loop's own thread looks before it waits.
    if unsafe ThreadContext.loop != loop.opaque { loop.o.mailbox.wake() }
  }

  /// Asks those that are listed until one has something to say. The thread that pulls.
  func pullNews() {
    while o.pulled == nil, let news = o.queue.takeNews() {
      unsafe news.o.settle(news.o.owner, !o.isDying.load(ordering: .relaxed))
    }
  }

  /// Nobody will ask any more.
  func dropNews() {
    o.queue.openNews(false)
    while let news = o.queue.takeNews() { unsafe news.o.settle(news.o.owner, false) }
  }

  /// What was known by its handle has something to say, to the host that pulls.
  func pull(_ kind: Pulled.Kind, _ handle: Handle, _ object: Kind) {
    guard o.isPulling, !o.isDying.load(ordering: .relaxed), Slots.isAlive(handle, object) else {
      return
    }
    o.pulled = Pulled(handle, kind)
  }
}

/// A request that was taken: from then on another thread may end it. Or a channel, or
/// news of one, or of something else.
struct Pulled {
  enum Kind: Int32 {
    case request = 1
    case channel, message, open, close, fetch, source, drain, end
  }

  let kind: Kind
  let handle: UInt64
  let connection: UInt64
  let route: Int32

  init(_ channel: Ref<Channel>, _ kind: Kind) {
    self.kind = kind
    handle = channel.o.handle.bits
    connection = channel.o.id
    route = channel.o.route
  }

  init(_ handle: Handle, _ kind: Kind) {
    self.kind = kind
    self.handle = handle.bits
    connection = 0
    route = -1
  }

  init(_ exchange: Ref<Exchange>) {
    kind = .request
    handle = exchange.o.handle.bits
    connection = exchange.o.connection?.o.id ?? 0
    if case .route(let number) = exchange.o.destination { route = number } else { route = -1 }
  }
}
