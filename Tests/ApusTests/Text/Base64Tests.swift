// Base64: the examples of RFC 4648 §10, and that nothing but them is taken.

import Testing

@testable import Apus

@Suite struct Base64Tests {
  @Test(arguments: [
    ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
    ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
  ])
  func examples(_ text: String, _ encoded: String) {
    #expect(written { buffer in with(text) { Base64.append($0, to: &buffer) } } == encoded)
    #expect(with(encoded) { Base64.decodedCount($0) } == text.utf8.count)
  }

  @Test func everyDigit() {
    let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    var bytes: [UInt8] = []
    var bits: UInt32 = 0
    for value in UInt32(0)..<64 {
      bits = bits << 6 | value
      if value % 4 == 3 {
        bytes += [16, 8, 0].map { UInt8(truncatingIfNeeded: bits >> $0) }
        bits = 0
      }
    }
    #expect(written { Base64.append(bytes.span, to: &$0) } == digits)
    for byte in UInt8.min...UInt8.max {
      let text = [byte, 65, 65, 65]
      #expect((Base64.decodedCount(text.span) == 3) == Array(digits.utf8).contains(byte))
    }
  }

  @Test(arguments: [
    "A", "AA", "AAA", "AAAAA", "=", "====", "A===", "AA=A", "=AAA", "AA==AAAA", "AA =", "AAA\n",
    // Bits that no byte has.
    "AB==", "AAB=", "Zh==", "Zm9=",
  ])
  func refuses(_ text: String) {
    #expect(with(text) { Base64.decodedCount($0) } == nil)
  }
}
