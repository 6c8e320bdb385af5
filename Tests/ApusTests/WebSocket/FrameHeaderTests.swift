// FrameHeader: bytes to a header and back.

import Testing

@testable import Apus

@Suite struct FrameHeaderTests {
  private static let samples: [Int64] = [
    0, 1, 124, 125, 126, 127, 128, 255, 256, 65_534, 65_535, 65_536, 65_537, 1 << 32, .max,
  ]

  private func bytes(_ header: FrameHeader) -> [UInt8] {
    var buffer = ByteBuffer()
    header.append(to: &buffer)
    return array(buffer.bytes)
  }

  /// Each header comes back, from behind something else, and no part of it does.
  @Test(arguments: samples)
  func thereAndBack(_ length: Int64) {
    for first in UInt8.min...UInt8.max {
      for mask in [nil, MaskKey(1, 2, 3, 4)] {
        var header = FrameHeader()
        header.isFinal = first & 0x80 != 0
        header.reserved = first >> 4 & 7
        header.opcode = first & 15
        header.length = length
        header.mask = mask
        let bytes = [7, 7] + bytes(header)
        let size = bytes.count - 2
        #expect(size == header.count)
        #expect(size <= FrameHeader.longest)
        #expect(bytes[2] == first)
        guard case .header(let found, let payload) = FrameHeader.decode(bytes.span, at: 2),
          found == header, payload == bytes.count
        else {
          Issue.record("\(header)")
          return
        }
        for count in 0..<size {
          let part = bytes.span.extracting(first: 2 + count)
          guard case .incomplete = FrameHeader.decode(part, at: 2) else {
            Issue.record("\(count) bytes of \(header)")
            return
          }
        }
      }
    }
  }

  /// RFC 6455 §5.7.
  @Test func theExamplesOfTheRFC() {
    var header = FrameHeader()
    header.length = 5
    #expect(bytes(header) == [0x81, 0x05])
    header.mask = MaskKey(0x37, 0xFA, 0x21, 0x3D)
    #expect(bytes(header) == [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D])
    header = FrameHeader(isFinal: false, length: 3)
    #expect(bytes(header) == [0x01, 0x03])
    header = FrameHeader(opcode: Opcode.binary, length: 256)
    #expect(bytes(header) == [0x82, 0x7E, 0x01, 0x00])
    header.length = 65_536
    #expect(bytes(header) == [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0])
  }

  private func decoded(_ bytes: [UInt8]) -> String {
    switch FrameHeader.decode(bytes.span, at: 0) {
    case .incomplete: "incomplete"
    case .header(let header, _): "\(header.length)"
    case .refused(let violation): "refused \(violation.code)"
    }
  }

  /// RFC 6455 §5.2: the minimal number of bytes, and 63 bits.
  @Test func lengths() {
    #expect(decoded([0x82, 126, 0, 125]) == "refused 1002")
    #expect(decoded([0x82, 126, 0, 126]) == "126")
    #expect(decoded([0x82, 126, 0xFF, 0xFF]) == "65535")
    #expect(decoded([0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]) == "refused 1002")
    #expect(decoded([0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]) == "65536")
    let highest = [0x82, 127, 0x7F] + [UInt8](repeating: 0xFF, count: 7)
    #expect(decoded(highest) == "9223372036854775807")
    #expect(decoded([0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]) == "refused 1002")
    #expect(decoded([0x82, 127, 0x80, 0, 0, 0, 0, 0, 0]) == "incomplete")
  }

  @Test func aStartThatIsNotThere() {
    let bytes: [UInt8] = [0x82, 0]
    for start in [-1, 1, 2, 3, Int.max] {
      guard case .incomplete = FrameHeader.decode(bytes.span, at: start) else {
        Issue.record("\(start)")
        return
      }
    }
  }
}
