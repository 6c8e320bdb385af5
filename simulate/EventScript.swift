// A reader of a stream of events: it wants each in its order, and leaves when it has had
// enough, or stalls.

final class EventScript: Script {
  let id: Int
  /// How many the host writes.
  let count: Int
  let leavesAfter: Int
  private var reader = ReplyReader()
  private var seen = 0
  private var lines = EventLines()
  private var isOver = false
  private var isStalled = false
  var hasHostEnded = false

  init(_ end: End, id: Int) {
    self.id = id
    count = world.chance.within(0...20)
    leavesAfter = world.chance.once(in: 3) ? world.chance.below(count + 1) : Int.max
    super.init(end)
  }

  static func data(_ id: Int, _ index: Int) -> String {
    String(repeating: "abc \(id) ", count: 1 + (id * 7 + index * 13) % 60)
  }

  override func connected() {
    end.transmit(Array("GET /events/\(id) HTTP/1.1\r\nHost: sim\r\n\r\n".utf8))
    guard world.chance.once(in: 5) else { return }
    world.later(world.chance.size(upTo: 300_000)) { [self] in
      if isOver || end.otherHasClosed { return }
      isStalled = true
      world.statistics.add(.slowReader)
      end.isReading = false
      // Heartbeats alone do not fill it for long.
      world.later(60_000_000) { [self] in if !isOver { leave() } }
    }
  }

  override func received(_ bytes: ArraySlice<UInt8>) {
    if isOver { return }
    reader.append(bytes)
    let whole = reader.next(isHead: false)
    world.check(reader.problem == nil, "a malformed stream: \(reader.problem ?? "")")
    let reply = whole ?? reader.reply
    if reader.hasHead || whole != nil {
      world.check(
        reply.status == 200 || world.isServerEnding, "a stream of events: \(reply.status)")
      if reply.status == 200 { judge(reply.body) }
    }
    if isOver { return }
    if whole != nil {
      world.check(
        seen == count || mayBeCut, "stream \(id): \(seen) events of \(count), and its end")
      leave()
    } else if seen >= leavesAfter {
      leave()
    }
  }

  /// Reads the events that have come since.
  private func judge(_ body: [UInt8]) {
    while let (number, data) = lines.next(body) {
      world.check(number == "\(seen)", "stream \(id): \(number) comes as number \(seen)")
      world.check(data == EventScript.data(id, seen), "stream \(id): event \(seen) is wrong")
      seen += 1
      world.statistics.events += 1
    }
  }

  private var mayBeCut: Bool {
    end.isDisturbed || world.isServerEnding || world.hasJumped || isStalled || hasHostEnded
  }

  private func leave() {
    end.close(reset: world.chance.once(in: 3))
    over()
  }

  override func ended() {
    if isOver { return }
    world.check(mayBeCut, "stream \(id) ends with \(seen) of \(count) events")
    leave()
  }

  override func wasReset() {
    if isOver { return }
    world.check(mayBeCut, "stream \(id) is reset")
    over()
  }

  override func wasClosed() { if isStalled { over() } }

  private func over() {
    if isOver { return }
    isOver = true
    isFinished = true
    world.scriptsLeft -= 1
  }
}
