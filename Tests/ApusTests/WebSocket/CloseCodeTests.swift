// CloseCode: which codes go over the wire, and payloads both ways.

import Testing

@testable import Apus

@Suite struct CloseCodeTests {
  @Test func everyCode() {
    let registered: Set<UInt16> = [
      1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
    ]
    for code in UInt16.min...UInt16.max {
      let isDue = registered.contains(code) || (code >= 3000 && code < 5000)
      guard CloseCode.isOnWire(code) == isDue else {
        Issue.record("\(code)")
        return
      }
    }
  }

  private func parsed(_ bytes: [UInt8]) -> String {
    switch CloseCode.parse(bytes.span) {
    case .none: "none"
    case .code(let code): "\(code)"
    case .refused(let violation): "refused \(violation.code)"
    }
  }

  @Test func payloads() {
    #expect(parsed([]) == "none")
    #expect(parsed([3]) == "refused 1002")
    #expect(parsed([3, 0xE8]) == "1000")
    #expect(parsed([0x13, 0x87] + Array("κ".utf8)) == "4999")
    #expect(parsed([3, 0xE8, 0xC3]) == "refused 1007")
    #expect(parsed([3, 0xED, 0xC3]) == "refused 1002")
    #expect(parsed([3, 0xE8] + [UInt8](repeating: 97, count: 123)) == "1000")
    #expect(parsed([3, 0xE8] + [UInt8](repeating: 97, count: 124)) == "refused 1002")
  }

  @Test func writes() {
    func payload(_ code: UInt16, _ reason: [UInt8]) -> (CloseCode.Problem?, [UInt8]) {
      var buffer = ByteBuffer()
      let problem = CloseCode.append(code: code, reason: reason.span, to: &buffer)
      return (problem, array(buffer.bytes))
    }
    let longest = [UInt8](repeating: 97, count: 123)
    #expect(payload(1000, []) == (nil, [3, 0xE8]))
    #expect(payload(4999, [0xC3, 0xA9]) == (nil, [0x13, 0x87, 0xC3, 0xA9]))
    #expect(payload(1001, longest) == (nil, [3, 0xE9] + longest))
    #expect(payload(1001, longest + [97]) == (.reasonTooLong, []))
    #expect(payload(1005, []) == (.code, []))
    #expect(payload(0, []) == (.code, []))
    #expect(payload(1000, [0xFF]) == (.reasonNotUTF8, []))
    #expect(payload(1000, [0xE2, 0x82]) == (.reasonNotUTF8, []))
  }
}
