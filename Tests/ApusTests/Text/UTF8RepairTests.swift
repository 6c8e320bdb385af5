// UTF8Repair against the standard library, which repairs by the same rule.

import Testing

@testable import Apus

@Suite struct UTF8RepairTests {
  @Test func asTheStandardLibrary() {
    var random = Random(seed: 5)
    let some: [UInt8] = [
      0x61, 0x7F, 0x80, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xDF, 0xE0, 0xE2, 0xED, 0xEF, 0xF0, 0xF1,
      0xF4, 0xF5, 0xFF, 0x82, 0xAC,
    ]
    for count in 0..<60 {
      for _ in 0..<100 {
        let bytes = (0..<count).map { _ in some.randomElement(using: &random) ?? 0 }
        let repaired = written { UTF8Repair.append(bytes.span, to: &$0) }
        #expect(Array(repaired.utf8) == Array(String(decoding: bytes, as: UTF8.self).utf8))
      }
    }
  }
}
