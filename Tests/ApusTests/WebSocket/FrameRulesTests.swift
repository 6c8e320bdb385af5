// FrameRules: each start of a frame that there is, in each state.

import Testing

@testable import Apus

@Suite struct FrameRulesTests {
  /// RFC 6455 §5 and RFC 7692 §6 once more, in other words.
  private func isAllowed(_ first: UInt8, _ second: UInt8, _ rules: FrameRules) -> Bool {
    let opcode = Int(first % 16)
    let isFinal = first >= 128
    let reserved = Int(first / 16 % 8)
    let isMasked = second >= 128
    let length = second % 128
    guard isMasked == (rules.role == .server) else { return false }
    guard reserved == 0 || (reserved == 4 && rules.allowsCompression && [1, 2].contains(opcode))
    else { return false }
    switch opcode {
    case 0: return rules.isInMessage
    case 1, 2: return !rules.isInMessage
    case 8, 9, 10: return isFinal && length <= 125
    default: return false
    }
  }

  @Test(arguments: [Role.client, .server], [true, false])
  func everyStart(_ role: Role, _ allowsCompression: Bool) {
    for isInMessage in [true, false] {
      let rules = FrameRules(
        role: role, allowsCompression: allowsCompression, isInMessage: isInMessage)
      for first in UInt8.min...UInt8.max {
        for second in UInt8.min...UInt8.max {
          let violation = rules.violation(first, second)
          guard (violation == nil) == isAllowed(first, second, rules),
            violation?.code ?? 1002 == 1002
          else {
            Issue.record("\(first) \(second), \(isInMessage)")
            return
          }
        }
      }
    }
  }

  @Test func ofAHeader() {
    let rules = FrameRules(role: .client)
    #expect(rules.violation(FrameHeader(length: 70_000)) == nil)
    #expect(rules.violation(FrameHeader(reserved: 4))?.code == 1002)
    #expect(rules.violation(FrameHeader(opcode: Opcode.ping, length: 126))?.code == 1002)
    #expect(rules.violation(FrameHeader(mask: MaskKey(1, 2, 3, 4)))?.code == 1002)
  }

  @Test func theNumbersOfTheRoles() {
    #expect(Role.client.rawValue == 0)
    #expect(Role.server.rawValue == 1)
  }
}
