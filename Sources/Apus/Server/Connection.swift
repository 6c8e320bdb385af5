// A server's end of one HTTP/1.1 connection: it feeds arriving bytes to the
// request machine, keeps the exchanges in order, and closes when it is time.
// Only its loop's thread touches it.

import Synchronization

struct Connection: ~Copyable {
  let worker: Ref<Worker>
  /// Set once, right after the connection was made.
  nonisolated(unsafe) private var streamOrNil: Ref<Stream>? = nil
  var stream: Ref<Stream> {
    get { unsafe streamOrNil.unsafelyUnwrapped }
    set { unsafe streamOrNil = newValue }
  }
  private var flags: Flags = []
  /// The exchange whose request is being received; the last one of the queue.
  var current: Ref<Exchange>? = nil
  /// Exchanges in the order of their requests.
  var first: Ref<Exchange>? = nil
  var last: Ref<Exchange>? = nil
  var pipelined: Int32 = 0
  /// For the host to look at; written before any request is.
  let descriptor: Int32
  let id: UInt64
  private var keptPeer: Peer.Kept
  /// The other end, or whom a proxy there stands for; written before any request is.
  var peer: Peer {
    get { keptPeer.peer }
    set { keptPeer = Peer.Kept(newValue) }
  }
  /// Whether what that end tells of its clients is believed; likewise.
  var isTrusted = false
  /// What its first bytes may be, as long as they have not come.
  var proxyMode = Listener.ProxyMode.off
  /// Its listener is one for TLS.
  var isToBeSecure = false
  var machine = RequestMachine()
  /// What came of the TLS handshake.
  var tls: Ref<TLSFacts>? = nil
  /// What it has become; HTTP is over then.
  var channel: Ref<Channel>? = nil
  /// Exchanges that name this connection, popped ones too: it is freed after them.
  var exchanges: Int32 = 0
  var isBuried = false
  var sawEnd = false
  var isHeadBegun = false
  /// When the current wait for the peer began.
  var since: Int64
  /// How much of it is left, in a body with a least rate, in microseconds.
  var patience: Int64 = 0
  /// What the last exchange, which a handler has, is answered with in its turn.
  var dueRefusal: Ref<Refusal>? = nil
  // The worker's list of its connections.
  var nextOfWorker: Ref<Connection>? = nil
  var previousOfWorker: Ref<Connection>? = nil

  /// What is looked at together on each request.
  private struct Flags: OptionSet {
    let rawValue: UInt8
    static var closing: Flags { Flags(rawValue: 1) }
    static var lingering: Flags { Flags(rawValue: 2) }
    static var dead: Flags { Flags(rawValue: 4) }
    static var pumping: Flags { Flags(rawValue: 8) }
    static var switched: Flags { Flags(rawValue: 16) }
    static var outgoing: Flags { Flags(rawValue: 32) }
    static var closeSaid: Flags { Flags(rawValue: 64) }
    static var abandoned: Flags { Flags(rawValue: 128) }
  }

  private func has(_ flag: Flags) -> Bool { flags.contains(flag) }
  private mutating func set(_ flag: Flags, _ on: Bool) {
    if on { flags.insert(flag) } else { flags.remove(flag) }
  }

  /// No further request is taken.
  var isClosing: Bool {
    get { has(.closing) }
    set { set(.closing, newValue) }
  }
  /// A refusal was sent, and what still comes is thrown away for a while.
  var isLingering: Bool {
    get { has(.lingering) }
    set { set(.lingering, newValue) }
  }
  var isDead: Bool {
    get { has(.dead) }
    set { set(.dead, newValue) }
  }
  /// It speaks another protocol by now.
  var isSwitched: Bool {
    get { has(.switched) }
    set { set(.switched, newValue) }
  }
  /// It was made by this side, which is no client of the server then.
  var isOutgoing: Bool {
    get { has(.outgoing) }
    set { set(.outgoing, newValue) }
  }
  /// A reply that closes was written: nothing may follow it (RFC 9112 section 9.6), also
  /// where more requests were taken before it.
  var hasSaidClose: Bool {
    get { has(.closeSaid) }
    set { set(.closeSaid, newValue) }
  }
  /// Its last request went wrong while a handler has it, and others are answered before.
  var isAbandoned: Bool {
    get { has(.abandoned) }
    set { set(.abandoned, newValue) }
  }
  /// No reply can be written any more.
  var isPastReplies: Bool { !flags.isDisjoint(with: [.dead, .closeSaid]) }
  var isPumping: Bool {
    get { has(.pumping) }
    set { set(.pumping, newValue) }
  }
  /// Whether it takes requests.
  var isOpen: Bool { flags.isDisjoint(with: [.closing, .dead, .switched]) }
  /// None but that it closes.
  var isWorking: Bool { flags.isSubset(of: .closing) }

  init(worker: Ref<Worker>, id: UInt64, descriptor: Int32, peer: Peer, since: Int64) {
    self.worker = worker
    self.id = id
    self.descriptor = descriptor
    keptPeer = Peer.Kept(peer)
    self.since = since
  }

  deinit {
    tls?.free()
    dueRefusal?.free()
  }
}

/// How a connection's stream calls it.
private func received(
  _ owner: UnsafeMutableRawPointer, _ start: UnsafeMutablePointer<UInt8>, _ count: Int
) -> Int {
  let connection = unsafe Ref<Connection>(opaque: owner)
  return unsafe connection.take(Span(_unsafeStart: start, count: count))
}

func makeConnectionHandler() -> Ref<StreamHandler>? {
  unsafe Ref(
    make: StreamHandler(
      received: received,
      inputEnded: { unsafe Ref<Connection>(opaque: $0).inputEnded() },
      drained: { unsafe Ref<Connection>(opaque: $0).drained() },
      failed: { unsafe Ref<Connection>(opaque: $0).failed($1) },
      expired: { unsafe Ref<Connection>(opaque: $0).expired() },
      buried: { unsafe Ref<Connection>(opaque: $0).buried() },
      warm: { if !$1 { unsafe Ref<Connection>(opaque: $0).prefetch() } },
      secured: { unsafe Ref<Connection>(opaque: $0).secured() },
      plainHeard: { unsafe Ref<Connection>(opaque: $0).plainHeard() }))
}

extension Ref where Object == Connection {
  var server: Ref<Server> { o.worker.o.server }

  // ---- requests

  /// Takes requests from bytes; returns how many it took.
  func take(_ bytes: Bytes) -> Int {
    if o.isLingering || o.isClosing { return bytes.count }
    var index = 0
    while o.isOpen {
      if o.current == nil, index >= bytes.count {
        if !isTimedForRest { waitForMore() }
        break
      }
      guard let exchange = o.current ?? startExchange() else { break }
      if exchange.o.isDispatched, isAwaited(exchange) {
        holdBody()
        break
      }
      let step = o.machine.next(
        bytes, at: &index, head: &exchange.o.head, limits: server.o.options.limits)
      switch step {
      case .more:
        waitForMore()
        return index
      case .head(let range):
        takeHead(exchange, bytes.extracting(range))
        // Most requests have no body; a streamed one waits for its handler.
        if !o.machine.isEnded {
          startPatience()
        } else if o.isOpen, !exchange.o.isDispatched {
          endRequest(exchange)
        }
      case .body(let range):
        takeBody(exchange, bytes.extracting(range))
        if o.isOpen, exchange.o.isDispatched, isThrottled(exchange) {
          holdBody()
          return index
        }
      case .trailer(let field):
        if !exchange.keepTrailer(field, of: bytes) { return lose() }
      case .end:
        if exchange.o.form == nil || endForm(exchange) { endRequest(exchange) }
      case .refused(let refusal):
        noteRefusedOrigin(exchange, bytes, upTo: index, refusal)
        refuse(refusal, exchange)
      }
    }
    // What stands behind an upgrade is another protocol's.
    return o.isOpen || o.isSwitched ? index : bytes.count
  }

  /// An exchange for the next request; nil when there is none to be had now.
  @inline(__always)
  func startExchange() -> Ref<Exchange>? {
    if o.pipelined >= server.o.options.maxPipelined || isFull || isUpgradeDue {
      o.stream.pause(true)
      return nil
    }
    guard let exchange = o.worker.takeExchange() else {
      _ = lose()
      return nil
    }
    exchange.o.connection = self
    o.exchanges &+= 1
    o.current = exchange
    if let last = o.last { last.o.next = exchange } else { o.first = exchange }
    o.last = exchange
    o.pipelined &+= 1
    return exchange
  }

  /// Whether what comes may not be HTTP: a request that asks for another protocol is in,
  /// and not answered yet.
  var isUpgradeDue: Bool { o.current == nil && (o.last?.o.head.wantsUpgrade ?? false) }

  @inline(__always)
  func takeHead(_ exchange: Ref<Exchange>, _ bytes: Bytes) {
    let worker = o.worker
    worker.o.counters.add(.requests)
    exchange.o.handle = Slots.live(
      exchange.o.slot, exchange.o.slotIndex, at: worker.o.loop.o.now, open: false)
    exchange.o.receivedAt = worker.o.loop.o.now
    o.isHeadBegun = false
    guard exchange.keepHead(bytes) else {
      _ = lose()
      return
    }
    if !exchange.o.head.isUsual, isAnsweredAhead(exchange) { return }
    exchange.o.destination = server.route(exchange)
    o.since = worker.o.loop.o.now
    if case .route(let number) = exchange.o.destination {
      let route = server.o.router.routes[Int(number)]
      exchange.o.route = route
      if route.o.isSpecial, takeSpecial(exchange, route) { return }
    } else if exchange.o.destination == .undecided {
      _ = lose()
      return
    }
    if !exchange.o.head.hasBody { return }
    if !admitBody(exchange) { return }
    if exchange.o.head.expectsContinue {
      if exchange.o.destination == .nothing || exchange.o.destination == .otherMethod {
        // RFC 9110 §10.1.1: the final status at once, and no body wanted.
        exchange.o.closes = true
        exchange.o.isInputEnded = true
        o.isClosing = true
        o.current = nil
        dispatchAhead(exchange)
      } else {
        continueDue(exchange)
      }
    }
  }

  /// True where the head was all that it takes; a folder's request waits for its end.
  @inline(never)
  private func takeSpecial(_ exchange: Ref<Exchange>, _ route: Ref<Route>) -> Bool {
    if route.o.isStreamed {
      if admitBody(exchange) { dispatchAhead(exchange) }
    } else {
      exchange.o.destination = .folder
    }
    return route.o.isStreamed
  }

  /// Dispatches a request whose body, if any, has not come.
  @inline(never)
  func dispatchAhead(_ exchange: Ref<Exchange>) { o.worker.dispatch(exchange) }

  /// Whether a streamed body must wait for its handler to say where it goes.
  func isAwaited(_ exchange: Ref<Exchange>) -> Bool {
    let reach = exchange.reach
    guard reach == .shared else { return reach == .away }
    exchange.o.lock.lock()
    defer { exchange.o.lock.unlock() }
    return unsafe exchange.o.holds.contains(.handler) && !exchange.o.bodyCallback.isSet
  }

  /// Whether a streamed body has filled what is kept for its handler.
  func isThrottled(_ exchange: Ref<Exchange>) -> Bool {
    guard exchange.o.isShared else { return false }
    exchange.o.lock.lock()
    defer { exchange.o.lock.unlock() }
    return exchange.o.incoming.count > Int(server.o.options.highWater)
  }

  /// RFC 9110 §15.2.1: 100 (Continue), when the exchange's turn has come.
  func continueDue(_ exchange: Ref<Exchange>) {
    exchange.o.continueDue = true
    sendContinue()
  }

  func sendContinue() {
    guard let exchange = o.first, exchange.o.head.expectsContinue, !o.isPastReplies
    else { return }
    if exchange.reach == .away { return }
    let isDue = exchange.locked {
      let isDue = exchange.o.continueDue && !exchange.o.isHeadWritten && !exchange.o.isInputEnded
      exchange.o.continueDue = false
      return isDue
    }
    guard isDue else { return }
    // The body may come from here on.
    if exchange == o.current { o.since = o.worker.o.loop.o.now }
    o.stream.writing()?.o.append("HTTP/1.1 100 Continue\r\n\r\n")
    o.stream.o.loop.addDirty(o.stream)
  }

  func takeBody(_ exchange: Ref<Exchange>, _ piece: Bytes) {
    notePatience(bytes: piece.count)
    if exchange.o.isDispatched {
      o.worker.deliver(exchange, piece, last: 0)
      return
    }
    switch exchange.o.destination {
    case .nothing, .otherMethod, .folder: return
    default: break
    }
    if let route = exchange.o.route, route.o.isForm { return takeForm(exchange, piece) }
    exchange.o.body.append(piece)
    if exchange.o.body.failed { _ = lose() }
  }

  @inline(__always)
  func endRequest(_ exchange: Ref<Exchange>) {
    o.current = nil
    exchange.o.isInputEnded = true
    o.machine.nextRequest()
    // What stands behind one that asks for another protocol may yet count; one with a
    // ticket may be with another thread by now.
    if !exchange.o.head.wantsUpgrade, exchange.o.closes { o.isClosing = true }
    o.since = o.worker.o.loop.o.now
    if exchange.o.isDispatched {
      o.worker.deliver(exchange, Bytes(), last: 1)
      pump()
    } else {
      o.worker.dispatch(exchange)
    }
  }

  /// Answers what is no request, behind the replies still due, and hears no more.
  func refuse(_ refusal: Refusal, _ exchange: Ref<Exchange>) {
    o.current = nil
    o.isClosing = true
    exchange.o.isInputEnded = true
    exchange.o.closes = true
    o.worker.o.counters.add(Counter(status: refusal.status))
    let isLate = o.hasSaidClose || exchange.locked { exchange.o.isHeadWritten }
    o.worker.report(
      self, Failure(Code(status: refusal.status), refusal.reason),
      status: isLate ? 0 : refusal.status)
    if exchange.o.isDispatched {
      // A streamed request: its handler learns of the end, and a reply that is not whole
      // by then is cut.
      exchange.o.isGone.store(true, ordering: .relaxed)
      o.worker.deliver(exchange, Bytes(), last: -1)
      return abandon(exchange, refusal)
    }
    exchange.o.isDispatched = true
    exchange.dropForm()
    answer(exchange, refusal)
    pump()
  }

  func answer(_ exchange: Ref<Exchange>, _ refusal: Refusal) {
    do throws(Failure) {
      try exchange.completeStatus(refusal.status, reason: refusal.reason)
    } catch {
      exchange.o.isBroken = true
      exchange.o.isReplied = true
    }
  }
}
