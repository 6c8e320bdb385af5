// A stream with TLS: its user sees and hands over plain bytes, as without.
//
// What the user hands over gathers in the stream's output; it is encrypted when it is
// sent, and what the kernel does not take then waits encrypted, in the session.

import CSystem

extension Stream {
  var isSecure: Bool { tls != nil }
  var isHandshaking: Bool { tls?.o.isHandshaking ?? false }
  /// Whether the peer's end came without its word for it.
  var isTruncated: Bool { tls?.isTruncated ?? false }
  /// Whether the peer has said that no more comes, and it may be behind other bytes.
  var hasGoodbye: Bool { tls?.hasGoodbye ?? false }
  var tlsFailure: Failure? { tls?.o.failure }
}

extension Ref where Object == Stream {
  /// How many calls one flush makes: other streams come first.
  private static var sendsPerFlush: Int { 4 }
  private static var sendsOfPiece: Int { 16 }

  /// From here on all that goes over the stream is encrypted. A client begins the
  /// handshake at once.
  func secure(by session: Ref<TLSSession>) {
    o.tls = session
    session.attach(to: self)
    // Of a client that opens a connection with TLS more may have come by now. A server says
    // nothing before the handshake, and what a proxy says too much was refused.
    session.o.takesInput = o.isDelivering && session.o.role == .server
    // What is encrypted is told of as long as it is there.
    if o.interest & SYS_POLL_EDGE != 0 { updateInterest() }
    if o.isEnded { return }
    guard session.o.role == .client else { return }
    session.startTurn()
    shake(session)
  }

  // ---- in

  /// What has come and was not taken is the handshake's first bytes.
  func beginEncrypted(_ tls: Ref<TLSSession>) {
    tls.o.takesInput = false
    swap(&tls.o.early, &o.input)
    receive(through: tls)
  }

  func receive(through tls: Ref<TLSSession>) {
    tls.startTurn()
    if tls.o.isHandshaking {
      // One in a turn: its arithmetic takes a while.
      // What was taken from the kernel already nothing would bring again.
      if o.loop.o.hasShaken, tls.o.early.isEmpty { return }
      o.loop.o.hasShaken = true
      shake(tls)
      if o.isEnded || o.tls == nil || tls.o.isHandshaking { return }
    }
    let space = unsafe o.loop.o.readBuffer
    while true {
      let got = unsafe tls.unseal(into: space, Loop.readSize)
      if got.count > 0 {
        unsafe take(space, got.count)
        if o.isEnded { return }
      }
      switch got.reason {
      case .full: continue
      case .dry: break
      case .ended:
        // Not before what came ahead of it was taken.
        tls.o.isEndHeld = o.isPaused
        if o.isPaused { return }
        flush()
        if !o.isEnded, !o.isInputEnded { endInput() }
        return
      case .failed: return breakDown(tls)
      }
      // Answers of TLS's own, and what could not be encrypted.
      if tls.o.sealed != nil || tls.o.isMidMessage { flush() }
      return
    }
  }

  /// Plain bytes have come, also while the user does not read: the poller would not tell
  /// of them again.
  @unsafe private func take(_ space: UnsafeMutablePointer<UInt8>, _ count: Int) {
    if o.input.isEmpty, !o.isPaused { return unsafe deliver(space, count) }
    unsafe o.input.append(Span(_unsafeStart: space, count: count))
    if o.input.failed { return fail(ENOMEM) }
    if !o.isPaused { deliver() }
  }

  private func shake(_ tls: Ref<TLSSession>) {
    let result = tls.shake()
    switch result {
    case .done:
      flush()
      if !o.isEnded { unsafe o.handler.o.secured(o.owner) }
      if !o.isEnded { flush() }
    case .waiting: flush()
    case .plain:
      tls.giveSealed()
      o.tls = nil
      tls.free()
      unsafe o.handler.o.plainHeard(o.owner)
    case .ended: endInput()
    case .failed: breakDown(tls)
    }
  }

  /// The peer is told why, as far as the kernel takes it.
  private func breakDown(_ tls: Ref<TLSSession>) {
    _ = sendSealed(tls)
    if !o.isEnded { fail(EPROTO) }
  }

  // ---- out

  /// Sends what is encrypted; a negative number: it failed, and the user knows.
  private func sendSealed(_ tls: Ref<TLSSession>) -> Int {
    guard let sealed = tls.o.sealed else { return 0 }
    if sealed.o.isEmpty {
      tls.giveSealed()
      return 0
    }
    let system = o.loop.o.system
    let sent = unsafe system.send(
      system.context, o.descriptor, sealed.o.pointer, sealed.o.count, nil, 0)
    if sent < 0 {
      let number = Int32(truncatingIfNeeded: 0 &- sent)
      if number == EAGAIN || number == EINTR || number == ENOBUFS { return 0 }
      tls.giveSealed()
      if !o.isEnded { failSending(number) }
      return -1
    }
    note(sent: Int(sent))
    sealed.o.consume(Int(sent))
    if sealed.o.isEmpty { tls.giveSealed() }
    return Int(sent)
  }

  func flush(through tls: Ref<TLSSession>) {
    var sends = Self.sendsPerFlush
    repeat {
      if !tls.o.isHandshaking, !readStretch() { return }
      if !tls.o.isHandshaking, let output = o.output, !output.o.isEmpty {
        if output.o.failed { return fail(ENOMEM) }
        let count = tls.seal(output.o.bytes, now: o.loop.o.now)
        if count < 0 { return breakDown(tls) }
        output.o.consume(count)
      }
      if sendSealed(tls) < 0 || o.isEnded { return }
      sends &-= 1
    } while sends > 0 && tls.o.sealed == nil && !tls.o.isHandshaking && hasPlain
    let waits = hasPlain && !tls.o.isHandshaking
    block(tls.o.sealed != nil || waits)
    // It may wait for another thing than before.
    if o.isBlocked { updateInterest() }
    if o.isEnded { return }
    if tls.o.isEndHeld, !o.isPaused, o.input.isEmpty {
      tls.o.isEndHeld = false
      if !o.isInputEnded { endInput() }
      if o.isEnded { return }
    }
    guard let output = o.output else {
      // So that there is one as long as something waits.
      if tls.o.sealed != nil, !tls.o.isHandshaking { _ = writing() }
      return
    }
    if !o.isBlocked, !hasPlain {
      o.output = nil
      o.loop.giveOutput(output)
    }
    unsafe o.handler.o.drained(o.owner)
  }

  private var hasPlain: Bool { !(o.output?.o.isEmpty ?? true) || o.stretch != nil }

  /// Sends what there is and a second piece, of which only the rest is copied.
  func send(_ output: Ref<ByteBuffer>, _ piece: Bytes, through tls: Ref<TLSSession>) {
    var start = 0
    var sends = Self.sendsOfPiece
    while sends > 0, !tls.o.isHandshaking, start < piece.count || !output.o.isEmpty {
      sends &-= 1
      var count = 0
      if output.o.isEmpty {
        count = tls.seal(piece.extracting(start..<piece.count), now: o.loop.o.now)
        start &+= max(0, count)
      } else {
        count = tls.seal(output.o.bytes, now: o.loop.o.now)
        output.o.consume(max(0, count))
        if output.o.isEmpty { continue }
      }
      // A failure is met by the flush, where there is nothing above us.
      if count < 0 || !sendSealedQuietly(tls) || tls.o.isMidMessage { break }
    }
    output.o.append(piece.extracting(start..<piece.count))
    o.loop.addDirty(self)
  }

  /// The same as `sendSealed`, and nobody is told; false: no more now.
  private func sendSealedQuietly(_ tls: Ref<TLSSession>) -> Bool {
    guard let sealed = tls.o.sealed else { return true }
    let system = o.loop.o.system
    let sent = unsafe system.send(
      system.context, o.descriptor, sealed.o.pointer, sealed.o.count, nil, 0)
    if sent <= 0 { return false }
    note(sent: Int(sent))
    sealed.o.consume(Int(sent))
    if sealed.o.isEmpty { tls.giveSealed() }
    return tls.o.sealed == nil
  }

  // ---- end

  /// All that was handed over comes first; what the kernel does not take now is lost.
  func sayGoodbye(through tls: Ref<TLSSession>) {
    if let output = o.output, !output.o.isEmpty { return }
    tls.sayGoodbye()
    _ = sendSealedQuietly(tls)
  }
}
