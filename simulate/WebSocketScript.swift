// A client of a WebSocket route: it sends messages in fragments, with pings between, and
// wants each of them back. Some leave, stall, or break the protocol.

final class WebSocketScript: Script {
  enum Manner: CaseIterable {
    case proper
    case resets
    case halfCloses
    case stalls
    case stallsReading
    case hostile
  }

  let id: Int
  let manner: Manner
  private let pouring: Pouring
  private var reader = ReplyReader()
  private var frames = FrameReader()
  private var messages = MessageReader()
  private(set) var isOpen = false
  private var isOver = false
  private var isStalled = false
  private var hasLeft = false
  /// What is sent, and what of it was handled and has come back.
  private(set) var sent: [[UInt8]] = []
  private var returned = 0
  private(set) var longest = 0
  private let target: Int
  private var pings: [[UInt8]] = []
  private var hasSentClose = false
  private var closeAsked: Int64 = 0
  private var wasClosedByPeer: Int?
  private var lastTopic = 0
  /// From this message on nothing is handled any more.
  private(set) var forbidden = Int.max
  private var dueCodes: [Int]
  private var nonsense: [UInt8]
  private let offer: String?
  private var deflate: WireDeflate?

  init(_ end: End, id: Int) {
    self.id = id
    manner = Manner.allCases[world.chance.weighted([50, 8, 8, 8, 8, 14])]
    target = world.chance.within(world.chance.once(in: 6) ? 9...60 : 0...8)
    pouring = Pouring(end)
    offer = world.chance.once(in: 3) ? WireDeflate.offer() : nil
    (nonsense, dueCodes) = WebSocketScript.nonsense()
    super.init(end)
  }

  private static func nonsense() -> ([UInt8], [Int]) {
    switch world.chance.below(7) {
    case 0: return (WireFrame(1, [97], isMasked: false).bytes, [1002])
    case 1: return (WireFrame(1, [0xC0, 0x80], isMasked: true).bytes, [1007])
    case 2: return (WireFrame(3, [], isMasked: true).bytes, [1002])
    case 3: return (WireFrame(0, [1], isMasked: true).bytes, [1002])
    case 5:
      let bytes = [UInt8](repeating: 1, count: Int(world.limits.message) + 1)
      return (WireFrame(2, bytes, isMasked: true).bytes, [1009])
    case 4: return (WireFrame(9, [1], isFinal: false, isMasked: true).bytes, [1002])
    default:
      var frame = WireFrame(2, [1], isMasked: true)
      frame.reserved = 2
      return (frame.bytes, [1002])
    }
  }

  static func message(_ id: Int, _ index: Int, _ count: Int, isText: Bool) -> [UInt8] {
    let bytes = Plan.bytes(id &* 1000 &+ index, count)
    return isText ? bytes.map { $0 & 63 | 64 } : bytes
  }

  /// What is published under a number: short, or so long that it is packed.
  static func topic(_ number: Int) -> String {
    let start = "topic \(number)"
    if number % 3 == 0 { return start }
    return start + String(repeating: ", \(number) again", count: 8 + number % 20)
  }

  override func connected() {
    let head =
      "GET /socket/\(id) HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\n"
      + "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
      + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
      + (offer.map { "Sec-WebSocket-Extensions: \($0)\r\n" } ?? "") + "\r\n"
    pouring.add(Array(head.utf8))
    arrangeTrouble()
    // Some do not wait for the answer.
    if offer == nil, world.chance.once(in: 4) { speak() }
  }

  private func arrangeTrouble() {
    if manner == .proper || manner == .hostile { return }
    world.later(world.chance.size(upTo: 600_000)) { [self] in
      if isOver || end.otherHasClosed { return }
      pouring.stop()
      hasLeft = true
      switch manner {
      case .resets:
        world.statistics.add(.peerReset)
        end.close(reset: true)
        over()
      case .halfCloses:
        world.statistics.add(.peerHalfClose)
        end.sendEnd()
      case .stalls:
        world.statistics.add(.peerStall)
        isStalled = true
      default:
        world.statistics.add(.slowReader)
        isStalled = true
        end.isReading = false
      }
    }
  }

  // ---- out

  private var hasSpoken = false

  private func speak() {
    if hasSpoken { return }
    hasSpoken = true
    for index in 0..<target {
      if manner == .hostile, index == target / 2 {
        world.statistics.add(.hostileBytes)
        forbidden = sent.count
        pouring.add(nonsense)
      }
      send(index)
    }
    if manner == .hostile, target == 0 {
      forbidden = 0
      pouring.add(nonsense)
    }
    if target == 0 || world.chance.once(in: 4) { closeHandshake() }
  }

  private func send(_ index: Int) {
    let isText = world.chance.once(in: 2)
    let size = world.chance.size(upTo: world.chance.once(in: 10) ? 100_000 : 3000)
    let most = min(size, Int(world.limits.message))
    let message = WebSocketScript.message(id, index, most, isText: isText)
    sent.append(message)
    longest = max(longest, message.count)
    world.statistics.messages += 1
    let packed = world.chance.once(in: 4) ? nil : deflate?.pack(message)
    var rest = (packed ?? message)[...]
    var opcode: UInt8 = isText ? 1 : 2
    repeat {
      let count = world.chance.once(in: 2) ? rest.count : world.chance.below(rest.count + 1)
      let piece = Array(rest.prefix(count))
      rest = rest.dropFirst(count)
      var frame = WireFrame(opcode, piece, isFinal: rest.isEmpty, isMasked: true)
      if packed != nil, opcode != 0 { frame.reserved = 4 }
      pouring.add(frame.bytes)
      opcode = 0
      if world.chance.once(in: 5) { ping() }
    } while !rest.isEmpty
  }

  private func ping() {
    let payload = Plan.bytes(pings.count, world.chance.below(126))
    pings.append(payload)
    pouring.add(WireFrame(9, payload, isMasked: true).bytes)
  }

  private func closeHandshake() {
    if hasSentClose { return }
    hasSentClose = true
    closeAsked = world.now
    pouring.add(WireFrame(8, [3, 232], isMasked: true).bytes)
  }

  // ---- in

  override func received(_ bytes: ArraySlice<UInt8>) {
    if isOver { return }
    if !isOpen {
      reader.append(bytes)
      guard let reply = reader.next(isHead: false) else { return }
      guard reply.status == 101 else {
        world.check(
          mayBeCut || reply.status == 408, "a handshake was answered with \(reply.status)")
        return finish()
      }
      world.check(
        reply.field("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "the accept")
      isOpen = true
      agree(reply.field("sec-websocket-extensions"))
      frames.append(reader.takeRest())
      speak()
    } else {
      frames.append(Array(bytes))
    }
    while !isOver, let frame = frames.next() { take(frame) }
    world.check(frames.problem == nil && messages.problem == nil, "a channel's frames are wrong")
  }

  private func agree(_ agreed: String?) {
    guard let agreed else { return }
    deflate = WireDeflate(agreed, isClient: true)
    world.check(offer != nil && deflate != nil, "a channel has the extension \(agreed)")
    messages.deflate = deflate
    guard manner == .hostile, world.chance.once(in: 3), let deflate else { return }
    // Little on the wire, and more than is taken once it is unpacked.
    let zeros = [UInt8](repeating: 0, count: Int(world.limits.message) + 1)
    var frame = WireFrame(2, deflate.pack(zeros), isMasked: true)
    frame.reserved = 4
    (nonsense, dueCodes) = (frame.bytes, [1009])
  }

  private func take(_ frame: WireFrame) {
    world.check(!frame.isMasked, "a server's frame is masked")
    world.check(wasClosedByPeer == nil, "a frame behind a Close")
    switch messages.take(frame) {
    case .nothing: break
    case .message(_, let payload): take(payload)
    case .control(9, let payload):
      if !isStalled { pouring.add(WireFrame(10, payload, isMasked: true).bytes) }
    case .control(10, let payload):
      world.check(pings.contains(payload), "a pong for no ping")
    case .control(_, let payload): takeClose(payload)
    }
  }

  private func take(_ payload: [UInt8]) {
    if payload.starts(with: Array("topic ".utf8)) {
      let digits = payload.dropFirst(6).prefix { $0 != UInt8(ascii: ",") }
      let number = Int(String(decoding: digits, as: UTF8.self)) ?? -1
      let due = WebSocketScript.topic(number)
      world.check(payload.elementsEqual(due.utf8), "channel \(id): a published message is wrong")
      world.check(number > lastTopic, "what was published comes out of order")
      lastTopic = number
      return
    }
    guard returned < sent.count else { return world.fail("a message that was not sent") }
    world.check(
      payload == sent[returned],
      "channel \(id): message \(returned) comes back with \(payload.count) bytes,"
        + " not the \(sent[returned].count) due, or wrong")
    returned += 1
    world.note("message back", id, returned)
    if returned == target { closeHandshake() }
  }

  private func takeClose(_ payload: [UInt8]) {
    let code = payload.count >= 2 ? Int(payload[0]) << 8 | Int(payload[1]) : 1005
    wasClosedByPeer = code
    world.note("close frame", id, code)
    if manner == .hostile, !hasSentClose {
      world.check(
        dueCodes.contains(code) || mayBeCut || code == 1000,
        "a channel is closed with \(code) for \(dueCodes)")
    }
    if !hasSentClose, !isStalled {
      pouring.add(WireFrame(8, Array(payload.prefix(2)), isMasked: true).bytes)
      hasSentClose = true
    }
  }

  // ---- the end

  private var mayBeCut: Bool {
    end.isDisturbed || world.isServerEnding || world.hasJumped || hasLeft || hasHostEnded
  }
  /// The host could not answer at once; a Close does not wait for that.
  var wasFull = false
  /// The host has cut the channel off.
  var hasHostEnded = false

  override func ended() {
    if isOver { return }
    world.check(
      mayBeCut || wasClosedByPeer != nil || manner == .hostile, "a channel ends without a Close")
    if !mayBeCut, !wasFull, manner == .proper, wasClosedByPeer == 1000, hasSpoken {
      world.check(returned == sent.count, "\(returned) messages of \(sent.count) came back")
    }
    finish()
  }

  override func wasReset() {
    if isOver { return }
    // What is left to be said has the time of the close, and no more.
    let isLate = hasSentClose && world.now - closeAsked >= Int64(world.limits.close) * 1000
    world.check(
      mayBeCut || manner == .hostile || wasClosedByPeer != nil || isLate, "a channel is reset")
    over()
  }

  override func wasClosed() { if isStalled { over() } }

  private func finish() {
    if isOver { return }
    end.close(reset: false)
    over()
  }

  private func over() {
    if isOver { return }
    isOver = true
    isFinished = true
    pouring.stop()
    world.scriptsLeft -= 1
  }
}
