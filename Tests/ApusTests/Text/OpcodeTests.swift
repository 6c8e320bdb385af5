// Opcode: WebSocket opcodes by name.

import Testing

@testable import Apus

@Suite struct OpcodeTests {
  @Test func names() {
    let names = [0: "CONTINUE", 1: "TEXT", 2: "BINARY", 8: "CLOSE", 9: "PING", 10: "PONG"]
    for number in -1...16 {
      #expect(Opcode.name(Int32(number))?.text == names[number], "\(number)")
    }
  }

  @Test func controlOpcodesHaveTheHighBit() {
    for number in 0...15 as ClosedRange<Int32> {
      #expect(Opcode.isControl(number) == (number >= 8))
    }
  }
}
