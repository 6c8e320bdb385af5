// Starting, waiting for and ending a fetch: any thread.

import Synchronization

extension Ref where Object == Fetch {
  func start() throws(Failure) {
    let server = o.server
    if server.o.slot.o.kind == .client { try server.startIfIdle() }
    if mayNeedTLS { try o.client.tlsClient().prepare() }
    server.o.lock.lock()
    defer { server.o.lock.unlock() }
    guard server.o.state == .running, server.o.workers.count > 0,
      !server.o.isDying.load(ordering: .relaxed)
    else { throw Failure(.state, "the client does not run") }
    try change { () throws(Failure) in
      if o.events == nil, !Slots.isAlive(o.handle, .fetch) { throw .deadHandle }
      let target = try prepare()
      if !o.form.isEmpty {
        var body = try o.form.makeBody()
        swap(&body, &o.body)
      }
      var run = FetchRun(target: target)
      try prepareCredentials(&run)
      bind(run)
    }
  }

  /// Whether the first request goes to "https:".
  private var mayNeedTLS: Bool {
    func isSecure(_ url: Bytes) -> Bool {
      url.count > 6 && url.extracting(0..<6).equalsLowercase("https:")
    }
    return locked { isSecure(o.url.bytes) || isSecure(o.base.bytes) }
  }

  /// The URL of the first request. The caller holds the lock.
  func prepare() throws(Failure) -> WebURL {
    let client = o.client
    try client.locked { () throws(Failure) in
      guard copy(client.o.unixPath, to: &o.unixPath) else { throw .noMemory }
    }
    return try target()
  }

  /// The same for who only wants to know. The caller holds the lock.
  func target() throws(Failure) -> WebURL {
    var target: WebURL
    if o.base.isEmpty {
      target = try WebURL.fetchable(o.url.bytes)
    } else {
      let parsed = try WebURL(o.base.bytes)
      target = try WebURL(o.url.bytes, at: parsed)
      try target.checkFetchable()
    }
    if !o.query.isEmpty { try target.append(query: o.query.bytes) }
    return target
  }

  /// The URL's own come first, then the fetch's, then the client's.
  func prepareCredentials(_ run: inout FetchRun) throws(Failure) {
    if run.target.parts.hasCredentials {
      guard run.credentials.take(from: run.target) else { throw .noMemory }
    } else if o.credentials.scheme != .none {
      guard run.credentials.copy(o.credentials) else { throw .noMemory }
    } else {
      guard run.credentials.copy(o.defaultCredentials) else { throw .noMemory }
    }
  }

  private func copy(_ from: borrowing ByteBuffer, to buffer: inout ByteBuffer) -> Bool {
    buffer.truncate(to: 0)
    buffer.append(from.bytes)
    return !buffer.failed && buffer.terminate()
  }

  /// A new run. The caller holds the locks of the server, which runs, and the fetch.
  private func bind(_ run: consuming FetchRun) {
    o.response?.drop()
    o.response = nil
    o.failure = nil
    o.isCancelled = false
    o.isPaused = false
    o.given.clear()
    o.isGivenWhole = false
    o.isAsking = false
    o.isRefused = false
    o.isEndDue = false
    o.state = .running
    // Requests to one place share a pool.
    let workers = o.server.o.workers.count
    let number = workers > 1 ? Int(Pool.hash(run.target.host) % UInt64(workers)) : 0
    o.run = run
    let worker = o.server.o.workers[number]
    worker.o.callers.wrappingAdd(1, ordering: .acquiringAndReleasing)
    o.worker = worker
    retain()
    notifyLoop()
  }

  /// Ends a run, at the next chance of the loop.
  func cancel() {
    o.lock.lock()
    if o.state == .running, !o.isCancelled {
      o.isCancelled = true
      notifyLoop()
    }
    o.lock.unlock()
  }

  func pause(_ on: Bool) throws(Failure) {
    o.lock.lock()
    defer { o.lock.unlock() }
    guard o.state == .running else { throw Failure(.state, "the fetch does not run") }
    if o.isPaused == on { return }
    o.isPaused = on
    notifyLoop()
  }

  /// Waits until it does not run; false when time has passed. The caller holds a pin, and
  /// no lock.
  func wait(timeout: Int32) throws(Failure) -> Bool {
    let server = o.server
    let until = timeout < 0 ? Int64.max : Clock.now &+ Int64(timeout) &* 1000
    var hasTurned = false
    defer { if hasTurned { server.leaveWait() } }
    while true {
      o.lock.lock()
      let isRunning = o.state == .running
      let left = until == .max ? Int64.max : until &- Clock.now
      // Of a client that may just start nothing can be said, nor need it be.
      let isHere = isRunning && isOnLoop && server.o.hasThreads
      let isOwn = isRunning && (!server.o.hasThreads || mustTick)
      let isVain = isRunning && waitsForItself
      if isRunning, left > 0, !isHere, !isOwn, !isVain {
        guard prepareToWait(), let condition = o.condition else {
          o.lock.unlock()
          throw .noMemory
        }
        // What brings it on may be what a thread that ticks has asked for, this one or another.
        Ref<Server>.sendGatheredHere()
        o.worker?.hurry()
        condition.o.wait(o.lock, until: until == .max ? -1 : until)
      }
      let isDone = o.state != .running
      let isUntold = o.telling > 0
      o.lock.unlock()
      if isDone {
        if !isUntold || left <= 0 { return true }
        hasTurned = true
        if !tellRest() { return true }
        continue
      }
      if left <= 0 { return false }
      if isHere { throw Failure(.state, "not on the thread that does the work") }
      if isVain { throw Failure(.state, "its callbacks wait for this thread") }
      if isOwn {
        hasTurned = true
        try turn(left)
      }
    }
  }

  /// Whether what it is about would wait for this thread: the callbacks of a client are
  /// queued for whoever ticks, and outside of callbacks that may be who waits.
  private var mustTick: Bool {
    guard mayTick else { return false }
    return unsafe o.onBody.isSet || o.source.isSet || o.onResponse.isSet || o.onComplete.isSet
  }

  private var mayTick: Bool {
    let server = o.server
    return server.o.slot.o.kind == .client && server.o.isQueued && !server.isInCallback
  }

  /// Whether what it needs of the host is queued for this thread, which is in a callback.
  /// The caller holds the lock.
  private var waitsForItself: Bool {
    guard unsafe ThreadContext.isTicking(o.server.opaque), o.server.o.isQueued else {
      return false
    }
    return unsafe o.onBody.isSet || o.source.isSet
  }

  private var isOnLoop: Bool {
    guard let worker = o.worker else { return false }
    return unsafe ThreadContext.loop == worker.o.loop.opaque
  }

  /// The caller holds the lock.
  private func prepareToWait() -> Bool {
    if o.condition == nil { o.condition = Ref<Condition>(make: Condition()) }
    return o.condition?.o.isUsable ?? false
  }

  /// Its last callbacks are on their way to whoever ticks: to this thread, while no other
  /// does. False: there is nothing to be waited for.
  private func tellRest() -> Bool {
    guard mayTick else { return false }
    var isElsewhere = false
    do throws(Failure) {
      try o.server.tick(for: 20_000) {
        locked { o.telling > 0 }
      } pause: { _ in
        isElsewhere = true
      }
    } catch {
      return false
    }
    return !isElsewhere
  }

  /// Whoever waits does the I/O, without threads, or runs the callbacks.
  private func turn(_ left: Int64) throws(Failure) {
    try o.server.tick(for: left) {
      locked {
        o.isTickedFor = o.state == .running
        return o.isTickedFor
      }
    } pause: { (until) throws(Failure) in
      o.lock.lock()
      defer { o.lock.unlock() }
      guard prepareToWait(), let condition = o.condition else { throw .noMemory }
      if o.state == .running { condition.o.wait(o.lock, until: until) }
    }
  }

  /// Starts it, waits for its end, and gives its response or why there is none.
  func send() throws(Failure) -> UInt64 {
    if let worker = borrowLoop() {
      try worker.drive { () throws(Failure) in
        try start()
      } until: {
        locked { o.state != .running }
      }
    } else {
      try start()
    }
    _ = try wait(timeout: -1)
    return try result()
  }

  /// The loop of a client that does nothing else, unless callbacks are for another thread.
  private func borrowLoop() -> Ref<Worker>? {
    // What brings it on may be what this thread has asked for.
    Ref<Server>.sendGatheredHere()
    return o.server.borrowLoop { locked { !mustTick } }
  }

  /// The response's handle.
  func result() throws(Failure) -> UInt64 {
    o.lock.lock()
    defer { o.lock.unlock() }
    if o.state == .running { throw Failure(.state, "the fetch runs") }
    if let failure = o.failure { throw failure }
    guard let response = o.response else { throw Failure(.state, "the fetch has not run") }
    return response.o.handle.bits
  }
}
