// The connections that a client has on one worker. Those to one place, over one way,
// can stand in for each other: they are an origin. Who finds neither an idle connection
// nor room for another one waits, first come, first served.
//
// All of this is the loop's.

import Synchronization

@safe struct PoolOrigin: ~Copyable {
  let key: ByteBuffer
  let hash: UInt64
  /// Connections, and attempts at one.
  var count: Int32 = 0
  /// Somebody is at work with it, so that it stays.
  var holds: Int32 = 0
  /// The one that was used last comes first.
  var firstIdle: Ref<Link>? = nil
  var firstWaiting: Ref<Fetch>? = nil
  var lastWaiting: Ref<Fetch>? = nil
  var next: Ref<PoolOrigin>? = nil

  init(key: consuming ByteBuffer, hash: UInt64) {
    self.key = key
    self.hash = hash
  }
}

@safe struct Pool: ~Copyable {
  let worker: Ref<Worker>
  let handler: Ref<StreamHandler>
  var options = PoolOptions()
  fileprivate var buckets = List<Ref<PoolOrigin>?>()
  var count: Int32 = 0
  var waiting: Int32 = 0
  /// The one that has been idle longest comes first.
  fileprivate var firstIdle: Ref<Link>? = nil
  fileprivate var lastIdle: Ref<Link>? = nil
  /// All that run here.
  fileprivate var firstFetch: Ref<Fetch>? = nil
  var isStopping = false

  static var size: Int { 64 }

  init?(worker: Ref<Worker>, handler: Ref<StreamHandler>) {
    self.worker = worker
    self.handler = handler
    for _ in 0..<Pool.size where !buckets.append(nil) { return nil }
  }

  deinit {
    handler.free()
    for index in 0..<buckets.count {
      var origin = buckets[index]
      while let one = origin {
        origin = one.o.next
        one.free()
      }
    }
  }
}

extension Ref where Object == Worker {
  /// What the client has here. The loop's thread.
  func pool() -> Ref<Pool>? {
    if let guest = o.guest { return unsafe Ref<Pool>(opaque: guest.object) }
    guard let handler = makeLinkHandler() else { return nil }
    guard let made = Pool(worker: self, handler: handler), let pool = Ref<Pool>(make: made)
    else { return nil }
    pool.o.isStopping = o.isDraining
    o.guest = unsafe WorkerGuest(
      object: pool.opaque,
      stop: { unsafe Ref<Pool>(opaque: $0).stop() },
      end: { unsafe Ref<Pool>(opaque: $0).free() })
    return pool
  }
}

extension Ref where Object == Pool {
  enum Place {
    case link(Ref<Link>)
    /// There is room for one more.
    case room
    case full
  }

  // ---- origins

  /// Where connections of that key are; made at the first one.
  func origin(_ key: consuming ByteBuffer) -> Ref<PoolOrigin>? {
    let hash = Pool.hash(key.bytes)
    let bucket = Int(hash % UInt64(Pool.size))
    var origin = o.buckets[bucket]
    while let one = origin {
      if one.o.hash == hash, one.o.key.bytes.equals(key.bytes) { return one }
      origin = one.o.next
    }
    let made = PoolOrigin(key: key, hash: hash)
    guard let new = Ref<PoolOrigin>(make: made) else { return nil }
    new.o.next = o.buckets[bucket]
    o.buckets[bucket] = new
    return new
  }

  /// One that nothing belongs to any more is forgotten.
  private func forgetIfEmpty(_ origin: Ref<PoolOrigin>) {
    guard origin.o.count == 0, origin.o.holds == 0, origin.o.firstWaiting == nil else { return }
    let bucket = Int(origin.o.hash % UInt64(Pool.size))
    var before: Ref<PoolOrigin>? = nil
    var one = o.buckets[bucket]
    while let current = one, current != origin {
      before = current
      one = current.o.next
    }
    if let before { before.o.next = origin.o.next } else { o.buckets[bucket] = origin.o.next }
    origin.free()
  }

  /// A connection that is idle, or leave to make one: that counts from here on.
  func place(in origin: Ref<PoolOrigin>, fresh: Bool) -> Place {
    // What ends below leaves its place to this, and does not end the origin.
    origin.o.count &+= 1
    o.count &+= 1
    let isOver = origin.o.count &- 1 > o.options.mostPerOrigin
    while !fresh, !isOver, let link = origin.o.firstIdle {
      if !link.isUsable {
        link.end(reset: true)
        continue
      }
      removeIdle(link)
      return noPlace(in: origin, .link(link))
    }
    // One more than there may be.
    while origin.o.count > o.options.mostPerOrigin, let link = origin.o.firstIdle {
      link.end(reset: false)
    }
    if origin.o.count > o.options.mostPerOrigin { return noPlace(in: origin, .full) }
    // Another's idle connection makes room.
    while o.count > o.options.most, let oldest = o.firstIdle { oldest.end(reset: false) }
    if o.count > o.options.most { return noPlace(in: origin, .full) }
    return .room
  }

  private func noPlace(in origin: Ref<PoolOrigin>, _ place: Place) -> Place {
    origin.o.count &-= 1
    o.count &-= 1
    return place
  }

  /// A connection, or an attempt at one, is no more: somebody may take its place.
  func gone(from origin: Ref<PoolOrigin>) {
    origin.o.count &-= 1
    o.count &-= 1
    serveNext(origin)
    forgetIfEmpty(origin)
  }

  /// There may be a place for somebody who waits, there or elsewhere.
  private func serveNext(_ origin: Ref<PoolOrigin>) {
    if o.isStopping { return }
    origin.o.holds &+= 1
    if !serve(origin), o.waiting > 0 { serveAny() }
    origin.o.holds &-= 1
  }

  // ---- those that wait

  func wait(_ fetch: Ref<Fetch>, in origin: Ref<PoolOrigin>) -> Bool {
    guard o.waiting < o.options.mostWaiting else {
      forgetIfEmpty(origin)
      return false
    }
    o.waiting &+= 1
    fetch.o.nextWaiting = nil
    if let last = origin.o.lastWaiting {
      last.o.nextWaiting = fetch
    } else {
      origin.o.firstWaiting = fetch
    }
    origin.o.lastWaiting = fetch
    return true
  }

  func stopWaiting(_ fetch: Ref<Fetch>, in origin: Ref<PoolOrigin>) {
    var before: Ref<Fetch>? = nil
    var one = origin.o.firstWaiting
    while let current = one, current != fetch {
      before = current
      one = current.o.nextWaiting
    }
    guard one != nil else { return }
    if let before {
      before.o.nextWaiting = fetch.o.nextWaiting
    } else {
      origin.o.firstWaiting = fetch.o.nextWaiting
    }
    if origin.o.lastWaiting == fetch { origin.o.lastWaiting = before }
    fetch.o.nextWaiting = nil
    o.waiting &-= 1
    forgetIfEmpty(origin)
  }

  /// Lets the first that waits there have a place, if there is one.
  private func serve(_ origin: Ref<PoolOrigin>) -> Bool {
    // Off the list first: what makes room for it may serve others.
    guard let fetch = origin.o.firstWaiting else { return false }
    origin.o.holds &+= 1
    defer { origin.o.holds &-= 1 }
    stopWaiting(fetch, in: origin)
    switch place(in: origin, fresh: fetch.o.run.wantsFresh) {
    case .full:
      waitFirst(fetch, in: origin)
      return false
    case .link(let link): fetch.take(link)
    case .room: fetch.dial(origin)
    }
    return true
  }

  /// Back to where it was.
  private func waitFirst(_ fetch: Ref<Fetch>, in origin: Ref<PoolOrigin>) {
    o.waiting &+= 1
    fetch.o.nextWaiting = origin.o.firstWaiting
    origin.o.firstWaiting = fetch
    if origin.o.lastWaiting == nil { origin.o.lastWaiting = fetch }
  }

  private func serveAny() {
    for index in 0..<Pool.size {
      var origin = o.buckets[index]
      while let one = origin {
        // What makes room for it may forget others, of which one was the next.
        one.o.holds &+= 1
        let isServed = serve(one)
        one.o.holds &-= 1
        let next = one.o.next
        forgetIfEmpty(one)
        if isServed { return }
        origin = next
      }
    }
  }

  // ---- idle connections

  /// A connection can be used again.
  func giveBack(_ link: Ref<Link>) {
    let origin = link.o.origin
    addIdle(link)
    if o.isStopping { return link.end(reset: false) }
    serveNext(origin)
    forgetIfEmpty(origin)
  }

  private func addIdle(_ link: Ref<Link>) {
    let origin = link.o.origin
    link.o.isIdle = true
    link.o.nextOfOrigin = origin.o.firstIdle
    link.o.previousOfOrigin = nil
    origin.o.firstIdle?.o.previousOfOrigin = link
    origin.o.firstIdle = link
    link.o.nextIdle = nil
    link.o.previousIdle = o.lastIdle
    if let last = o.lastIdle { last.o.nextIdle = link } else { o.firstIdle = link }
    o.lastIdle = link
  }

  func removeIdle(_ link: Ref<Link>) {
    guard link.o.isIdle else { return }
    link.o.isIdle = false
    let origin = link.o.origin
    if let previous = link.o.previousOfOrigin {
      previous.o.nextOfOrigin = link.o.nextOfOrigin
    } else {
      origin.o.firstIdle = link.o.nextOfOrigin
    }
    link.o.nextOfOrigin?.o.previousOfOrigin = link.o.previousOfOrigin
    if let previous = link.o.previousIdle {
      previous.o.nextIdle = link.o.nextIdle
    } else {
      o.firstIdle = link.o.nextIdle
    }
    if let next = link.o.nextIdle {
      next.o.previousIdle = link.o.previousIdle
    } else {
      o.lastIdle = link.o.previousIdle
    }
    link.o.nextOfOrigin = nil
    link.o.previousOfOrigin = nil
    link.o.nextIdle = nil
    link.o.previousIdle = nil
  }

  // ---- what runs

  func add(_ fetch: Ref<Fetch>) {
    fetch.o.previous = nil
    fetch.o.next = o.firstFetch
    o.firstFetch?.o.previous = fetch
    o.firstFetch = fetch
  }

  func remove(_ fetch: Ref<Fetch>) {
    if let previous = fetch.o.previous {
      previous.o.next = fetch.o.next
    } else if o.firstFetch == fetch {
      o.firstFetch = fetch.o.next
    }
    fetch.o.next?.o.previous = fetch.o.previous
    fetch.o.next = nil
    fetch.o.previous = nil
  }

  /// The worker stops: idle connections go at once, the rest with what it does.
  func stop() {
    o.isStopping = true
    while let link = o.firstIdle { link.end(reset: false) }
    while let fetch = o.firstFetch {
      fetch.finish(Failure(.closed, "the client stops"))
    }
  }
}

extension Pool {
  /// FNV-1a.
  static func hash(_ bytes: Bytes) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for index in 0..<bytes.count {
      hash = (hash ^ UInt64(bytes[index])) &* 0x100_0000_01b3
    }
    return hash
  }
}
