// Handle: kind, generation and index in 52 bits.

import Testing

@testable import Apus

@Suite struct HandleTests {
  @Test(arguments: Kind.allCases)
  func keepsItsParts(_ kind: Kind) {
    for generation in [1, 2, 0x123456, Handle.largest] {
      for index in [0, 1, 0xABCDEF, Handle.largest] {
        let handle = Handle(kind: kind, generation: generation, index: index)
        #expect(handle.kind == kind)
        #expect(handle.generation == generation)
        #expect(handle.index == index)
        #expect(handle == Handle(bits: handle.bits))
        // RFC 8259's numbers, Lua's and JavaScript's: whole up to 2^53.
        #expect(handle.bits < 1 << 52)
        #expect(UInt64(Double(handle.bits)) == handle.bits)
      }
    }
  }

  @Test func knowsNoOtherKinds() {
    #expect(Handle(bits: 0).kind == nil)
    #expect(Handle(bits: .max).kind == nil)
    for number in 10...15 as ClosedRange<UInt64> {
      #expect(Handle(bits: number << 48 | 1 << 24).kind == nil)
    }
    for bit in 52...63 as ClosedRange<UInt64> {
      let handle = Handle(kind: .server, generation: 1, index: 0)
      #expect(Handle(bits: handle.bits | 1 << bit).kind == nil)
    }
  }
}
