// A server for the library's client that is made of a script: it reads requests with a reader
// of its own, and answers as the fetch's plan says, or does not.

/// Requests as they come on a connection.
struct RequestReader {
  private(set) var problem: String?
  private var bytes: [UInt8] = []

  struct Request {
    var method = ""
    var target = ""
    var fields: [(name: String, value: String)] = []
    var body: [UInt8] = []

    func field(_ name: String) -> String? { fields.first { $0.name == name }?.value }
  }

  var isEmpty: Bool { bytes.isEmpty }

  mutating func append(_ more: ArraySlice<UInt8>) { bytes += more }

  mutating func takeRest() -> [UInt8] {
    defer { bytes = [] }
    return bytes
  }

  /// The next one that is whole.
  mutating func next() -> Request? {
    guard problem == nil, let end = RequestReader.headEnd(bytes) else { return nil }
    let lines = String(decoding: bytes[..<(end - 4)], as: UTF8.self).split(
      separator: "\r\n", omittingEmptySubsequences: false)
    var request = Request()
    let first = lines[0].split(separator: " ")
    guard first.count == 3, first[2] == "HTTP/1.1" else {
      problem = "request line \(lines[0])"
      return nil
    }
    (request.method, request.target) = (String(first[0]), String(first[1]))
    for line in lines.dropFirst() {
      let parts = line.split(separator: ":", maxSplits: 1)
      guard parts.count == 2 else {
        problem = "field \(line)"
        return nil
      }
      let value = parts[1].drop { $0 == " " }
      request.fields.append((parts[0].lowercased(), String(value)))
    }
    return takeBody(request, end)
  }

  private static func headEnd(_ bytes: [UInt8]) -> Int? {
    guard bytes.count >= 4 else { return nil }
    for index in 3..<bytes.count
    where bytes[index] == 10 && bytes[index - 1] == 13 && bytes[index - 2] == 10
      && bytes[index - 3] == 13
    {
      return index + 1
    }
    return nil
  }

  private mutating func takeBody(_ head: Request, _ start: Int) -> Request? {
    var request = head
    let length = Int(head.field("content-length") ?? "0") ?? -1
    if length < 0 || head.field("transfer-encoding") != nil {
      problem = "a body that is not measured"
      return nil
    }
    if bytes.count < start + length { return nil }
    request.body = Array(bytes[start..<(start + length)])
    bytes.removeFirst(start + length)
    return request
  }
}

final class OriginScript: Script {
  private var reader = RequestReader()
  private let pouring: Pouring
  private var isOver = false
  /// The connection speaks another protocol from here on.
  private var socket: SocketOrigin?
  private var isIdle = true

  override init(_ end: End) {
    pouring = Pouring(end)
    super.init(end)
    isFinished = true
  }

  override func received(_ bytes: ArraySlice<UInt8>) {
    if isOver { return }
    if let socket { return socket.received(Array(bytes)) }
    reader.append(bytes)
    while !isOver, socket == nil, let request = reader.next() { take(request) }
    world.check(reader.problem == nil, "a client's request is malformed: \(reader.problem ?? "")")
  }

  private func take(_ request: RequestReader.Request) {
    world.note("asked", end.number)
    let parts = request.target.split(separator: "/")
    guard parts.count >= 2, let id = Int(parts[1]) else {
      return world.fail("a client asks for \(request.target)")
    }
    world.check(request.fields.filter { $0.name == "host" }.count == 1, "one Host is due")
    if parts[0] == "channel" {
      socket = SocketOrigin(end, pouring, id, request)
      socket?.received(reader.takeRest())
      return
    }
    if parts[0] == "source" {
      let last = Int(request.field("last-event-id") ?? "0") ?? -1
      world.check(last >= 0 && last <= world.sources[id].count, "a source goes on behind \(last)")
      let (bytes, isCut) = world.sources[id].stream(after: last)
      pouring.add(bytes)
      if isCut { leave(reset: world.chance.once(in: 3)) }
      return
    }
    guard id < world.fetches.count, let step = Int(parts[2]) else {
      return world.fail("a client asks for \(request.target)")
    }
    answer(request, world.fetches[id], step)
  }

  private func answer(_ request: RequestReader.Request, _ plan: FetchPlan, _ step: Int) {
    plan.asked += 1
    world.say("origin \(end.number) is asked for \(plan.id) \(plan.method) \(plan.behaviour)")
    world.check(!plan.isDestroyed || plan.completions <= 1, "a fetch goes on that has ended")
    world.check(
      request.method == plan.method || step > 0, "fetch \(plan.id) asks by \(request.method)")
    if request.method == plan.method {
      world.check(request.body == plan.upload, "fetch \(plan.id): its body is wrong")
    }
    let pause = world.chance.once(in: 3) ? world.chance.size(upTo: 200_000) : 0
    world.later(pause) { [self] in
      if isOver || end.isClosed { return }
      if step < plan.redirects {
        let target = plan.url(step + 1)
        return say("HTTP/1.1 307 Over There\r\nLocation: \(target)\r\nContent-Length: 0\r\n\r\n")
      }
      reply(plan, isHead: request.method == "HEAD")
    }
  }

  private func say(_ head: String) { pouring.add(Array(head.utf8)) }

  private func reply(_ plan: FetchPlan, isHead: Bool) {
    let body = isHead ? [] : plan.due
    let start = "HTTP/1.1 \(plan.status) So\r\n"
    let length = "Content-Length: \(plan.size)\r\n"
    switch plan.behaviour {
    case .interim:
      say("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
      say(start + length + "\r\n")
      pouring.add(body)
      rest()
    case .whole, .redirect:
      let closes = world.chance.once(in: 4)
      say(start + length + (closes ? "Connection: close\r\n\r\n" : "\r\n"))
      pouring.add(body)
      if closes { leave(reset: false) } else { rest() }
    case .chunked:
      say(start + "Transfer-Encoding: chunked\r\n\r\n")
      if !isHead { addChunks(body, isWhole: true) }
      rest()
    case .untilClose:
      say(start + "\r\n")
      pouring.add(body)
      leave(reset: false)
    case .truncated:
      say(start + "Content-Length: \(plan.size + 1)\r\n\r\n")
      pouring.add(body)
      leave(reset: world.chance.once(in: 3))
    case .truncatedChunks:
      say(start + "Transfer-Encoding: chunked\r\n\r\n")
      if !isHead { addChunks(body, isWhole: false) }
      leave(reset: false)
    case .stallsBefore: say(String(start.prefix(world.chance.below(start.count))))
    case .stallsInside:
      say(start + "Content-Length: \(plan.size + 1)\r\n\r\n")
      pouring.add(body)
    case .resets:
      say(String(start.prefix(world.chance.below(start.count))))
      leave(reset: true)
    case .garbage:
      say(
        world.chance.pick([
          "HTTP/1.1 20 No\r\n\r\n", "SSH-2.0-x\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n",
        ]))
    case .closes: leave(reset: false)
    }
  }

  private func addChunks(_ body: [UInt8], isWhole: Bool) {
    var rest = body[...]
    while !rest.isEmpty {
      let piece = rest.prefix(1 + world.chance.size(upTo: rest.count))
      pouring.add(Array("\(String(piece.count, radix: 16))\r\n".utf8) + piece + [13, 10])
      rest = rest.dropFirst(piece.count)
    }
    if isWhole { say("0\r\n\r\n") }
  }

  /// The connection stays for the next request, or for some time.
  private func rest() {
    guard world.chance.once(in: 4) else { return }
    pouring.mark { [self] in
      world.later(world.chance.size(upTo: 300_000)) { [self] in
        if isOver { return }
        // Whatever is on its way here is lost, also what comes until it is closed.
        world.troubles += 1
        pouring.mark { world.troubles += 1 }
        leave(reset: world.chance.once(in: 4))
      }
    }
  }

  func leave(reset: Bool) {
    pouring.mark { [self] in
      if isOver { return }
      isOver = true
      pouring.stop()
      // Whatever is on its way here is lost.
      world.losses += 1
      end.close(reset: reset)
    }
  }

  override func ended() {
    if isOver { return }
    isOver = true
    pouring.stop()
    end.close(reset: false)
  }

  override func wasReset() {
    isOver = true
    pouring.stop()
  }
}
