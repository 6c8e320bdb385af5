// TimerWheel, against a list of deadlines: no timer early, none later than one
// step of the wheel, none lost, none told of twice.

import Testing

@testable import Apus

/// A wheel with its timers, and the time as the test has it.
private final class Bench {
  var wheel: TimerWheel
  var now: Int64
  private(set) var timers: [Ref<Timer>] = []
  /// The deadlines that are set: the model.
  var due: [Int: Int64] = [:]
  static let step: Int64 = 1 << TimerWheel.stepShift

  init(timers count: Int, now: Int64 = 1_000_000) throws {
    let wheel = TimerWheel(now: now)
    guard let wheel else { throw Failure.noMemory }
    self.wheel = wheel
    self.now = now
    for number in 0..<count {
      let made = Ref(make: Timer())
      let timer = try #require(made)
      timer.o.owner = UnsafeMutableRawPointer(bitPattern: number + 1)
      timers.append(timer)
    }
  }

  deinit {
    for timer in timers {
      wheel.remove(timer)
      timer.free()
    }
  }

  func set(_ number: Int, to deadline: Int64) {
    wheel.set(timers[number], to: deadline)
    due[number] = deadline
  }

  func clear(_ number: Int) {
    wheel.clear(timers[number])
    due[number] = nil
  }

  func remove(_ number: Int) {
    wheel.remove(timers[number])
    due[number] = nil
  }

  /// Which timers are told of at the time, in order.
  func expired() -> [Int] {
    var found: [Int] = []
    while let timer = wheel.expired(now: now), found.count <= 2 * timers.count {
      found.append(Int(bitPattern: timer.o.owner) - 1)
    }
    return found
  }

  /// Goes on in time; what is amiss with the timers told of, or nil.
  func advance(by time: Int64) -> String? {
    now += time
    for number in expired() {
      guard let deadline = due.removeValue(forKey: number) else {
        return "timer \(number) was told of though not set"
      }
      if deadline > now { return "timer \(number) came \(deadline - now) us early" }
    }
    for (number, deadline) in due where deadline + Bench.step <= now {
      return "timer \(number) is \(now - deadline) us late"
    }
    return nil
  }
}

@Suite struct TimerWheelTests {
  private let second: Int64 = 1_000_000

  @Test func tellsOfATimerOnce() throws {
    let bench = try Bench(timers: 1)
    bench.set(0, to: bench.now + second)
    #expect(bench.wheel.count == 1)
    bench.now += second - 1
    #expect(bench.expired() == [])
    bench.now += 1 + Bench.step
    #expect(bench.expired() == [0])
    #expect(bench.expired() == [])
    #expect(bench.wheel.count == 0)
    bench.now += 200 * second
    #expect(bench.expired() == [])
  }

  @Test func aDeadlineInThePastIsDueAtTheNextStep() throws {
    let bench = try Bench(timers: 2)
    bench.set(0, to: bench.now)
    bench.set(1, to: 1)
    bench.now += Bench.step
    #expect(bench.expired().sorted() == [0, 1])
  }

  @Test func aClearedTimerIsSilent() throws {
    let bench = try Bench(timers: 2)
    bench.set(0, to: bench.now + second)
    bench.set(1, to: bench.now + second)
    bench.clear(0)
    bench.now += 2 * second
    #expect(bench.expired() == [1])
    #expect(bench.wheel.count == 0)
  }

  @Test func aRemovedTimerIsSilent() throws {
    for number in 0..<3 {
      let bench = try Bench(timers: 3)
      for other in 0..<3 { bench.set(other, to: bench.now + second) }
      bench.remove(number)
      bench.remove(number)
      #expect(bench.wheel.count == 2)
      bench.now += 2 * second
      #expect(bench.expired().sorted() == [0, 1, 2].filter { $0 != number })
    }
  }

  @Test func movesLater() throws {
    let bench = try Bench(timers: 1)
    bench.set(0, to: bench.now + second)
    bench.set(0, to: bench.now + 5 * second)
    #expect(bench.advance(by: 2 * second) == nil)
    #expect(bench.due.count == 1)
    #expect(bench.advance(by: 3 * second + Bench.step) == nil)
    #expect(bench.due.isEmpty)
  }

  @Test func movesEarlier() throws {
    let bench = try Bench(timers: 1)
    bench.set(0, to: bench.now + 30 * second)
    bench.set(0, to: bench.now + 40 * second)
    bench.set(0, to: bench.now + second)
    #expect(bench.advance(by: second + Bench.step) == nil)
    #expect(bench.due.isEmpty)
  }

  @Test func isSetEarlierAfterItWasCleared() throws {
    let bench = try Bench(timers: 1)
    bench.set(0, to: bench.now + 30 * second)
    bench.clear(0)
    bench.set(0, to: bench.now + second)
    #expect(bench.advance(by: second + Bench.step) == nil)
    #expect(bench.due.isEmpty)
  }

  @Test func deadlinesBeyondATurnGoRound() throws {
    let bench = try Bench(timers: 3)
    bench.set(0, to: bench.now + 66 * second)
    bench.set(1, to: bench.now + 3600 * second)
    bench.set(2, to: bench.now + 67 * second)
    for _ in 0..<(4000 * 4) {
      if let problem = bench.advance(by: second / 4) {
        Issue.record("\(problem)")
        return
      }
    }
    #expect(bench.due.isEmpty)
  }

  @Test func aLongSleepLosesNothing() throws {
    let bench = try Bench(timers: 600)
    for number in 0..<600 { bench.set(number, to: bench.now + Int64(number) * second / 3) }
    #expect(bench.advance(by: 150 * second) == nil)
    #expect(bench.due.count == 600 - 451 || bench.due.count == 600 - 450)
    #expect(bench.advance(by: 3 * 3600 * second) == nil)
    #expect(bench.due.isEmpty)
    #expect(bench.wheel.count == 0)
  }

  /// The loop sleeps as long as `timeout` says: never past a timer by more than
  /// a step, and not for ever while one is set.
  @Test func timeoutLeadsToTheNextTimer() throws {
    let bench = try Bench(timers: 1)
    #expect(bench.wheel.timeout(now: bench.now) == -1)
    for delay in [0, 1, second / 10, second, 65 * second, 300 * second, 7200 * second] {
      bench.set(0, to: bench.now + delay)
      var turns = 0
      while !bench.due.isEmpty, turns < 10_000 {
        let wait = bench.wheel.timeout(now: bench.now)
        #expect(wait >= 0)
        if let problem = bench.advance(by: max(Int64(wait) * 1000, 100)) {
          Issue.record("\(problem)")
          return
        }
        turns += 1
      }
      #expect(bench.due.isEmpty)
      #expect(turns < 200)
      #expect(bench.wheel.timeout(now: bench.now) == -1)
    }
  }

  @Test(arguments: (0..<20) as Range<UInt64>)
  func behavesLikeAListOfDeadlines(_ round: UInt64) throws {
    var random = Random(seed: Random.seed &+ round)
    let bench = try Bench(timers: 40, now: Int64.random(in: 1...1 << 50, using: &random))
    let reach = [second, 10 * second, 60 * second, 300 * second][Int(round % 4)]
    for _ in 0..<2000 {
      let number = Int.random(in: 0..<40, using: &random)
      switch Int.random(in: 0..<10, using: &random) {
      case 0...4: bench.set(number, to: bench.now + Int64.random(in: 0...reach, using: &random))
      case 5: bench.clear(number)
      case 6: bench.remove(number)
      default:
        let time = Int64.random(in: 0...(reach / 8), using: &random)
        if let problem = bench.advance(by: time) {
          Issue.record("\(problem); round \(round), \(Random.note)")
          return
        }
      }
    }
    if let problem = bench.advance(by: 4 * reach) {
      Issue.record("\(problem); round \(round), \(Random.note)")
    }
    #expect(bench.due.isEmpty, "\(Random.note)")
  }
}
