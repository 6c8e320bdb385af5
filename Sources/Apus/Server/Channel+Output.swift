// Sending on a channel, from any thread: frames are made under the lock, straight
// into the stream's buffer on the loop's own thread, and elsewhere into one that
// the loop takes over.

import Synchronization

extension Ref where Object == Channel {
  /// Bytes that the kernel has not taken. The caller holds the lock, as below.
  var buffered: Int64 { buffered(isHere: isOnLoop) }

  /// The same where it is known whether this is the loop's thread.
  @inline(__always)
  private func buffered(isHere: Bool) -> Int64 {
    if isHere, let connection = o.connection {
      return Int64(o.output.count &+ connection.o.stream.o.buffered)
    }
    // What is postponed waits for the sender itself.
    return Int64(o.output.count) &+ o.unsent.load(ordering: .relaxed)
  }

  func checkOpen() throws(Failure) {
    switch o.state {
    case .open: return
    case .connecting: throw Failure(.state, "the channel is not open yet")
    case .closing: throw Failure(.closed, "the channel is closing")
    case .closed: throw Failure(.closed, "the channel is closed")
    }
  }

  /// Sends a message, whole or in frames of at most `size` bytes, or a frame of one.
  func send(
    _ payload: Bytes, opcode: UInt8, isFinal: Bool = true, inFramesOf size: Int = 0
  ) throws(Failure) {
    let isWhole = isFinal && (opcode == Opcode.text || opcode == Opcode.binary)
    if o.state == .connecting, isWhole, let caller = o.caller {
      if try caller.o.outbox.keep(payload, opcode, inFramesOf: size) { notifyLoop() }
      return
    }
    if o.state != .open { try checkOpen() }
    let isHere = isOnLoop
    if buffered(isHere: isHere) >= o.highWater { try meetFull() }
    if isWhole, !o.sender.isInMessage, o.deflate != nil,
      payload.count >= Channel.leastCompressed
    {
      return try sendCompressed(payload, opcode, size)
    }
    if !isHere, payload.count > Channel.keptOutput {
      o.server.o.spare.lend(to: &o.output, payload.count &+ FrameHeader.longest)
    }
    let channel = self
    try write(isHere) { (buffer) throws(Failure) in
      let problem =
        isWhole
        ? channel.o.sender.append(
          message: payload, opcode: opcode, inFramesOf: size, to: &buffer,
          nextKey: { channel.nextKey() })
        : channel.o.sender.append(
          opcode: opcode, isFinal: isFinal, payload, key: channel.nextKey(), to: &buffer)
      if let problem { throw Failure(problem) }
      if !channel.o.postponed.isEmpty, !channel.o.sender.isInMessage {
        // What was published and has no memory here is missed by a peer that cannot know.
        if !buffer.reserve(channel.o.postponed.count) { channel.breakOff() }
        buffer.append(channel.o.postponed.bytes)
        channel.o.postponed.clear()
      }
    }
  }

  @inline(never)
  private func sendCompressed(_ payload: Bytes, _ opcode: UInt8, _ size: Int) throws(Failure) {
    if opcode == Opcode.text, !UTF8Validator.isValid(payload) { throw Failure(.text) }
    guard let deflater = makeDeflater() else { throw .noMemory }
    if o.mustForget {
      o.mustForget = false
      deflater.o.forget()
    }
    var packed = ByteBuffer()
    swap(&packed, &o.scratch)
    packed.truncate(to: 0)
    let isMade = deflater.o.deflate(payload, isEnd: true, to: &packed)
    defer {
      packed.clear(keep: 4096)
      swap(&packed, &o.scratch)
    }
    guard isMade else {
      // The two ends' windows differ from here on.
      breakOff()
      throw .noMemory
    }
    let channel = self
    let bytes = packed.bytes
    do throws(Failure) {
      try write(isOnLoop) { (buffer) throws(Failure) in
        let problem = channel.o.sender.append(
          message: bytes, opcode: opcode, isCompressed: true, inFramesOf: size, to: &buffer,
          nextKey: { channel.nextKey() })
        if let problem { throw Failure(problem) }
      }
    } catch {
      breakOff()
      throw error
    }
  }

  fileprivate func nextKey() -> MaskKey? { o.role == .client ? o.keys.next() : nil }

  /// Has something appended to what goes out next.
  @inline(__always)
  private func write(
    _ isHere: Bool, _ body: (inout ByteBuffer) throws(Failure) -> Void
  ) throws(Failure) {
    if isHere, o.output.isEmpty, let connection = o.connection, !connection.o.isDead,
      let buffer = connection.o.stream.writing()
    {
      // Also of nothing: the stream has its buffer until it is flushed.
      connection.o.stream.o.loop.addDirty(connection.o.stream)
      return try body(&buffer.o)
    }
    try body(&o.output)
    notifyLoop()
  }

  /// The high-water mark is passed.
  @inline(never)
  private func meetFull() throws(Failure) {
    o.wantsDrain.store(true, ordering: .relaxed)
    // It may have been drained meanwhile.
    notifyLoop()
    if o.closesWhenFull {
      try? closeForGood(code: CloseCode.policy, reason: Text("too slow a reader").bytes)
    }
    throw Failure(.full, "the channel is above its high-water mark")
  }

  /// Begins the close handshake, RFC 6455 §7.1.2.
  func close(code: UInt16?, reason: Bytes) throws(Failure) {
    try checkOpen()
    let channel = self
    try write(isOnLoop) { (buffer) throws(Failure) in
      let problem = channel.o.sender.appendClose(
        code: code, reason: reason, key: channel.nextKey(), to: &buffer)
      if let problem { throw Failure(problem) }
    }
    o.state = .closing
    // The loop sets the time limit.
    notifyLoop()
  }

  /// The same by the host's wish: whatever the peer has closed with, it is not lost then.
  func closeForGood(code: UInt16?, reason: Bytes) throws(Failure) {
    try close(code: code, reason: reason)
    o.caller?.o.isPeerFirst = false
  }

  /// Has the loop end the connection where it stands.
  func breakOff() {
    o.isAbandoned = true
    notifyLoop()
  }

  // ---- the loop's side

  /// News from other threads.
  func mailed() {
    o.isPosted.store(false, ordering: .sequentiallyConsistent)
    if let caller = o.caller { unsafe caller.o.settle(opaque) }
    takeNews()
    release()
  }

  private func takeNews() {
    guard let connection = o.connection, !connection.o.isDead else { return }
    o.lock.lock()
    moveOutput(to: connection.o.stream)
    let isAbandoned = o.isAbandoned
    let isClosing = o.state == .closing
    o.lock.unlock()
    if isAbandoned { return abandon() }
    if isClosing { startClosing() } else { armTimer() }
    tellDrained()
    readOn()
    announce()
    if o.isAnswerDue { answerWhenHeard() }
  }

  /// Hands over what other threads have sent. The caller holds the lock.
  @inline(__always)
  func moveOutput(to stream: Ref<Stream>) {
    if !o.output.isEmpty { moveAll(to: stream) }
  }

  @inline(never)
  private func moveAll(to stream: Ref<Stream>) {
    stream.send(with: o.output.bytes)
    o.server.o.spare.reclaim(&o.output, keep: Channel.keptOutput)
    o.unsent.store(Int64(stream.o.buffered), ordering: .relaxed)
  }

  /// The kernel has taken bytes.
  func drained() {
    guard let connection = o.connection, !connection.o.isDead else { return }
    let left = Int64(connection.o.stream.o.buffered)
    o.unsent.store(left, ordering: .relaxed)
    if connection.o.isClosing, left == 0 { return closeIfSaid() }
    if o.isPongDue, !connection.o.stream.o.isBlocked { answerLatePing() }
    tellDrained()
    if left > 0 { armTimer() }
  }

  /// Somebody waits for room, and there is some.
  private func tellDrained() {
    guard o.wantsDrain.load(ordering: .relaxed) else { return }
    o.lock.lock()
    let isHeard =
      o.listeners.map { unsafe $0.o.onDrain.count > 0 } ?? false
      || (o.givesEvents.load(ordering: .relaxed) && o.server.canBePulled)
    let isLow = isHeard && buffered <= o.highWater / 2
    if isLow { o.wantsDrain.store(false, ordering: .relaxed) }
    o.lock.unlock()
    if !isLow { return }
    tell(.drain)
    give(.hasRoom)
  }
}

extension Failure {
  fileprivate init(_ problem: MessageSender.Problem) {
    switch problem {
    case .closed: self.init(.closed, "the channel is closing")
    case .opcode: self.init(.argument, "no such opcode, or not within or without a message")
    case .control: self.init(.argument, "a control frame is whole, of at most 125 bytes")
    case .closePayload:
      self.init(.argument, "no such close code, or a reason over 123 bytes or not UTF-8")
    case .text: self.init(.argument, "the text is not UTF-8")
    case .key: self.init(.io, "no random numbers for a masking key")
    case .memory: self.init(.memory, "there is no memory left")
    }
  }
}
