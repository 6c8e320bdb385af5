// Loop and Stream over a pair of sockets: bytes in and out, what is taken and what
// comes again, ends, failures and time limits. The clock is the test's own.

import CSystem
import Glibc
import Testing

@testable import Apus

/// A loop with one stream, its user, and the peer's end of the pair.
private final class Bench {
  let loop: Ref<Loop>
  let stream: Ref<Stream>
  private let handler: Ref<StreamHandler>
  private let clock: UnsafeMutablePointer<Int64>
  var peer: Int32
  /// What came, as words in their order.
  var log: [String] = []
  var received: [UInt8] = []
  /// How many of the bytes that are offered the user takes.
  var take: (Bench, [UInt8]) -> Int = { $1.count }
  var whenDrained: (Bench) -> Void = { _ in }
  var isBuried = false

  init(_ change: (inout System) -> Void = { _ in }) throws {
    var pair: [Int32] = [0, 0]
    try #require(
      socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0, &pair) == 0)
    peer = pair[1]
    clock = .allocate(capacity: 1)
    clock.initialize(to: 1_000_000)
    var system = System()
    system.context = UnsafeMutableRawPointer(clock)
    system.now = { $0?.assumingMemoryBound(to: Int64.self).pointee ?? 0 }
    change(&system)
    loop = try Loop.make(system: system)
    let made = Ref(make: Bench.table())
    handler = try #require(made)
    let owner = UnsafeMutablePointer<Unmanaged<Bench>>.allocate(capacity: 1)
    let timer = Ref(make: Timer())
    let stream = Ref(
      make: Stream(
        descriptor: pair[0], loop: loop, handler: handler,
        owner: UnsafeMutableRawPointer(owner), timer: try #require(timer)))
    self.stream = try #require(stream)
    owner.initialize(to: Unmanaged.passUnretained(self))
    try #require(self.stream.start())
  }

  deinit {
    if !isBuried {
      stream.end(reset: false)
      loop.turn(timeout: 0)
    }
    loop.free()
    handler.free()
    clock.deallocate()
    if peer >= 0 { close(peer) }
  }

  private static func of(_ owner: UnsafeMutableRawPointer) -> Bench {
    owner.assumingMemoryBound(to: Unmanaged<Bench>.self).pointee.takeUnretainedValue()
  }

  private static func table() -> StreamHandler {
    StreamHandler(
      received: { owner, bytes, count in
        let bench = Bench.of(owner)
        let offered = Array(UnsafeBufferPointer(start: bytes, count: count))
        let taken = bench.take(bench, offered)
        bench.received += offered.prefix(taken)
        bench.log.append("received \(taken) of \(count)")
        return taken
      },
      inputEnded: { Bench.of($0).log.append("input ended") },
      drained: { owner in
        let bench = Bench.of(owner)
        bench.log.append("drained")
        bench.whenDrained(bench)
      },
      failed: { owner, number in
        let bench = Bench.of(owner)
        bench.log.append("failed")
        bench.stream.end(reset: false)
      },
      expired: { Bench.of($0).log.append("expired") },
      buried: { owner in
        let bench = Bench.of(owner)
        bench.log.append("buried")
        bench.isBuried = true
        owner.deallocate()
      })
  }

  func pass(_ microseconds: Int64) { clock.pointee += microseconds }

  func turn(_ times: Int = 1) { for _ in 0..<times { loop.turn(timeout: 0) } }

  /// The peer sends; false when the socket takes no more.
  @discardableResult
  func peerSends(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    return Glibc.send(peer, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
  }

  /// What has arrived at the peer.
  func peerReceives() -> [UInt8] {
    var result: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = recv(peer, &block, block.count, 0)
      if count <= 0 { return result }
      result += block[..<count]
    }
  }

  func closePeer() {
    close(peer)
    peer = -1
  }

  func write(_ text: String) {
    let bytes = Array(text.utf8)
    stream.writing()?.o.append(bytes.span)
    loop.addDirty(stream)
  }
}

@Suite struct StreamTests {
  @Test func handsOnWhatArrives() throws {
    let bench = try Bench()
    bench.turn()
    #expect(bench.log == [])
    bench.peerSends("hello")
    bench.turn()
    #expect(bench.log == ["received 5 of 5"])
    #expect(bench.received == Array("hello".utf8))
    #expect(bench.stream.o.hasInput == false)
    #expect(bench.loop.o.bytesIn == 5)
    bench.turn()
    #expect(bench.log.count == 1)
  }

  @Test func whatIsNotTakenComesAgainWithMore() throws {
    let bench = try Bench()
    bench.take = { _, bytes in bytes.count < 10 ? 0 : 10 }
    bench.peerSends("01234")
    bench.turn()
    #expect(bench.log == ["received 0 of 5"])
    #expect(bench.stream.o.hasInput == true)
    bench.peerSends("56789ab")
    bench.turn()
    #expect(bench.log.last == "received 10 of 12")
    #expect(bench.received == Array("0123456789".utf8))
    // What is left is offered when it is asked for, and with what comes.
    bench.take = { _, bytes in bytes.count }
    bench.stream.deliver()
    #expect(bench.log.last == "received 2 of 2")
    #expect(bench.received == Array("0123456789ab".utf8))
    #expect(bench.stream.o.hasInput == false)
  }

  /// Asked to offer again from inside the offer, it does so once that is over.
  @Test func offersAgainAfterTheOffer() throws {
    let bench = try Bench()
    var depth = 0
    bench.take = { bench, bytes in
      depth += 1
      #expect(depth == 1)
      if bytes.count > 1 { bench.stream.deliver() }
      depth -= 1
      return 1
    }
    bench.peerSends("abcd")
    bench.turn()
    #expect(bench.log == (0..<4).map { "received 1 of \(4 - $0)" })
    #expect(bench.received == Array("abcd".utf8))
  }

  @Test func sendsWhatGathersInOneTurn() throws {
    let bench = try Bench()
    bench.take = { bench, bytes in
      bench.write("one ")
      bench.write("two")
      return bytes.count
    }
    bench.peerSends("go")
    bench.turn()
    #expect(bench.peerReceives() == Array("one two".utf8))
    #expect(bench.stream.o.buffered == 0)
    #expect(bench.loop.o.bytesOut == 7)
    #expect(bench.log.contains("drained"))
    bench.write("later")
    bench.turn()
    #expect(bench.peerReceives() == Array("later".utf8))
  }

  /// More than the kernel takes at once waits for its reader.
  @Test(arguments: [false, true])
  func waitsForASlowReader(_ asPiece: Bool) throws {
    let bench = try Bench()
    let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 12) }
    if asPiece {
      bench.write("head")
      bench.stream.send(with: bytes.span)
    } else {
      bench.stream.writing()?.o.append("head")
      bench.stream.writing()?.o.append(bytes.span)
      bench.loop.addDirty(bench.stream)
    }
    bench.turn()
    #expect(bench.stream.o.buffered > 0)
    var arrived: [UInt8] = []
    var turns = 0
    while arrived.count < bytes.count + 4, turns < 10_000 {
      arrived += bench.peerReceives()
      bench.turn()
      turns += 1
    }
    #expect(arrived == Array("head".utf8) + bytes)
    #expect(bench.stream.o.buffered == 0)
    #expect(bench.loop.o.bytesOut == Int64(bytes.count + 4))
    // Nothing is due any more, so that a turn has no events.
    #expect(bench.loop.turn(timeout: 0) == 0)
  }

  @Test func smallPiecesAreCopied() throws {
    let bench = try Bench()
    with("abc") { bench.stream.send(with: $0) }
    #expect(bench.stream.o.buffered == 3)
    #expect(bench.peerReceives() == [])
    bench.turn()
    #expect(bench.peerReceives() == Array("abc".utf8))
  }

  @Test func pausesAndGoesOn() throws {
    let bench = try Bench()
    bench.stream.pause(true)
    bench.peerSends("abc")
    bench.turn(3)
    #expect(bench.log == [])
    bench.stream.pause(false)
    bench.turn()
    #expect(bench.received == Array("abc".utf8))
  }

  @Test func tellsOfTheEndOfInputOnce() throws {
    let bench = try Bench()
    bench.peerSends("last")
    shutdown(bench.peer, Int32(SHUT_WR))
    bench.turn(5)
    #expect(bench.received == Array("last".utf8))
    #expect(bench.log.filter { $0 == "input ended" }.count == 1)
    #expect(!bench.log.contains("failed"))
    #expect(bench.stream.o.isInputEnded == true)
    // A client that has said all may still read.
    bench.write("answer")
    bench.turn()
    #expect(bench.peerReceives() == Array("answer".utf8))
  }

  @Test func tellsOfAPeerThatIsGone() throws {
    let bench = try Bench()
    bench.closePeer()
    bench.turn(5)
    #expect(bench.log == ["input ended", "failed", "buried"])
    #expect(bench.isBuried)
  }

  @Test func tellsOfAPeerThatIsGoneWhenItWrites() throws {
    let bench = try Bench()
    bench.stream.pause(true)
    bench.closePeer()
    bench.write("to nobody")
    bench.turn(3)
    #expect(bench.log.filter { $0 == "failed" }.count == 1)
    #expect(bench.log.last == "buried")
  }

  @Test func shutsItsOutputDown() throws {
    let bench = try Bench()
    bench.write("bye")
    bench.turn()
    bench.stream.shutdownOutput()
    #expect(bench.peerReceives() == Array("bye".utf8))
    var byte: UInt8 = 0
    #expect(recv(bench.peer, &byte, 1, 0) == 0)
    bench.peerSends("still")
    bench.turn()
    #expect(bench.received == Array("still".utf8))
  }

  @Test func endsOnce() throws {
    let bench = try Bench()
    bench.write("unsent")
    bench.stream.setDeadline(2_000_000)
    bench.stream.end(reset: false)
    bench.stream.end(reset: true)
    bench.stream.setDeadline(3_000_000)
    #expect(bench.loop.o.timers.count == 0)
    bench.stream.flush()
    bench.stream.deliver()
    bench.pass(5_000_000)
    bench.turn(2)
    #expect(bench.log == ["buried"])
    #expect(bench.peerReceives() == [])
    var byte: UInt8 = 0
    #expect(recv(bench.peer, &byte, 1, 0) == 0)
  }

  @Test func endsInsideAnOffer() throws {
    let bench = try Bench()
    bench.take = { bench, bytes in
      bench.write("unsent")
      bench.stream.end(reset: false)
      return 1
    }
    bench.peerSends("abc")
    bench.turn(2)
    #expect(bench.log == ["received 1 of 3", "buried"])
  }

  @Test func expires() throws {
    let bench = try Bench()
    bench.stream.setDeadline(2_000_000)
    bench.turn()
    bench.pass(999_999)
    bench.turn()
    #expect(bench.log == [])
    bench.pass(200_000)
    bench.turn(3)
    #expect(bench.log == ["expired"])
    bench.stream.setDeadline(3_000_000)
    bench.stream.clearDeadline()
    bench.pass(10_000_000)
    bench.turn()
    #expect(bench.log == ["expired"])
  }

  // ---- files

  /// A file without a name, of so many bytes; the first half of them "a", then "b".
  private func file(of size: Int) throws -> Ref<OpenFile> {
    var template = Array("/tmp/apus-XXXXXX".utf8CString)
    let descriptor = mkstemp(&template)
    try #require(descriptor >= 0)
    unlink(template)
    let half = size / 2
    let bytes = [UInt8](repeating: 97, count: half) + [UInt8](repeating: 98, count: size - half)
    try #require(Glibc.write(descriptor, bytes, size) == size)
    var about = sys_file_facts()
    about.size = Int64(size)
    return try OpenFile.make(descriptor, FileFacts(about))
  }

  private func send(_ file: Ref<OpenFile>, _ range: Range<Int64>, on bench: Bench) throws {
    let stretch = Ref<FileStretch>(make: FileStretch(file, range))
    bench.stream.send(try #require(stretch))
  }

  @Test func sendsAFileBehindItsBytes() throws {
    let bench = try Bench()
    bench.write("head ")
    try send(file(of: 10), 3..<8, on: bench)
    #expect(bench.stream.o.buffered == 10)
    bench.turn()
    #expect(bench.peerReceives() == Array("head aabbb".utf8))
    #expect(bench.stream.o.output == nil)
    #expect(bench.stream.o.stretch == nil)
    #expect(bench.log == ["drained"])
    bench.write("next")
    bench.turn()
    #expect(bench.peerReceives() == Array("next".utf8))
  }

  @Test func sendsALargeFileAsThePeerTakesIt() throws {
    let bench = try Bench()
    let size = 5_000_000
    try send(file(of: size), 0..<Int64(size), on: bench)
    var received = 0
    for _ in 0..<10_000 where received < size {
      bench.turn()
      received += bench.peerReceives().count
    }
    #expect(received == size)
    bench.turn()
    #expect(bench.stream.o.buffered == 0)
    #expect(bench.stream.o.stretch == nil)
    #expect(bench.loop.o.bytesOut == Int64(size))
  }

  @Test func failsWhereAFileIsCutShort() throws {
    let bench = try Bench()
    let file = try file(of: 2_000_000)
    try send(file, 0..<2_000_000, on: bench)
    bench.turn()
    #expect(!bench.log.contains("failed"))
    // Writable, too: it has a name no more, but a descriptor.
    try #require(ftruncate(file.o.descriptor, 1000) == 0)
    for _ in 0..<10 where !bench.isBuried {
      _ = bench.peerReceives()
      bench.turn()
    }
    #expect(bench.log.contains("failed"))
    #expect(bench.isBuried)
  }

  @Test func endsWithAFileUnderWay() throws {
    let bench = try Bench()
    try send(file(of: 2_000_000), 0..<2_000_000, on: bench)
    bench.turn()
    bench.stream.end(reset: false)
    bench.turn()
    #expect(bench.isBuried)
  }

  /// Some file systems know no sendfile: then it is read and sent.
  @Test func sendsWithoutSendfile() throws {
    let bench = try Bench { $0.sendFile = { _, _, _, _, _, _ in Int64(-EINVAL) } }
    bench.write("head ")
    try send(file(of: 300_000), 100_000..<250_000, on: bench)
    var received: [UInt8] = []
    for _ in 0..<100 where received.count < 150_005 {
      bench.turn()
      received += bench.peerReceives()
    }
    #expect(received.count == 150_005)
    #expect(received.prefix(6) == Array("head a".utf8)[...])
    #expect(received.last == 98)
    #expect(bench.stream.o.buffered == 0)
  }

  /// One stretch does not keep a turn for longer than its share.
  @Test func takesTurns() throws {
    let bench = try Bench { system in
      system.sendFile = { _, _, _, _, count, _ in Int64(count) }
    }
    let size = 3 * FileStretch.mostAtOnce
    try send(file(of: 10), 0..<size, on: bench)
    bench.turn()
    #expect(bench.stream.o.buffered == 2 * Int(FileStretch.mostAtOnce))
    bench.turn()
    bench.turn()
    #expect(bench.stream.o.buffered == 0)
  }

  /// SIGPIPE, which ends a process, is not to be had from a file either.
  @Test func aPeerThatHasGoneIsNoSignal() throws {
    let bench = try Bench()
    bench.closePeer()
    try send(file(of: 100), 0..<100, on: bench)
    bench.turn()
    #expect(bench.log.contains("failed"))
  }
}
