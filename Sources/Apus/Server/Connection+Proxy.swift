// A connection whose first bytes tell whom a proxy there stands for. Until these have
// come it is nobody's: neither requests nor another layer see any of it.

extension Ref where Object == Connection {
  /// Notes whether its other end is believed.
  func notePeer() {
    if !server.o.proxies.isEmpty { o.isTrusted = server.o.proxies.trusts(o.peer) }
  }

  /// What it is to begin with, by where it was accepted.
  func mode(of listener: Ref<Listener>?) -> Listener.ProxyMode {
    guard let mode = listener?.o.proxyMode else { return .off }
    return mode == .optional && !o.isTrusted ? .off : mode
  }

  func awaitProxyHeader() {
    let worker = o.worker
    if worker.o.proxyHandler == nil { worker.o.proxyHandler = makeProxyHandler() }
    guard let handler = worker.o.proxyHandler else { return die(reset: true) }
    unsafe o.stream.hand(to: opaque, handler)
    if !o.stream.start() { return die(reset: true) }
    // One that must come comes at once.
    if o.proxyMode == .required { limitHeader() } else { armTimer() }
  }

  /// From here on the header has as long as the head of a request.
  private func limitHeader() {
    o.isHeadBegun = true
    let patience = server.o.options.headerTimeout
    let now = o.worker.o.loop.o.now
    if patience > 0 { o.stream.setDeadline(now &+ patience &* 1000) }
  }

  fileprivate func takeProxyHeader(_ bytes: Bytes) -> Int {
    // Whoever stops or destroys the server in a callback may have ended it.
    if o.isDead { return bytes.count }
    switch ProxyHeader.parse(bytes) {
    case .more:
      if !o.isHeadBegun { limitHeader() }
      return 0
    case .header(let source, let count):
      switch source {
      case .itself: break
      case .address(let address, let port): o.peer = Peer(address, port: port)
      case .local: o.peer = Peer(nil, port: 0)
      }
      if source != .itself { notePeer() }
      begin()
      return count
    case .none where o.proxyMode == .optional:
      begin()
      return 0
    case .none, .malformed:
      return refuseProxy()
    }
  }

  /// The connection is what it says from here on.
  private func begin() {
    let worker = o.worker
    o.proxyMode = .off
    o.isHeadBegun = false
    o.since = worker.o.loop.o.now
    o.stream.clearDeadline()
    unsafe o.stream.hand(to: opaque, worker.o.handler)
    worker.connected(self)
    if o.isToBeSecure, !secure() { return die(reset: true) }
    armTimer()
    // What stands behind the header is for another.
    o.stream.deliver()
  }

  private func refuseProxy() -> Int {
    o.worker.o.counters.add(.refusedProxy)
    o.worker.report(
      self, Failure(.protocolBroken, "the PROXY header is missing or malformed"), status: 0)
    die(reset: false)
    return 0
  }

  fileprivate func proxyHeaderExpired() {
    let isBegun = o.isHeadBegun
    o.stream.clearDeadline()
    o.worker.o.counters.add(isBegun ? .refusedProxy : .timeoutIdle)
    if isBegun {
      o.worker.report(
        self, Failure(.timeout, "the PROXY header took too long to arrive"), status: 0)
    }
    die(reset: false)
  }
}

private func received(
  _ owner: UnsafeMutableRawPointer, _ start: UnsafeMutablePointer<UInt8>, _ count: Int
) -> Int {
  unsafe Ref<Connection>(opaque: owner).takeProxyHeader(
    Span(_unsafeStart: start, count: count))
}

private func makeProxyHandler() -> Ref<StreamHandler>? {
  unsafe Ref(
    make: StreamHandler(
      received: received,
      inputEnded: { unsafe Ref<Connection>(opaque: $0).die(reset: false) },
      drained: { _ in },
      failed: { unsafe Ref<Connection>(opaque: $0).failed($1) },
      expired: { unsafe Ref<Connection>(opaque: $0).proxyHeaderExpired() },
      buried: { unsafe Ref<Connection>(opaque: $0).buried() }))
}
