// A reply in pieces, from any thread. Pieces are framed as they come, into the
// exchange's output; the loop moves them to the connection when the exchange's
// turn has come. All of this runs under the exchange's lock.

import Synchronization

extension Ref where Object == Exchange {
  /// Makes the writer; the thread that the request belongs to calls this.
  func makeWriter() throws(Failure) -> Handle {
    guard let index = unsafe Slots.take(.writer, opaque, writerUnpinned),
      let slot = Slots.slot(UInt64(index))
    else { throw .noMemory }
    o.holds.insert(.writer)
    o.writer.slotIndex = index
    o.writer.highWater = o.worker?.o.server.o.options.highWater ?? 0
    return share { exchange in
      let handle = Slots.live(slot, index, at: Clock.now, open: true)
      exchange.o.writer.handle = handle
      return handle
    }
  }

  func checkPresent() throws(Failure) {
    if o.hasLeft { throw Failure(.closed, "the client has gone") }
  }

  func checkOpen() throws(Failure) {
    try checkPresent()
    guard o.isReplied else { return }
    if o.isHead, o.writer.events != nil { throw Failure(.closed, "a HEAD gets no events") }
    throw Failure(.state, "the reply has ended")
  }

  func checkNotBegun() throws(Failure) {
    try checkOpen()
    if o.writer.hasBegun { throw Failure(.state, "the head has gone") }
  }

  func begin(length: Int64) throws(Failure) {
    try checkNotBegun()
    guard length >= -1 else { throw Failure(.argument, "a length is -1 or more") }
    if length >= 0, o.writer.trailers != nil {
      throw Failure(.state, "only a chunked reply has trailers")
    }
    o.writer.hasBegun = true
    if Status.hasNoContent(o.reply.status) {
      o.framing = .none
      o.writer.remaining = 0
    } else if length >= 0 || o.reply.status == 205 {
      // RFC 9110 §15.3.6: a 205 has no content, and says so.
      let length = o.reply.status == 205 ? 0 : length
      o.framing = .length(length)
      o.writer.remaining = length
    } else {
      // RFC 9112 §6.1: never chunked to a 1.0 client; there the close is the end.
      o.framing = o.head.version >= 11 ? .chunked : .untilClose
      if o.reply.wantsCompression { startCompression() }
    }
    notifyLoop()
  }

  /// Bytes that the kernel has not taken.
  var buffered: Int64 {
    let waiting = (o.writer.events?.o.weight ?? 0) &+ o.parcels.left
    return Int64(o.output.count) &+ o.writer.unsent.load(ordering: .relaxed) &+ waiting
  }

  func write(_ piece: Bytes) throws(Failure) {
    try checkOpen()
    if !o.writer.hasBegun { try begin(length: -1) }
    if o.writer.remaining >= 0, Int64(piece.count) > o.writer.remaining {
      throw Failure(.tooLarge, "the body is longer than its Content-Length")
    }
    if buffered >= o.writer.highWater {
      o.writer.wantsDrain = true
      throw Failure(.full, "the connection is above its high-water mark")
    }
    if piece.isEmpty { return }
    if !o.isHead { try append(piece) }
    if o.writer.remaining >= 0 { o.writer.remaining &-= Int64(piece.count) }
    notifyLoop()
  }

  private func append(_ piece: Bytes, isEnd: Bool = false) throws(Failure) {
    guard let gzip = o.writer.gzip else { return try frame(piece) }
    var packed = ByteBuffer()
    guard gzip.o.append(piece, isEnd: isEnd, to: &packed) else {
      breakOff()
      throw .noMemory
    }
    try frame(packed.bytes)
  }

  /// RFC 9112 §7.1: a chunk has its size in front and CRLF behind.
  private func frame(_ piece: Bytes) throws(Failure) {
    let isChunked = o.framing == .chunked
    appendOutput { output in
      if isChunked { output.append(chunk: piece.count) }
      output.append(piece)
      if isChunked { output.append("\r\n") }
    }
    if hasOutputFailed {
      // Half a piece may be in: nothing of this reply can be trusted.
      breakOff()
      throw .noMemory
    }
    o.bodyBytes &+= Int64(piece.count)
  }

  /// A stretch of a file behind what was written: to its end, where the length is -1.
  /// Takes over a use of the file.
  func write(_ file: Ref<OpenFile>, _ offset: Int64, _ length: Int64) throws(Failure) {
    do throws(Failure) {
      try checkOpen()
      if o.writer.events != nil { throw Failure(.state, "a writer of events takes no files") }
      let size = file.o.facts.size
      guard offset >= 0, length >= -1, offset <= size, length <= size &- offset else {
        throw Failure(.argument, "the file does not have that range")
      }
      if o.writer.gzip != nil { throw Failure(.state, "a body in gzip takes no files") }
      if !o.writer.hasBegun {
        o.reply.setCompression(false)
        try begin(length: -1)
      }
      let count = length < 0 ? size &- offset : length
      if o.writer.remaining >= 0, count > o.writer.remaining {
        throw Failure(.tooLarge, "the body is longer than its Content-Length")
      }
      if buffered >= o.writer.highWater {
        o.writer.wantsDrain = true
        throw Failure(.full, "the connection is above its high-water mark")
      }
      if o.writer.remaining >= 0 { o.writer.remaining &-= count }
      if count == 0 || o.isHead { return file.release() }
      let isChunked = o.framing == .chunked
      if isChunked { appendOutput { $0.append(chunk: Int(count)) } }
      file.retain()
      try appendFile(file, offset..<(offset &+ count))
      if isChunked { appendOutput { $0.append("\r\n") } }
      o.bodyBytes &+= count
      if hasOutputFailed { throw .noMemory }
    } catch {
      file.release()
      if error.code == .memory { breakOff() }
      throw error
    }
    file.release()
    notifyLoop()
  }

  private var hasOutputFailed: Bool { o.output.failed || o.parcels.hasFailed }

  func addTrailer(_ name: Bytes, _ value: Bytes) throws(Failure) {
    try checkOpen()
    if o.writer.hasBegun, o.framing != .chunked {
      throw Failure(.state, "only a chunked reply has trailers")
    }
    guard name.isToken, value.isFieldValue else {
      throw Failure(.argument, "not a field name and value of RFC 9110")
    }
    // RFC 9110 §6.5.1: nothing that says how the message is framed or where it goes.
    guard !ReplyHead.isFraming(name), !name.equalsLowercase("host") else {
      throw Failure(.argument, "this field can be no trailer")
    }
    guard (o.writer.trailers?.o.count ?? 0) &+ name.count &+ value.count <= ReplyHead.largest else {
      throw Failure(.tooLarge, "the trailers are more than 64 KiB")
    }
    guard let trailers = o.writer.trailers ?? Ref<ByteBuffer>(make: ByteBuffer()) else {
      throw .noMemory
    }
    o.writer.trailers = trailers
    trailers.o.append(name: name, value: value)
    if trailers.o.failed { throw .noMemory }
  }

  func endWriting() throws(Failure) {
    try checkOpen()
    if !o.writer.hasBegun { try begin(length: o.writer.trailers == nil ? 0 : -1) }
    if o.writer.remaining > 0, !o.isHead {
      breakOff()
      throw Failure(.state, "the body is shorter than its Content-Length")
    }
    if o.writer.gzip != nil { try append(Bytes(), isEnd: true) }
    if o.framing == .chunked, !o.isHead {
      appendOutput { output in
        output.append("0\r\n")
        if let trailers = o.writer.trailers { output.append(trailers.o.bytes) }
        output.append("\r\n")
      }
    }
    o.isReplied = true
    if hasOutputFailed { breakOff() }
    notifyLoop()
  }

  /// The handle of a deferred request ends with the reply. In calls of the host's alone: it
  /// may read what the request has lent, until then. And not before the last piece of a body
  /// is told.
  func endKept() {
    let isBodyOpen = unsafe o.bodyCallback.isSet
    if !o.isDeferred || (isBodyOpen && (o.incomingEnd == 0 || o.isBodyQueued)) { return }
    _ = endDeferredLocked()
  }

  /// Has the loop close the connection where the reply stands.
  func breakOff() {
    o.isBroken = true
    o.isReplied = true
    notifyLoop()
  }

  // ---- its callbacks

  /// Registers a callback; returns the one that it replaces. That one is none if it
  /// runs just now: whoever runs it drops its context.
  func replace(
    _ place: WriterState.Place, with callback: Callback<WriterFunction>
  ) -> Callback<WriterFunction> {
    let old = unsafe current(place)
    switch place {
    case .drain:
      unsafe o.writer.onDrain = unsafe callback
      // There may be room since, which nobody has heard of.
      if o.writer.wantsDrain { notifyLoop() }
    case .close:
      unsafe o.writer.onClose = unsafe callback
      // It may be over since.
      if o.writer.isCloseUnheard, unsafe callback.isSet {
        o.writer.isCloseUnheard = false
        o.writer.isCloseQueued = false
        notifyLoop()
      }
    case .missed: unsafe o.writer.events?.o.onMissed = unsafe callback
    }
    guard o.writer.running == place, !o.writer.isReplaced else { return unsafe old }
    o.writer.isReplaced = true
    unsafe o.writer.replaced = unsafe old
    return unsafe .none
  }

  /// Takes a callback to be run; `callbackEnded` follows. One runs at a time.
  func takeCallback(_ place: WriterState.Place) -> Callback<WriterFunction> {
    o.lock.lock()
    defer { o.lock.unlock() }
    o.writer.running = place
    return unsafe current(place)
  }

  private func current(_ place: WriterState.Place) -> Callback<WriterFunction> {
    switch place {
    case .drain: unsafe o.writer.onDrain
    case .close: unsafe o.writer.onClose
    case .missed: unsafe o.writer.events?.o.onMissed ?? .none
    }
  }

  /// Returns what was replaced during the run.
  func callbackEnded() -> Callback<WriterFunction> {
    o.lock.lock()
    defer { o.lock.unlock() }
    let old = unsafe o.writer.replaced
    o.writer.running = nil
    unsafe o.writer.replaced = .none
    o.writer.isReplaced = false
    return unsafe old
  }

  /// Its reply is over and on_close has run: a handle that nobody is to end ends.
  func endIfDetached() {
    o.lock.lock()
    let isHeld = o.holds.contains(.handler) || o.queued > 0
    let isDue = o.writer.isDetached && o.holds.contains(.writer) && !isHeld
    o.lock.unlock()
    guard isDue, let slot = Slots.slot(UInt64(o.writer.slotIndex)) else { return }
    _ = endWriter(slot, o.writer.handle)
  }

  /// Ends the writer's handle; true for the one caller that did.
  func endWriter(_ slot: Ref<Slot>, _ handle: Handle) -> Bool {
    let (ended, pinned) = Slots.end(slot, handle)
    guard ended else { return false }
    o.lock.lock()
    if !o.isReplied { breakOff() }
    let isUnlisted = o.worker?.o.server.silence(&o.writer.teller) ?? false
    o.lock.unlock()
    if isUnlisted { eventDone() }
    if !pinned { unsafe writerUnpinned(unsafe opaque) }
    return true
  }
}

// ---- for who takes events by himself

extension Ref where Object == Exchange {
  /// The same of its writer's room and end. The caller holds the lock.
  func setWriterEvents(_ on: Bool) throws(Failure) {
    try unsafe o.writer.teller.set(on, opaque) {
      unsafe Ref<Exchange>(opaque: $0).tellNews(isHeard: $1)
    }
    // There may be room since, or it may be over.
    if on, o.writer.isCloseQueued || o.writer.wantsDrain { notifyLoop() }
  }

  /// Whether news of it go to whoever takes events by himself.
  var tellsWriter: Bool { o.writer.teller.isOn && o.worker?.o.server.canBePulled ?? false }

  /// There is room again, or it is over. The caller holds the lock.
  func list(isEnd: Bool) {
    guard tellsWriter, let worker = o.worker else { return }
    if isEnd {
      if o.writer.isEndListed || o.writer.isClosePending { return }
      o.writer.isEndListed = true
      o.writer.isEndDue = true
    } else {
      o.writer.isDrainDue = true
    }
    o.queued &+= 1
    if !worker.o.server.list(o.writer.teller) { o.queued &-= 1 }
  }

  private func tellNews(isHeard: Bool) {
    guard let server = o.worker?.o.server else { return }
    let handle = o.writer.handle
    o.lock.lock()
    let isWanted = isHeard && o.writer.teller.isOn
    let isDrained = isWanted && o.writer.isDrainDue
    let isOver = isWanted && o.writer.isEndDue && !isDrained
    if o.writer.isDrainDue, !isDrained { o.writer.wantsDrain = true }
    o.writer.isDrainDue = false
    // The end comes next.
    if isDrained, o.writer.isEndDue, server.list(o.writer.teller) {
      o.queued &+= 1
    } else {
      // Not told, it can be told later.
      if o.writer.isEndDue, !isOver { o.writer.isEndListed = false }
      o.writer.isEndDue = false
    }
    o.lock.unlock()
    if isDrained { server.pull(.drain, handle, .writer) }
    if isOver { server.pull(.end, handle, .writer) }
    eventDone()
  }
}

/// The last pin of a writer's handle has gone, and so does its slot.
private func writerUnpinned(_ object: UnsafeMutableRawPointer) {
  let exchange = unsafe Ref<Exchange>(opaque: object)
  Slots.give(exchange.o.writer.slotIndex)
  exchange.release(.writer)
}

extension ByteBuffer {
  /// RFC 9112 §7.1: the size of a chunk.
  fileprivate mutating func append(chunk count: Int) {
    append(hexadecimal: count)
    append("\r\n")
  }
}
