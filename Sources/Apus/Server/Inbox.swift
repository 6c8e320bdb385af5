// Messages that have come on a channel and that nobody listens for: they wait here
// to be received, up to a limit, at which the channel stops to read.

import Synchronization

/// A message with its bytes behind it, and a NUL behind those.
@safe struct Letter: ~Copyable {
  let opcode: UInt8
  let isFinal: Bool
  let count: Int
  var next: Ref<Letter>? = nil

  static func make(_ opcode: UInt8, _ isFinal: Bool, _ bytes: Bytes) -> Ref<Letter>? {
    let size = MemoryLayout<Letter>.stride
    guard let memory = unsafe allocate(bytes: size &+ bytes.count &+ 1) else { return nil }
    let typed = unsafe memory.bindMemory(to: Letter.self, capacity: 1)
    unsafe typed.initialize(to: Letter(opcode: opcode, isFinal: isFinal, count: bytes.count))
    let start = unsafe (memory + size).assumingMemoryBound(to: UInt8.self)
    unsafe start.copy(bytes)
    unsafe start[bytes.count] = 0
    return unsafe Ref(typed)
  }

  init(opcode: UInt8, isFinal: Bool, count: Int) {
    self.opcode = opcode
    self.isFinal = isFinal
    self.count = count
  }
}

extension Ref where Object == Letter {
  /// Where its bytes are.
  var text: UnsafeMutablePointer<UInt8> {
    unsafe (opaque + MemoryLayout<Letter>.stride).assumingMemoryBound(to: UInt8.self)
  }
}

/// All of it but `isStalled` stands behind the channel's lock.
@safe struct Inbox: ~Copyable {
  /// The host's, with what was handed out last.
  private enum Turn {
    case open, asked, over
  }

  /// The loop looks at it: the inbox may be full.
  let isStalled = Atomic<Bool>(false)
  private var first: Ref<Letter>? = nil
  private var last: Ref<Letter>? = nil
  private(set) var bytes: Int64 = 0
  /// What was handed out last: its bytes are the caller's until the next one.
  private var current: Ref<Letter>? = nil
  private var turn = Turn.open
  /// A thread is in a call that receives.
  var isRead = false
  var isCancelled = false
  /// Its waiters; made by the first.
  private var changed: Ref<Condition>? = nil

  private static var overhead: Int64 { 64 }

  init() {}

  deinit {
    changed?.free()
  }

  var isEmpty: Bool { first == nil }
  /// Something is in it, or was handed out last and may be about to be answered.
  var isUnread: Bool { first != nil || (current != nil && turn != .over) }

  /// Whether who takes events is to be asked for whether he is done with the last one.
  mutating func asksForTurn() -> Bool {
    guard first == nil, current != nil, turn == .open else { return false }
    turn = .asked
    return true
  }

  /// He has come back for the next event since.
  mutating func endTurn() { if turn == .asked { turn = .over } }

  mutating func add(_ letter: Ref<Letter>, limit: Int64) {
    if let last { last.o.next = letter } else { first = letter }
    last = letter
    bytes &+= Int64(letter.o.count) &+ Inbox.overhead
    if bytes >= limit { isStalled.store(true, ordering: .relaxed) }
    wake()
  }

  mutating func take() -> Ref<Letter>? {
    guard let letter = first else { return nil }
    first = letter.o.next
    if first == nil { last = nil }
    letter.o.next = nil
    bytes &-= Int64(letter.o.count) &+ Inbox.overhead
    return letter
  }

  /// Hands a letter to the caller, in place of the one before.
  mutating func hand(_ letter: Ref<Letter>?) {
    current?.free()
    current = letter
    turn = .open
  }

  mutating func clear() {
    hand(nil)
    while let letter = take() { letter.free() }
  }

  /// False without memory.
  mutating func prepareToWait() -> Bool {
    if changed != nil { return true }
    changed = Ref(make: Condition())
    return changed?.o.isUsable ?? false
  }

  func wait(_ lock: borrowing Lock, until time: Int64) { changed?.o.wait(lock, until: time) }
  func wake() { changed?.o.wakeAll() }
}

extension Ref where Object == Channel {
  var inboxLimit: Int64 { o.server.o.options.channelInbox }

  /// Keeps a message for whoever receives; the loop's thread.
  @inline(never)
  func keep(_ opcode: UInt8, _ isFinal: Bool, _ bytes: Bytes) {
    guard let letter = Letter.make(opcode, isFinal, bytes) else { return refuse(.noMemory) }
    o.hasKept = true
    o.lock.lock()
    // It was reset meanwhile: this is of a connection that nobody wants any more.
    let isStale = o.state == .connecting || o.state == .closed
    if !isStale { o.inbox.add(letter, limit: inboxLimit) }
    o.lock.unlock()
    if isStale { letter.free() } else { announce() }
    o.server.lookAgain()
  }

  /// A listener has come later than the messages: it hears them now.
  func emptyInbox() {
    o.hasKept = false
    while true {
      o.lock.lock()
      let letter = o.inbox.take()
      o.lock.unlock()
      guard let letter else { return }
      let start = unsafe letter.text
      unsafe tellMessage(letter.o.opcode, letter.o.isFinal, start, letter.o.count)
      letter.free()
    }
  }

  /// Waits for a message, up to a time (-1: for ever). False when that has passed or
  /// the wait was cancelled. The caller holds a pin, and no lock. Used is what has come while
  /// no other thread can receive, with the lock held.
  func receive(timeout: Int32, use: (Ref<Letter>) -> Void) throws(Failure) -> Bool {
    let until = timeout < 0 ? Int64.max : Clock.now &+ Int64(timeout) &* 1000
    o.lock.lock()
    if o.inbox.isRead {
      o.lock.unlock()
      throw Failure(.thread, "another thread receives on this channel")
    }
    o.inbox.isRead = true
    o.inbox.hand(nil)
    o.lock.unlock()
    defer {
      o.lock.lock()
      o.inbox.isRead = false
      o.lock.unlock()
    }
    var hasTurned = o.server.o.hasThreads
    defer { if hasTurned, !o.server.o.hasThreads { o.server.leaveWait() } }
    while true {
      o.lock.lock()
      let letter = o.inbox.take()
      let isClosed = o.state == .closed
      let isCancelled = o.inbox.isCancelled
      if letter == nil { o.inbox.isCancelled = false }
      if let letter {
        o.inbox.hand(letter)
        use(letter)
      }
      let isLeft = o.givesEvents.load(ordering: .relaxed) && !o.inbox.isEmpty
      if isLeft || o.inbox.isStalled.load(ordering: .relaxed) { notifyLoop() }
      let left = until == .max ? Int64.max : until &- Clock.now
      let mustWait = letter == nil && !isClosed && !isCancelled && left > 0
      let isHere = isOnLoop
      if mustWait, o.server.o.hasThreads, !isHere {
        guard o.inbox.prepareToWait() else {
          o.lock.unlock()
          throw .noMemory
        }
        // What was sent on a thread that ticks may be what the peer waits for.
        Ref<Server>.sendGatheredHere()
        o.worker?.hurry()
        o.inbox.wait(o.lock, until: until == .max ? -1 : until)
      }
      o.lock.unlock()
      if letter != nil { return true }
      if isClosed { throw Failure(.closed, "the channel is closed") }
      // Its threads may have been started meanwhile.
      hasTurned = hasTurned || o.server.o.hasThreads
      if isCancelled || (left <= 0 && hasTurned) { return false }
      if isHere, o.server.o.hasThreads {
        throw Failure(.state, "not on the thread that would bring the message")
      }
      if !o.server.o.hasThreads {
        hasTurned = true
        do throws(Failure) {
          try turn(max(left, 0)) {
            $0.o.inbox.isEmpty && !$0.o.inbox.isCancelled && $0.o.state != .closed
          }
        } catch {
          // Inside a callback, say: then nothing more has come.
          if left <= 0 { return false }
          throw error
        }
      }
    }
  }

  /// Without threads whoever waits does the I/O.
  func turn(_ left: Int64, isWaiting: (Ref<Channel>) -> Bool) throws(Failure) {
    try o.server.tick(for: left) {
      locked { isWaiting(self) }
    } pause: { (until) throws(Failure) in
      o.lock.lock()
      defer { o.lock.unlock() }
      guard o.inbox.prepareToWait() else { throw .noMemory }
      if isWaiting(self) { o.inbox.wait(o.lock, until: until) }
    }
  }

  /// Ends a wait to receive, or else the next one.
  func cancel() {
    o.lock.lock()
    o.inbox.isCancelled = true
    o.inbox.wake()
    o.lock.unlock()
    if !o.server.o.hasThreads { o.server.endWait() }
  }
}
