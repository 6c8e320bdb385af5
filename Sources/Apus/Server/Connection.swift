// A server's end of one HTTP/1.1 connection: it feeds arriving bytes to the
// request machine, keeps the exchanges in order, and closes when it is time.
// Only its loop's thread touches it.

import CSystem
import Synchronization

struct Connection: ~Copyable {
  let worker: Ref<Worker>
  /// Set once, right after the connection was made.
  nonisolated(unsafe) private var streamOrNil: Ref<Stream>? = nil
  var stream: Ref<Stream> {
    get { streamOrNil.unsafelyUnwrapped }
    set { streamOrNil = newValue }
  }
  let id: UInt64
  let peer: Peer
  /// For the host to look at; written before any request is.
  let descriptor: Int32
  var machine = RequestMachine()
  /// The exchange whose request is being received; the last one of the queue.
  var current: Ref<Exchange>? = nil
  /// Exchanges in the order of their requests.
  var first: Ref<Exchange>? = nil
  var last: Ref<Exchange>? = nil
  var pipelined: Int32 = 0
  /// Exchanges that name this connection, popped ones too: it is freed after them.
  var exchanges: Int32 = 0
  /// No further request is taken.
  var isClosing = false
  /// A refusal was sent, and what still comes is thrown away for a while.
  var isLingering = false
  var isDead = false
  var isBuried = false
  var isPumping = false
  var isAnnounced = false
  var sawEnd = false
  var isHeadBegun = false
  /// When the current wait for the peer began.
  var since: Int64
  // The worker's list of its connections.
  var nextOfWorker: Ref<Connection>? = nil
  var previousOfWorker: Ref<Connection>? = nil

  init(worker: Ref<Worker>, id: UInt64, descriptor: Int32, peer: Peer, since: Int64) {
    self.worker = worker
    self.id = id
    self.descriptor = descriptor
    self.peer = peer
    self.since = since
  }
}

/// How a connection's stream calls it.
private func received(_ owner: UnsafeMutableRawPointer, _ start: UnsafePointer<UInt8>, _ count: Int)
  -> Int
{
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
      buried: { unsafe Ref<Connection>(opaque: $0).buried() }))
}

extension Ref where Object == Connection {
  private var server: Ref<Server> { o.worker.o.server }

  // ---- requests

  /// Takes requests from bytes; returns how many it took.
  fileprivate func take(_ bytes: Bytes) -> Int {
    if o.isLingering || o.isClosing { return bytes.count }
    var index = 0
    while !o.isDead, !o.isClosing {
      guard let exchange = o.current ?? startExchange(index < bytes.count) else { break }
      if exchange.o.isDispatched, isAwaited(exchange) {
        o.stream.pause(true)
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
      case .body(let range):
        takeBody(exchange, bytes.extracting(range))
        if exchange.o.isDispatched, isThrottled(exchange) {
          o.stream.pause(true)
          return index
        }
      case .trailer(let field):
        if !exchange.keepTrailer(field, of: bytes) { return lose(.memory) }
      case .end:
        endRequest(exchange)
      case .refused(let refusal):
        refuse(refusal, exchange)
      }
    }
    if o.isDead || o.isClosing { return bytes.count }
    return index
  }

  /// An exchange for the next request; nil when there is none to be had now.
  private func startExchange(_ hasBytes: Bool) -> Ref<Exchange>? {
    guard hasBytes else {
      waitForMore()
      return nil
    }
    if o.pipelined >= server.o.options.maxPipelined
      || o.stream.o.buffered > Int(server.o.options.highWater)
    {
      o.stream.pause(true)
      return nil
    }
    guard let exchange = o.worker.takeExchange() else {
      _ = lose(.memory)
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

  private func takeHead(_ exchange: Ref<Exchange>, _ bytes: Bytes) {
    let worker = o.worker
    worker.o.counters.add(.requests)
    exchange.o.handle = Slots.live(
      exchange.o.slot, exchange.o.slotIndex, at: worker.o.loop.o.now, open: false)
    exchange.o.receivedAt = worker.o.loop.o.now
    o.isHeadBegun = false
    guard exchange.keepHead(bytes) else {
      _ = lose(.memory)
      return
    }
    if !exchange.o.head.persists { exchange.o.closes = true }
    exchange.o.destination = server.route(exchange)
    o.since = worker.o.loop.o.now
    if case .route(let number) = exchange.o.destination,
      server.o.router.routes[Int(number)].o.isStreamed
    {
      return worker.dispatch(exchange)
    }
    if !exchange.o.head.hasBody { return }
    if exchange.o.head.expectsContinue {
      if exchange.o.destination == .nothing || exchange.o.destination == .otherMethod {
        // RFC 9110 §10.1.1: the final status at once, and no body wanted.
        exchange.o.closes = true
        exchange.o.isInputEnded = true
        o.isClosing = true
        worker.dispatch(exchange)
      } else {
        continueDue(exchange)
      }
    }
  }

  /// Whether a streamed body must wait for its handler to say where it goes.
  private func isAwaited(_ exchange: Ref<Exchange>) -> Bool {
    guard exchange.o.isShared else { return exchange.o.isAway.load(ordering: .acquiring) }
    exchange.o.lock.lock()
    defer { exchange.o.lock.unlock() }
    return exchange.o.holds.contains(.handler) && !exchange.o.bodyCallback.isSet
  }

  /// Whether a streamed body has filled what is kept for its handler.
  private func isThrottled(_ exchange: Ref<Exchange>) -> Bool {
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

  private func sendContinue() {
    guard let exchange = o.first, exchange.o.head.expectsContinue, !o.isDead else { return }
    let isShared = exchange.o.isShared
    if !isShared, exchange.o.isAway.load(ordering: .acquiring) { return }
    if isShared { exchange.o.lock.lock() }
    let isDue = exchange.o.continueDue && !exchange.o.isHeadWritten && !exchange.o.isInputEnded
    exchange.o.continueDue = false
    if isShared { exchange.o.lock.unlock() }
    guard isDue else { return }
    o.stream.writing()?.o.append("HTTP/1.1 100 Continue\r\n\r\n")
    o.stream.o.loop.addDirty(o.stream)
  }

  private func takeBody(_ exchange: Ref<Exchange>, _ piece: Bytes) {
    o.since = o.worker.o.loop.o.now
    if exchange.o.isDispatched {
      o.worker.deliver(exchange, piece, last: 0)
      return
    }
    switch exchange.o.destination {
    case .nothing, .otherMethod: return
    default: break
    }
    exchange.o.body.append(piece)
    if exchange.o.body.failed { _ = lose(.memory) }
  }

  private func endRequest(_ exchange: Ref<Exchange>) {
    o.current = nil
    exchange.o.isInputEnded = true
    o.machine.nextRequest()
    if exchange.o.closes { o.isClosing = true }
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
    let code: Code = refusal.status == 400 || refusal.status > 500 || refusal.status == 417
      ? .protocolBroken
      : refusal.status == 408 ? .timeout : refusal.status == 503 ? .full : .tooLarge
    o.worker.report(self, code: code, status: refusal.status)
    if exchange.o.isDispatched {
      // A streamed request: its handler learns of the end, and the reply is cut.
      exchange.o.isGone.store(true, ordering: .relaxed)
      o.worker.deliver(exchange, Bytes(), last: -1)
      return abandon(exchange, refusal)
    }
    exchange.o.isDispatched = true
    answer(exchange, refusal)
    pump()
  }

  private func answer(_ exchange: Ref<Exchange>, _ refusal: Refusal) {
    do throws(Failure) {
      try exchange.completeStatus(refusal.status, reason: refusal.reason)
    } catch {
      exchange.o.isBroken = true
      exchange.o.isReplied = true
    }
  }

  /// A handler has the exchange, and its request went wrong behind its head: if
  /// nothing of a reply has gone, the refusal is sent in its place.
  private func abandon(_ exchange: Ref<Exchange>, _ refusal: Refusal) {
    guard exchange == o.first, !exchange.o.isHeadWritten else { return die(reset: true) }
    var reply = ReplyHead()
    reply.status = refusal.status
    let type = Text("text/plain; charset=utf-8")
    let reason = Text(refusal.reason)
    reply.setContentType(type.bytes)
    guard let output = o.stream.writing() else { return die(reset: true) }
    reply.write(
      to: &output.o, framing: .length(exchange.o.isHead ? 0 : Int64(reason.count)), close: true,
      isOld: false, date: o.worker.o.loop.o.dateLine.bytes, server: server.o.serverLine.bytes)
    if !exchange.o.isHead { output.o.append(reason.bytes) }
    exchange.o.isHeadWritten = true
    linger()
  }

  // ---- replies

  /// Whether a reply of this exchange may go straight to the stream.
  @inline(__always)
  func isNext(_ exchange: Ref<Exchange>) -> Bool {
    unsafe ThreadContext.loop == o.worker.o.loop.opaque && o.first == exchange && !o.isDead
      && !exchange.o.isHeadWritten
  }

  func writeHead(of exchange: Ref<Exchange>) {
    exchange.o.isHeadWritten = true
    exchange.o.continueDue = false
    if exchange.o.reply.wantsClose || exchange.o.framing == .untilClose
      || server.o.isStopping.load(ordering: .relaxed)
    {
      exchange.o.closes = true
      o.isClosing = true
    }
    guard let output = o.stream.writing() else { return }
    exchange.o.reply.write(
      to: &output.o, framing: exchange.o.framing, close: exchange.o.closes,
      isOld: exchange.o.head.version < 11, date: o.worker.o.loop.o.dateLine.bytes,
      server: server.o.serverLine.bytes)
    o.stream.o.loop.addDirty(o.stream)
  }

  /// Moves what the exchanges have to say to the stream, in order.
  func pump() {
    if o.isPumping || o.isDead || o.isLingering { return }
    o.isPumping = true
    while let exchange = o.first, !o.isDead {
      let progress = advance(exchange)
      if progress == .broken { die(reset: exchange.o.writer.hasBegun) }
      guard progress == .done else { break }
      pop(exchange)
    }
    o.isPumping = false
    if o.isDead { return }
    sendContinue()
    resumeIfPossible()
    closeIfDone()
    armTimer()
  }

  private enum Progress {
    case waiting, done, broken
  }

  /// Sends what one exchange has to say.
  private func advance(_ exchange: Ref<Exchange>) -> Progress {
    let isShared = exchange.o.isShared
    if !isShared, exchange.o.isAway.load(ordering: .acquiring) { return .waiting }
    if isShared { exchange.o.lock.lock() }
    defer { if isShared { exchange.o.lock.unlock() } }
    if exchange.o.isBroken { return .broken }
    guard exchange.o.isReplied || exchange.o.writer.hasBegun else { return .waiting }
    if !exchange.o.isHeadWritten { writeHead(of: exchange) }
    if !exchange.o.output.isEmpty {
      o.stream.send(with: exchange.o.output.bytes)
      exchange.o.output.clear(keep: 16 * 1024)
      if isShared {
        exchange.o.writer.unsent.store(Int64(o.stream.o.buffered), ordering: .relaxed)
      }
    }
    let isDone = exchange.o.isReplied && exchange.o.isInputEnded
    return isDone && !exchange.o.holds.contains(.handler) ? .done : .waiting
  }

  private func pop(_ exchange: Ref<Exchange>) {
    o.first = exchange.o.next
    if o.first == nil { o.last = nil }
    exchange.o.next = nil
    o.pipelined &-= 1
    o.since = o.worker.o.loop.o.now
    o.worker.o.counters.add(.replies)
    if exchange.o.closes { o.isClosing = true }
    exchange.o.isPopped = true
    o.worker.replied(exchange)
    exchange.recycleIfFree()
  }

  /// The stream has sent what it could.
  fileprivate func drained() {
    if o.isDead { return }
    if let exchange = o.first {
      if exchange.o.isShared { noteDrained(exchange) }
    } else if !o.isClosing, !o.stream.o.isPaused, o.stream.o.output == nil,
      !server.o.isStopping.load(ordering: .relaxed)
    {
      return
    }
    armTimer()
    resumeIfPossible()
    closeIfDone()
  }

  /// Tells the writer of the exchange whose turn it is that there is room again.
  private func noteDrained(_ exchange: Ref<Exchange>) {
    exchange.o.lock.lock()
    exchange.o.writer.unsent.store(Int64(o.stream.o.buffered), ordering: .relaxed)
    let isLow = exchange.o.writer.wantsDrain && exchange.buffered <= exchange.o.writer.highWater / 2
    if isLow { exchange.o.writer.wantsDrain = false }
    exchange.o.lock.unlock()
    if isLow { o.worker.writerDrained(exchange) }
  }

  private func resumeIfPossible() {
    guard o.stream.o.isPaused, !o.isClosing else { return }
    if o.pipelined >= server.o.options.maxPipelined
      || o.stream.o.buffered > Int(server.o.options.highWater)
    {
      return
    }
    if let current = o.current, current.o.isDispatched,
      isThrottled(current) || isAwaited(current)
    {
      return
    }
    o.stream.pause(false)
    if o.stream.o.hasInput {
      o.stream.deliver()
    } else if o.current != nil {
      // A request may end without another byte.
      _ = take(Bytes())
    }
    if o.sawEnd, !o.isDead { inputEnded() }
  }

  // ---- the end

  /// When all replies are out: closes, lets the peer read a refusal, or waits.
  private func closeIfDone() {
    guard o.first == nil, !o.isDead, !o.isLingering, o.stream.o.output == nil else { return }
    if o.isClosing {
      // Unread bytes would make the close a reset, which may overtake the reply.
      linger()
    } else if server.o.isStopping.load(ordering: .relaxed), o.machine.isAtStart {
      die(reset: false)
    }
  }

  private func linger() {
    o.isLingering = true
    o.isClosing = true
    o.stream.flush()
    if o.isDead { return }
    o.stream.shutdownOutput()
    if o.sawEnd { return die(reset: false) }
    o.stream.pause(false)
    let now = o.worker.o.loop.o.now
    o.stream.setDeadline(now &+ ServerOptions.lingerTimeout &* 1000)
  }

  fileprivate func inputEnded() {
    o.sawEnd = true
    if o.isLingering || (o.first == nil && o.stream.o.output == nil) { return die(reset: false) }
    // A request that will never be whole, and handlers that wait for a client
    // that has gone; what is being answered is answered.
    if let current = o.current {
      if o.first == current { return die(reset: false) }
      o.current = nil
      dropLast(current)
    }
    var exchange = o.first
    while let waiting = exchange {
      // RFC 9112 §9.6 lets a client end its side and wait; but who waits for long
      // has most likely left, and a deferred reply must learn of that.
      if waiting.o.isShared, !waiting.o.isPulled { return die(reset: false) }
      exchange = waiting.o.next
    }
    o.isClosing = true
  }

  /// Takes back an exchange whose request never came to an end.
  private func dropLast(_ exchange: Ref<Exchange>) {
    var before = o.first
    while let candidate = before, candidate.o.next != exchange { before = candidate.o.next }
    guard let before else { return }
    before.o.next = nil
    o.last = before
    o.pipelined &-= 1
    leave(exchange)
  }

  fileprivate func failed(_ number: Int32) {
    if number != ECONNRESET && number != EPIPE {
      o.worker.o.counters.add(.errors)
      o.worker.report(self, code: .io, status: 0)
    } else if o.first != nil {
      o.worker.report(self, code: .closed, status: 0)
    }
    die(reset: true)
  }

  private func lose(_ code: Code) -> Int {
    o.worker.o.counters.add(.errors)
    o.worker.report(self, code: code, status: 0)
    die(reset: true)
    return 0
  }

  /// Ends the connection. Exchanges that somebody holds learn that the client
  /// has gone; the connection's memory goes after the last of them.
  func die(reset: Bool) {
    if o.isDead { return }
    o.isDead = true
    o.isClosing = true
    o.stream.end(reset: reset)
    o.worker.forget(self)
    o.current = nil
    while let exchange = o.first {
      o.first = exchange.o.next
      exchange.o.next = nil
      leave(exchange)
    }
    o.last = nil
  }

  private func leave(_ exchange: Ref<Exchange>) {
    exchange.o.isGone.store(true, ordering: .releasing)
    exchange.o.isPopped = true
    if exchange.o.isDispatched, !exchange.o.isInputEnded {
      exchange.o.isInputEnded = true
      o.worker.deliver(exchange, Bytes(), last: -1)
    }
    exchange.recycleIfFree()
  }

  fileprivate func buried() {
    o.isBuried = true
    freeIfLast()
  }

  func exchangeLeft() {
    o.exchanges &-= 1
    freeIfLast()
  }

  private func freeIfLast() {
    if o.isBuried, o.exchanges == 0 { free() }
  }
}
