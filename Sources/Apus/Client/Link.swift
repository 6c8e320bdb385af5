// One connection of a client: at the service of one fetch after the other. What it hears
// while nobody has it is its end.

import Synchronization

@safe struct Link: ~Copyable {
  let pool: Ref<Pool>
  let origin: Ref<PoolOrigin>
  let stream: Ref<Stream>
  let peer: Peer
  var machine = ResponseMachine()
  /// What it is busy with.
  var fetch: Ref<Fetch>? = nil
  /// Fetches that it has served before, and when the last of them left it.
  var uses: Int64 = 0
  var restsSince: Int64 = 0
  /// The way through a proxy is made.
  var isTunnel = false
  var isEnded = false
  /// The other side sends no more.
  var isInputEnded = false

  // ---- the pool's
  var isIdle = false
  var nextOfOrigin: Ref<Link>? = nil
  var previousOfOrigin: Ref<Link>? = nil
  var nextIdle: Ref<Link>? = nil
  var previousIdle: Ref<Link>? = nil

  init(pool: Ref<Pool>, origin: Ref<PoolOrigin>, stream: Ref<Stream>, peer: Peer) {
    self.pool = pool
    self.origin = origin
    self.stream = stream
    self.peer = peer
  }
}

extension Ref where Object == Link {
  /// Takes on a connected descriptor, which is the link's from here on, also where this
  /// fails. It counts in its origin already.
  static func make(
    _ descriptor: Int32, _ peer: Peer, in origin: Ref<PoolOrigin>, of pool: Ref<Pool>
  ) throws(Failure) -> Ref<Link> {
    let loop = pool.o.worker.o.loop
    let system = loop.o.system
    guard let memory = unsafe allocate(bytes: MemoryLayout<Link>.stride),
      let timer = Ref<Timer>(make: Timer()),
      let stream = unsafe Ref<Stream>(
        make: Stream(
          descriptor: descriptor, loop: loop, handler: pool.o.handler, owner: memory,
          timer: timer))
    else {
      // What was made of it leaks no more than once per failure of memory.
      unsafe system.end(system.context, descriptor, 1)
      pool.gone(from: origin)
      throw .noMemory
    }
    let typed = unsafe memory.bindMemory(to: Link.self, capacity: 1)
    unsafe typed.initialize(to: Link(pool: pool, origin: origin, stream: stream, peer: peer))
    let link = unsafe Ref(typed)
    pool.o.worker.o.callers.wrappingAdd(1, ordering: .acquiringAndReleasing)
    pool.o.worker.o.links &+= 1
    // A server may answer before it has all of a body, and close (RFC 9112 §9.5).
    stream.o.isHeardOut = true
    guard stream.start() else {
      link.end(reset: true)
      throw Failure(.io, "the connection cannot be watched")
    }
    return link
  }

  /// Closes it. Its place in the pool is free from here on.
  func end(reset: Bool) {
    if o.isEnded { return }
    o.isEnded = true
    o.fetch = nil
    o.pool.removeIdle(self)
    o.stream.end(reset: reset)
    o.pool.gone(from: o.origin)
  }

  /// Its fetch is done with it, and the next one may have it. All that came was the
  /// fetch's, though the stream may not have let go of it yet.
  func rest() {
    if o.isEnded { return }
    o.fetch = nil
    o.uses &+= 1
    o.restsSince = o.pool.o.worker.o.loop.o.now
    o.stream.pause(false)
    if o.isEnded { return }
    let isOver =
      o.isInputEnded || o.stream.o.isEndKnown || o.stream.o.mutedBy != 0
      || (o.stream.o.tls?.o.sawEnd ?? false) || o.stream.o.hasGoodbye
    if isOver || o.stream.buffers { return end(reset: false) }
    let timeout = o.pool.o.options.idleTimeout
    if timeout > 0 {
      o.stream.setDeadline(o.pool.o.worker.o.loop.o.now &+ timeout &* 1000)
    }
    o.pool.giveBack(self)
  }

  /// Whether it may serve another fetch: what has come since the turn in which it served
  /// the last one, though the poller has not told yet, would be taken for the answer.
  var isUsable: Bool {
    o.pool.o.worker.o.loop.o.now == o.restsSince || o.stream.isQuiet
  }

  // ---- what its stream tells

  fileprivate func received(_ bytes: Bytes) -> Int {
    // Nobody has asked for anything (RFC 9112 §9.2).
    guard let fetch = o.fetch else {
      end(reset: true)
      return bytes.count
    }
    return fetch.received(bytes)
  }

  fileprivate func inputEnded() {
    o.isInputEnded = true
    if let fetch = o.fetch { return fetch.inputEnded() }
    end(reset: false)
  }

  fileprivate func failed(_ number: Int32) {
    if let fetch = o.fetch { return fetch.broken(number) }
    end(reset: true)
  }

  fileprivate func buried() {
    let worker = o.pool.o.worker
    free()
    worker.o.links &-= 1
    worker.o.callers.wrappingSubtract(1, ordering: .acquiringAndReleasing)
  }
}

extension Ref where Object == Stream {
  /// Whether bytes wait to be sent.
  var buffers: Bool { o.buffered > 0 }
}

func makeLinkHandler() -> Ref<StreamHandler>? {
  unsafe Ref<StreamHandler>(
    make: StreamHandler(
      received: { owner, start, count in
        unsafe Ref<Link>(opaque: owner).received(Span(_unsafeStart: start, count: count))
      },
      inputEnded: { unsafe Ref<Link>(opaque: $0).inputEnded() },
      drained: { unsafe Ref<Link>(opaque: $0).o.fetch?.drained() },
      failed: { unsafe Ref<Link>(opaque: $0).failed($1) },
      expired: {
        let link = unsafe Ref<Link>(opaque: $0)
        if link.o.fetch == nil { link.end(reset: false) }
      },
      buried: { unsafe Ref<Link>(opaque: $0).buried() },
      secured: {
        let link = unsafe Ref<Link>(opaque: $0)
        link.o.fetch?.secured(link)
      }))
}
