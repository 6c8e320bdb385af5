// One run: its clock, what is to happen when, its trace, and what was found broken. All
// that outlives a call of the library hangs on it, and goes with it.

import CApus
import CInside

/// What happens later, by time and, at the same time, in the order in which it was asked for.
struct Agenda {
  private struct Entry {
    let time: Int64
    let order: UInt64
    let action: () -> Void
  }

  private var heap: [Entry] = []
  private var count: UInt64 = 0

  var nextTime: Int64 { heap.first?.time ?? .max }

  mutating func add(at time: Int64, _ action: @escaping () -> Void) {
    count += 1
    heap.append(Entry(time: time, order: count, action: action))
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      if !isBefore(child, parent) { break }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  /// The first action that is due, taken out.
  mutating func take(until time: Int64) -> (time: Int64, action: () -> Void)? {
    guard let first = heap.first, first.time <= time else { return nil }
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < heap.count && isBefore(child, least) {
        least = child
      }
      if least == parent { break }
      heap.swapAt(parent, least)
      parent = least
    }
    return (first.time, first.action)
  }

  private func isBefore(_ left: Int, _ right: Int) -> Bool {
    let (one, other) = (heap[left], heap[right])
    return one.time != other.time ? one.time < other.time : one.order < other.order
  }
}

final class World {
  let seed: UInt64
  var chance: Chance
  var faults = Faults()
  /// Microseconds.
  private(set) var now: Int64 = 1_000_000_000
  /// What the network does, at any time; and what the host does, outside of the library.
  private var network = Agenda()
  private var host = Agenda()
  var table = DescriptorTable()
  var statistics = Statistics()
  private(set) var broken: [String] = []
  private(set) var hash: UInt64 = 0xCBF2_9CE4_8422_2325
  let isTracing: Bool
  var steps = 0
  /// How many connections there were, for their names.
  var connections = 0

  // ---- who is there
  var limits: Limits
  var application: Application?
  var client: Client?
  private(set) var fetches: [FetchPlan] = []
  private(set) var channels: [ChannelPlan] = []
  private(set) var sources: [SourcePlan] = []
  /// What was injected into connections of which it is not known whose they are.
  var troubles = 0
  /// Connections that origins have closed.
  var losses = 0
  private(set) var plans: [Plan] = []
  /// The scripts' ends, and the library's.
  var ends: [End] = []
  var scriptsLeft = 0
  /// Those of WebSocket routes and of streams of events, by their numbers.
  private(set) var sockets: [Int: WebSocketScript] = [:]
  private(set) var streams: [Int: EventScript] = [:]
  private(set) var readers: [Int: TopicReader] = [:]
  /// What was published: messages, and events of the topic that is kept.
  var topics = 0
  var published = 0
  /// How a peer connects anew.
  var connect: ((@escaping (End) -> Script) -> Void)?
  /// The server was told to end: nobody need get an answer any more.
  var isServerEnding = false
  private(set) var hasJumped = false
  var mayBeBusy = false
  /// How often memory was refused.
  private(set) var lacks = 0

  static let mostSteps = 1_000_000

  init(seed: UInt64, isTracing: Bool) {
    self.seed = seed
    self.isTracing = isTracing
    chance = Chance(seed)
    limits = Limits(&chance)
  }

  /// Once it is the run that is on.
  func prepare() {
    startTime = now
    Timers.loops = []
    Buffers.begin()
    inside_slots(4096)
  }

  /// Lets go of everything: ends and scripts hold each other.
  func end() {
    for end in ends { end.forget() }
    ends = []
    plans = []
    sockets = [:]
    streams = [:]
    readers = [:]
    connect = nil
    application = nil
    client = nil
    fetches = []
    channels = []
    sources = []
    network = Agenda()
    host = Agenda()
    table = DescriptorTable()
  }

  /// Somebody who connects to the server.
  func script(_ end: End) -> Script {
    switch chance.weighted([12, 6, 2, 3]) {
    case 0: return HTTPScript(end)
    case 1:
      let script = WebSocketScript(end, id: sockets.count)
      sockets[script.id] = script
      return script
    case 3:
      return TopicScript(end, reader(after: nil))
    default:
      let script = EventScript(end, id: streams.count)
      streams[script.id] = script
      return script
    }
  }

  func reader(after before: TopicReader?) -> TopicReader {
    let reader = TopicReader(readers.count, after: before)
    readers[reader.id] = reader
    return reader
  }

  func plan(isLast: Bool, isOfMany: Bool) -> Plan {
    let plan = Plan(plans.count, isLast: isLast, isOfMany: isOfMany)
    plans.append(plan)
    return plan
  }

  /// The host has a request of this connection and has not answered it yet.
  func isHeldByHost(_ end: End) -> Bool { application?.holdsSome ?? false }

  /// A connection of the library's reaches whoever it is for; false: there is nobody.
  func meet(_ theirs: End, _ own: End) -> Bool {
    let slowness = chance.pick([50, 500, 5000])
    own.delay = 0...slowness
    theirs.delay = 0...slowness
    own.room = chance.pick([500, 5000, 65_536])
    theirs.script = OriginScript(theirs)
    return true
  }

  func fetchPlan() -> FetchPlan {
    let plan = FetchPlan(fetches.count)
    fetches.append(plan)
    return plan
  }

  func sourcePlan() -> SourcePlan {
    let plan = SourcePlan(sources.count)
    sources.append(plan)
    return plan
  }

  func channelPlan() -> ChannelPlan {
    let plan = ChannelPlan(channels.count)
    channels.append(plan)
    return plan
  }

  var fileBytes: [UInt8] { Fixture.bytes }
  var filePath: String { Fixture.path }
  private var startTime: Int64 = 0

  /// The clock goes on at once: what had a limit may be over.
  func jump(_ time: Int) {
    note("clock jumps", time)
    if time > 50_000 { hasJumped = true }
    advance(to: now + Int64(time))
  }

  /// Memory was refused, to whom is not known.
  func lackMemory() {
    lacks += 1
    troubles += 1
    mayBeBusy = true
    for end in ends { end.isDisturbed = true }
  }

  /// A call failed for want of memory, and there was that.
  func isLack(_ result: Int32) -> Bool {
    // A key for a mask wants memory for random numbers, and says E_IO.
    lacks > 0 && (result == Int32(APUS_E_MEMORY) || result == Int32(APUS_E_IO))
  }

  // ---- trace

  /// Notes an event: it is part of what a seed must give again.
  func note(_ what: StaticString, _ first: Int = 0, _ second: Int = 0) {
    mix(UInt64(truncatingIfNeeded: now))
    mix(UInt64(UInt(bitPattern: what.utf8CodeUnitCount)))
    mix(UInt64(what.utf8Start[0]))
    mix(UInt64(truncatingIfNeeded: first))
    mix(UInt64(truncatingIfNeeded: second))
    if isTracing { print("\(now - 1_000_000_000) \(what) \(first) \(second)") }
  }

  func note(bytes: UnsafeRawBufferPointer) { for byte in bytes { mix(UInt64(byte)) } }

  private func mix(_ value: UInt64) { hash = (hash ^ value) &* 0x100_0000_01B3 }

  func say(_ text: @autoclosure () -> String) {
    if isTracing { print("\(now - 1_000_000_000)   \(text())") }
  }

  // ---- invariants

  func fail(_ what: String) {
    say("BROKEN: \(what)")
    if broken.count < 8 { broken.append(what) }
  }

  /// Counts a check, and fails where it does not hold.
  func check(_ holds: Bool, _ what: @autoclosure () -> String) {
    statistics.checks += 1
    if !holds { fail(what()) }
  }

  // ---- time

  func later(_ delay: Int, _ action: @escaping () -> Void) {
    network.add(at: now + Int64(max(0, delay)), action)
  }

  func at(_ time: Int64, _ action: @escaping () -> Void) { network.add(at: max(time, now), action) }

  /// The host's turn, outside of all calls of the library.
  func hostLater(_ delay: Int, _ action: @escaping () -> Void) {
    host.add(at: now + Int64(max(0, delay)), action)
  }

  /// The next time at which something happens by itself.
  var nextTime: Int64 { min(network.nextTime, table.nextTimer) }
  var nextHostTime: Int64 { host.nextTime }

  /// Lets time pass, with what the network does meanwhile.
  func advance(to time: Int64) {
    while let (due, action) = network.take(until: time) {
      now = max(now, due)
      action()
    }
    now = max(now, time)
  }

  /// Threads of the library's that have not run yet.
  private(set) var threads = 0

  func startThread(_ body: @escaping () -> Void) {
    threads += 1
    var delay = chance.size(upTo: 200_000)
    if chance.once(in: faults.noAddress) {
      delay = chance.size(upTo: 10_000_000)
      troubles += 1
    }
    later(delay) { [self] in
      note("thread")
      body()
      threads -= 1
    }
  }

  func runHost() {
    while let (_, action) = host.take(until: now) { action() }
  }

  /// Counts a step; false when there were more of them than any sound run has.
  func step() -> Bool {
    steps += 1
    if steps == World.mostSteps {
      fail("the run does not come to its end, and \(scriptsLeft) peers wait")
      say("\(table.names), host \(nextHostTime), network \(nextTime), now \(now)")
    }
    return steps < World.mostSteps
  }
}

/// False before the first run that counts: there nothing goes wrong.
nonisolated(unsafe) var isWarm = true

/// The run that is on. One thread uses it.
nonisolated(unsafe) var world = World(seed: 0, isTracing: false)
