// The library's loops and their timers: each timer fires in time or is cancelled, and when a
// loop goes, none is left.

import CInside

enum Timers {
  struct Known {
    let poller: Int32
    let loop: UnsafeMutableRawPointer
    /// Until when its last wait went on: what was due then has fired since.
    var time: Int64
    var waits = 0
  }

  /// What is wrong stays so: it is looked for at each so many waits.
  private static let often = 8

  nonisolated(unsafe) static var loops: [Known] = []

  /// A loop begins to wait: it must know of all that it waits for.
  static func look(_ poller: Int32) {
    guard let loop = inside_loop(poller) else { return world.fail("a wait without a loop") }
    if let index = loops.firstIndex(where: { $0.poller == poller }) {
      world.check(loops[index].loop == loop, "two loops with one poller")
      loops[index].waits += 1
      if loops[index].waits % often == 0 { _ = judge(loops[index]) }
    } else {
      loops.append(Known(poller: poller, loop: loop, time: 0))
    }
  }

  static func waited(_ poller: Int32) {
    if let index = loops.firstIndex(where: { $0.poller == poller }) {
      loops[index].time = world.now
    }
  }

  /// A loop goes, with its poller.
  static func end(_ poller: Int32) {
    guard let index = loops.firstIndex(where: { $0.poller == poller }) else { return }
    let left = judge(loops[index])
    world.check(left == 0, "\(left) timers are left in the wheel of a loop that goes")
    loops.remove(at: index)
  }

  private static func judge(_ known: Known) -> Int64 {
    var problem: UnsafePointer<CChar>?
    let count = inside_timers(known.loop, known.time, &problem)
    world.check(problem == nil, problem.map { String(cString: $0) } ?? "")
    return count
  }
}
