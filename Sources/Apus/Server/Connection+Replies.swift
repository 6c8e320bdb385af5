// What goes out on a connection: the exchanges' replies, in the order of their
// requests.

import Synchronization

extension Ref where Object == Connection {
  /// Whether a reply of this exchange, which is the loop's alone, may go straight to the
  /// stream.
  @inline(__always)
  func isNext(_ exchange: Ref<Exchange>) -> Bool {
    o.first == exchange && !o.isPastReplies && !exchange.o.isHeadWritten
  }

  /// Writes the head of a reply, and the body if that is at hand.
  func writeHead(of exchange: Ref<Exchange>, with body: Bytes = Bytes()) {
    exchange.o.isHeadWritten = true
    exchange.o.continueDue = false
    if !exchange.o.reply.marks.isEmpty || exchange.o.framing == .untilClose
      || server.o.isStopping.load(ordering: .relaxed)
    {
      if exchange.o.reply.wantsCompression { return writeCompressed(exchange, body) }
      finishHead(of: exchange)
    }
    let stream = o.stream
    // A failure is met by the flush, where there is nothing above us.
    guard let output = stream.writing() else { return stream.o.loop.addDirty(stream) }
    let isSmall = body.count < Stream.leastSentApart
    write(
      &exchange.o.reply, to: output, framing: exchange.o.framing, close: exchange.o.closes,
      isOld: exchange.o.head.version < 11, body: isSmall ? body : Bytes())
    stream.o.loop.addDirty(stream)
    if !isSmall { stream.send(with: body) }
  }

  /// What is not written as it is.
  @inline(never)
  private func finishHead(of exchange: Ref<Exchange>) {
    if exchange.o.reply.marks.contains(.crossOrigin) { addCrossOrigin(to: exchange) }
    // A server that stops answers first what it has taken: the last reply closes.
    if exchange.o.reply.wantsClose || exchange.o.framing == .untilClose
      || (exchange.o.next == nil && server.o.isStopping.load(ordering: .relaxed))
    {
      exchange.o.closes = true
      o.isClosing = true
    }
  }

  @inline(__always)
  func write(
    _ head: inout ReplyHead, to output: Ref<ByteBuffer>, framing: ReplyHead.Framing,
    close: Bool, isOld: Bool, body: Bytes = Bytes()
  ) {
    let worker = o.worker
    let second = worker.o.loop.o.wallSeconds
    if worker.o.opening.second != second {
      worker.o.opening.update(second: second, server: worker.o.server.o.serverLine.bytes)
    }
    head.write(
      to: &output.o, opening: &worker.o.opening, framing: framing, close: close, isOld: isOld,
      body: body)
  }

  /// Moves what the exchanges have to say to the stream, in order.
  func pump() {
    if o.isPumping || o.isDead || o.isLingering { return }
    o.isPumping = true
    while let exchange = o.first, !o.isPastReplies {
      if o.isAbandoned, exchange == o.last {
        sendDueRefusal()
        break
      }
      let progress = advance(exchange)
      if progress == .broken { cut(exchange) }
      guard progress == .done else {
        if progress == .waiting, exchange.o.isShared { settle(exchange) }
        break
      }
      pop(exchange)
    }
    o.isPumping = false
    if o.isDead || o.isSwitched { return }
    sendContinue()
    resumeIfPossible()
    closeIfDone()
    armTimer()
  }

  /// A reply that cannot go on. Those before it go out whole; of its own head nothing may
  /// have gone then.
  @inline(never)
  private func cut(_ exchange: Ref<Exchange>) {
    if exchange.o.isHeadWritten || o.stream.o.output == nil {
      return die(reset: exchange.o.writer.hasBegun)
    }
    (o.isClosing, o.hasSaidClose) = (true, true)
  }

  /// What is due while a reply waits for more from its handler.
  @inline(never)
  private func settle(_ exchange: Ref<Exchange>) {
    // Its client had gone before it was kept.
    if o.sawEnd, !exchange.o.isPulled, exchange.locked({ !exchange.o.isReplied }) {
      return die(reset: false)
    }
    tellRoom(exchange)
    if !o.isDead, o.first == exchange { exchange.settleEvents() }
  }

  /// Whether the exchange whose handler has just returned was answered at once, in
  /// its turn and whole: then nothing is left to be moved.
  @inline(__always)
  func isAnswered(_ exchange: Ref<Exchange>) -> Bool {
    !exchange.o.isShared && exchange.o.isReplied && exchange.o.isHeadWritten
      && exchange.o.isInputEnded && exchange.o.output.isEmpty && !exchange.o.isBroken
      && o.first == exchange && exchange.o.next == nil && o.isWorking
  }

  enum Progress {
    case waiting, done, broken
  }

  /// Sends what one exchange has to say.
  @inline(__always)
  func advance(_ exchange: Ref<Exchange>) -> Progress {
    let reach = exchange.reach
    if reach == .away { return .waiting }
    let isShared = reach == .shared
    if isShared { exchange.o.lock.lock() }
    defer { if isShared { exchange.o.lock.unlock() } }
    if exchange.o.isBroken { return .broken }
    guard exchange.o.isReplied || exchange.o.writer.hasBegun || isFromFolder(exchange) else {
      return .waiting
    }
    if !exchange.o.isHeadWritten { writeHead(of: exchange) }
    if !exchange.o.output.isEmpty {
      // What was published before comes first.
      if isShared, let events = exchange.o.writer.events { exchange.sendWaiting(events) }
      o.stream.send(with: exchange.o.output.bytes)
      exchange.o.output.clear(keep: exchange.o.writer.events == nil ? 16 * 1024 : 0)
      if isShared {
        exchange.o.writer.lastWrite = o.worker.o.loop.o.now
        exchange.o.writer.unsent.store(Int64(o.stream.o.buffered), ordering: .relaxed)
      }
    }
    let isDone = exchange.o.isReplied && exchange.o.isInputEnded
    if isDone, exchange.o.holds.isDisjoint(with: [.handler, .file]) { return .done }
    return exchange.o.holds.contains(.file) ? sendParcels(exchange) : .waiting
  }

  /// Answers what waits for its turn to be answered from a folder.
  @inline(never)
  private func isFromFolder(_ exchange: Ref<Exchange>) -> Bool {
    guard exchange.o.holds.contains(.folder) else { return false }
    exchange.o.holds.remove(.folder)
    o.worker.answerFromFolder(exchange)
    return exchange.o.isReplied
  }

  @inline(__always)
  func pop(_ exchange: Ref<Exchange>) {
    o.first = exchange.o.next
    if o.first == nil { o.last = nil }
    exchange.o.next = nil
    o.pipelined &-= 1
    o.since = o.worker.o.loop.o.now
    o.worker.o.counters.add(.replies)
    if exchange.o.closes { (o.isClosing, o.hasSaidClose) = (true, true) }
    exchange.o.isPopped = true
    // What is left of it is the connection's to send.
    if exchange.o.isShared { exchange.o.writer.unsent.store(0, ordering: .relaxed) }
    o.worker.replied(exchange)
    if let channel = exchange.o.channel { switchOver(exchange, to: channel) }
    exchange.recycleIfFree()
  }

  /// The stream has sent what it could.
  func drained() {
    if o.isDead { return }
    if let exchange = o.first {
      if exchange.o.isShared { noteDrained(exchange) }
      if o.stream.o.stretch == nil, exchange.hasParcels { return pump() }
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
  func noteDrained(_ exchange: Ref<Exchange>) {
    exchange.o.lock.lock()
    if let events = exchange.o.writer.events { exchange.sendWaiting(events) }
    exchange.o.writer.unsent.store(Int64(o.stream.o.buffered), ordering: .relaxed)
    exchange.o.lock.unlock()
    tellRoom(exchange)
  }

  /// Once there is somebody to hear of it.
  private func tellRoom(_ exchange: Ref<Exchange>) {
    exchange.o.lock.lock()
    let isLow =
      unsafe exchange.o.writer.wantsDrain
      && (exchange.o.writer.onDrain.isSet || exchange.tellsWriter)
      && exchange.buffered <= exchange.o.writer.highWater / 2
    if isLow { exchange.o.writer.wantsDrain = false }
    exchange.o.lock.unlock()
    if isLow { o.worker.writerDrained(exchange) }
  }

  /// Whether as much is to be sent as a connection may have. Replies that wait for one
  /// before them count.
  @inline(__always)
  var isFull: Bool {
    let limit = server.o.options.highWater
    if Int64(o.stream.o.buffered) > limit { return true }
    return o.pipelined > 1 && isFull(limit)
  }

  /// The same with what replies hold in memory whose turn has not come. Behind one that
  /// may take its time the thread that ticks has one at a time: what it will hold is not
  /// known.
  @inline(never)
  private func isFull(_ limit: Int64) -> Bool {
    var bytes = Int64(o.stream.o.buffered)
    var exchange = o.first
    while let one = exchange {
      if one.reach != .away {
        bytes &+= one.locked { Int64(one.o.output.count) }
      } else if let first = o.first, first.o.isShared {
        return true
      }
      exchange = one.o.next
    }
    return bytes > limit
  }

  func resumeIfPossible() {
    guard o.stream.o.isPaused, !o.isClosing, !isUpgradeDue, !isFull else { return }
    // A request that has begun goes on, be it the last one that may.
    if o.current == nil, o.pipelined >= server.o.options.maxPipelined { return }
    if let current = o.current, current.o.isDispatched,
      isThrottled(current) || isAwaited(current)
    {
      return
    }
    o.stream.pause(false)
    // It was this side that the body has waited for.
    if o.current != nil { o.since = o.worker.o.loop.o.now }
    if o.stream.o.hasInput {
      o.stream.deliver()
    } else if o.current != nil {
      // A request may end without another byte.
      _ = take(Bytes())
    }
    if o.sawEnd, !o.isDead { inputEnded() }
  }
}
