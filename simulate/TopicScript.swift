// Readers of a topic's events, who come back with the id that they had last: no event may be
// lost or come twice, as far as the topic's history goes.

/// The events of a stream as it goes on.
struct EventLines {
  private var looked = 0

  /// The next event that has an id.
  mutating func next(_ body: [UInt8]) -> (id: String, data: String)? {
    while let end = blankLine(body) {
      let text = String(decoding: body[looked..<end], as: UTF8.self)
      looked = end
      let lines = text.split(separator: "\n")
      guard let id = lines.first(where: { $0.hasPrefix("id: ") }) else { continue }
      let data = lines.first { $0.hasPrefix("data: ") }?.dropFirst(6) ?? ""
      return (String(id.dropFirst(4)), String(data))
    }
    return nil
  }

  /// Where the first event from here on ends.
  private func blankLine(_ body: [UInt8]) -> Int? {
    guard body.count > looked + 1 else { return nil }
    for index in (looked + 1)..<body.count where body[index] == 10 && body[index - 1] == 10 {
      return index + 1
    }
    return nil
  }
}

/// A reader on one connection.
final class TopicReader {
  let id: Int
  /// The number of the last event that it had; 0: it has had none.
  var last: Int
  let said: Int
  let connections: Int
  /// The number that is due next; nil while it is not in the topic.
  var due: Int?
  /// It has asked for nothing older: what was published just before may or may not come.
  var isFresh = false
  var isFirst = true
  /// Events were left out for it.
  var hasMissed = false

  /// It may have had events on a connection before.
  init(_ id: Int, after before: TopicReader? = nil) {
    self.id = id
    said = before?.last ?? 0
    last = said
    connections = (before?.connections ?? 0) + 1
  }
}

final class TopicScript: Script {
  private let known: TopicReader
  private var reader = ReplyReader()
  private var lines = EventLines()
  private var isOver = false
  private var hasStalled = false

  init(_ end: End, _ known: TopicReader) {
    self.known = known
    super.init(end)
  }

  override func connected() {
    var head = "GET /topic/\(known.id) HTTP/1.1\r\nHost: sim\r\n"
    if known.said > 0 { head += "Last-Event-ID: \(known.said)\r\n" }
    end.transmit(Array((head + "\r\n").utf8))
    world.later(world.chance.size(upTo: 2_000_000)) { [self] in leave() }
    guard world.chance.once(in: 4) else { return }
    world.later(world.chance.size(upTo: 500_000)) { [self] in
      if isOver { return }
      world.statistics.add(.slowReader)
      hasStalled = true
      end.isReading = false
      world.later(world.chance.size(upTo: 1_000_000)) { [self] in
        if !isOver { end.isReading = true }
      }
    }
  }

  override func received(_ bytes: ArraySlice<UInt8>) {
    if isOver { return }
    reader.append(bytes)
    let whole = reader.next(isHead: false)
    world.check(reader.problem == nil, "a malformed stream: \(reader.problem ?? "")")
    let reply = whole ?? reader.reply
    guard reader.hasHead || whole != nil else { return }
    world.check(reply.status == 200 || mayBeCut, "a topic's stream: \(reply.status)")
    if reply.status == 200 { judge(reply.body) }
    if whole == nil { return }
    world.check(mayBeCut, "a topic's stream ends")
    leave()
  }

  private func judge(_ body: [UInt8]) {
    while let (id, data) = lines.next(body) {
      guard let number = Int(id) else { return world.fail("an event of the topic is \(id)") }
      guard let due = known.due else { return world.fail("an event before its subscription") }
      world.note("topic", known.id, number)
      // What it goes on behind may be kept no longer by the time that it is in the topic.
      let isEarly = known.isFresh && number < due
      let isLate = known.isFirst && world.limits.history < world.limits.publications
      (known.isFresh, known.isFirst) = (false, false)
      world.check(
        number >= due || isEarly, "event \(number) comes to reader \(known.id), not \(due)")
      world.check(
        number <= due || isLate || known.hasMissed || world.application?.hasMissed(known) ?? true
          || world.lacks > 0,
        "events from \(due) to \(number) are lost for reader \(known.id)")
      world.check(data == EventScript.data(0, number), "event \(number) of the topic is wrong")
      known.due = number + 1
      known.last = number
      world.statistics.events += 1
    }
  }

  private var mayBeCut: Bool {
    end.isDisturbed || world.isServerEnding || world.hasJumped || hasStalled
      || world.limits.closesSlow
  }

  private func leave() {
    if isOver { return }
    end.close(reset: world.chance.once(in: 3))
    over()
  }

  override func ended() {
    if isOver { return }
    world.check(mayBeCut, "a topic's stream ends before its time")
    leave()
  }

  override func wasReset() {
    if isOver { return }
    world.check(mayBeCut, "a topic's stream is reset")
    over()
  }

  private func over() {
    if isOver { return }
    isOver = true
    isFinished = true
    let known = known
    if known.connections < 4, !world.isServerEnding, world.chance.once(in: 2) {
      // It comes back, to go on behind what it has had.
      world.later(world.chance.size(upTo: 300_000)) {
        world.connect? { TopicScript($0, world.reader(after: known)) }
      }
    } else {
      world.scriptsLeft -= 1
    }
  }
}
