// Addresses of names. The system's resolver may take long and cannot be stopped, so
// each lookup has a thread of its own, which touches nothing but what is its own until
// it hands itself over to the loop, if that still wants it.

import CSystem
import Synchronization

extension Peer {
  /// An address in text, which needs no lookup; nil: it is a name.
  init?(literal text: Text, port: UInt16) {
    var address = sys_address()
    guard unsafe sys_address_parse(&address, text.characters, port) == 0 else { return nil }
    self.address = address
  }

  /// The path of a Unix socket; nil: it is too long, or empty.
  init?(unixPath path: Text) {
    var address = sys_address()
    guard unsafe sys_address_unix(&address, path.characters) == 0 else { return nil }
    self.address = address
  }

  var isVersion6: Bool {
    var copy = address
    return unsafe sys_address_family(&copy) == AF_INET6
  }
}

extension Failure {
  /// No resolver has answered.
  static var undecided: Failure {
    Failure(.notFound, "the host's name cannot be looked up", number: EAGAIN)
  }

  /// It may pass by itself in a while.
  var isForNow: Bool { number == EAGAIN }
}

/// Begins a connection: a new descriptor, or the negative error number.
extension System {
  func connect(to peer: Peer) -> Int32 {
    var address = peer.address
    return unsafe dial(context, &address)
  }
}

@safe struct Lookup: ~Copyable {
  /// Takes the owner and the lookup.
  typealias Done = @convention(c) (UnsafeMutableRawPointer, UnsafeMutableRawPointer) -> Void

  private var name = ByteBuffer()
  private let port: UInt16
  private let loop: Ref<Loop>
  private let system: System
  nonisolated(unsafe) private let owner: UnsafeMutableRawPointer
  nonisolated(unsafe) private let done: Done
  private var mail: Ref<Mail>? = nil
  /// What was found, in the resolver's order.
  var peers = List<Peer>()
  /// Nobody could say whether there are addresses.
  fileprivate(set) var isUndecided = true

  private let lock = Lock()
  private var isWanted = true

  /// Addresses that count, and lookups at a time.
  static var most: Int { 16 }
  static var mostThreads: Int64 { 64 }
  private static let threads = Atomic<Int64>(0)

  private init(
    port: UInt16, loop: Ref<Loop>, owner: UnsafeMutableRawPointer, done: Done
  ) {
    self.port = port
    self.loop = loop
    system = loop.o.system
    unsafe self.owner = unsafe owner
    unsafe self.done = unsafe done
  }

  deinit { mail?.free() }

  /// Looks a name up. `done` is called with the lookup on the loop's thread, after this
  /// has returned and unless it was cancelled; the lookup is freed when it returns.
  @unsafe static func start(
    _ name: Text, port: UInt16, loop: Ref<Loop>, owner: UnsafeMutableRawPointer, done: Done
  ) throws(Failure) -> Ref<Lookup> {
    guard threads.wrappingAdd(1, ordering: .relaxed).newValue <= mostThreads else {
      ended()
      throw Failure(.full, "too many names are being looked up")
    }
    let lookup = unsafe Ref<Lookup>(
      make: Lookup(port: port, loop: loop, owner: owner, done: done))
    do throws(Failure) {
      guard let lookup, unsafe lookup.o.prepare(name, lookup.opaque) else { throw .noMemory }
      try unsafe Thread.start(runLookup, lookup.opaque).detach()
      return lookup
    } catch {
      lookup?.free()
      ended()
      throw error
    }
  }

  private mutating func prepare(_ name: Text, _ itself: UnsafeMutableRawPointer) -> Bool {
    self.name.append(name.bytes)
    mail = unsafe Ref<Mail>(make: Mail(itself, { unsafe Ref<Lookup>(opaque: $0).arrived() }))
    return self.name.terminate() && mail != nil && lock.isUsable
  }

  fileprivate mutating func run() {
    guard let start = unsafe name.pointer,
      let memory = unsafe allocate(bytes: Lookup.most &* MemoryLayout<sys_address>.stride)
    else { return }
    defer { unsafe deallocate(memory) }
    let addresses = unsafe memory.bindMemory(to: sys_address.self, capacity: Lookup.most)
    let text = unsafe UnsafeRawPointer(start).assumingMemoryBound(to: CChar.self)
    let count = unsafe system.resolve(system.context, text, port, addresses, Int32(Lookup.most))
    isUndecided = count < 0
    var index = 0
    while index < count {
      _ = unsafe peers.append(Peer(address: addresses[index]))
      index &+= 1
    }
  }

  fileprivate static func ended() { threads.wrappingSubtract(1, ordering: .relaxed) }

  /// The thread has come to its end. False: nobody wants to know.
  fileprivate mutating func handOver() -> Bool {
    lock.lock()
    defer { lock.unlock() }
    Lookup.ended()
    guard isWanted, let mail else { return false }
    // Under the lock: the loop is there until whoever asked has cancelled.
    loop.o.mailbox.post(mail)
    return true
  }

  fileprivate mutating func giveUp() {
    lock.lock()
    isWanted = false
    lock.unlock()
  }

  /// The loop's thread; whether it is to be told.
  fileprivate var isToBeTold: Bool {
    lock.lock()
    defer { lock.unlock() }
    return isWanted
  }

  fileprivate func tell(_ itself: UnsafeMutableRawPointer) { unsafe done(owner, itself) }
}

extension Ref where Object == Lookup {
  /// The loop's thread: `done` will not be called. The lookup frees itself.
  func cancel() { o.giveUp() }

  fileprivate func arrived() {
    if o.isToBeTold { unsafe o.tell(opaque) }
    free()
  }
}

private func runLookup(_ object: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  guard let object = unsafe object else { return nil }
  let lookup = unsafe Ref<Lookup>(opaque: object)
  lookup.o.run()
  if !lookup.o.handOver() { lookup.free() }
  return nil
}
