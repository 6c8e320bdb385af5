// A reader and a writer of WebSocket frames that share nothing with the library.

struct WireFrame {
  var opcode: UInt8
  var isFinal: Bool
  var isMasked: Bool
  var reserved: UInt8
  var payload: [UInt8]

  init(_ opcode: UInt8, _ payload: [UInt8], isFinal: Bool = true, isMasked: Bool) {
    self.opcode = opcode
    self.isFinal = isFinal
    self.isMasked = isMasked
    self.payload = payload
    reserved = 0
  }

  var bytes: [UInt8] {
    var out = [(isFinal ? 0x80 : 0) | reserved << 4 | opcode]
    let mask: UInt8 = isMasked ? 0x80 : 0
    let count = payload.count
    if count < 126 {
      out.append(mask | UInt8(count))
    } else if count < 65_536 {
      out += [mask | 126, UInt8(count >> 8), UInt8(count & 255)]
    } else {
      out.append(mask | 127)
      for shift in stride(from: 56, through: 0, by: -8) { out.append(UInt8(count >> shift & 255)) }
    }
    if !isMasked { return out + payload }
    let key = (0..<4).map { _ in UInt8(truncatingIfNeeded: world.chance.next()) }
    out += key
    out.reserveCapacity(out.count + count)
    for index in 0..<count { out.append(payload[index] ^ key[index & 3]) }
    return out
  }
}

struct FrameReader {
  private var bytes: [UInt8] = []
  private var start = 0
  private(set) var problem: String?

  mutating func append(_ more: [UInt8]) {
    if start > 0 {
      bytes.removeFirst(start)
      start = 0
    }
    bytes += more
  }

  /// The next frame that is whole.
  mutating func next() -> WireFrame? {
    let left = bytes.count - start
    if left < 2 || problem != nil { return nil }
    let isMasked = bytes[start + 1] & 0x80 != 0
    var length = Int(bytes[start + 1] & 0x7F)
    let wide = length == 126 ? 2 : length == 127 ? 8 : 0
    var head = 2 + wide + (isMasked ? 4 : 0)
    if left < head { return nil }
    if wide > 0 {
      length = bytes[(start + 2)..<(start + 2 + wide)].reduce(0) { $0 << 8 | Int($1) }
      if length < (wide == 2 ? 126 : 65_536) { problem = "a length that is not at its shortest" }
    }
    if left < head + length { return nil }
    let first = bytes[start]
    head += start
    var payload = Array(bytes[head..<(head + length)])
    if isMasked {
      for index in payload.indices { payload[index] ^= bytes[head - 4 + (index & 3)] }
    }
    start = head + length
    var frame = WireFrame(
      first & 15, payload, isFinal: first & 0x80 != 0, isMasked: isMasked)
    frame.reserved = first >> 4 & 7
    return frame
  }
}

/// Messages by their frames: what the frames of one direction add up to.
struct MessageReader {
  private var opcode: UInt8 = 0
  private var payload: [UInt8] = []
  private(set) var problem: String?
  /// What messages may be packed by.
  var deflate: WireDeflate?
  private var isPacked = false

  enum News {
    case nothing
    case message(UInt8, [UInt8])
    case control(UInt8, [UInt8])
  }

  mutating func take(_ frame: WireFrame) -> News {
    let isFirst = frame.opcode == 1 || frame.opcode == 2
    if frame.reserved != 0, frame.reserved != 4 || deflate == nil || !isFirst {
      problem = "reserved bits"
    }
    if isFirst { isPacked = frame.reserved == 4 }
    if frame.opcode >= 8 {
      if !frame.isFinal || frame.payload.count > 125 { problem = "a control frame in pieces" }
      return .control(frame.opcode, frame.payload)
    }
    if (frame.opcode == 0) == (opcode == 0) { problem = "a frame out of its message" }
    if frame.opcode != 0 { opcode = frame.opcode }
    payload += frame.payload
    guard frame.isFinal else { return .nothing }
    defer { (opcode, payload) = (0, []) }
    if !isPacked { return .message(opcode, payload) }
    guard let message = deflate?.unpack(payload) else {
      problem = "a packed message that is none"
      return .nothing
    }
    world.statistics.packed += 1
    return .message(opcode, message)
  }
}
