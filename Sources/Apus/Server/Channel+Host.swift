// What a channel tells the host: on the loop's thread, or by way of the queue on the
// thread that ticks. The listeners of its route come first, then its own.

import Synchronization

extension Ref where Object == Channel {
  // ---- on the loop's thread

  /// A message or, where frames are wanted, one of its frames. Behind its bytes
  /// stands a NUL.
  @inline(__always)
  @unsafe func tellMessage(
    _ opcode: UInt8, _ isFinal: Bool, _ start: UnsafeMutablePointer<UInt8>, _ count: Int
  ) {
    if !o.hasListener.load(ordering: .acquiring) {
      return unsafe keep(opcode, isFinal, Span(_unsafeStart: start, count: count))
    }
    if o.hasKept { emptyInbox() }
    if o.server.o.isQueued {
      return unsafe queue(.message, opcode, isFinal, Span(_unsafeStart: start, count: count))
    }
    unsafe callMessage(Int32(opcode), start, count)
  }

  @unsafe func tellPong(_ start: UnsafeMutablePointer<UInt8>, _ count: Int) {
    guard o.isHeard.load(ordering: .acquiring) else { return }
    if o.server.o.isQueued {
      return unsafe queue(.pong, Opcode.pong, true, Span(_unsafeStart: start, count: count))
    }
    unsafe callPong(start, count)
  }

  func tellError(_ code: Code, _ sentence: StaticString) { tellError(Failure(code, sentence)) }

  /// With the system's reason behind the sentence, as the thread's last error has it.
  /// True: it is on its way.
  @discardableResult
  func tellError(_ failure: Failure, _ kind: ChannelNote.Kind = .error) -> Bool {
    guard o.isHeard.load(ordering: .acquiring) else { return false }
    ThreadContext.note(failure)
    let text = unsafe Text(characters: ThreadContext.message)
    if o.server.o.isQueued {
      let note = ChannelNote.make(self, kind, number: failure.code.rawValue, text.bytes)
      return note.map { queue($0) } ?? false
    }
    // What listeners call may fail, too, and leave other words there.
    var kept = ByteBuffer()
    kept.append(text.bytes)
    if kept.terminate(), let start = unsafe kept.pointer {
      unsafe callError(failure.code.rawValue, Text(start: start, count: kept.count))
    } else {
      callError(failure.code.rawValue, Text(failure.message))
    }
    return false
  }

  /// Has it be told by an event, where that is wanted; false: it is not, or there is no memory.
  @discardableResult
  func give(_ kind: ChannelNote.Kind) -> Bool {
    guard o.givesEvents.load(ordering: .acquiring), o.server.canBePulled,
      let note = ChannelNote.make(self, kind)
    else { return false }
    return queue(note)
  }

  /// The same of messages that wait, once until somebody has heard of it.
  func announce() {
    guard o.givesEvents.load(ordering: .acquiring), o.server.canBePulled else { return }
    o.lock.lock()
    let isDue = !o.isAnnounced && !o.inbox.isEmpty
    if isDue { o.isAnnounced = true }
    o.lock.unlock()
    // Without memory the next message announces this one as well.
    if isDue, !give(.hasMessage) { locked { o.isAnnounced = false } }
  }

  func tell(_ kind: ChannelNote.Kind) {
    guard o.isHeard.load(ordering: .acquiring) else { return }
    if !o.server.o.isQueued { return kind == .opened ? callOpened() : callDrain() }
    if let note = ChannelNote.make(self, kind) { queue(note) }
  }

  /// Once, and the last thing that is told.
  func tellClosed(_ worker: Ref<Worker>) {
    if o.isClosedTold { return }
    o.isClosedTold = true
    // What the loop was to look at is looked at now.
    if o.isPosted.load(ordering: .acquiring) { announce() }
    giveClosed(by: worker, isOnWay: tellListenersClosed(worker))
  }

  /// True: an event is on its way that does.
  private func tellListenersClosed(_ worker: Ref<Worker>) -> Bool {
    let code = Int32(o.closeCode)
    // The close is never lost: without memory for its event it is told here.
    if o.server.o.isQueued,
      let note = ChannelNote.make(self, .closed, number: code, o.closeReason.bytes)
    {
      if add(note, to: worker) { return true }
      note.giveBack()
    }
    let reason = Letter.make(Opcode.close, true, o.closeReason.bytes)
    callClosed(code, reason.map { unsafe Text(start: $0.text, count: $0.o.count) } ?? Text(""))
    reason?.free()
    return false
  }

  @inline(never)
  private func queue(
    _ kind: ChannelNote.Kind, _ opcode: UInt8, _ isFinal: Bool, _ bytes: Bytes
  ) {
    guard let worker = home else { return }
    guard worker.o.server.o.queue.hasRoom(for: bytes.count, behind: worker.o.batch.count, o.server)
    else { return refuse(.busy) }
    guard let note = ChannelNote.make(self, kind, number: Int32(opcode), bytes) else {
      return refuse(.noMemory)
    }
    guard queue(note) else { return refuse(.noMemory) }
    // The batch is pushed at the end of the turn: nobody runs it before.
    o.server.o.queue.bytes.wrappingAdd(Int64(bytes.count), ordering: .relaxed)
    let waiting = o.waiting.wrappingAdd(
      ChannelNote.weight(bytes.count), ordering: .sequentiallyConsistent
    ).newValue
    // A peer that is faster than the host must not fill the queue that all have.
    if waiting >= inboxLimit { o.inbox.isStalled.store(true, ordering: .sequentiallyConsistent) }
  }

  @discardableResult
  private func queue(_ note: Ref<ChannelNote>) -> Bool {
    if let worker = home, add(note, to: worker) { return true }
    note.giveBack()
    return false
  }

  func add(_ note: Ref<ChannelNote>, to worker: Ref<Worker>) -> Bool {
    guard unsafe worker.o.batch.append(Event(kind: .channel, object: note.opaque)) else {
      return false
    }
    retain()
    return true
  }

  // ---- on the thread that calls the host

  /// Whether the host still wants to hear of it.
  var isWanted: Bool {
    !o.server.o.isDying.load(ordering: .relaxed) && Slots.isAlive(o.handle, in: o.slot)
  }

  /// The next listener of the channel's own; they may be added meanwhile.
  @inline(__always)
  private func own<Function>(
    _ index: Int, _ list: (Ref<ChannelListeners>) -> Callback<Function>?
  ) -> Callback<Function>? {
    o.lock.lock()
    defer { o.lock.unlock() }
    guard let listeners = o.listeners else { return nil }
    return list(listeners)
  }

  @unsafe func callMessage(_ opcode: Int32, _ start: UnsafeMutablePointer<UInt8>, _ count: Int) {
    var index = 0
    if let shared = o.shared {
      while unsafe index < shared.o.listeners.onMessage.count, isWanted {
        let listener = unsafe shared.o.listeners.onMessage[index]
        call {
          unsafe listener.function?(
            listener.context, o.handle.bits, opcode, UnsafeRawPointer(start), count)
        }
        index &+= 1
      }
    }
    index = 0
    while o.hasOwnListeners.load(ordering: .acquiring), isWanted {
      let listener = unsafe own(index) {
        unsafe index < $0.o.onMessage.count ? $0.o.onMessage[index] : nil
      }
      guard let listener = unsafe listener else { return }
      call {
        unsafe listener.function?(
          listener.context, o.handle.bits, opcode, UnsafeRawPointer(start), count)
      }
      index &+= 1
    }
  }

  @unsafe func callPong(_ start: UnsafeMutablePointer<UInt8>, _ count: Int) {
    var index = 0
    while isWanted {
      let listener = unsafe own(index) {
        unsafe index < $0.o.onPong.count ? $0.o.onPong[index] : nil
      }
      guard let listener = unsafe listener else { return }
      call {
        unsafe listener.function?(
          listener.context, o.handle.bits, 10, UnsafeRawPointer(start), count)
      }
      index &+= 1
    }
  }

  func callError(_ code: Int32, _ sentence: Text) {
    var index = 0
    while isWanted {
      let listener = unsafe own(index) {
        unsafe index < $0.o.onError.count ? $0.o.onError[index] : nil
      }
      guard let listener = unsafe listener else { return }
      call {
        unsafe listener.function?(
          listener.context, o.handle.bits, code, sentence.characters, sentence.count)
      }
      index &+= 1
    }
  }

  func callOpened() {
    var index = 0
    while isWanted {
      let listener = unsafe own(index) {
        unsafe index < $0.o.onOpened.count ? $0.o.onOpened[index] : nil
      }
      guard let listener = unsafe listener else { return }
      call { unsafe listener.function?(listener.context, o.handle.bits) }
      index &+= 1
    }
  }

  func callDrain() {
    var index = 0
    while isWanted {
      let listener = unsafe own(index) {
        unsafe index < $0.o.onDrain.count ? $0.o.onDrain[index] : nil
      }
      guard let listener = unsafe listener else { return }
      call { unsafe listener.function?(listener.context, o.handle.bits) }
      index &+= 1
    }
  }

  /// The listeners of the close; then the handle ends, unless the caller keeps it.
  func callClosed(_ code: Int32, _ sentence: Text) {
    var index = 0
    if let shared = o.shared {
      while unsafe index < shared.o.listeners.onClose.count, isWanted {
        let listener = unsafe shared.o.listeners.onClose[index]
        call {
          unsafe listener.function?(
            listener.context, o.handle.bits, code, sentence.characters, sentence.count)
        }
        index &+= 1
      }
    }
    index = 0
    while isWanted {
      let listener = unsafe own(index) {
        unsafe index < $0.o.onClose.count ? $0.o.onClose[index] : nil
      }
      guard let listener = unsafe listener else { break }
      call {
        unsafe listener.function?(
          listener.context, o.handle.bits, code, sentence.characters, sentence.count)
      }
      index &+= 1
    }
    closeTold()
  }

  func closeTold() {
    o.lock.lock()
    let isKept = o.isKept || o.isUntaken
    o.lock.unlock()
    if !isKept { _ = end(o.handle) }
  }

  @inline(__always)
  private func call(_ body: () -> Void) {
    let server = o.server
    if !server.o.hasThreads || server.o.isQueued { server.o.callbacks &+= 1 }
    unsafe ThreadContext.inside(
      server.opaque, request: o.handle.bits, exchange: opaque, body)
  }
}

extension Ref where Object == Channel {
  /// A message that waited has been told: there may be room for more.
  func noteRun(_ count: Int) {
    o.waiting.wrappingSubtract(
      ChannelNote.weight(count), ordering: .sequentiallyConsistent)
    guard o.inbox.isStalled.load(ordering: .sequentiallyConsistent) else { return }
    o.lock.lock()
    notifyLoop()
    o.lock.unlock()
  }
}
