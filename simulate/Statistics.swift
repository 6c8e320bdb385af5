// What was done and injected, summed over all runs.

/// The kinds of fault, by what they are called in the figures.
enum Fault: Int, CaseIterable {
  case shortRead
  case shortWrite
  case interrupted
  case notReady
  case connectionReset
  case brokenPipe
  case noDescriptors
  case noBuffers
  case aborted
  case lateReadiness
  case clockJump
  case pollRefused
  case fileFallback
  case dialRefused
  case dialStalled
  case noAddress
  case peerReset
  case peerHalfClose
  case peerStall
  case hostileBytes
  case slowReader
  case destroyedInCallback
  case noMemory
}

struct Statistics {
  var faults = [Int](repeating: 0, count: Fault.allCases.count)
  var checks = 0
  var requests = 0
  var replies = 0
  var messages = 0
  var packed = 0
  var events = 0
  var fetches = 0
  /// What hosts without callbacks took.
  var pulled = 0
  var partsOnDisk = 0
  var connections = 0
  var systemCalls = 0
  var virtualSeconds = 0
  /// The most bytes of memory in a run, and how far it stayed below what was allowed.
  var mostMemory = 0
  var leastSpare = Int.max

  mutating func add(_ fault: Fault) { faults[fault.rawValue] += 1 }

  mutating func add(_ other: Statistics) {
    for index in faults.indices { faults[index] += other.faults[index] }
    checks += other.checks
    requests += other.requests
    replies += other.replies
    messages += other.messages
    packed += other.packed
    events += other.events
    fetches += other.fetches
    pulled += other.pulled
    partsOnDisk += other.partsOnDisk
    connections += other.connections
    systemCalls += other.systemCalls
    virtualSeconds += other.virtualSeconds
    mostMemory = max(mostMemory, other.mostMemory)
    leastSpare = min(leastSpare, other.leastSpare)
  }

  /// What never came about, which so many runs together cannot all have left out.
  var unseen: [String] {
    let counts = [
      ("checks", checks), ("requests", requests), ("replies", replies), ("messages", messages),
      ("packed", packed), ("events", events), ("fetches", fetches), ("pulled", pulled),
      ("partsOnDisk", partsOnDisk),
    ]
    return counts.filter { $0.1 == 0 }.map(\.0)
      + Fault.allCases.filter { faults[$0.rawValue] == 0 }.map { "\($0)" }
  }

  func json(seeds: Int, seconds: Double, broken: [UInt64]) -> String {
    let numbers = [
      ("seeds", seeds), ("broken", broken.count), ("requests", requests), ("replies", replies),
      ("messages", messages), ("packed", packed), ("events", events), ("fetches", fetches),
      ("pulled", pulled), ("partsOnDisk", partsOnDisk),
      ("connections", connections), ("systemCalls", systemCalls),
      ("virtualSeconds", virtualSeconds), ("checks", checks),
      ("mostMemory", mostMemory), ("leastSpareMemory", leastSpare),
    ].map { "  \"\($0.0)\": \($0.1)" }
    let injected = Fault.allCases.map { "    \"\($0)\": \(faults[$0.rawValue])" }
    let time = (seconds * 10).rounded() / 10
    return "{\n" + numbers.joined(separator: ",\n") + ",\n  \"seconds\": \(time),\n"
      + "  \"faults\": {\n" + injected.joined(separator: ",\n") + "\n  }\n}\n"
  }
}

/// How often what is injected: once in so many calls, 0: never.
struct Faults {
  var shortRead = 0
  var shortWrite = 0
  var interrupted = 0
  var notReady = 0
  var connectionReset = 0
  var brokenPipe = 0
  var noDescriptors = 0
  var noBuffers = 0
  var aborted = 0
  var lateReadiness = 0
  var clockJump = 0
  var pollRefused = 0
  var fileFallback = 0
  var dialRefused = 0
  var dialStalled = 0
  var noAddress = 0
  var noMemory = 0

  /// None, few, or many: a run without any shows more than one where all breaks at once.
  init() {}

  init(_ chance: inout Chance) {
    func rate(_ chance: inout Chance, _ rare: Int) -> Int {
      switch chance.below(4) {
      case 0, 1: 0
      case 2: rare
      default: max(2, rare / 8)
      }
    }
    if chance.once(in: 8) { return }
    shortRead = rate(&chance, 16)
    shortWrite = rate(&chance, 16)
    interrupted = rate(&chance, 32)
    notReady = rate(&chance, 24)
    connectionReset = chance.once(in: 3) ? 400 : 0
    brokenPipe = chance.once(in: 3) ? 400 : 0
    noDescriptors = rate(&chance, 24)
    noBuffers = rate(&chance, 40)
    aborted = rate(&chance, 24)
    lateReadiness = rate(&chance, 16)
    clockJump = chance.once(in: 3) ? chance.pick([200, 2000]) : 0
    pollRefused = chance.once(in: 6) ? 200 : 0
    fileFallback = rate(&chance, 8)
    dialRefused = rate(&chance, 16)
    dialStalled = rate(&chance, 24)
    noAddress = rate(&chance, 12)
    if chance.once(in: 4) { noMemory = chance.pick([20, 100, 500]) }
  }
}
