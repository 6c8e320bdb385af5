// Compiled into the library for the simulator alone: a look at a loop's wheel of timers. What
// stands in it must be there still, be where the wheel will find it, and not be late.

import CInside

@_cdecl("inside_loop") func insideLoop(_ poller: Int32) -> UnsafeMutableRawPointer? {
  guard let loop = ThreadContext.loop else { return nil }
  return Ref<Loop>(opaque: loop).o.poller == poller ? loop : nil
}

@_cdecl("inside_timers") func insideTimers(
  _ loop: UnsafeMutableRawPointer?, _ time: Int64,
  _ problem: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> Int64 {
  guard let loop else { return 0 }
  let place = Ref<Loop>(opaque: loop)
  var found = 0
  if let what = timersProblem(place, time, &found) {
    problem?.pointee = UnsafeRawPointer(what.utf8Start).assumingMemoryBound(to: CChar.self)
  }
  return Int64(found)
}

private func timersProblem(_ loop: Ref<Loop>, _ time: Int64, _ found: inout Int) -> StaticString? {
  let soonest = loop.o.timers.next
  for bucket in 0..<loop.o.timers.buckets.count {
    var previous: Ref<Timer>?
    var next = loop.o.timers.buckets[bucket]
    while let timer = next {
      if simulate_is_live(timer.opaque, MemoryLayout<Timer>.stride) == 0 {
        return "a timer in the wheel was given back"
      }
      found += 1
      if timer.o.bucket != Int32(bucket) { return "a timer stands in a wrong bucket" }
      if timer.o.previous != previous { return "a timer follows a wrong one" }
      if timer.o.run == nil || timer.o.owner == nil { return "a timer belongs to nobody" }
      if timer.o.step << TimerWheel.stepShift < soonest { return "a timer will be missed" }
      // Two steps: the one it waits in, and the one that has to be over.
      if timer.o.deadline != 0, timer.o.deadline + 2 << TimerWheel.stepShift < time {
        return "a timer is late"
      }
      (previous, next) = (timer, timer.o.next)
    }
  }
  return found == loop.o.timers.count ? nil : "a wheel counts its timers wrong"
}
