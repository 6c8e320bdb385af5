// Frame: written into somebody's memory, it is what is appended to a buffer.

import Testing

@testable import Apus

@Suite struct FrameTests {
  private static let lengths = [0, 1, 125, 126, 127, 65_535, 65_536]

  private func appended(_ header: FrameHeader, _ payload: [UInt8]) -> [UInt8] {
    var buffer = ByteBuffer()
    #expect(Frame.append(header, payload.span, header.mask, to: &buffer) == true)
    return array(buffer.bytes)
  }

  @Test(arguments: lengths, [nil, MaskKey(0x37, 0xFA, 0x21, 0x3D)])
  func written(_ length: Int, _ mask: MaskKey?) {
    let payload = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ 3) }
    let header = FrameHeader(opcode: Opcode.binary, length: Int64(length), mask: mask)
    let count = header.count + length
    let due = appended(header, payload)
    #expect(due.count == count)

    // Guarded: a byte too far ends the test.
    let memory = GuardedMemory(capacity: 70_000)
    guard let room = memory.place(count).baseAddress else { return }
    payload.withUnsafeBufferPointer { source in
      Frame.write(header, source.baseAddress ?? UnsafePointer(room), to: room)
    }
    #expect(Array(UnsafeBufferPointer(start: room, count: count)) == due)

    // The payload may stand at its place already.
    for index in 0..<length { room[header.count + index] = payload[index] }
    Frame.write(header, UnsafePointer(room + header.count), to: room)
    #expect(Array(UnsafeBufferPointer(start: room, count: count)) == due)
  }

  @Test func aHeaderAlone() {
    let memory = GuardedMemory(capacity: 16)
    let longest = FrameHeader(length: .max, mask: MaskKey(1, 2, 3, 4))
    guard let room = memory.place(14).baseAddress else { return }
    #expect(longest.write(to: room) == FrameHeader.longest)
    #expect(
      Array(UnsafeBufferPointer(start: room, count: 14))
        == [0x81, 0xFF, 0x7F] + [UInt8](repeating: 0xFF, count: 7) + [1, 2, 3, 4])
  }
}
