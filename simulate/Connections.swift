// Connections: two ends, each the library's or a script's. What one end sends arrives at
// the other later, in order, and at most so much is under way as the receiver's buffer holds.

import CSystem

/// What a script hears of its end.
class Script {
  let end: End
  var isFinished = false
  init(_ end: End) { self.end = end }

  func connected() {}
  func received(_ bytes: ArraySlice<UInt8>) {}
  /// The other end sends no more.
  func ended() {}
  func wasReset() {}
  /// The library has closed its end, though the news is still under way.
  func wasClosed() {}
}

final class End {
  let number: Int
  private(set) var other: End?
  /// Nil: it is the library's.
  var script: Script?

  private var inbox: [UInt8] = []
  private var taken = 0
  private var endArrived = false
  private(set) var resetArrived = false
  private var hasToldReset = false
  private(set) var isClosed = false
  private(set) var hasSentEnd = false
  private var quietUntil: Int64 = 0
  /// What was sent and not taken, and how much of it there may be.
  private(set) var unread = 0
  var room = 64 * 1024
  /// When what was sent last arrives at the other end.
  private var lastArrival: Int64 = 0
  var delay = 0...200
  /// A script's end that does not read for now.
  var isReading = true { didSet { if isReading { offer() } } }
  /// A server's connection, accepted or to be.
  var isOfServer = false
  /// Something was injected that may end it at any time.
  var isDisturbed = false
  /// When the last byte went to the library, or from it.
  private(set) var lastTraffic: Int64 = 0
  /// How often bytes, the end or a reset arrived, or what has the effect of it.
  private(set) var arrivals = 0

  private init(_ number: Int) { self.number = number }

  /// A new connection, by its two ends.
  static func pair() -> (End, End) {
    world.connections += 1
    world.statistics.connections += 1
    let (one, two) = (End(world.connections * 2), End(world.connections * 2 + 1))
    one.other = two
    two.other = one
    one.lastTraffic = world.now
    two.lastTraffic = world.now
    return (one, two)
  }

  /// Lets go of the other one, so that both may go.
  func forget() {
    other = nil
    script = nil
  }

  /// It begins now.
  func touch() { lastTraffic = world.now }

  func disturb() {
    world.troubles += 1
    isDisturbed = true
    other?.isDisturbed = true
  }

  // ---- in

  var available: Int { inbox.count - taken }
  var isAtEnd: Bool { endArrived && available == 0 }
  var otherHasClosed: Bool { other?.isClosed ?? true }

  var readiness: UInt32 {
    if isClosed || world.now < quietUntil { return 0 }
    var ready: UInt32 = 0
    if available > 0 || endArrived || resetArrived { ready |= SYS_POLL_IN }
    if free > room / 3 || resetArrived { ready |= SYS_POLL_OUT }
    if endArrived || resetArrived { ready |= SYS_POLL_PEER_END }
    if resetArrived || (endArrived && hasSentEnd) { ready |= SYS_POLL_HANGUP }
    if resetArrived && !hasToldReset { ready |= SYS_POLL_ERROR }
    return ready
  }

  /// A poller does not say so for a while.
  private func hide() {
    guard script == nil, world.chance.once(in: world.faults.lateReadiness) else { return }
    world.statistics.add(.lateReadiness)
    quietUntil = world.now + Int64(world.chance.size(upTo: 20_000))
    world.at(quietUntil) {}
  }

  /// Takes up to so many bytes.
  func take(_ space: UnsafeMutableRawPointer, _ count: Int) -> Int {
    let count = min(count, available)
    inbox.withUnsafeBytes { bytes in
      UnsafeMutableRawBufferPointer(start: space, count: count).copyMemory(
        from: UnsafeRawBufferPointer(rebasing: bytes[taken..<(taken + count)]))
    }
    world.note(bytes: UnsafeRawBufferPointer(start: space, count: count))
    taken += count
    if taken == inbox.count {
      inbox.removeAll(keepingCapacity: true)
      taken = 0
    }
    other?.wasTaken(count)
    lastTraffic = world.now
    return count
  }

  /// A read has left something: it is as if the rest had come after it.
  func arriveLate() { arrivals += 1 }

  /// Whether a reset is to be told now: once, and from then on there is nothing more.
  func takeReset() -> Bool {
    defer { hasToldReset = true }
    return resetArrived && !hasToldReset
  }

  private func wasTaken(_ count: Int) {
    unread -= count
    lastTraffic = world.now
  }

  private func arrive(_ bytes: [UInt8]) {
    if isClosed {
      // Nobody is there any more: the system answers with a reset.
      other?.arriveReset(after: world.chance.within(delay))
      return
    }
    if resetArrived { return }
    lastTraffic = world.now
    inbox.append(contentsOf: bytes)
    arrivals += 1
    hide()
    offer()
  }

  private func offer() {
    guard let script, isReading, !isClosed else { return }
    if available > 0 {
      let bytes = inbox[taken...]
      let count = bytes.count
      inbox = []
      taken = 0
      other?.wasTaken(count)
      script.received(bytes)
    }
    if endArrived, available == 0, !isClosed { script.ended() }
  }

  private func arriveEnd() {
    if isClosed || resetArrived || endArrived { return }
    endArrived = true
    arrivals += 1
    lastTraffic = world.now
    hide()
    offer()
  }

  private func arriveReset(after delay: Int) {
    world.later(delay) { [self] in
      if isClosed || resetArrived { return }
      resetArrived = true
      arrivals += 1
      world.note("reset", number)
      // What has come and was not read may or may not be there still.
      if script != nil || world.chance.once(in: 2) {
        inbox = []
        taken = 0
      }
      script?.wasReset()
    }
  }

  /// The connection breaks from outside: both ends learn of it.
  func breakOff() {
    arriveReset(after: 0)
    other?.arriveReset(after: world.chance.within(delay))
  }

  // ---- out

  var free: Int { room - unread }

  private func arrival() -> Int64 {
    lastArrival = max(lastArrival, world.now + Int64(world.chance.within(delay)))
    return lastArrival
  }

  /// Sends bytes as one piece.
  func transmit(_ bytes: [UInt8]) {
    guard !bytes.isEmpty, let other, !isClosed, !hasSentEnd, !resetArrived else { return }
    unread += bytes.count
    lastTraffic = world.now
    world.at(arrival()) { other.arrive(bytes) }
  }

  func sendEnd() {
    guard let other, !isClosed, !hasSentEnd else { return }
    hasSentEnd = true
    world.note("end", number)
    if resetArrived { return }
    world.at(arrival()) { other.arriveEnd() }
  }

  func close(reset: Bool) {
    guard !isClosed else { return }
    world.note("close", number, reset ? 1 : 0)
    let wasRead = available == 0
    if !reset, wasRead { sendEnd() }
    isClosed = true
    inbox = []
    taken = 0
    other?.script?.wasClosed()
    if reset || !wasRead, let other, !resetArrived {
      let time = arrival()
      world.at(time) { other.arriveReset(after: 0) }
    }
  }
}
