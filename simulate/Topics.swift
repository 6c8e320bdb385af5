// The host's side of a topic with a history: it publishes events in the order of their
// numbers, and knows from which on a reader must have them.

import CApus
import CSystem

final class TopicWork {
  let writer: apus_writer
  let known: TopicReader
  init(_ writer: apus_writer, _ known: TopicReader) {
    self.writer = writer
    self.known = known
  }
}

extension Application {
  func makeTopics() {
    let limits = world.limits
    set(apus_server_events(server, "/topic/:id", joined, context(), drop), "topic")
    let kept = Int32(limits.history)
    set(apus_server_set_topic_history(server, "news", kept, 1 << 20), "history")
    set(apus_server_set_close_when_slow(server, limits.closesSlow ? 1 : 0), "slow readers")
  }

  /// From when readers are there on.
  func publishLater() {
    if world.published >= world.limits.publications { return }
    world.hostLater(world.chance.size(upTo: 200_000)) { [self] in
      if isGone || !isRunning { return }
      for _ in 0..<world.chance.within(1...3) { publish() }
      publishLater()
    }
  }

  private func publish() {
    let number = world.published + 1
    let data = EventScript.data(0, number)
    Buffers.handed(data.utf8.count)
    let result = apus_server_publish_event(
      server, "news", nil, "\(number)", data, data.utf8.count)
    world.check(result >= 0 || world.isLack(result), "publishing an event gives \(result)")
    if result >= 0 { world.published = number }
  }

  private var joined: apus_events_fn {
    { _, writer, request in
      guard let application = world.application else { return }
      guard let id = numberOf(request), let known = world.readers[id] else {
        return world.fail("a topic's reader is nobody")
      }
      guard application.enter() else { return }
      application.join(writer, request, known)
    }
  }

  private func join(_ writer: apus_writer, _ request: apus_request, _ known: TopicReader) {
    let last = apus_request_last_event_id(request).flatMap { Int(String(cString: $0)) }
    let isLacking = last == nil && world.isLack(apus_last_error())
    world.check(isLacking || (last ?? 0) == known.said, "a Last-Event-ID is \(last ?? 0)")
    world.check(known.due == nil, "a reader joins twice")
    known.due = Application.due(behind: last)
    known.isFresh = last == nil || world.limits.history == 0
    let work = TopicWork(writer, known)
    topicWorks[writer] = work
    let closed: apus_writer_fn = { _, writer in world.application?.left(writer) }
    var result = apus_writer_on_close(writer, closed, context(), drop)
    world.check(result == 0 || result == Int32(APUS_E_CLOSED), "on_close gives \(result)")
    result = apus_writer_subscribe(writer, "news")
    world.check(
      result == 0 || result == Int32(APUS_E_CLOSED) || world.isLack(result)
        || (result == Int32(APUS_E_STATE) && world.isServerEnding),
      "subscribing gives \(result)")
  }

  /// The number of the first event that is due to who joins now.
  private static func due(behind last: Int?) -> Int {
    let published = world.published
    let oldest = max(1, published - world.limits.history + 1)
    guard let last, world.limits.history > 0 else { return published + 1 }
    return last >= oldest && last <= published ? last + 1 : oldest
  }

  /// Whether events were left out for a reader.
  func hasMissed(_ known: TopicReader) -> Bool {
    if isGone { return true }
    for (writer, work) in topicWorks where work.known === known {
      if apus_writer_missed(writer) > 0 { known.hasMissed = true }
    }
    return known.hasMissed
  }

  private func left(_ writer: apus_writer) {
    world.check(!isGone, "a close of a server that is destroyed")
    guard let work = topicWorks[writer] else { return world.fail("a reader leaves twice") }
    let missed = apus_writer_missed(writer)
    world.check(missed >= 0, "what was missed is \(missed)")
    if missed > 0 { work.known.hasMissed = true }
    topicWorks[writer] = nil
    world.check(apus_writer_destroy(writer) == 1, "a reader's writer has ended by itself")
  }
}
