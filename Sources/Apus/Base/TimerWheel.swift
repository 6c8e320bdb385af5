// Time limits for many connections: a wheel of buckets, each a list of timers
// that live inside their owners. Nothing is allocated, and moving a deadline
// into the future is one store: the timer is found in its old bucket, seen to be
// early, and put where it belongs then.
//
// One turn is 512 steps of 128 ms, 65 s; what lies further off goes round.

@safe struct Timer: ~Copyable {
  /// In microseconds of the loop's clock; 0: not set.
  var deadline: Int64 = 0
  fileprivate(set) var bucket: Int32 = -1
  /// The step at which its bucket is emptied.
  fileprivate(set) var step: Int64 = 0
  fileprivate(set) var next: Ref<Timer>? = nil
  fileprivate(set) var previous: Ref<Timer>? = nil
  /// What it belongs to, and what is called with that when its time has come.
  nonisolated(unsafe) var owner: UnsafeMutableRawPointer? = nil
  nonisolated(unsafe) var run: (@convention(c) (UnsafeMutableRawPointer) -> Void)? = nil
}

struct TimerWheel: ~Copyable {
  static var stepShift: Int64 { 17 }  // 131 ms
  private static var size: Int { 512 }
  private(set) var buckets = List<Ref<Timer>?>()
  private var cursor: Int64
  private(set) var count = 0
  /// No bucket before this step holds anything.
  private var soonest = Int64.max

  /// Nil when there is no memory.
  init?(now: Int64) {
    cursor = now >> TimerWheel.stepShift
    for _ in 0..<TimerWheel.size where !buckets.append(nil) { return nil }
  }

  /// Sets a timer; an earlier deadline moves it at once, a later one lazily.
  mutating func set(_ timer: Ref<Timer>, to deadline: Int64) {
    timer.o.deadline = deadline
    let earlier = timer.o.bucket >= 0 && due(deadline) < timer.o.step
    if timer.o.bucket < 0 {
      insert(timer)
    } else if earlier {
      remove(timer)
      insert(timer)
    }
  }

  /// Stops a timer; it stays in its bucket, found and dropped in time.
  func clear(_ timer: Ref<Timer>) { timer.o.deadline = 0 }

  /// Takes a timer out, before its owner goes.
  mutating func remove(_ timer: Ref<Timer>) {
    let bucket = Int(timer.o.bucket)
    guard bucket >= 0 else { return }
    if let previous = timer.o.previous {
      previous.o.next = timer.o.next
    } else {
      buckets[bucket] = timer.o.next
    }
    if let next = timer.o.next { next.o.previous = timer.o.previous }
    timer.o.next = nil
    timer.o.previous = nil
    timer.o.bucket = -1
    count &-= 1
  }

  /// Rounded up, so that it is never found early.
  private func due(_ deadline: Int64) -> Int64 {
    max((deadline >> TimerWheel.stepShift) &+ 1, cursor &+ 1)
  }

  private mutating func insert(_ timer: Ref<Timer>) {
    // Not beyond one turn.
    let step = min(due(timer.o.deadline), cursor &+ Int64(TimerWheel.size) &- 1)
    timer.o.step = step
    let bucket = Int(truncatingIfNeeded: step) & (TimerWheel.size &- 1)
    let head = buckets[bucket]
    timer.o.next = head
    timer.o.previous = nil
    if let head { head.o.previous = timer }
    buckets[bucket] = timer
    timer.o.bucket = Int32(truncatingIfNeeded: bucket)
    count &+= 1
    soonest = min(soonest, step)
  }

  /// The next timer that is due, taken out; call until nil.
  mutating func expired(now: Int64) -> Ref<Timer>? {
    let today = now >> TimerWheel.stepShift
    if today < soonest {
      cursor = max(cursor, today)
      return nil
    }
    if today &- cursor > Int64(TimerWheel.size) { cursor = today &- Int64(TimerWheel.size) }
    while cursor < today {
      let bucket = Int(truncatingIfNeeded: cursor &+ 1) & (TimerWheel.size &- 1)
      while let timer = buckets[bucket] {
        remove(timer)
        let deadline = timer.o.deadline
        if deadline == 0 { continue }
        if deadline <= now { return timer }
        insertLater(timer)
      }
      cursor &+= 1
    }
    findSoonest()
    return nil
  }

  /// A timer found early goes to a later bucket than the one being emptied.
  private mutating func insertLater(_ timer: Ref<Timer>) {
    cursor &+= 1
    insert(timer)
    cursor &-= 1
  }

  private mutating func findSoonest() {
    soonest = .max
    guard count > 0 else { return }
    for step in 1...Int64(TimerWheel.size) {
      let bucket = Int(truncatingIfNeeded: cursor &+ step) & (TimerWheel.size &- 1)
      if buckets[bucket] != nil {
        soonest = cursor &+ step
        return
      }
    }
  }

  /// When the wheel must be looked at, in microseconds; the largest number when
  /// it is empty.
  var next: Int64 { soonest == .max ? .max : soonest << TimerWheel.stepShift }

  /// Milliseconds until the wheel must be looked at; -1 when it is empty.
  func timeout(now: Int64) -> Int32 {
    if soonest == .max { return -1 }
    let wait = ((soonest << TimerWheel.stepShift) &- now &+ 999) / 1000
    return Int32(truncatingIfNeeded: min(max(0, wait), 3_600_000))
  }
}
