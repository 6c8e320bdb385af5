// The library's source of events, which connects anew when its stream ends: no event may be
// lost or come twice, wherever the origin breaks off.

import CApus

final class SourcePlan {
  let id: Int
  let count: Int
  let isPulled: Bool
  var source: apus_source = 0
  var seen = 0
  var connections = 0
  var isEnded = false
  var troublesBefore = 0

  init(_ id: Int) {
    self.id = id
    count = world.chance.within(1...12)
    isPulled = world.chance.once(in: 3)
  }

  /// What the origin says from an event on: some of what is left, and whether it ends there.
  func stream(after last: Int) -> (bytes: [UInt8], isCut: Bool) {
    connections += 1
    // What is left is told at the latest in the tenth connection.
    let most = count - last
    let told = connections > 9 ? most : world.chance.below(most + 1)
    var text = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry: 100\n\n"
    for index in (last + 1)..<(last + 1 + told) {
      text += "id: \(index)\n: a comment\ndata: \(EventScript.data(id, index))\n\n"
    }
    let isCut = last + told < count
    // Half an event is none.
    if isCut { text += "id: \(last + told + 1)\ndata: hal" }
    return (Array(text.utf8), isCut)
  }
}

extension Client {
  func open(_ plan: SourcePlan) {
    if isEnding { return done() }
    start()
    let source = apus_source_make(place, "http://10.0.1.1:8001/source/\(plan.id)")
    world.check(source != 0, "no source: \(apus_last_error())")
    if source == 0 { return done() }
    plan.source = source
    let context = UnsafeMutableRawPointer(bitPattern: plan.id + 1)
    if !plan.isPulled {
      let result = apus_source_on_event(source, told, context, nil)
      world.check(result == 0, "a source's listener: \(result)")
    }
    var result = apus_source_on_error(source, failed, context, nil)
    world.check(result == 0, "a source's listener: \(result)")
    plan.troublesBefore = world.troubles
    result = apus_source_open(source)
    world.check(result == 0, "a source does not open: \(result)")
    if result != 0 { return end(plan) }
    if plan.isPulled {
      poll(until: { plan.isEnded }, { [self] in isStopped ? end(plan) : take(plan) })
    }
  }

  private static func plan(_ context: UnsafeMutableRawPointer?) -> SourcePlan? {
    let index = Int(bitPattern: context) - 1
    return index >= 0 && index < world.sources.count ? world.sources[index] : nil
  }

  private func end(_ plan: SourcePlan) {
    if plan.isEnded { return }
    plan.isEnded = true
    world.check(apus_source_destroy(plan.source) == 1, "a source has ended by itself")
    done()
  }

  private var told: apus_source_event_fn {
    { context, _, _, id, data, length in
      guard let client = world.client, let plan = Client.plan(context) else { return }
      client.hear(plan, id, UnsafeRawBufferPointer(start: data, count: length))
    }
  }

  func hear(_ plan: SourcePlan, _ id: UnsafePointer<CChar>?, _ bytes: UnsafeRawBufferPointer) {
    world.note("source", plan.id, plan.seen)
    world.check(!isHostGone && !plan.isEnded, "an event of a source that has ended")
    plan.seen += 1
    world.statistics.events += 1
    let name = id.map { String(cString: $0) } ?? ""
    world.check(name == "\(plan.seen)", "event \(name) of a source comes as \(plan.seen)")
    world.check(
      bytes.elementsEqual(EventScript.data(plan.id, plan.seen).utf8), "an event is wrong")
    if plan.seen == plan.count { end(plan) }
  }

  /// It has closed for good, and there is nothing more to take.
  func gaveUp(_ plan: SourcePlan, _ code: Int32) {
    world.check(
      world.troubles != plan.troublesBefore || world.hasJumped || isEnding,
      "a source gives up: \(code)")
    end(plan)
  }

  private var failed: apus_source_error_fn {
    { context, source, code, _, again in
      guard let client = world.client, let plan = Client.plan(context) else { return }
      world.note("source error", plan.id, Int(code))
      world.check(!client.isHostGone && !plan.isEnded, "news of a source that has ended")
      if again == -1 {
        world.check(
          apus_source_state(source) == Int32(APUS_STATE_CLOSED), "a source closes and is open")
        // Who takes events learns of it behind the last.
        if !plan.isPulled { client.gaveUp(plan, code) }
      }
    }
  }
}
