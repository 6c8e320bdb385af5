// What the layers above need of the operating system, apart from sockets on a
// loop: clocks, threads, event descriptors, and facts about descriptors.

import CSystem

enum Clock {
  /// Microseconds that never go back.
  static var now: Int64 { sys_monotonic_us() }
  /// Since 1970.
  static var wallSeconds: Int64 { sys_wall_seconds() }
}

/// Numbers for what is no secret, but not to be foreseen.
enum Entropy {
  static func word() -> UInt64 { sys_random_word() }
}

/// A thread of the library's own, which takes no signals.
struct Thread {
  typealias Body = @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer?

  private var id = sys_thread_id()

  static func start(_ body: Body, _ context: UnsafeMutableRawPointer) throws(Failure) -> Thread {
    var thread = Thread()
    let result = unsafe sys_thread_start(&thread.id, body, context)
    if result != 0 { throw Failure(.io, "no thread", number: result) }
    return thread
  }

  /// The calling thread, which is the library's own, cannot be cancelled any more.
  static func shield() { sys_thread_shield() }

  /// Waits for its end; the thread itself can only be let go.
  func joinOrDetach() {
    if sys_thread_is_current(id) != 0 { sys_thread_detach(id) } else { sys_thread_join(id) }
  }

  /// Nobody waits for its end.
  func detach() { sys_thread_detach(id) }

  static var processors: Int32 { sys_processors() }
  static func yield() { sys_yield() }
}

/// A descriptor that is readable once it was signalled, until it is cleared.
struct EventDescriptor: ~Copyable {
  let number: Int32

  init() throws(Failure) {
    number = sys_event_make()
    if number < 0 { throw .system("no event descriptor", sys_errno()) }
  }

  deinit { _ = sys_close(number) }

  func signal() { sys_event_signal(number) }
  func clear() { sys_event_clear(number) }

  /// Waits until it is signalled, up to a time (-1: for ever). False when a
  /// signal of the other kind broke the wait.
  func wait(_ milliseconds: Int32) -> Bool { sys_wait_readable(number, milliseconds) >= 0 }
}

enum Descriptors {
  /// How many this process may have.
  static var limit: Int64 { sys_descriptor_limit() }

  /// The number that the next one would get; nil when there is none to be had.
  static var next: Int64? {
    let probe = sys_event_make()
    if probe < 0 { return nil }
    _ = sys_close(probe)
    return Int64(probe)
  }
}

/// A connected socket that the host hands over.
enum ConnectedSocket {
  static func check(_ descriptor: Int32) throws(Failure) -> Peer {
    var peer = Peer()
    guard descriptor >= 0, sys_is_listener(descriptor) == 0,
      unsafe sys_peer_address(descriptor, &peer.address) == 0
    else { throw Failure(.argument, "the descriptor is not a connected stream socket") }
    return peer
  }

  static func makeNonblocking(_ descriptor: Int32) throws(Failure) {
    guard sys_make_nonblocking(descriptor) == 0 else {
      throw .system("the descriptor cannot be used", sys_errno())
    }
  }
}

/// What the number of a failed connection's error says.
enum ConnectionError {
  /// The peer has gone without a word, or in the middle of one.
  static func isReset(_ number: Int32) -> Bool { number == ECONNRESET || number == EPIPE }
}
