// From the start of a fetch to a connection, and on to its end: the loop's thread.

import Synchronization

extension Ref where Object == Fetch {
  private var loop: Ref<Loop>? { o.worker?.o.loop }

  /// There is news of other threads.
  func settle() {
    o.isPosted.store(false, ordering: .sequentiallyConsistent)
    o.lock.lock()
    // Mail of a run that is over may find the next one on another loop.
    if let worker = o.worker, unsafe ThreadContext.loop != worker.o.loop.opaque {
      notifyLoop()
      return o.lock.unlock()
    }
    let worker = o.worker
    let isCancelled = o.isCancelled
    let isRefused = o.isRefused
    let isPaused = o.isPaused || o.untold > Fetch.mostUntold / 2
    o.lock.unlock()
    guard let worker else { return }
    let isFresh = o.run.stage == .fresh
    if isFresh { begin(worker) }
    if isCancelled { return finish(Failure(.closed, "the fetch was cancelled")) }
    if isRefused { return finish(Failure(.closed, "the request's body was given up")) }
    if isFresh { return connect() }
    guard o.run.stage == .exchanging, let link = o.run.link else { return }
    let goesOn = link.o.stream.o.isPaused && !isPaused
    link.o.stream.pause(isPaused)
    guard isServed(by: link) else { return }
    if goesOn {
      note(active: worker.o.loop.o.now)
      setTimer()
    }
    if !isPaused, resumeDecoding() { link.o.stream.deliver() }
    guard isServed(by: link), o.run.stage == .exchanging, !o.run.isBodySent else { return }
    sendBody()
    // From the last of it on the time for the response runs.
    if isServed(by: link), o.run.isBodySent { setTimer() }
  }

  /// Whether a connection is still this run's. What is called may have ended the run, and
  /// the host may have begun another one since, on any thread: then `run` is not to be
  /// looked at, while the connection is the loop's own.
  func isServed(by link: Ref<Link>) -> Bool { !link.o.isEnded && link.o.fetch == self }

  private func begin(_ worker: Ref<Worker>) {
    o.run.started = Clock.now
    o.run.active = worker.o.loop.o.now
    if o.options.totalTimeout > 0 {
      o.run.deadline = worker.o.loop.o.now &+ o.options.totalTimeout &* 1000
    }
    o.run.method.append(o.method.bytes)
    o.run.stage = .delaying
    worker.pool()?.add(self)
  }

  // ---- the way there

  /// Looks for a connection.
  private func connect() {
    guard let worker = o.worker, let pool = worker.pool() else { return finish(.noMemory) }
    if pool.o.isStopping { return finish(Failure(.closed, "the client stops")) }
    do throws(Failure) {
      try secureTarget(now: worker.o.loop.o.wallSeconds)
      try findRoute()
      pool.o.options = try o.client.locked { () throws(Failure) in o.client.o.pool }
    } catch {
      return finish(error)
    }
    o.run.isHeadSent = false
    o.run.isBodySent = false
    o.run.isHeadIn = false
    o.run.resume = 0
    // They are told of the last connection, and the last answer.
    o.run.times = FetchTimes()
    var key = ByteBuffer()
    do throws(Failure) { try appendKey(to: &key) } catch { return finish(error) }
    guard let origin = pool.origin(key) else { return finish(.noMemory) }
    switch pool.place(in: origin, fresh: o.run.wantsFresh) {
    case .link(let link): take(link)
    case .room: dial(origin)
    case .full:
      guard pool.wait(self, in: origin) else {
        return finish(Failure(.full, "too many fetches wait for a connection"))
      }
      o.run.stage = .waiting
      o.run.origin = origin
      setTimer()
    }
  }

  /// Makes a connection, for which there is a place.
  func dial(_ origin: Ref<PoolOrigin>) {
    o.run.stage = .dialing
    o.run.origin = origin
    guard let loop else { return }
    o.run.dialed = loop.o.now
    setTimer()
    do throws(Failure) {
      o.run.dialer = try unsafe Ref<Dialer>.start(
        on: loop, unixPath: o.unixPath, by: o.run.route, host: o.run.target.host,
        port: o.run.target.port, timeout: o.options.connectTimeout, owner: opaque,
        done: dialerDone)
    } catch {
      // Not from here: who calls this is about to serve others.
      o.run.undialled = error
      o.run.resume = loop.o.now &+ 1
      setTimer()
    }
  }

  /// It could not even begin to dial. With too many names being looked up it may later.
  private func dialAgain(_ failure: Failure, _ now: Int64) {
    o.run.undialled = nil
    let limit = o.options.connectTimeout
    if failure.code == .full, limit == 0 || now < o.run.active &+ limit &* 1000,
      let origin = o.run.origin
    {
      return dial(origin)
    }
    leaveOrigin()
    notConnected(failure)
  }

  private func leaveOrigin() {
    guard let origin = o.run.origin, let pool = o.worker?.pool() else { return }
    o.run.origin = nil
    pool.gone(from: origin)
  }

  fileprivate func dialed(_ dialer: Ref<Dialer>) {
    o.run.dialer = nil
    if dialer.o.resolvedAt > 0 {
      o.run.times.resolved = max(0, dialer.o.resolvedAt &- o.run.started)
    }
    if let failure = dialer.o.failure {
      leaveOrigin()
      return notConnected(failure)
    }
    o.run.times.connected = max(0, dialer.o.connectedAt &- o.run.started)
    guard let origin = o.run.origin, let pool = o.worker?.pool() else { return }
    let descriptor = dialer.o.takeDescriptor()
    do throws(Failure) {
      take(try Ref<Link>.make(descriptor, dialer.o.peer, in: origin, of: pool))
    } catch {
      o.run.origin = nil
      finish(error)
    }
  }

  /// A connection is this fetch's until its response is in.
  func take(_ link: Ref<Link>) {
    if o.run.stage != .dialing { o.run.dialed = link.o.pool.o.worker.o.loop.o.now }
    o.run.stage = .exchanging
    o.run.origin = link.o.origin
    o.run.link = link
    link.o.fetch = self
    link.o.stream.clearDeadline()
    ready(link)
  }

  /// The connection stands: the way through a proxy is next, then TLS, then the request.
  func ready(_ link: Ref<Link>) {
    if needsTunnel(link) {
      startTunnel(on: link)
    } else if o.run.target.isSecure, !link.o.stream.o.isSecure {
      startTLS(on: link)
    } else {
      o.run.stage = .exchanging
      sendRequest(on: link)
    }
    guard isServed(by: link) else { return }
    // Asked for before there was a connection, or more waits of the last one than may.
    o.lock.lock()
    let isPaused = o.isPaused || o.untold > Fetch.mostUntold / 2
    o.lock.unlock()
    if isPaused, o.run.stage == .exchanging { link.o.stream.pause(true) }
    if isServed(by: link) { setTimer() }
  }

  // ---- again

  private func notConnected(_ failure: Failure) {
    if Self.mayPass(failure), retry() { return }
    finish(failure)
  }

  /// A limit, or a name that there is not, is so the next time as well; not one of which
  /// nobody can say now whether it is there.
  private static func mayPass(_ failure: Failure) -> Bool {
    switch failure.code {
    case .io, .timeout, .closed: true
    default: failure.isForNow
    }
  }

  /// A connection stood, and came to nothing before the request: at a proxy, or in TLS.
  func notReady(_ link: Ref<Link>, _ failure: Failure) {
    guard Self.mayPass(failure), mayRetry else { return finish(failure) }
    leave(link, isReusable: false)
    _ = retry()
  }

  private var mayRetry: Bool {
    o.run.retries < o.options.retries && (o.body.canRepeat || !o.run.sendsBody)
  }

  /// Begins anew after a while, if that was asked for.
  func retry() -> Bool {
    guard mayRetry, let loop else { return false }
    o.run.retries &+= 1
    o.run.stage = .delaying
    o.run.wantsFresh = true
    o.run.resume = loop.o.now &+ max(1, o.options.retryDelay &* 1000)
    setTimer()
    return true
  }

  /// Sends the next request, or the same over another connection.
  func goOn() {
    o.run.stage = .delaying
    connect()
  }

  // ---- time

  func note(active now: Int64) { o.run.active = now }

  func setTimer() {
    guard let loop else { return }
    var time = o.run.deadline == 0 ? Int64.max : o.run.deadline
    if o.run.resume > 0 { time = min(time, o.run.resume) }
    if let limit { time = min(time, active &+ limit) }
    if time == .max { return loop.o.timers.remove(o.timer) }
    loop.o.timers.set(o.timer, to: max(time, loop.o.now &+ 1))
  }

  /// How long nothing may come or go.
  private var limit: Int64? {
    if o.run.stage == .tunnelling || o.run.stage == .securing {
      return o.options.connectTimeout > 0 ? o.options.connectTimeout &* 1000 : nil
    }
    guard o.run.stage == .exchanging, let link = o.run.link, !link.o.stream.o.isPaused else {
      return nil
    }
    let isSending = !o.run.isBodySent
    let limit = o.run.isHeadIn || isSending ? o.options.idleTimeout : o.options.responseTimeout
    return limit > 0 ? limit &* 1000 : nil
  }

  /// When something came or went last: what the kernel took counts as well.
  private var active: Int64 {
    // One limit for all of the way there.
    if o.run.stage == .tunnelling || o.run.stage == .securing { return o.run.dialed }
    guard o.run.stage == .exchanging, !o.run.isHeadIn, let link = o.run.link else {
      return o.run.active
    }
    return max(o.run.active, link.o.stream.o.lastSent)
  }

  func expired() {
    guard let loop, o.run.stage != .over else { return }
    let now = loop.o.now
    if o.run.deadline > 0, now >= o.run.deadline {
      return finish(Failure(.timeout, "the fetch took longer than its time limit"))
    }
    if o.run.resume > 0, now >= o.run.resume {
      o.run.resume = 0
      if o.run.stage == .delaying { return connect() }
      if o.run.stage == .dialing, let failure = o.run.undialled { return dialAgain(failure, now) }
      if o.run.waitsToSend {
        o.run.waitsToSend = false
        let link = o.run.link
        sendBody()
        if let link, !isServed(by: link) { return }
      }
    }
    if let limit, now >= active &+ limit {
      if let link = o.run.link, o.run.stage == .tunnelling {
        return notReady(
          link, Failure(.timeout, "the proxy did not make the connection in time"))
      }
      if let link = o.run.link, o.run.stage == .securing {
        return notReady(link, Failure(.timeout, "TLS was not agreed on in time"))
      }
      if let link = o.run.link, isFollowing { return followNow(link) }
      return finish(
        o.run.isHeadIn
          ? Failure(.timeout, "the response's body stopped coming")
          : Failure(.timeout, "the server did not answer in time"))
    }
    setTimer()
  }

  // ---- the end

  /// The run is over, with a failure or without. Nothing of it may be touched after.
  func finish(_ problem: Failure?) {
    guard o.run.stage != .over, let worker = o.worker else { return }
    var failure = problem
    let stage = o.run.stage
    o.run.stage = .over
    worker.o.loop.o.timers.remove(o.timer)
    letGo(stage, worker)
    if let source = o.events, beginAgain(after: problem, source, worker) { return }
    worker.pool()?.remove(self)
    failure = finishFile(failure)
    o.run.times.total = Clock.now &- o.run.started
    let response = o.run.response
    o.run.response = nil
    response?.o.times = o.run.times
    if let response, !response.o.body.terminate() {
      response.o.body.clear()
      failure = .noMemory
    }
    response?.o.isWhole.store(true, ordering: .releasing)
    if failure == nil, response == nil { failure = .noMemory }
    // Its own reference is given back at the end.
    o.lock.lock()
    o.failure = failure
    o.state = .done
    o.worker = nil
    o.condition?.o.wakeAll()
    let isTickedFor = o.isTickedFor
    o.isTickedFor = false
    response?.retain()
    // From here on the host may set another callback, which is for the next run.
    let isHeard = unsafe o.onComplete.isSet
    if isHeard { o.telling &+= 1 }
    // Behind its callbacks, which count as under way already.
    listEnd()
    let isAbandoned = !Slots.isAlive(o.handle, .fetch)
    if isAbandoned { o.response = nil }
    o.lock.unlock()
    if isAbandoned { response?.drop() }
    if isHeard {
      tellComplete(worker, response, failure)
      doneTelling()
    }
    if isTickedFor { wakeTicking() }
    response?.release()
    o.events?.over(problem, on: worker)
    worker.o.hasServed = true
    worker.o.callers.wrappingSubtract(1, ordering: .acquiringAndReleasing)
    release()
  }

  /// Ends what it has of a way to its server.
  private func letGo(_ stage: FetchRun.Stage, _ worker: Ref<Worker>) {
    if stage == .waiting, let origin = o.run.origin {
      worker.pool()?.stopWaiting(self, in: origin)
    }
    if stage == .dialing {
      let dialer = o.run.dialer
      o.run.dialer = nil
      dialer?.cancel()
      leaveOrigin()
    }
    guard let link = o.run.link else { return }
    o.run.link = nil
    link.end(reset: true)
  }

  /// Who runs callbacks until this is over looks again.
  private func wakeTicking() {
    if o.server.o.hasThreads { o.server.endWait() } else { o.server.lookAgain() }
  }

  private func finishFile(_ failure: Failure?) -> Failure? {
    guard let file = o.run.file else { return failure }
    o.run.file = nil
    defer { file.free() }
    if failure != nil { return failure }
    do throws(Failure) {
      try file.o.finish()
      return nil
    } catch {
      return error
    }
  }
}

private func dialerDone(_ owner: UnsafeMutableRawPointer, _ dialer: UnsafeMutableRawPointer) {
  unsafe Ref<Fetch>(opaque: owner).dialed(Ref<Dialer>(opaque: dialer))
}
