// The server's end of a WebSocket that the library's client opens: it echoes, and leaves in
// one way or another.

import COpenSSL

final class SocketOrigin {
  private let end: End
  private let pouring: Pouring
  private let plan: ChannelPlan
  private var frames = FrameReader()
  private var messages = MessageReader()
  private var hasSentClose = false
  private var echoed = 0
  private var deflate: WireDeflate?
  private var isOver = false

  init(_ end: End, _ pouring: Pouring, _ id: Int, _ request: RequestReader.Request) {
    self.end = end
    self.pouring = pouring
    plan = world.channels[id]
    plan.connections += 1
    world.check(plan.closes == 0 || end.otherHasClosed, "a channel connects that is closed")
    let key = request.field("sec-websocket-key") ?? ""
    world.check(key.utf8.count == 24, "the key is \(key)")
    let accept = SocketOrigin.accept(key)
    let head =
      "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      + "Sec-WebSocket-Accept: \(accept)\r\n"
      + agree(request.field("sec-websocket-extensions")) + "\r\n"
    if plan.refusals >= plan.connections {
      pouring.add(Array("HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n".utf8))
      isOver = true
      return
    }
    pouring.add(Array(head.utf8))
  }

  /// The line that says so, if messages may be packed.
  private func agree(_ offer: String?) -> String {
    world.check((offer != nil) == plan.offersDeflate, "a channel offers \(offer ?? "nothing")")
    guard let offer, world.chance.once(in: 2) else { return "" }
    let answer = WireDeflate.answer(to: offer)
    deflate = WireDeflate(answer, isClient: false)
    messages.deflate = deflate
    return "Sec-WebSocket-Extensions: \(answer)\r\n"
  }

  static func accept(_ key: String) -> String {
    let text = Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8)
    var digest = [UInt8](repeating: 0, count: 20)
    _ = ssl_sha1(text, text.count, &digest)
    let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var out: [UInt8] = []
    for start in stride(from: 0, to: 20, by: 3) {
      let bytes = (0..<3).map { start + $0 < 20 ? Int(digest[start + $0]) : 0 }
      let bits = bytes[0] << 16 | bytes[1] << 8 | bytes[2]
      for (index, shift) in [18, 12, 6, 0].enumerated() {
        out.append(start + index > 20 ? 61 : letters[bits >> shift & 63])
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  func received(_ bytes: [UInt8]) {
    if isOver { return }
    frames.append(bytes)
    while !isOver, let frame = frames.next() { take(frame) }
    world.check(frames.problem == nil && messages.problem == nil, "a client's frames are wrong")
  }

  private func take(_ frame: WireFrame) {
    world.check(frame.isMasked, "a client's frame is not masked")
    switch messages.take(frame) {
    case .nothing: break
    case .message(let opcode, let payload):
      echo(opcode, payload)
    case .control(9, let payload): pouring.add(WireFrame(10, payload, isMasked: false).bytes)
    case .control(10, _): break
    case .control(_, let payload):
      if !hasSentClose {
        pouring.add(WireFrame(8, Array(payload.prefix(2)), isMasked: false).bytes)
      }
      leave(reset: false)
    }
  }

  private func echo(_ opcode: UInt8, _ payload: [UInt8]) {
    echoed += 1
    let packed = world.chance.once(in: 4) ? nil : deflate?.pack(payload)
    var rest = (packed ?? payload)[...]
    var code = opcode
    repeat {
      let piece = Array(rest.prefix(1 + world.chance.size(upTo: max(1, rest.count))))
      rest = rest.dropFirst(piece.count)
      var frame = WireFrame(code, piece, isFinal: rest.isEmpty, isMasked: false)
      if packed != nil, code != 0 { frame.reserved = 4 }
      pouring.add(frame.bytes)
      code = 0
      if world.chance.once(in: 6) {
        pouring.add(WireFrame(9, [1, 2], isMasked: false).bytes)
      }
    } while !rest.isEmpty
    guard world.chance.once(in: plan.leavesIn), plan.connections < 6 else { return }
    plan.hasTrouble = true
    switch world.chance.below(3) {
    case 0:
      hasSentClose = true
      pouring.add(WireFrame(8, [3, 233], isMasked: false).bytes)
    case 1: leave(reset: true)
    default: leave(reset: false)
    }
  }

  private func leave(reset: Bool) {
    isOver = true
    (end.script as? OriginScript)?.leave(reset: reset)
  }
}
