// A run from its beginning to its end: who is there is drawn from the seed, then time passes
// until all have gone, and what must hold then is checked.

import CApus
import CSystem

/// The limits that the server of a run has, in milliseconds and bytes.
struct Limits {
  let headTime: Int32
  let bodyTime: Int32
  let write: Int32
  let keepAlive: Int32
  let drain: Int32
  let ping: Int32
  let close: Int32
  let highWater: Int64
  let pipelined: Int32
  let head: Int32
  let body: Int64
  let message: Int64
  /// Bytes of a form, and of those in memory.
  let form: Int64
  let formMemory: Int64
  /// Events that a topic keeps, and how many are published in all.
  let history: Int
  let publications: Int
  let closesSlow: Bool

  init(_ chance: inout Chance) {
    headTime = Int32(chance.pick([700, 3000, 10_000]))
    bodyTime = Int32(chance.pick([700, 3000, 30_000]))
    write = Int32(chance.pick([1000, 5000, 30_000]))
    keepAlive = Int32(chance.pick([800, 5000, 60_000]))
    drain = Int32(chance.pick([0, 50, 1000, 5000]))
    ping = Int32(chance.pick([500, 5000, 30_000]))
    close = Int32(chance.pick([300, 5000]))
    highWater = Int64(chance.pick([1024, 20_000, 262_144]))
    pipelined = Int32(chance.pick([1, 2, 64]))
    head = Int32(chance.pick([1024, 8192, 32_768]))
    body = Int64(chance.pick([2000, 40_000, 160_000]))
    message = Int64(chance.pick([2000, 40_000, 160_000]))
    form = Int64(chance.pick([1500, 20_000, 300_000]))
    formMemory = Int64(chance.pick([0, 500, 20_000, 1_000_000]))
    history = chance.pick([0, 3, 10, 100])
    publications = chance.within(0...40)
    closesSlow = chance.once(in: 3)
  }

  /// After so long at the latest who does nothing has been shut out, in microseconds: with
  /// the time for a refusal to be read, and two steps of the timers.
  var longest: Int64 {
    let most = max(headTime, bodyTime, write, keepAlive, 2 * ping + close)
    return Int64(most) * 1000 + Int64(write) * 1000 + 2_000_000 + 500_000
  }
}

final class Scenario {
  /// How the host drives the library.
  private enum Drive: CaseIterable {
    /// A tick when the descriptor says so, and only then.
    case descriptor
    /// Ticks that wait.
    case waiting
    /// A tick every so often.
    case polling
  }

  private let drive: Drive
  private let peers: Int
  private let hasClient: Bool
  private var lastDrive: Int64 = 0

  init() {
    if isWarm { world.faults = Faults(&world.chance) }
    drive = world.chance.pick(Drive.allCases)
    hasClient = world.chance.once(in: 2)
    peers = world.chance.within(hasClient ? 0...4 : 1...6)
    if world.chance.once(in: 10) { world.table.limit = world.chance.within(16...24) }
  }

  func run() {
    let application = Application()
    world.application = application
    world.say("\(drive), \(peers) peers, \(world.limits), \(world.table.limit) descriptors")
    world.say("\(world.faults)")
    application.makeServer()
    application.publishLater()
    world.connect = { [self] make in connect(make) }
    for _ in 0..<peers {
      world.later(world.chance.size(upTo: 500_000)) { [self] in
        connect { world.script($0) }
      }
    }
    world.scriptsLeft = peers
    let client = Client()
    world.client = client
    if hasClient { client.make() }
    if world.chance.once(in: 10) {
      world.hostLater(world.chance.size(upTo: 800_000)) { application.endEarly() }
    }
    Memory.isScarce = true
    defer { Memory.isScarce = false }
    go { world.scriptsLeft == 0 && (client.left == 0 || client.isHostGone) }
    finish(application)
  }

  // ---- connections of peers

  /// A peer connects to the server, once it listens.
  private func connect(_ make: (End) -> Script) {
    guard let listener = world.table.listener, listener.isListening else {
      world.scriptsLeft -= 1
      return
    }
    let (theirs, own) = End.pair()
    own.room = world.chance.pick([500, 5000, 65_536])
    let slowness = world.chance.pick([50, 500, 5000])
    own.delay = 0...slowness
    theirs.delay = 0...slowness
    world.ends += [theirs, own]
    own.isOfServer = true
    listener.waiting.append(own)
    let script = make(theirs)
    theirs.script = script
    world.later(0) { script.connected() }
  }

  // ---- time

  /// Goes on until there is nothing more to wait for.
  private func go(until isOver: () -> Bool) {
    while !isOver(), world.broken.isEmpty, world.step() {
      world.runHost()
      let server = world.application.flatMap { $0.isRunning ? $0 : nil }
      let client = world.client.flatMap { $0.isRunning ? $0 : nil }
      switch drive {
      case .waiting where server != nil && client == nil: server?.tick(waitingTime())
      case .waiting where server == nil && client != nil: client?.tick(waitingTime())
      case .polling where server != nil || client != nil:
        server?.tick(0)
        if client?.isRunning ?? false { client?.tick(0) }
        let next = world.now + Int64(world.chance.within(1...20_000))
        world.advance(to: min(next, max(world.now, world.nextHostTime)))
      default:
        if driveByDescriptor(server, client) { break }
        let next = min(world.nextTime, world.nextHostTime)
        if next == .max { return stuck(isOver) }
        world.advance(to: max(next, world.now))
      }
      checkTimes()
    }
  }

  /// Ticks those that have something to do; false: none has.
  private func driveByDescriptor(_ server: Application?, _ client: Client?) -> Bool {
    var isDone = false
    if let client, client.isReady {
      client.tick(0)
      isDone = true
    }
    if let server, server.isRunning, server.isReady {
      server.tick(0)
      isDone = true
    }
    return isDone
  }

  private func stuck(_ isOver: () -> Bool) {
    if isOver() { return }
    world.fail(
      "nothing will happen any more, and \(world.scriptsLeft) peers and"
        + " \(world.client?.left ?? 0) of the client's things wait")
  }

  private func waitingTime() -> Int32 {
    let own = Int32(world.chance.pick([0, 1, 10, 200, 5000]))
    let next = world.nextHostTime
    if next == .max { return own }
    return min(own, Int32(clamping: (max(0, next - world.now) + 999) / 1000))
  }

  /// Nobody who does nothing is still there when his time is over.
  private func checkTimes() {
    world.client?.checkTimes()
    guard !world.hasJumped else { return }
    for socket in world.table.sockets where socket.end.isOfServer && !socket.end.isClosed {
      let silence = world.now - socket.end.lastTraffic
      if silence <= world.limits.longest { continue }
      world.check(
        world.isHeldByHost(socket.end),
        "connection \(socket.end.number) has done nothing for \(silence / 1000) ms")
    }
  }

  // ---- the end

  private func finish(_ application: Application) {
    if application.isRunning, world.chance.once(in: 2) {
      application.stop()
      application.checkStopped()
    }
    let isClientFirst = world.chance.once(in: 2)
    if isClientFirst { world.client?.destroy() }
    if !application.isGone { application.destroy() }
    if !isClientFirst { world.client?.destroy() }
    // What is still under way arrives.
    while world.nextTime != .max, world.step() { world.advance(to: world.nextTime) }
    if !world.broken.isEmpty { return }
    application.checkEnd()
    world.check(world.threads == 0, "\(world.threads) threads have not ended")
    world.check(world.table.count == 0, "descriptors are open: \(world.table.names)")
    let live = apus_live_count(0)
    world.check(live == 0, "\(live) handles are live")
    for end in world.ends {
      world.check(end.script == nil || end.script?.isFinished == true, "a script has no end")
    }
  }
}

extension Application {
  var isRunning: Bool { !isGone && apus_server_is_running(server) == 1 }

  /// Whether the server's descriptor is readable.
  var isReady: Bool {
    let number = apus_server_event_fd(server)
    guard let descriptor = world.table[number] else {
      world.fail("no event descriptor: \(number)")
      return false
    }
    return descriptor.readiness & SYS_POLL_IN != 0
  }

  func tick(_ timeout: Int32) {
    if isPulling { return pull(timeout) }
    let result = apus_server_tick(server, timeout)
    world.check(
      result >= 0 || isGone || (result == Int32(APUS_E_STATE) && !isRunning),
      "a tick gives \(result)")
  }

  func stop() {
    world.isServerEnding = true
    world.note("stop")
    let result = apus_server_stop(server)
    world.check(result == 0, "a stop gives \(result)")
    world.check(!isRunning, "a server runs that has stopped")
  }

  /// In the middle of everything.
  func endEarly() {
    if !isRunning { return }
    if world.chance.once(in: 2) { stop() } else { destroy() }
  }
}
