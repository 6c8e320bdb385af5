// An event loop: one thread's sockets, timers and mail, by epoll: in the steady state a
// request costs one recv and one send, and no epoll_ctl.
//
// What it tells its users is shaped by completions: these bytes have arrived,
// those have gone. Readiness stays in here, so that a backend that completes
// (io_uring) can stand beside this one without a change above.

import CSystem

@safe struct Loop: ~Copyable {
  let system: System
  let poller: Int32
  let mailbox: Mailbox
  /// Microseconds; read once a turn.
  private(set) var now: Int64
  /// Since 1970; looked up ten times a second.
  private(set) var wallSeconds: Int64 = 0
  var bytesIn: Int64 = 0
  var bytesOut: Int64 = 0
  var timers: TimerWheel
  private var nextWallCheck: Int64 = 0
  fileprivate var events: UnsafeMutablePointer<epoll_event>
  fileprivate(set) var readBuffer: UnsafeMutablePointer<UInt8>
  /// Streams with bytes to send at the end of the turn.
  fileprivate var firstDirty: Ref<Stream>? = nil
  /// Streams that ended in this turn: an event of the same turn may name them.
  fileprivate var firstEnded: Ref<Stream>? = nil
  fileprivate var firstEndedWatch: Ref<Watch>? = nil
  /// Memory for outgoing bytes, handed from stream to stream.
  fileprivate(set) var spareOutputs = List<Ref<ByteBuffer>>()
  /// There is more to do than this turn does: the next one must not wait.
  var isPressed = false
  /// It runs on a thread of the library's, where signals are blocked.
  var isSheltered = false
  /// A step of a TLS handshake was done in this turn: others wait for the next.
  var hasShaken = false
  /// Without a thread: what makes the poller readable when a timer is due.
  private(set) var timerDescriptor: Int32 = -1
  fileprivate var timerArmed = Int64.max
  /// When a turn is wanted for something else than a timer, in microseconds.
  var nextTurn = Int64.max
  /// Runs at the end of each turn, with its context.
  nonisolated(unsafe) var turnEnded: (@convention(c) (UnsafeMutableRawPointer?) -> Void)? = nil
  /// Runs when connections wait at a listener, with the same context.
  nonisolated(unsafe) var accept:
    (@convention(c) (UnsafeMutableRawPointer?, UnsafeMutableRawPointer) -> Void)? = nil
  nonisolated(unsafe) var turnContext: UnsafeMutableRawPointer? = nil

  static var readSize: Int { 64 * 1024 }
  static var eventCapacity: Int { 256 }
  /// As many streams have bytes to send in one turn where something is published to
  /// all; beyond the first few only small memory is kept. Four megabytes in all.
  static var spareOutputCount: Int { 1024 }
  static var largeOutputCount: Int { 32 }
  static var largeOutputSize: Int { 64 * 1024 }
  static var smallOutputSize: Int { 2 * 1024 }

  /// What a poller's token names, in its low bits.
  fileprivate enum Token: UInt64 {
    case stream = 0
    case listener = 1
    case mailbox = 2
    case timer = 3
    case watch = 4
  }

  static func make(system: System = System()) throws(Failure) -> Ref<Loop> {
    let poller = sys_epoll_make()
    if poller < 0 { throw .system("no poller", sys_errno()) }
    let event = sys_event_make()
    if event < 0 {
      let number = sys_errno()
      _ = sys_close(poller)
      throw .system("no event descriptor", number)
    }
    let now = unsafe system.now(system.context)
    let events = unsafe allocate(bytes: eventCapacity &* MemoryLayout<epoll_event>.stride)
    let buffer = unsafe allocate(bytes: readSize &+ 64)
    if let timers = TimerWheel(now: now), let events = unsafe events, let buffer = unsafe buffer {
      let loop = unsafe Loop(
        system: system, poller: poller, mailbox: Mailbox(descriptor: event), now: now,
        timers: timers,
        events: events.bindMemory(to: epoll_event.self, capacity: eventCapacity),
        readBuffer: buffer.assumingMemoryBound(to: UInt8.self))
      // From here on the loop closes what it has.
      guard let ref = Ref(make: loop) else { throw .noMemory }
      // Without this nobody could wake it.
      let result = ref.control(event, SYS_POLL_IN, Token.mailbox.rawValue, SYS_POLL_ADD)
      if result == 0 { return ref }
      ref.free()
      throw .system("the poller cannot watch its event descriptor", 0 &- result)
    }
    unsafe deallocate(events)
    unsafe deallocate(buffer)
    _ = sys_close(poller)
    _ = sys_close(event)
    throw .noMemory
  }

  private init(
    system: System, poller: Int32, mailbox: consuming Mailbox, now: Int64,
    timers: consuming TimerWheel, events: UnsafeMutablePointer<epoll_event>,
    readBuffer: UnsafeMutablePointer<UInt8>
  ) {
    self.system = system
    self.poller = poller
    self.mailbox = mailbox
    self.now = now
    self.timers = timers
    unsafe self.events = unsafe events
    unsafe self.readBuffer = unsafe readBuffer
  }

  deinit {
    _ = sys_close(poller)
    _ = sys_close(mailbox.descriptor)
    if timerDescriptor >= 0 { _ = sys_close(timerDescriptor) }
    unsafe deallocate(UnsafeMutableRawPointer(events))
    unsafe deallocate(UnsafeMutableRawPointer(readBuffer))
    for index in 0..<spareOutputs.count { spareOutputs[index].free() }
  }

  /// Has the poller's descriptor tell of timers too, for whoever polls that.
  mutating func watchTimers() throws(Failure) {
    timerDescriptor = sys_timer_make()
    if timerDescriptor < 0 { throw .system("no timer descriptor", sys_errno()) }
    let result = unsafe system.pollControl(
      system.context, poller, SYS_POLL_ADD, timerDescriptor, SYS_POLL_IN, Token.timer.rawValue)
    if result < 0 { throw .system("the poller cannot watch the timer", 0 &- result) }
  }

  /// Sets the descriptor to when the next turn is due, where that has changed.
  fileprivate mutating func armTimerDescriptor() {
    if timerDescriptor < 0 { return }
    let due = firstDirty != nil || isPressed ? now : min(timers.next, nextTurn)
    if due == timerArmed { return }
    timerArmed = due
    sys_timer_set(timerDescriptor, timerArmed == .max ? 0 : timerArmed)
  }

  mutating func readClock() {
    now = unsafe system.now(system.context)
    guard now >= nextWallCheck else { return }
    nextWallCheck = now &+ 100_000
    wallSeconds = unsafe system.wall(system.context)
  }
}

extension Failure {
  static func system(_ message: StaticString, _ number: Int32) -> Failure {
    let code: Code
    switch number {
    case EMFILE, ENFILE: code = .descriptors
    case ENOMEM, ENOBUFS: code = .memory
    case EADDRINUSE: code = .addressInUse
    case EACCES, EPERM: code = .permission
    case EADDRNOTAVAIL, EAFNOSUPPORT: code = .address
    default: code = .io
    }
    return Failure(code, message, number: number)
  }
}

// One turn. These hold no access to the loop across a call: what they call may
// come back to it.
extension Ref where Object == Loop {
  /// Waits up to a time (-1: for ever) and does what is due. Returns how many
  /// events there were, or a negative number when a signal broke the wait.
  @discardableResult
  func turn(timeout: Int32) -> Int32 {
    // Not from before the call: on the loop's thread alone time may have passed.
    var wait = o.timers.timeout(now: o.now)
    if timeout >= 0, wait < 0 || timeout < wait { wait = timeout }
    if o.firstDirty != nil || o.isPressed { wait = 0 }
    o.isPressed = false
    let system = o.system
    let events = unsafe o.events
    let count = unsafe system.pollWait(
      system.context, o.poller, events, Int32(Loop.eventCapacity), wait)
    o.readClock()
    o.hasShaken = false
    if count > 1 { putListenersFirst(Int(count)) }
    var index = 0
    while index < count {
      warm(index, count)
      unsafe handle(events[index])
      index &+= 1
    }
    while let timer = o.timers.expired(now: o.now) {
      if let owner = unsafe timer.o.owner, let run = unsafe timer.o.run { unsafe run(owner) }
    }
    flushDirty()
    if let ended = unsafe o.turnEnded { unsafe ended(o.turnContext) }
    flushDirty()
    bury()
    o.armTimerDescriptor()
    return count
  }

  /// This thread may be the only one that was woken for them: what else came may
  /// run a callback that blocks, or take this loop off the listeners.
  @inline(__always)
  private func putListenersFirst(_ count: Int) {
    let events = unsafe o.events
    var (place, index) = (0, 0)
    while index < count {
      if unsafe sys_event_token(events + index) & 7 == Loop.Token.listener.rawValue {
        let first = unsafe events[place]
        unsafe events[place] = unsafe events[index]
        unsafe events[index] = first
        place &+= 1
      }
      index &+= 1
    }
  }

  /// What the next streams need is brought near while this one is served: of many streams
  /// it would have to be waited for otherwise.
  @inline(__always)
  private func warm(_ index: Int, _ count: Int32) {
    if index &+ 3 < count { streamOf(index &+ 3)?.prefetch() }
    if index &+ 2 < count { streamOf(index &+ 2)?.warm(isNext: false) }
    if index &+ 1 < count { streamOf(index &+ 1)?.warm(isNext: true) }
  }

  @inline(__always)
  private func streamOf(_ index: Int) -> Ref<Stream>? {
    let token = unsafe sys_event_token(o.events + index)
    if token & 7 != Loop.Token.stream.rawValue { return nil }
    return object(token)
  }

  private func handle(_ event: epoll_event) {
    let token = unsafe withUnsafePointer(to: event) { unsafe sys_event_token($0) }
    guard let kind = Loop.Token(rawValue: token & 7) else { return }
    switch kind {
    case .mailbox:
      sys_event_clear(o.mailbox.descriptor)
      o.mailbox.deliver()
    case .timer:
      sys_event_clear(o.timerDescriptor)
      // It is set again at the end of the turn, be it to the same time.
      o.timerArmed = .max
    case .listener:
      if let listener: Ref<Listener> = object(token) {
        unsafe o.accept?(o.turnContext, listener.opaque)
      }
    case .stream:
      if let stream: Ref<Stream> = object(token) { unsafe stream.handle(events: event.events) }
    case .watch:
      if let watch: Ref<Watch> = object(token) { watch.handle() }
    }
  }

  private func object<Target: ~Copyable>(_ token: UInt64) -> Ref<Target>? {
    unsafe UnsafeMutableRawPointer(bitPattern: UInt(token & ~7)).map {
      unsafe Ref<Target>(opaque: $0)
    }
  }

  /// Sends what has gathered.
  func flushDirty() {
    while let stream = o.firstDirty {
      o.firstDirty = stream.o.nextDirty
      stream.o.nextDirty = nil
      stream.o.isDirty = false
      stream.flush()
    }
  }

  private func bury() {
    while let stream = o.firstEnded {
      o.firstEnded = stream.o.nextEnded
      unsafe stream.o.handler.o.buried(stream.o.owner)
      stream.free()
    }
    while let ended = o.firstEndedWatch {
      o.firstEndedWatch = ended.o.nextEnded
      ended.free()
    }
  }

  // ---- for streams and listeners

  func watch(_ stream: Ref<Stream>, events: UInt32, isNew: Bool) -> Bool {
    let token = UInt64(UInt(bitPattern: unsafe stream.opaque)) | Loop.Token.stream.rawValue
    return control(stream.o.descriptor, events, token, isNew ? SYS_POLL_ADD : SYS_POLL_CHANGE)
      == 0
  }

  /// Shared: other loops watch it too, and one connection need not wake them all.
  func watch(_ listener: Ref<Listener>, isShared: Bool) -> Bool {
    let token = UInt64(UInt(bitPattern: unsafe listener.opaque)) | Loop.Token.listener.rawValue
    let events = isShared ? SYS_POLL_IN | SYS_POLL_EXCLUSIVE : SYS_POLL_IN
    return control(listener.o.descriptor, events, token, SYS_POLL_ADD) == 0
  }

  func unwatch(_ stream: Ref<Stream>) { _ = control(stream.o.descriptor, 0, 0, SYS_POLL_DELETE) }

  func unwatch(_ listener: Ref<Listener>) {
    _ = control(listener.o.descriptor, 0, 0, SYS_POLL_DELETE)
  }

  func watch(_ watch: Ref<Watch>, events: UInt32) -> Bool {
    let token = UInt64(UInt(bitPattern: unsafe watch.opaque)) | Loop.Token.watch.rawValue
    return control(watch.o.descriptor, events, token, SYS_POLL_ADD) == 0
  }

  func unwatch(_ watch: Ref<Watch>) { _ = control(watch.o.descriptor, 0, 0, SYS_POLL_DELETE) }

  func addEnded(_ watch: Ref<Watch>) {
    watch.o.nextEnded = o.firstEndedWatch
    o.firstEndedWatch = watch
  }

  /// 0, or the negative error number.
  fileprivate func control(
    _ descriptor: Int32, _ events: UInt32, _ token: UInt64, _ operation: Int32
  ) -> Int32 {
    let system = o.system
    return unsafe system.pollControl(
      system.context, o.poller, operation, descriptor, events, token)
  }

  @inline(__always)
  func addDirty(_ stream: Ref<Stream>) {
    guard !stream.o.isFlushedNext, !stream.o.isDirty, !stream.o.isEnded else { return }
    stream.o.isDirty = true
    stream.o.nextDirty = o.firstDirty
    o.firstDirty = stream
  }

  func addEnded(_ stream: Ref<Stream>) {
    if stream.o.isDirty { removeDirty(stream) }
    stream.o.nextEnded = o.firstEnded
    o.firstEnded = stream
  }

  private func removeDirty(_ stream: Ref<Stream>) {
    stream.o.isDirty = false
    if o.firstDirty == stream {
      o.firstDirty = stream.o.nextDirty
      return
    }
    var before = o.firstDirty
    while let candidate = before, let next = candidate.o.nextDirty {
      if next == stream {
        candidate.o.nextDirty = stream.o.nextDirty
        return
      }
      before = next
    }
  }

  /// Memory for a stream's outgoing bytes.
  @inline(__always)
  func takeOutput() -> Ref<ByteBuffer>? {
    o.spareOutputs.removeLast() ?? Ref<ByteBuffer>.makeOutput()
  }

  @inline(__always)
  func giveOutput(_ buffer: Ref<ByteBuffer>) {
    let count = o.spareOutputs.count
    buffer.o.clear(
      keep: count < Loop.largeOutputCount ? Loop.largeOutputSize : Loop.smallOutputSize)
    if count < Loop.spareOutputCount, o.spareOutputs.append(buffer) { return }
    buffer.free()
  }
}

extension Ref where Object == ByteBuffer {
  @inline(never)
  fileprivate static func makeOutput() -> Ref? { Ref(make: ByteBuffer()) }
}
