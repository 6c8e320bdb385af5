// A connected socket on a loop. Its user hears of bytes that arrived, of the
// peer's end, of failures and of time limits, and hands over bytes to send; they
// gather and go out in one call at the end of what caused them.
// What the poller says of it, and is asked for, is in Stream+Readiness.swift.

import CSystem

@safe struct Stream: ~Copyable {
  fileprivate(set) var descriptor: Int32
  let loop: Ref<Loop>
  fileprivate(set) var handler: Ref<StreamHandler>
  nonisolated(unsafe) fileprivate(set) var owner: UnsafeMutableRawPointer
  /// What has arrived and was not taken.
  var input = ByteBuffer()
  /// What waits to be sent; nil when nothing does.
  var output: Ref<ByteBuffer>? = nil
  /// What of a file goes behind the output, which stays until then, if it is empty too.
  var stretch: Ref<FileStretch>? = nil
  var stretchLeft = 0
  /// What encrypts; nil where nothing does.
  var tls: Ref<TLSSession>? = nil {
    didSet { isUnusual = isBroken || stretch != nil || tls != nil }
  }
  var timer: Ref<Timer>
  /// When the kernel last took bytes, in the loop's microseconds.
  var lastSent: Int64 = 0
  fileprivate(set) var isEnded = false
  var isInputEnded = false
  /// Nothing is read; `pause` sets it.
  var isPaused = false
  /// The peer's end was seen while reading was paused.
  var isEndNear = false
  fileprivate(set) var isDelivering = false
  /// A flush follows what runs now: no other need be asked for.
  fileprivate(set) var isFlushedNext = false
  fileprivate var deliversAgain = false
  var isBlocked = false
  var isBroken = false
  /// It is broken, or a file follows, or all is encrypted: sending has more to look at.
  var isUnusual = false
  /// The peer's end came with the last bytes, and may be behind others.
  var isEndKnown = false
  /// Whether the poller knows it, or is not to for the time being; and of what it is to say.
  var isWatched = false
  var isUnwatched = false
  var interest: UInt32 = 0
  /// All that came before is read once a read leaves room, but for what is urgent.
  fileprivate(set) var isTCP = false
  /// What the peer says counts also once it takes nothing more: what was to be sent then is
  /// dropped, and the end comes with that of what it said.
  var isHeardOut = false
  /// Why nothing is taken any more, where that is so: an error number.
  fileprivate(set) var mutedBy: Int32 = 0
  var isDirty = false
  var nextDirty: Ref<Stream>? = nil
  var nextEnded: Ref<Stream>? = nil

  init(
    descriptor: Int32, loop: Ref<Loop>, handler: Ref<StreamHandler>,
    owner: UnsafeMutableRawPointer, timer: Ref<Timer>
  ) {
    self.descriptor = descriptor
    self.loop = loop
    self.handler = handler
    unsafe self.owner = unsafe owner
    self.timer = timer
  }

  deinit {
    timer.free()
    tls?.free()
  }

  /// From that size on a piece is sent from where it stands, and not copied.
  static var leastSentApart: Int { 16 * 1024 }

  /// Bytes that the kernel has not taken yet.
  var buffered: Int {
    guard let output else { return 0 }
    // What is encrypted waits with an output, be that empty.
    return output.o.count &+ stretchLeft &+ (tls?.o.sealed?.o.count ?? 0)
  }
  var hasInput: Bool { !input.isEmpty }
}

extension Ref where Object == Stream {
  /// Starts to watch a new stream; false when the kernel refuses.
  func start() -> Bool {
    // What is sent is sent whole, so that nothing is gained by waiting for more.
    o.isTCP = sys_set_option(o.descriptor, SYS_LEVEL_TCP, TCP_NODELAY, 1) == 0
    unsafe o.timer.o.owner = unsafe opaque
    unsafe o.timer.o.run = { unsafe Ref<Stream>(opaque: $0).expired() }
    o.interest = readingInterest
    o.lastSent = o.loop.o.now
    o.isWatched = o.loop.watch(self, events: o.interest, isNew: true)
    return o.isWatched
  }

  private func expired() { if !o.isEnded { unsafe o.handler.o.expired(o.owner) } }

  /// From here on somebody else is told.
  @unsafe func hand(to owner: UnsafeMutableRawPointer, _ handler: Ref<StreamHandler>) {
    unsafe o.owner = unsafe owner
    o.handler = handler
  }

  // ---- in

  @inline(__always)
  func warm(isNext: Bool) {
    if !o.isEnded { unsafe o.handler.o.warm(o.owner, isNext) }
  }

  /// Whether the kernel has nothing from the peer that was not read yet.
  var isQuiet: Bool {
    let system = o.loop.o.system
    if o.isEnded { return false }
    return unsafe system.isQuiet(system.context, o.descriptor) == 1
  }

  /// One recv. More than fits is seen in the next turn: other streams come first.
  /// Whether all was read that had come by then.
  @inline(__always)
  func receive() -> Bool {
    let loop = o.loop
    let system = loop.o.system
    let isDirect = o.input.isEmpty
    let space = unsafe isDirect ? loop.o.readBuffer : o.input.space(Loop.readSize / 4)
    guard let space = unsafe space else {
      fail(ENOMEM)
      return true
    }
    let capacity = isDirect ? Loop.readSize : Loop.readSize / 4
    let count = unsafe system.receive(system.context, o.descriptor, space, capacity)
    if count < 0 {
      let number = Int32(truncatingIfNeeded: 0 &- count)
      if number == EAGAIN || number == EINTR { return false }
      fail(number)
      return true
    }
    if count == 0 {
      // A reset is told once, to whoever sends first.
      o.mutedBy == ECONNRESET ? fail(ECONNRESET) : endInput()
      return true
    }
    loop.o.bytesIn &+= count
    if isDirect {
      unsafe deliver(space, Int(count))
    } else {
      o.input.filled(Int(count))
      deliver()
    }
    return count < Int64(capacity)
  }

  /// Offers what has arrived where nothing has waited.
  @inline(__always)
  @unsafe func deliver(_ space: UnsafeMutablePointer<UInt8>, _ count: Int) {
    o.isDelivering = true
    o.isFlushedNext = true
    let taken = unsafe o.handler.o.received(o.owner, space, count)
    o.isFlushedNext = false
    if !o.isEnded, taken < count {
      unsafe o.input.append(Span(_unsafeStart: space + taken, count: count &- taken))
      if o.input.failed { return fail(ENOMEM) }
    }
    if !o.isEnded { flush() }
    o.isDelivering = false
    if o.deliversAgain { deliver() }
  }

  /// What follows is encrypted, by the word of who was called.
  private var isTurning: Bool { o.tls?.o.takesInput ?? false }

  /// Offers what has arrived and was not taken yet. Asked for by what it calls
  /// itself, it goes round once more.
  func deliver() {
    if o.isDelivering {
      o.deliversAgain = true
      return
    }
    o.isDelivering = true
    repeat {
      o.deliversAgain = false
      guard !o.isEnded, o.input.count > 0, !isTurning else { break }
      guard o.input.reserve(1), let bytes = unsafe o.input.pointer else { return fail(ENOMEM) }
      o.isFlushedNext = true
      let taken = unsafe o.handler.o.received(o.owner, bytes, o.input.count)
      o.isFlushedNext = false
      if o.isEnded { break }
      o.input.consume(taken)
      if o.input.isEmpty { o.input.clear() }
      flush()
    } while o.deliversAgain
    o.isDelivering = false
    if !o.isEnded, isTurning, let tls = o.tls { beginEncrypted(tls) }
  }

  func endInput() {
    o.isInputEnded = true
    updateInterest()
    unsafe o.handler.o.inputEnded(o.owner)
  }

  // ---- out

  /// The buffer to append outgoing bytes to; they are sent soon. Nil when there
  /// is no memory.
  @inline(__always)
  func writing() -> Ref<ByteBuffer>? {
    if let output = o.output { return output }
    return startWriting()
  }

  @inline(__always)
  private func startWriting() -> Ref<ByteBuffer>? {
    o.output = o.loop.takeOutput()
    if o.output == nil { (o.isBroken, o.isUnusual) = (true, true) }
    o.lastSent = o.loop.o.now
    return o.output
  }

  /// Sends what there is, and a second piece that was not copied; what the kernel
  /// does not take of either is kept.
  @inline(__always)
  func send(with piece: Bytes) {
    // A failure is met by the flush, where there is nothing above us.
    guard let output = writing(), !output.o.failed else { return o.loop.addDirty(self) }
    if o.isBlocked || piece.count < Stream.leastSentApart {
      output.o.append(piece)
      return o.loop.addDirty(self)
    }
    sendBoth(output, piece)
  }

  @inline(never)
  private func sendBoth(_ output: Ref<ByteBuffer>, _ piece: Bytes) {
    if let tls = o.tls { return send(output, piece, through: tls) }
    let system = o.loop.o.system
    let first = output.o.count
    let sent = unsafe piece.withUnsafeBufferPointer {
      unsafe system.send(
        system.context, o.descriptor, output.o.pointer, first, $0.baseAddress, $0.count)
    }
    let count = max(0, Int(sent))
    note(sent: count)
    if count < first {
      output.o.consume(count)
      output.o.append(piece)
    } else {
      output.o.consume(first)
      output.o.append(piece.extracting(min(count &- first, piece.count)..<piece.count))
    }
    o.loop.addDirty(self)
  }

  func note(sent count: Int) {
    guard count > 0 else { return }
    o.loop.o.bytesOut &+= Int64(count)
    o.lastSent = o.loop.o.now
  }

  /// Sends what there is, as far as the kernel takes it.
  func flush() {
    if o.isEnded { return }
    if o.isUnusual { return flushUnusual() }
    guard let output = o.output else { return }
    if output.o.failed { return fail(ENOMEM) }
    if !output.o.isEmpty {
      let system = o.loop.o.system
      let sent = unsafe system.send(
        system.context, o.descriptor, output.o.pointer, output.o.count, nil, 0)
      if sent < 0, !isBusy(sent) { return failSending(Int32(truncatingIfNeeded: 0 &- sent)) }
      note(sent: Int(sent))
      output.o.consume(max(0, Int(sent)))
    }
    block(!output.o.isEmpty)
    finishFlush(output)
  }

  /// The kernel takes nothing any more.
  @inline(never)
  func failSending(_ number: Int32) {
    guard o.isHeardOut, number == EPIPE || number == ECONNRESET, !o.isInputEnded, !o.isPaused
    else { return fail(number) }
    // The first one says why; what is sent later is told that the pipe is broken.
    if o.mutedBy == 0 { o.mutedBy = number }
    if o.stretch != nil { endStretch() }
    o.tls?.giveSealed()
    if let output = o.output {
      o.output = nil
      o.loop.giveOutput(output)
    }
    block(false)
  }

  @inline(__always)
  func finishFlush(_ output: Ref<ByteBuffer>) {
    if o.isBlocked {
      return unsafe o.handler.o.drained(o.owner)
    }
    o.output = nil
    o.loop.giveOutput(output)
    unsafe o.handler.o.drained(o.owner)
  }

  /// Whether the kernel must take more first.
  @inline(__always)
  func block(_ on: Bool) {
    guard on != o.isBlocked else { return }
    o.isBlocked = on
    if on { o.output?.o.trim() }
    updateInterest()
  }

  // ---- end

  func fail(_ number: Int32) {
    if !o.isEnded { unsafe o.handler.o.failed(o.owner, number) }
  }

  /// RFC 9112 §9.6: no more from us, but what the peer still sends is taken in.
  func shutdownOutput() {
    let system = o.loop.o.system
    if o.isEnded { return }
    if let tls = o.tls {
      sayGoodbye(through: tls)
      // Nothing may be sent behind this: what is left of the goodbye is lost, not the reply.
      tls.giveSealed()
    }
    _ = unsafe system.shutdownWrite(system.context, o.descriptor)
  }

  /// Closes the socket, at once or with a reset. The stream is freed when the
  /// loop's turn ends.
  func end(reset: Bool) {
    if o.isEnded { return }
    o.isEnded = true
    let system = o.loop.o.system
    if let tls = o.tls, !reset { sayGoodbye(through: tls) }
    // By closing alone the poller forgets a socket that nobody else has; a process that was
    // just forked has all of them, and a host may have one that it handed over.
    if o.isWatched { o.loop.unwatch(self) }
    unsafe system.end(system.context, o.descriptor, reset ? 1 : 0)
    o.descriptor = -1
    o.loop.o.timers.remove(o.timer)
    if o.isUnusual { endStretch() }
    o.tls?.giveSealed()
    if let output = o.output {
      o.output = nil
      o.loop.giveOutput(output)
    }
    o.loop.addEnded(self)
  }

  /// Has `expired` called when the time comes; an earlier limit is replaced.
  func setDeadline(_ time: Int64) {
    // Never in the past: the wheel would find it in the bucket that it is emptying.
    if !o.isEnded { o.loop.o.timers.set(o.timer, to: max(time, o.loop.o.now &+ 1)) }
  }

  func clearDeadline() { o.loop.o.timers.clear(o.timer) }
}
