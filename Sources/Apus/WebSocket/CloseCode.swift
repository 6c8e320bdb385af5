// Close codes (RFC 6455 §7.4, IANA's registry) and the payload of a Close frame
// (§5.5.1): nothing, or a code and a reason in UTF-8.

enum CloseCode {
  static var normal: UInt16 { 1000 }
  static var goingAway: UInt16 { 1001 }
  static var protocolError: UInt16 { 1002 }
  static var unsupportedData: UInt16 { 1003 }
  /// Never on the wire: no code came, or no Close frame at all (§7.4.1).
  static var noneReceived: UInt16 { 1005 }
  static var abnormal: UInt16 { 1006 }
  static var invalidPayload: UInt16 { 1007 }
  static var policy: UInt16 { 1008 }
  static var tooBig: UInt16 { 1009 }
  static var missingExtension: UInt16 { 1010 }
  static var internalError: UInt16 { 1011 }

  /// The longest reason: a control frame has 125 bytes, of which two are the code.
  static var longestReason: Int { 123 }

  /// Whether a code may stand in a Close frame. RFC 6455 §7.4.1 keeps 1004, 1005,
  /// 1006 and 1015 off the wire; 1012 to 1014 were registered later; §7.4.2 leaves
  /// 3000 to 4999 to libraries and applications.
  static func isOnWire(_ code: UInt16) -> Bool {
    switch code {
    case 1000...1003, 1007...1014, 3000...4999: true
    default: false
    }
  }

  enum Payload {
    case none
    /// The reason is all behind the code's two bytes.
    case code(UInt16)
    case refused(Violation)
  }

  /// What the payload of a Close frame says.
  static func parse(_ payload: Bytes) -> Payload {
    if payload.count == 0 { return .none }
    guard payload.count >= 2 else {
      return .refused(.broken("A Close frame holds half a code."))
    }
    guard payload.count <= longestReason &+ 2 else {
      return .refused(.broken("A control frame is longer than 125 bytes."))
    }
    let code = UInt16(payload[0]) << 8 | UInt16(payload[1])
    guard isOnWire(code) else {
      return .refused(.broken("A Close frame holds a code that must not be sent."))
    }
    // RFC 6455 §8.1 with §5.5.1: the reason is text.
    guard UTF8Validator.isValid(payload.extracting(2..<payload.count)) else {
      return .refused(
        Violation(code: invalidPayload, reason: "The reason of a Close frame is not UTF-8."))
    }
    return .code(code)
  }

  enum Problem {
    case code, reasonTooLong, reasonNotUTF8
  }

  /// Why a Close frame with these must not be sent; nil if it may.
  static func problem(code: UInt16, reason: Bytes) -> Problem? {
    if !isOnWire(code) { return .code }
    if reason.count > longestReason { return .reasonTooLong }
    return UTF8Validator.isValid(reason) ? nil : .reasonNotUTF8
  }

  /// Appends the payload of a Close frame; nothing where there is a problem.
  static func append(code: UInt16, reason: Bytes, to buffer: inout ByteBuffer) -> Problem? {
    if let problem = problem(code: code, reason: reason) { return problem }
    buffer.append(UInt8(truncatingIfNeeded: code >> 8))
    buffer.append(UInt8(truncatingIfNeeded: code))
    buffer.append(reason)
    return nil
  }
}
