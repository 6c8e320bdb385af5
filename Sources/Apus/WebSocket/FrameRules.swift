// What a frame must keep to be received: RFC 6455 §5.1 to §5.5, RFC 7692 §6. All of
// it can be told from a frame's first two bytes, so a frame that breaks a rule is
// refused before its length is known.

struct FrameRules {
  /// Who receives.
  var role: Role
  /// Whether permessage-deflate was negotiated.
  var allowsCompression = false
  /// Whether a message has begun and its last frame is not in.
  var isInMessage = false

  func violation(_ header: FrameHeader) -> Violation? {
    violation(header.firstByte, header.secondByte)
  }

  func violation(_ first: UInt8, _ second: UInt8) -> Violation? {
    let opcode = first & 15
    let isFinal = first & 0x80 != 0
    // RFC 6455 §5.2: RSV bits are 0 unless an extension gives them a meaning.
    if first & 0x30 != 0 { return .broken("A reserved bit is set: RSV2 or RSV3.") }
    switch opcode {
    case Opcode.continuation, Opcode.text, Opcode.binary, Opcode.close, Opcode.ping, Opcode.pong:
      break
    default: return .broken("A frame has a reserved opcode.")
    }
    if first & 0x40 != 0 {
      if !allowsCompression { return .broken("A reserved bit is set: RSV1.") }
      // RFC 7692 §6: RSV1 is for the first frame of a message; no control frame
      // (§6.1) and no other frame of a message may have it.
      if opcode != Opcode.text, opcode != Opcode.binary {
        return .broken("RSV1 is set on a frame that does not start a message.")
      }
    }
    if opcode & 8 != 0 {
      // RFC 6455 §5.5.
      if !isFinal { return .broken("A control frame is fragmented.") }
      if second & 0x7F > 125 { return .broken("A control frame is longer than 125 bytes.") }
    } else if opcode == Opcode.continuation {
      // RFC 6455 §5.4.
      if !isInMessage { return .broken("A continuation frame continues nothing.") }
    } else if isInMessage {
      return .broken("A message starts within another.")
    }
    // RFC 6455 §5.1: a client masks every frame, and a server none.
    let isMasked = second & 0x80 != 0
    if role == .server, !isMasked { return .broken("A client's frame is not masked.") }
    if role == .client, isMasked { return .broken("A server's frame is masked.") }
    return nil
  }
}
