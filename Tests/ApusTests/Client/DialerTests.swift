// The dialer against a network of the test's own: the resolver's answer, what comes of
// each connection and the clock are the test's, the loop and its poller are real.

import Glibc
import Synchronization
import Testing

@testable import Apus

/// Its sockets are one end of a pair, and cannot be written to until the other is read.
private final class Network {
  private var made: Ref<Loop>? = nil
  var loop: Ref<Loop> { made.unsafelyUnwrapped }
  private let context: UnsafeMutablePointer<Unmanaged<Network>>
  private let now: UnsafeMutablePointer<Int64>
  /// What the resolver says.
  nonisolated(unsafe) var addresses: [String] = []
  let lookups = Atomic<Int>(0)
  /// Addresses at which an attempt fails at once.
  var refused: [String: Int32] = [:]
  private var sockets: [Int32: String] = [:]
  private var others: [Int32: Int32] = [:]
  private var results: [Int32: Int32] = [:]
  var log: [String] = []
  /// What was told, and how often.
  var told: String? = nil
  var times = 0
  var whenTold: (Ref<Dialer>) -> Void = { _ in }

  init() throws {
    context = .allocate(capacity: 1)
    now = .allocate(capacity: 1)
    now.initialize(to: 1_000_000)
    context.initialize(to: Unmanaged.passUnretained(self))
    var system = System()
    system.context = UnsafeMutableRawPointer(context)
    system.now = { Network.of($0).now.pointee }
    system.dial = { context, address in
      guard let address else { return -EINVAL }
      return Network.of(context).dial(Network.text(Peer(address: address.pointee)))
    }
    system.dialResult = { Network.of($0).results[$1] ?? 0 }
    system.end = { context, descriptor, _ in Network.of(context).end(descriptor) }
    system.resolve = { context, _, port, addresses, capacity in
      let found = Network.of(context).addresses
      for (index, text) in found.enumerated() where index < capacity {
        text.withCString { start in
          let text = Text(characters: start)
          if let peer = Peer(literal: text, port: port) { addresses?[index] = peer.address }
        }
      }
      Network.of(context).lookups.wrappingAdd(1, ordering: .releasing)
      return Int32(found.count)
    }
    made = try Loop.make(system: system)
  }

  deinit {
    loop.turn(timeout: 0)
    loop.free()
    context.deallocate()
    now.deallocate()
  }

  private static func of(_ context: UnsafeMutableRawPointer?) -> Network {
    context.unsafelyUnwrapped.assumingMemoryBound(to: Unmanaged<Network>.self)
      .pointee.takeUnretainedValue()
  }

  private static func text(_ peer: Peer) -> String {
    var text = [CChar](repeating: 0, count: 64)
    let port = text.withUnsafeMutableBufferPointer {
      peer.write(to: $0.baseAddress.unsafelyUnwrapped)
    }
    return "\(String(decoding: text.prefix { $0 != 0 }.map { UInt8($0) }, as: UTF8.self)) \(port)"
  }

  private func dial(_ address: String) -> Int32 {
    log.append("dial \(address)")
    if let number = refused[address] { return -number }
    var pair: [Int32] = [0, 0]
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue)
    if socketpair(AF_UNIX, kind, 0, &pair) != 0 { return -EMFILE }
    let block = [UInt8](repeating: 0, count: 65_536)
    while Glibc.send(pair[0], block, block.count, 0) > 0 {}
    sockets[pair[0]] = address
    others[pair[0]] = pair[1]
    return pair[0]
  }

  private func end(_ descriptor: Int32) {
    log.append("close \(sockets.removeValue(forKey: descriptor) ?? "?")")
    Glibc.close(descriptor)
    if let other = others.removeValue(forKey: descriptor) { Glibc.close(other) }
  }

  /// Something comes of the attempt at an address.
  func settle(_ address: String, _ number: Int32 = 0) throws {
    let found = sockets.first { $0.value == address }?.key
    let descriptor = try #require(found)
    results[descriptor] = -number
    var block = [UInt8](repeating: 0, count: 65_536)
    while recv(others[descriptor] ?? -1, &block, block.count, 0) > 0 {}
    loop.turn(timeout: 0)
  }

  var open: Int { sockets.count }

  func pass(_ milliseconds: Int64) {
    now.pointee += milliseconds * 1000
    loop.turn(timeout: 0)
  }

  private static let done: Dialer.Done = { owner, dialer in
    let network = Network.of(owner)
    let dialer = Ref<Dialer>(opaque: dialer)
    network.times += 1
    network.told =
      dialer.o.failure.map { "\($0.code)" } ?? "connected to \(Network.text(dialer.o.peer))"
    network.whenTold(dialer)
  }

  @discardableResult
  func start(_ host: String, unixPath: String = "", timeout: Int64 = 0) throws -> Ref<Dialer> {
    let bytes = Array(host.utf8)
    var path = ByteBuffer()
    for byte in unixPath.utf8 { path.append(byte) }
    let isTerminated = path.terminate()
    #expect(isTerminated)
    return try Ref<Dialer>.start(
      on: loop, unixPath: path, by: ProxyRoute(), host: bytes.span, port: 80, timeout: timeout,
      owner: UnsafeMutableRawPointer(context), done: Network.done)
  }

  func startUnix(_ path: String) throws { try start("", unixPath: path) }

  /// Until the resolver's thread has told.
  func resolve() {
    let count = log.count
    while log.count == count, told == nil { loop.turn(timeout: 100) }
  }
}

@Suite struct DialerTests {
  @Test func takesAnAddressWithoutLookingItUp() throws {
    let network = try Network()
    try network.start("192.0.2.1")
    #expect(network.log == ["dial 192.0.2.1 80"])
    try network.settle("192.0.2.1 80")
    #expect(network.told == "connected to 192.0.2.1 80")
    // Nobody has taken the descriptor.
    #expect(network.open == 0)
  }

  @Test func givesTheDescriptorAway() throws {
    let network = try Network()
    var taken: Int32 = -1
    var elapsed: [Int64] = []
    network.whenTold = { dialer in
      taken = dialer.o.takeDescriptor()
      elapsed = [dialer.o.resolvedAt, dialer.o.connectedAt].map { $0 - dialer.o.startedAt }
    }
    try network.start("2001:db8::1")
    network.pass(40)
    try network.settle("2001:db8::1 80")
    #expect(taken >= 0 && network.open == 1)
    #expect(elapsed == [0, 40_000])
    close(taken)
  }

  @Test func triesTheFamiliesInTurn() throws {
    let network = try Network()
    network.addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2"]
    try network.start("name")
    network.resolve()
    for _ in 0..<8 { network.pass(400) }
    #expect(
      network.log == [
        "dial 2001:db8::1 80", "dial 192.0.2.1 80", "dial 2001:db8::2 80", "dial 192.0.2.2 80",
        "dial 192.0.2.3 80",
      ])
    #expect(network.told == nil)
    // The first of all of them wins, and the others are closed.
    try network.settle("192.0.2.2 80")
    #expect(network.told == "connected to 192.0.2.2 80")
    #expect(network.log.count == 10 && network.open == 0)
  }

  @Test func waitsBeforeTheNextAttempt() throws {
    let network = try Network()
    network.addresses = ["192.0.2.1", "192.0.2.2"]
    try network.start("name")
    network.resolve()
    network.pass(249)
    #expect(network.log == ["dial 192.0.2.1 80"])
    network.pass(151)
    #expect(network.log == ["dial 192.0.2.1 80", "dial 192.0.2.2 80"])
    try network.settle("192.0.2.2 80")
    #expect(network.log.suffix(2) == ["close 192.0.2.1 80", "close 192.0.2.2 80"])
    #expect(network.times == 1)
  }

  @Test func aFailureStartsTheNextAtOnce() throws {
    let network = try Network()
    network.addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    network.refused["192.0.2.2 80"] = ENETUNREACH
    try network.start("name")
    network.resolve()
    try network.settle("192.0.2.1 80", ECONNREFUSED)
    #expect(
      network.log == [
        "dial 192.0.2.1 80", "close 192.0.2.1 80", "dial 192.0.2.2 80", "dial 192.0.2.3 80",
      ])
    try network.settle("192.0.2.3 80", ECONNREFUSED)
    #expect(network.told == "io" && network.times == 1 && network.open == 0)
  }

  @Test func aFailureIsNoMatterWhileOthersRun() throws {
    let network = try Network()
    network.addresses = ["192.0.2.1", "192.0.2.2"]
    try network.start("name")
    network.resolve()
    network.pass(400)
    try network.settle("192.0.2.2 80", ECONNREFUSED)
    #expect(network.told == nil)
    try network.settle("192.0.2.1 80")
    #expect(network.told == "connected to 192.0.2.1 80")
  }

  @Test func tellsAfterTheStartHasReturned() throws {
    let network = try Network()
    network.refused["192.0.2.1 80"] = ENETUNREACH
    try network.start("192.0.2.1")
    #expect(network.told == nil)
    network.loop.turn(timeout: 0)
    #expect(network.told == "io" && network.times == 1)
    network.told = nil
    let dialer = try network.start("192.0.2.1")
    dialer.cancel()
    network.loop.turn(timeout: 0)
    #expect(network.told == nil)
  }

  @Test func hasATimeLimit() throws {
    let network = try Network()
    network.addresses = ["192.0.2.1", "192.0.2.2"]
    try network.start("name", timeout: 600)
    network.resolve()
    network.pass(599)
    #expect(network.told == nil && network.open == 2)
    network.pass(200)
    #expect(network.told == "timeout" && network.open == 0)
  }

  @Test func aNameWithoutAddresses() throws {
    let network = try Network()
    try network.start("name")
    network.resolve()
    #expect(network.told == "notFound")
  }

  @Test func isCancelledAtAnyTime() throws {
    let network = try Network()
    network.addresses = ["192.0.2.1", "192.0.2.2"]
    // While the resolver's thread is at it, or has just come back.
    try network.start("name").cancel()
    let dialer = try network.start("name")
    network.resolve()
    while network.lookups.load(ordering: .acquiring) < 2 { network.loop.turn(timeout: 1) }
    network.pass(400)
    #expect(network.open == 2)
    dialer.cancel()
    #expect(network.open == 0)
    network.pass(10_000)
    #expect(network.told == nil)
  }

  @Test func dialsAUnixSocket() throws {
    let network = try Network()
    let isNoPath = "".withCString { Peer(unixPath: Text(characters: $0)) == nil }
    #expect(isNoPath)
    #expect(throws: (any Error).self) { try network.startUnix(String(repeating: "x", count: 108)) }
    try network.startUnix("/tmp/x")
    #expect(network.open == 1)
    try network.settle(" 0")
    #expect(network.told == "connected to  0")
  }

  @Test(arguments: [0, 1, 2, 3, 16])
  func interleaves(_ count: Int) throws {
    for pattern in 0..<min(1 << count, 64) {
      var peers = List<Peer>()
      for index in 0..<count {
        let text = pattern >> index & 1 == 1 ? "::\(index)" : "10.0.0.\(index)"
        try text.withCString {
          let peer = try #require(Peer(literal: Text(characters: $0), port: 1))
          let isAdded = peers.append(peer)
          #expect(isAdded)
        }
      }
      let sixes = (0..<peers.count).filter { peers[$0].isVersion6 }.count
      let isDone = Dialer.interleave(&peers)
      #expect(isDone && peers.count == count)
      for place in 0..<count {
        let isPaired = place < 2 * min(sixes, count - sixes)
        #expect(peers[place].isVersion6 == (isPaired ? place % 2 == 0 : sixes * 2 > count))
      }
    }
  }
}
