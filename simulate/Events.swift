// The host's side of streams of events.

import CApus
import CSystem

final class EventWork {
  let writer: apus_writer
  let script: EventScript
  var written = 0
  var closes = 0
  var isEnded = false
  init(_ writer: apus_writer, _ script: EventScript) {
    self.writer = writer
    self.script = script
  }
}

extension Application {
  func makeEvents() {
    set(apus_server_events(server, "/events/:id", began, context(), drop), "events")
    set(apus_server_set_heartbeat(server, world.limits.ping), "heartbeat")
  }

  func endEvents() { streams = [:] }

  private var began: apus_events_fn {
    { _, writer, request in
      guard let application = world.application, application.enter() else { return }
      guard let id = numberOf(request), let script = world.streams[id] else {
        return world.fail("a stream of nobody")
      }
      world.check(application.streams[writer] == nil, "a stream begins twice")
      let work = EventWork(writer, script)
      application.streams[writer] = work
      application.begin(work)
    }
  }

  private func begin(_ work: EventWork) {
    let closed: apus_writer_fn = { _, writer in world.application?.streamClosed(writer) }
    let drained: apus_writer_fn = { _, writer in
      guard let application = world.application, application.enter(),
        let work = application.streams[writer]
      else { return }
      application.write(work)
    }
    took(apus_writer_on_close(work.writer, closed, context(), drop))
    took(apus_writer_on_drain(work.writer, drained, context(), drop))
    write(work)
  }

  private func took(_ result: Int32) {
    if result >= 0 || world.isLack(result) { return }
    // A stop ends all streams, before their hosts hear of it.
    if result == Int32(APUS_E_STATE), world.isServerEnding || world.lacks > 0 { return }
    world.check(
      result == Int32(APUS_E_CLOSED) || (isGone && result == Int32(APUS_E_HANDLE)),
      "a stream of events gives \(result)")
  }

  private func write(_ work: EventWork) {
    let script = work.script
    if isGone || work.isEnded || work.closes > 0 { return }
    while work.written < script.count {
      let data = EventScript.data(script.id, work.written)
      Buffers.handed(data.utf8.count)
      let result = apus_writer_event(
        work.writer, nil, "\(work.written)", data, data.utf8.count)
      if result == Int32(APUS_E_FULL) { return }
      if world.isLack(result) {
        return world.hostLater(world.chance.size(upTo: 100_000)) { [self] in write(work) }
      }
      took(result)
      if result < 0 { return }
      work.written += 1
      if world.chance.once(in: 2) {
        return world.hostLater(world.chance.size(upTo: 100_000)) { [self] in write(work) }
      }
    }
    if script.leavesAfter != Int.max { return }
    took(apus_writer_end(work.writer))
    if world.chance.once(in: 2) { end(work) }
  }

  private func end(_ work: EventWork) {
    if work.isEnded || isGone { return }
    work.isEnded = true
    streams[work.writer] = nil
    world.check(apus_writer_destroy(work.writer) == 1, "a stream's writer has ended by itself")
  }

  private func streamClosed(_ writer: apus_writer) {
    world.check(!isGone, "a close of a server that is destroyed")
    guard let work = streams[writer] else {
      return world.fail("a close of a stream that has ended")
    }
    work.closes += 1
    world.check(work.closes == 1, "a stream is closed twice")
    end(work)
    _ = enter()
  }
}
