// A client of the server's that is made of a script: it sends requests one after the other
// or several at once, in pieces, and judges every reply. Some leave, stall or send nonsense.

final class HTTPScript: Script {
  /// What it does beside asking.
  enum Manner: CaseIterable {
    case proper
    case resets
    case halfCloses
    case stallsSending
    case stallsReading
    case hostile
  }

  private let manner: Manner
  private var plans: [Plan] = []
  private var asked = 0
  private var answered = 0
  private let window: Int
  private var reader = ReplyReader()
  private let pouring: Pouring
  private var isStalled = false
  private var sawEnd = false
  private(set) var isOver = false
  private var isRefused = false
  private let readingPause: Int

  override init(_ end: End) {
    manner = Manner.allCases[world.chance.weighted([60, 8, 8, 6, 6, 12])]
    // Some ask for much at once, and are slow to take it.
    let isBurst = world.chance.once(in: 8)
    window = isBurst ? 100 : world.chance.pick([1, 1, 2, 4, 16])
    pouring = Pouring(end)
    readingPause = world.chance.once(in: isBurst ? 2 : 4) ? world.chance.size(upTo: 100_000) : 0
    super.init(end)
    let count = world.chance.within(isBurst ? 10...60 : 1...6)
    for index in 0..<count {
      let isLast = index == count - 1 && world.chance.once(in: 3)
      let plan = world.plan(isLast: isLast, isOfMany: isBurst)
      plan.script = self
      plans.append(plan)
    }
    if manner != .proper { arrangeTrouble() }
  }

  /// The end may come at any time.
  private var mayBeCut: Bool {
    end.isDisturbed || world.isServerEnding || world.hasJumped || sawCut
      || manner == .stallsSending || manner == .stallsReading
      || (manner == .halfCloses && hasLeft)
      || pouring.isStopped
      // One that is broken off takes the connection with it, and what is due before it.
      || plans[..<asked].contains { $0.kind == .broken }
  }
  /// What the replies have that may be under way at once: those to the last requests, as many
  /// as are taken before the first of them is answered.
  var mostReplied: Int {
    let handled = plans[..<asked].filter { $0.handled > 0 }
    return handled.suffix(Int(world.limits.pipelined)).reduce(0) { $0 + $1.due.count }
  }
  private var sawCut = false
  private var hasHeardClose = false
  private var hasLeft = false

  private func arrangeTrouble() {
    let time = world.chance.size(upTo: 400_000)
    switch manner {
    case .resets:
      world.later(time) { [self] in leave { end.close(reset: true) } }
    case .halfCloses:
      world.later(time) { [self] in
        if isOver { return }
        world.statistics.add(.peerHalfClose)
        hasLeft = true
        pouring.stop()
        end.sendEnd()
      }
    case .stallsSending:
      world.later(time) { [self] in
        if isOver { return }
        world.statistics.add(.peerStall)
        world.note("stall", end.number)
        pouring.stop()
        isStalled = true
      }
    case .stallsReading:
      world.later(time) { [self] in
        if isOver || end.otherHasClosed { return }
        world.statistics.add(.slowReader)
        world.note("reads no more", end.number)
        end.isReading = false
        isStalled = true
      }
    default: break
    }
  }

  private func leave(_ how: () -> Void) {
    if isOver { return }
    world.statistics.add(.peerReset)
    pouring.stop()
    how()
    over()
  }

  override func connected() { ask() }

  // ---- asking

  private func ask() {
    while asked < plans.count, asked - answered < window, !isOver, !pouring.isStopped {
      let plan = plans[asked]
      asked += 1
      world.statistics.requests += 1
      let request = plan.request
      world.say("script \(end.number) asks \(plan.path) \(plan.kind)")
      plan.isForbidden = isRefused
      pouring.add(request.head)
      pouring.add(request.body)
      pouring.mark { plan.isSent = true }
      if plan.isTooLarge { isRefused = true }
      if manner == .hostile, world.chance.once(in: 3) { sendNonsense() }
    }
  }

  /// What follows it must never be handled.
  private func sendNonsense() {
    isRefused = true
    world.statistics.add(.hostileBytes)
    pouring.add(Array(world.chance.pick(Hostile.heads + [Hostile.longHead]).utf8))
  }

  // ---- answers

  override func received(_ bytes: ArraySlice<UInt8>) {
    if isOver { return }
    reader.append(bytes)
    judge()
    pauseReading()
  }

  private func pauseReading() {
    guard readingPause > 0, !isOver, !isStalled, world.chance.once(in: 4) else { return }
    end.isReading = false
    world.later(readingPause) { [self] in
      if manner != .stallsReading || !isStalled { end.isReading = true }
    }
  }

  private func judge() {
    while !isOver {
      let plan = answered < asked ? plans[answered] : nil
      guard let reply = reader.next(isHead: plan?.isHead ?? false) else { break }
      accept(reply, plan)
    }
    world.check(
      reader.problem == nil, "connection \(end.number): malformed reply: \(reader.problem ?? "")")
  }

  private func accept(_ reply: Reply, _ plan: Plan?) {
    world.statistics.replies += 1
    world.note("reply", end.number, reply.status)
    world.check(!hasHeardClose, "connection \(end.number): a reply behind one that closes")
    if reply.field("connection") == "close" { hasHeardClose = true }
    if isRefusal(reply, plan) {
      world.check(
        reply.field("connection") == "close", "a refusal that does not close: \(reply.status)")
      sawCut = true
      answered = plans.count
      pouring.stop()
      return
    }
    guard let plan else {
      return world.fail("connection \(end.number): a reply to nothing, \(reply.status)")
    }
    answered += 1
    // A handler that leaves with its server has not answered.
    if reply.status == 500, world.isServerEnding { return }
    // Without memory a handler answers so.
    if reply.status != 500 || world.lacks == 0 { plan.check(reply) }
    if reply.field("connection") == "close" {
      sawCut = true
      world.check(
        plan.isLast || plan.isHostsLast || world.isServerEnding || hasLeft
          || reply.status >= 400,
        "request \(plan.id): closes unasked")
    }
    if answered == plans.count, !isRefused { return finish() }
    ask()
  }

  /// Not the answer of a handler but the library's own.
  private func isRefusal(_ reply: Reply, _ plan: Plan?) -> Bool {
    if isRefused, plan == nil || plan?.isForbidden == true {
      world.check(
        (400...505).contains(reply.status), "nonsense was answered with \(reply.status)")
      return true
    }
    if reply.status == 500, world.isServerEnding || world.lacks > 0,
      reply.field("connection") == "close"
    {
      return true
    }
    if reply.status == 413 {
      world.check(plan?.isTooLarge ?? false, "413 for a body that is not too large")
      return true
    }
    if reply.status == 408 {
      world.check(isStalled || world.hasJumped, "408 for a peer that was in time")
      return true
    }
    if reply.status == 503 {
      world.check(world.mayBeBusy, "503 from a server that is not busy")
      return reply.field("connection") == "close"
    }
    return false
  }

  /// All is answered.
  private func finish() {
    switch world.chance.below(4) {
    case 0: end.sendEnd()
    case 1, 2:
      end.close(reset: world.chance.once(in: 4))
      over()
    default: break
    }
  }

  // ---- the end

  override func ended() {
    if isOver { return }
    sawEnd = true
    let plan = answered < plans.count ? plans[answered] : nil
    if let plan, let reply = reader.end() {
      world.check(
        reply.field("connection") == "close", "a reply up to the close that does not say so")
      accept(reply, plan)
    }
    if let plan, answered < plans.count, !mayBeCut {
      let isBroken = plan.kind == .broken && reader.hasHead
      world.check(isBroken, "connection \(end.number): closed before the reply to \(plan.id)")
    }
    if !isOver {
      end.close(reset: false)
      over()
    }
  }

  override func wasClosed() {
    if isStalled, manner == .stallsReading { over() }
  }

  override func wasReset() {
    if isOver { return }
    let plan = answered < plans.count ? plans[answered] : nil
    let isBroken = plan?.kind == .broken && answered < asked
    world.check(
      mayBeCut || isBroken || answered == plans.count,
      "connection \(end.number): reset while \(plan.map { "\($0.id)" } ?? "nothing") is due")
    over()
  }

  private func over() {
    if isOver { return }
    isOver = true
    isFinished = true
    pouring.stop()
    world.scriptsLeft -= 1
    world.say("script \(end.number) is over, \(answered) of \(plans.count)")
  }
}

/// What no server takes.
enum Hostile {
  /// Longer than this server takes.
  static var longHead: String {
    let field = "X-Long: " + String(repeating: "long", count: 20) + "\r\n"
    let count = Int(world.limits.head) / field.utf8.count + 1
    return "GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: field, count: count) + "\r\n"
  }

  static let heads = [
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "\u{0}\u{1}\u{2}\r\n\r\n",
    "GET / HTTP/3.0\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n",
    "GET / HTTP/1.1\nHost: a\n\n",
    "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
  ]
}
