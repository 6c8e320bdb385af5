// WebSocket opcodes (RFC 6455 §5.2, §11.8).

enum Opcode {
  static var continuation: UInt8 { 0 }
  static var text: UInt8 { 1 }
  static var binary: UInt8 { 2 }
  static var close: UInt8 { 8 }
  static var ping: UInt8 { 9 }
  static var pong: UInt8 { 10 }

  static func name(_ number: Int32) -> StaticString? {
    switch number {
    case 0: "CONTINUE"
    case 1: "TEXT"
    case 2: "BINARY"
    case 8: "CLOSE"
    case 9: "PING"
    case 10: "PONG"
    default: nil
    }
  }

  /// RFC 6455 §5.5: the most significant bit of the opcode.
  static func isControl(_ number: Int32) -> Bool { number & 8 != 0 }
}
