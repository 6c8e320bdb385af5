// Addresses of names. The system's resolver may take long and cannot be stopped, so
// each lookup has a thread of its own, which touches nothing but what is its own until
// it hands itself over.

import CSystem
import Synchronization

extension Peer {
  /// An address in text, which needs no lookup; nil: it is a name.
  init?(literal text: Text, port: UInt16) {
    var address = sys_address()
    guard unsafe sys_address_parse(&address, text.characters, port) == 0 else { return nil }
    self.address = address
  }
}

/// Begins a connection: a new descriptor, or the negative error number.
extension System {
  func connect(to peer: Peer) -> Int32 {
    var address = peer.address
    return unsafe dial(context, &address)
  }
}

@safe struct Lookup: ~Copyable {
  typealias Done = @convention(c) (UnsafeMutableRawPointer) -> Void

  private var name = ByteBuffer()
  private let port: UInt16
  /// Whom `done` is for.
  nonisolated(unsafe) let owner: UnsafeMutableRawPointer
  nonisolated(unsafe) private let done: Done
  /// By which the owner knows whether it still wants this.
  let number: UInt64
  var peers = List<Peer>()

  /// Addresses that count, and lookups at a time.
  static var most: Int { 16 }
  static var mostThreads: Int64 { 64 }
  private static let threads = Atomic<Int64>(0)

  private init(
    port: UInt16, number: UInt64, owner: UnsafeMutableRawPointer, done: Done
  ) {
    self.port = port
    self.number = number
    unsafe self.owner = unsafe owner
    unsafe self.done = unsafe done
  }

  /// Looks a name up; `done` is called with the lookup, on a thread of the library's
  /// own, and frees it.
  @unsafe static func start(
    _ name: Text, port: UInt16, number: UInt64, owner: UnsafeMutableRawPointer, done: Done
  ) throws(Failure) {
    guard threads.wrappingAdd(1, ordering: .relaxed).newValue <= mostThreads else {
      threads.wrappingSubtract(1, ordering: .relaxed)
      throw Failure(.full, "too many names are being looked up")
    }
    let lookup = unsafe Ref<Lookup>(
      make: Lookup(port: port, number: number, owner: owner, done: done))
    lookup?.o.name.append(name.bytes)
    guard let lookup, lookup.o.name.terminate() else {
      lookup?.free()
      threads.wrappingSubtract(1, ordering: .relaxed)
      throw .noMemory
    }
    do throws(Failure) {
      try unsafe Thread.start(runLookup, lookup.opaque).detach()
    } catch {
      lookup.free()
      threads.wrappingSubtract(1, ordering: .relaxed)
      throw error
    }
  }

  fileprivate mutating func run() {
    guard let start = unsafe name.pointer,
      let memory = unsafe allocate(bytes: Lookup.most &* MemoryLayout<sys_address>.stride)
    else { return }
    defer { unsafe deallocate(memory) }
    let addresses = unsafe memory.bindMemory(to: sys_address.self, capacity: Lookup.most)
    let text = unsafe UnsafeRawPointer(start).assumingMemoryBound(to: CChar.self)
    let count = unsafe sys_resolve(text, port, addresses, Int32(Lookup.most))
    var index = 0
    while index < count {
      _ = unsafe peers.append(Peer(address: addresses[index]))
      index &+= 1
    }
  }

  fileprivate static func ended() { threads.wrappingSubtract(1, ordering: .relaxed) }
  fileprivate var callback: Done { unsafe done }
}

private func runLookup(_ object: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  guard let object = unsafe object else { return nil }
  let lookup = unsafe Ref<Lookup>(opaque: object)
  lookup.o.run()
  let done = unsafe lookup.o.callback
  Lookup.ended()
  unsafe done(object)
  return nil
}
