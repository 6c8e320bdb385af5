// What the library has in its buffers while it runs: each connection stays under its own
// limits, and all memory together under their sum, with what the host itself has handed over.

import CInside
import CSystem

enum Buffers {
  /// Bytes that there were before the run, and the most that was looked at in it.
  nonisolated(unsafe) private static var base = 0
  nonisolated(unsafe) private static var most = 0
  nonisolated(unsafe) private(set) static var waits = 0
  /// The largest piece that the host has handed over at once.
  nonisolated(unsafe) private(set) static var piece = 0

  static func begin() {
    base = Memory.bytes
    (most, waits, piece) = (0, 0, 0)
  }

  static func handed(_ count: Int) { piece = max(piece, count) }

  /// A loop begins to wait. What it would still do in its turn is done.
  static func look() {
    waits += 1
    let isNewMost = Memory.bytes - base > most + 2048
    if !isNewMost, waits % 4 != 0 { return }
    var sum = inside_buffers_sum()
    var allowed = Buffers.ofHost
    for known in Timers.loops {
      var own = inside_buffers_sum()
      inside_buffers(known.loop, Int64(piece), &own)
      world.check(
        own.problem == nil,
        "\(own.problem.map { String(cString: $0) } ?? ""): \(own.found), not \(own.most)")
      sum.bytes += own.bytes
      sum.connections += own.connections
      sum.exchanges += own.exchanges
      allowed += Buffers.ofLoop
    }
    let held = Memory.bytes - base
    allowed += Int(sum.bytes) + Int(sum.connections) * ofConnection
    allowed += Int(sum.exchanges) * ofExchange
    most = max(most, held)
    world.statistics.mostMemory = max(world.statistics.mostMemory, held)
    world.statistics.leastSpare = min(world.statistics.leastSpare, allowed - held)
    world.check(held <= allowed, "\(held) bytes of memory, where limits add up to \(allowed)")
  }

  // ---- who is at the other end

  static func peer(_ descriptor: Int32) -> Script? {
    (world.table[descriptor] as? Socket)?.end.other?.script
  }

  // ---- what there is beside buffers, in bytes, with some room

  private static let ofLoop = 96 * 1024
  private static let ofConnection = 4096
  private static let ofExchange = 8192
  /// What a part on its way to the disk gathers, and its parser.
  private static let ofForm = 96 * 1024
  /// Of all that the host has asked for, whose size it knows.
  private static var ofHost: Int {
    var bytes = 192 * 1024
    for plan in world.fetches where plan.started > 0 {
      // The loop lets go of it in its next turn.
      if plan.isDestroyed, waits > plan.destroyedAt + 32 { continue }
      bytes += 2 * (plan.upload.count + plan.size) + 16 * 1024
    }
    for plan in world.plans where plan.form != nil {
      bytes += 2 * min(plan.upload.count, Int(world.limits.formMemory)) + ofForm
    }
    bytes += world.channels.count * 16 * 1024 + world.sources.count * 32 * 1024
    return bytes
  }
}

@_cdecl("simulate_replies") func simulateReplies(_ descriptor: Int32) -> Int64 {
  (Buffers.peer(descriptor) as? HTTPScript).map { Int64($0.mostReplied) } ?? -1
}

@_cdecl("simulate_message") func simulateMessage(_ descriptor: Int32) -> Int64 {
  (Buffers.peer(descriptor) as? WebSocketScript).map { Int64($0.longest) } ?? -1
}
