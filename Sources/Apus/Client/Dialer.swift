// A connection to a host, from its name to a connected descriptor: the addresses of the
// name, and attempts at them that overlap (RFC 8305, "Happy Eyeballs"). The first that
// connects wins, and the others are closed.
//
// All of it happens on one loop's thread, but for the resolver. Who starts a dialer hears
// of it exactly once, after the start has returned, unless it cancels; then the dialer is
// gone. It must be cancelled, or have told, before its loop ends.

@safe struct Dialer: ~Copyable {
  /// Takes the owner and the dialer, a `Ref<Dialer>`: it has a failure, or a connected,
  /// nonblocking descriptor that the owner takes, or that is closed when this returns.
  typealias Done = @convention(c) (UnsafeMutableRawPointer, UnsafeMutableRawPointer) -> Void

  fileprivate let loop: Ref<Loop>
  nonisolated(unsafe) fileprivate let owner: UnsafeMutableRawPointer
  nonisolated(unsafe) fileprivate let done: Done
  fileprivate let timer: Ref<Timer>
  /// For what is to be told after the start has returned.
  fileprivate let mail: Ref<Mail>
  fileprivate var lookup: Ref<Lookup>? = nil
  fileprivate var peers = List<Peer>()
  fileprivate var nextPeer = 0
  fileprivate var attempts = List<Ref<Watch>>()
  fileprivate var deadline = Int64.max
  fileprivate var nextAttempt = Int64.max
  fileprivate var isStarting = true
  fileprivate var isPosted = false
  fileprivate var isCancelled = false

  // ---- what came of it
  fileprivate var descriptor: Int32 = -1
  fileprivate(set) var peer = Peer()
  fileprivate(set) var failure: Failure? = nil
  /// In microseconds of the loop's clock; 0: it did not come to that.
  let startedAt: Int64
  fileprivate(set) var resolvedAt: Int64 = 0
  fileprivate(set) var connectedAt: Int64 = 0

  /// How long an attempt is alone, RFC 8305 §5: 250 ms, in steps of the loop's timers.
  static var attemptDelay: Int64 { 250_000 }
  /// When a Unix socket is tried again whose queue is full.
  static var queueDelay: Int64 { 10_000 }

  fileprivate init(
    loop: Ref<Loop>, owner: UnsafeMutableRawPointer, done: Done, timer: Ref<Timer>,
    mail: Ref<Mail>
  ) {
    self.loop = loop
    unsafe self.owner = unsafe owner
    unsafe self.done = unsafe done
    self.timer = timer
    self.mail = mail
    startedAt = loop.o.now
  }

  deinit {
    timer.free()
    mail.free()
    if descriptor >= 0 { loop.o.close(descriptor) }
  }

  /// The descriptor is the caller's from here on; -1: there is none.
  mutating func takeDescriptor() -> Int32 {
    defer { descriptor = -1 }
    return descriptor
  }
}

extension Loop {
  fileprivate func close(_ descriptor: Int32) { unsafe system.end(system.context, descriptor, 1) }
}

extension Ref where Object == Dialer {
  /// Dials a Unix socket where there is the path of one, NUL-terminated; or the proxy of a
  /// route; or else the host.
  @unsafe static func start(
    on loop: Ref<Loop>, unixPath: borrowing ByteBuffer, by route: borrowing ProxyRoute,
    host: Bytes, port: UInt16, timeout: Int64, owner: UnsafeMutableRawPointer, done: Dialer.Done
  ) throws(Failure) -> Ref<Dialer> {
    if let path = unsafe unixPath.pointer, !unixPath.isEmpty {
      return try unsafe start(
        on: loop, unixPath: Text(start: path, count: unixPath.count), timeout: timeout,
        owner: owner, done: done)
    }
    guard let proxy = route.proxy else {
      return try unsafe start(
        on: loop, host: host, port: port, timeout: timeout, owner: owner, done: done)
    }
    return try unsafe start(
      on: loop, host: route.text.bytes.extracting(proxy.host), port: proxy.port,
      timeout: timeout, owner: owner, done: done)
  }

  /// Dials a host, by a name or an address in text (without brackets). A time limit in
  /// milliseconds; 0: none. The loop's thread.
  @unsafe private static func start(
    on loop: Ref<Loop>, host: Bytes, port: UInt16, timeout: Int64,
    owner: UnsafeMutableRawPointer, done: Dialer.Done
  ) throws(Failure) -> Ref<Dialer> {
    var name = ByteBuffer()
    name.append(host)
    guard name.terminate(), let start = unsafe name.pointer else { throw .noMemory }
    let text = unsafe Text(start: start, count: name.count)
    let dialer = try unsafe make(loop, timeout, owner, done)
    if let peer = Peer(literal: text, port: port) {
      return try dialer.begin(with: peer)
    }
    do throws(Failure) {
      dialer.o.lookup = try unsafe Lookup.start(
        text, port: port, loop: loop, owner: dialer.opaque, done: Dialer.lookedUp)
    } catch {
      dialer.cancel()
      throw error
    }
    dialer.o.isStarting = false
    return dialer
  }

  /// Dials a Unix socket.
  @unsafe private static func start(
    on loop: Ref<Loop>, unixPath path: Text, timeout: Int64, owner: UnsafeMutableRawPointer,
    done: Dialer.Done
  ) throws(Failure) -> Ref<Dialer> {
    guard let peer = Peer(unixPath: path) else {
      throw Failure(.argument, "the path is not one of a Unix socket")
    }
    return try unsafe make(loop, timeout, owner, done).begin(with: peer)
  }

  /// Ends it: nothing is told any more. The loop's thread.
  func cancel() {
    endAttempts()
    o.isCancelled = true
    if !o.isPosted { free() }
  }

  private static func make(
    _ loop: Ref<Loop>, _ timeout: Int64, _ owner: UnsafeMutableRawPointer, _ done: Dialer.Done
  ) throws(Failure) -> Ref<Dialer> {
    guard let timer = Ref<Timer>(make: Timer()) else { throw .noMemory }
    let mail = unsafe Ref<Mail>(make: Mail(timer.opaque, { unsafe Ref<Dialer>(opaque: $0).tell() }))
    guard let mail else {
      timer.free()
      throw .noMemory
    }
    let made = unsafe Ref(
      make: Dialer(loop: loop, owner: owner, done: done, timer: timer, mail: mail))
    guard let made else { throw .noMemory }
    unsafe mail.o.object = unsafe made.opaque
    unsafe timer.o.owner = unsafe made.opaque
    unsafe timer.o.run = { unsafe Ref<Dialer>(opaque: $0).expired() }
    if timeout > 0 { made.o.deadline = loop.o.now &+ timeout &* 1000 }
    made.setTimer()
    return made
  }

  private func begin(with peer: Peer) throws(Failure) -> Ref<Dialer> {
    guard o.peers.append(peer) else {
      cancel()
      throw .noMemory
    }
    o.resolvedAt = o.startedAt
    connectNext()
    o.isStarting = false
    return self
  }

  // ---- the addresses

  fileprivate func lookedUp(_ lookup: Ref<Lookup>) {
    o.lookup = nil
    o.resolvedAt = o.loop.o.now
    swap(&o.peers, &lookup.o.peers)
    guard Dialer.interleave(&o.peers) else { return finish(.noMemory) }
    if o.peers.isEmpty {
      return finish(
        lookup.o.isUndecided
          ? .undecided : Failure(.notFound, "the host's name has no address"))
    }
    connectNext()
  }

  // ---- the attempts

  /// Begins an attempt at the next address that can be tried.
  private func connectNext() {
    var problem = Failure(.io, "the connection cannot be made")
    while o.nextPeer < o.peers.count {
      let place = o.nextPeer
      o.nextPeer &+= 1
      do throws(Failure) {
        try connect(to: place)
        o.nextAttempt = .max
        if o.nextPeer < o.peers.count { o.nextAttempt = o.loop.o.now &+ Dialer.attemptDelay }
        return setTimer()
      } catch {
        problem = error
        // unix(7): its server is behind, and the kernel queues nobody more.
        if error.isForNow, o.peers[place].isUnix {
          o.nextPeer = place
          o.nextAttempt = o.loop.o.now &+ Dialer.queueDelay
          return setTimer()
        }
      }
    }
    o.nextAttempt = .max
    if o.attempts.isEmpty { finish(problem) } else { setTimer() }
  }

  private func connect(to place: Int) throws(Failure) {
    let system = o.loop.o.system
    let descriptor = system.connect(to: o.peers[place])
    if descriptor < 0 { throw .system("the connection cannot be made", 0 &- descriptor) }
    let watch = unsafe Ref<Watch>(
      make: Watch(
        descriptor: descriptor, loop: o.loop, number: place, owner: opaque,
        run: Dialer.attempted))
    guard let watch else {
      o.loop.o.close(descriptor)
      throw .noMemory
    }
    guard o.attempts.append(watch), watch.start() else {
      _ = forget(watch)
      watch.end(closes: true)
      throw Failure(.io, "the connection cannot be watched")
    }
  }

  /// Takes an attempt off the list.
  private func forget(_ watch: Ref<Watch>) -> Bool {
    for index in 0..<o.attempts.count where o.attempts[index] == watch {
      if let last = o.attempts.removeLast(), last != watch { o.attempts[index] = last }
      return true
    }
    return false
  }

  /// Something has come of an attempt.
  fileprivate func attempted(_ watch: Ref<Watch>) {
    let system = o.loop.o.system
    let result = unsafe system.dialResult(system.context, watch.o.descriptor)
    _ = forget(watch)
    if result == 0 {
      o.descriptor = watch.o.descriptor
      o.peer = o.peers[watch.o.number]
      o.connectedAt = o.loop.o.now
      watch.end(closes: false)
      return finish(nil)
    }
    watch.end(closes: true)
    // RFC 8305 §5: one that has failed makes no other one wait.
    if o.nextPeer < o.peers.count { return connectNext() }
    if o.attempts.isEmpty { finish(.system("the connection cannot be made", 0 &- result)) }
  }

  // ---- time

  private func setTimer() {
    let time = min(o.deadline, o.nextAttempt)
    let loop = o.loop
    if time == .max { return loop.o.timers.remove(o.timer) }
    loop.o.timers.set(o.timer, to: max(time, loop.o.now &+ 1))
  }

  fileprivate func expired() {
    let now = o.loop.o.now
    if now >= o.deadline {
      return finish(Failure(.timeout, "the connection was not made in time"))
    }
    if now >= o.nextAttempt { connectNext() } else { setTimer() }
  }

  // ---- the end

  private func endAttempts() {
    o.lookup?.cancel()
    o.lookup = nil
    while let watch = o.attempts.removeLast() { watch.end(closes: true) }
    o.loop.o.timers.remove(o.timer)
  }

  private func finish(_ failure: Failure?) {
    endAttempts()
    o.failure = failure
    guard o.isStarting else { return tell() }
    o.isPosted = true
    o.loop.o.mailbox.post(o.mail)
  }

  fileprivate func tell() {
    if !o.isCancelled { unsafe o.call(opaque) }
    free()
  }
}

extension Dialer {
  fileprivate static let lookedUp: Lookup.Done = {
    unsafe Ref<Dialer>(opaque: $0).lookedUp(Ref<Lookup>(opaque: $1))
  }
  fileprivate static let attempted: Watch.Run = {
    unsafe Ref<Dialer>(opaque: $0).attempted(Ref<Watch>(opaque: $1))
  }

  fileprivate func call(_ itself: UnsafeMutableRawPointer) { unsafe done(owner, itself) }

  /// RFC 8305 §4: the families in turn, that of version 6 first, and within each the
  /// resolver's order. False without memory.
  static func interleave(_ peers: inout List<Peer>) -> Bool {
    var ordered = List<Peer>()
    var six = place(in: peers, from: 0, ofVersion6: true)
    var other = place(in: peers, from: 0, ofVersion6: false)
    while ordered.count < peers.count {
      if six < peers.count {
        guard ordered.append(peers[six]) else { return false }
        six = place(in: peers, from: six &+ 1, ofVersion6: true)
      }
      if other < peers.count {
        guard ordered.append(peers[other]) else { return false }
        other = place(in: peers, from: other &+ 1, ofVersion6: false)
      }
    }
    swap(&ordered, &peers)
    return true
  }

  private static func place(
    in peers: borrowing List<Peer>, from start: Int, ofVersion6 isSix: Bool
  ) -> Int {
    var index = start
    while index < peers.count, peers[index].isVersion6 != isSix { index &+= 1 }
    return index
  }
}
