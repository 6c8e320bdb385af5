// How the other end of a WebSocket connection can break the protocol, or pass a
// limit; and what is said to it then.

/// Why a connection is failed (RFC 6455 §7.1.7): the close code due, and a
/// sentence for the reason of the Close frame.
struct Violation: Equatable {
  let code: UInt16
  let reason: StaticString

  static func == (left: Violation, right: Violation) -> Bool { left.code == right.code }

  /// Whether it is a limit that was passed.
  var isLimit: Bool {
    code == CloseCode.tooBig || code == CloseCode.policy || code == Violation.busy.code
  }

  /// RFC 6455 §7.4.1: 1002.
  static func broken(_ reason: StaticString) -> Violation {
    Violation(code: CloseCode.protocolError, reason: reason)
  }

  static var notUTF8: Violation {
    Violation(code: CloseCode.invalidPayload, reason: "A text message is not UTF-8.")
  }
  static var notDeflate: Violation {
    Violation(code: CloseCode.invalidPayload, reason: "A compressed message is malformed.")
  }
  static var messageTooLong: Violation {
    Violation(code: CloseCode.tooBig, reason: "The message is longer than this side takes.")
  }
  static var tooManyFrames: Violation {
    Violation(code: CloseCode.policy, reason: "The message has more frames than this side takes.")
  }
  static var tooManyControls: Violation {
    Violation(code: CloseCode.policy, reason: "Control frames come faster than this side takes.")
  }
  /// IANA's registry: 1013, try again later.
  static var busy: Violation {
    Violation(code: 1013, reason: "This side has too much waiting.")
  }
  static var noMemory: Violation {
    Violation(code: CloseCode.internalError, reason: "There is no memory left.")
  }
}
