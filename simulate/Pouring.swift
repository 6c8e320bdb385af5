// Bytes that a script sends bit by bit, as its plan of pieces and pauses says.

final class Pouring {
  private let end: End
  private var bytes: [UInt8] = []
  private var sent = 0
  private var isWaiting = false
  private var marks: [(at: Int, run: () -> Void)] = []
  private let most: Int
  private let pause: Int
  private(set) var isStopped = false
  var total: Int { bytes.count }

  init(_ end: End) {
    self.end = end
    most = world.chance.pick([1, 7, 100, 2000, 100_000])
    pause = world.chance.pick([0, 50, 1000])
  }

  func add(_ more: [UInt8]) {
    bytes += more
    go()
  }

  /// Runs something once all that was added so far has been sent.
  func mark(_ run: @escaping () -> Void) {
    marks.append((bytes.count, run))
    go()
  }

  /// Nothing more of it.
  func stop() {
    isStopped = true
    marks = []
  }

  private func go() {
    if isWaiting || isStopped { return }
    isWaiting = true
    world.later(world.chance.below(pause + 1)) { [self] in
      isWaiting = false
      pour()
    }
  }

  private func pour() {
    if isStopped { return }
    // A byte at a time is for what is short.
    let left = bytes.count - sent
    let least = left > 3000 ? left / 50 : 1
    let count = min(left, max(least, 1 + world.chance.below(most)))
    if count > 0 {
      end.transmit(Array(bytes[sent..<(sent + count)]))
      sent += count
    }
    while let mark = marks.first, mark.at <= sent {
      marks.removeFirst()
      mark.run()
      if isStopped { return }
    }
    if sent < bytes.count || !marks.isEmpty { go() }
  }
}
