// The sending half of a WebSocket connection, for either role: writes frames, and
// says why one must not be sent (RFC 6455 §5.1 to §5.5, RFC 7692 §6.1). Keys come
// from the caller, a new one for each frame of a client (§5.3), and so do payloads
// that are compressed.

struct MessageSender {
  enum Problem {
    /// A Close was sent: nothing follows it (RFC 6455 §5.5.1).
    case closed
    /// It is no opcode, or a message would start within another, or a
    /// continuation would continue nothing.
    case opcode
    /// A control frame that is fragmented, compressed or longer than 125 bytes.
    case control
    /// The payload of a Close: a code that must not be sent, a reason too long.
    case closePayload
    /// Text that is not UTF-8.
    case text
    /// A client's frame without a masking key.
    case key
    case memory
  }

  let role: Role
  /// Whether a message was begun and its last frame not sent.
  private(set) var isInMessage = false
  /// Whether a Close was sent.
  private(set) var isClosed = false
  private var checksText = false
  private var text = UTF8Validator()

  init(role: Role) { self.role = role }

  /// Appends one frame. `key` is for a client, whose frames are masked; a server's
  /// are not. `isCompressed` is for the first frame of a message. Where there is a
  /// problem, nothing is appended.
  mutating func append(
    opcode: UInt8, isFinal: Bool = true, isCompressed: Bool = false, _ payload: Bytes,
    key: MaskKey? = nil, to buffer: inout ByteBuffer
  ) -> Problem? {
    if let problem = problem(opcode, isFinal, isCompressed, payload) { return problem }
    if role == .client, key == nil { return .key }
    var text = text
    var checksText = checksText
    if opcode == Opcode.text || opcode == Opcode.binary {
      // Compressed text cannot be looked into here: whoever compressed it has.
      checksText = opcode == Opcode.text && !isCompressed
      text = UTF8Validator()
    }
    if checksText, opcode & 8 == 0 {
      let offence = text.firstOffence(in: payload)
      if offence != nil || (isFinal && !text.isComplete) { return .text }
    }
    var header = FrameHeader()
    header.isFinal = isFinal
    header.reserved = isCompressed ? FrameHeader.rsv1 : 0
    header.opcode = opcode
    guard Frame.append(header, payload, role == .client ? key : nil, to: &buffer) else {
      return .memory
    }
    if opcode == Opcode.close { isClosed = true }
    if opcode & 8 == 0 {
      isInMessage = !isFinal
      self.checksText = checksText
      self.text = text
    }
    return nil
  }

  /// Appends a whole message in frames of at most `size` bytes, or in one where that
  /// is 0. Where there is a problem, nothing is appended.
  @inline(__always)
  mutating func append(
    message payload: Bytes, opcode: UInt8, isCompressed: Bool = false, inFramesOf size: Int = 0,
    to buffer: inout ByteBuffer, nextKey: () -> MaskKey? = { nil }
  ) -> Problem? {
    guard opcode == Opcode.text || opcode == Opcode.binary else { return .opcode }
    // What most messages are.
    if role == .server, !isInMessage, !isClosed, !isCompressed, size == 0 {
      if opcode == Opcode.text, !UTF8Validator.isValid(payload) { return .text }
      return Frame.append(message: payload, opcode, to: &buffer) ? nil : .memory
    }
    return append(inFrames: payload, opcode, isCompressed, size, to: &buffer, nextKey)
  }

  private mutating func append(
    inFrames payload: Bytes, _ opcode: UInt8, _ isCompressed: Bool, _ size: Int,
    to buffer: inout ByteBuffer, _ nextKey: () -> MaskKey?
  ) -> Problem? {
    let before = self
    let start = buffer.count
    let most = size > 0 ? size : payload.count
    var index = 0
    repeat {
      let end = payload.count &- index > most ? index &+ most : payload.count
      let isFirst = index == 0
      let problem = append(
        opcode: isFirst ? opcode : Opcode.continuation, isFinal: end == payload.count,
        isCompressed: isCompressed && isFirst, payload.extracting(index..<end), key: nextKey(),
        to: &buffer)
      if let problem {
        self = before
        buffer.truncate(to: start)
        return problem
      }
      index = end
    } while index < payload.count
    return nil
  }

  /// Appends a Close frame; without a code, one without payload.
  mutating func appendClose(
    code: UInt16?, reason: Bytes, key: MaskKey? = nil, to buffer: inout ByteBuffer
  ) -> Problem? {
    var payload = ByteBuffer()
    if let code {
      if CloseCode.append(code: code, reason: reason, to: &payload) != nil { return .closePayload }
      if payload.failed { return .memory }
    } else if reason.count > 0 {
      return .closePayload
    }
    return append(opcode: Opcode.close, payload.bytes, key: key, to: &buffer)
  }

  private func problem(
    _ opcode: UInt8, _ isFinal: Bool, _ isCompressed: Bool, _ payload: Bytes
  ) -> Problem? {
    if isClosed { return .closed }
    switch opcode {
    case Opcode.close, Opcode.ping, Opcode.pong:
      let isShort = payload.count <= FrameHeader.longestControl
      guard isFinal, !isCompressed, isShort else { return .control }
      if opcode == Opcode.close, case .refused = CloseCode.parse(payload) { return .closePayload }
    case Opcode.text, Opcode.binary:
      if isInMessage { return .opcode }
    case Opcode.continuation:
      if !isInMessage || isCompressed { return .opcode }
    default: return .opcode
    }
    return nil
  }
}
