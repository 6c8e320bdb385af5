// Masking, RFC 6455 §5.3: byte i of a payload is XORed with byte i modulo 4 of the
// key. Masking and unmasking are the same. A payload may come in pieces, so each
// call says where in it its bytes stand; 64 bytes go at a step.

/// The four bytes of a masking key in the order of the wire.
struct MaskKey: Equatable {
  /// The first byte is the lowest.
  let word: UInt32

  init(word: UInt32) { self.word = word }

  init(_ first: UInt8, _ second: UInt8, _ third: UInt8, _ fourth: UInt8) {
    word =
      UInt32(first) | UInt32(second) << 8 | UInt32(third) << 16 | UInt32(fourth) << 24
  }

  subscript(index: Int) -> UInt8 { UInt8(truncatingIfNeeded: word >> (UInt32(index & 3) << 3)) }
}

enum Mask {
  /// Masks a range of bytes where they stand. The first of them is byte `phase` of
  /// its payload.
  static func apply(
    _ key: MaskKey, phase: Int, to bytes: inout MutableSpan<UInt8>, _ range: Range<Int>
  ) {
    guard range.lowerBound >= 0, range.upperBound <= bytes.count else { return }
    unsafe bytes.withUnsafeMutableBytes { memory in
      guard let base = memory.baseAddress else { return }
      let start = unsafe base + range.lowerBound
      unsafe combine(start, start, range.count, key, phase)
    }
  }

  /// Appends bytes masked, from the first byte of a payload on. False without memory.
  static func append(_ bytes: Bytes, _ key: MaskKey, to buffer: inout ByteBuffer) -> Bool {
    guard let space = unsafe buffer.space(bytes.count) else { return false }
    unsafe bytes.withUnsafeBytes { source in
      if let base = source.baseAddress { unsafe combine(base, space, source.count, key, 0) }
    }
    buffer.filled(bytes.count)
    return true
  }

  /// Masks bytes on their way from one place to another, or where they stand; the
  /// first of them is byte `phase` of its payload. `target` and `source` hold `count`
  /// bytes each, and are the same or apart.
  @unsafe static func combine(
    _ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer, _ count: Int, _ key: MaskKey,
    _ phase: Int
  ) {
    // The key as it stands from the first of these bytes on.
    let shift = UInt32(phase & 3) << 3
    let turned = shift == 0 ? key.word : key.word >> shift | key.word << (32 &- shift)
    let word = UInt64(truncatingIfNeeded: turned) << 32 | UInt64(truncatingIfNeeded: turned)
    let lane = SIMD4<UInt64>(repeating: word.littleEndian)
    var index = 0
    while count &- index >= 64 {
      let first = unsafe source.loadUnaligned(fromByteOffset: index, as: SIMD4<UInt64>.self)
      let second = unsafe source.loadUnaligned(fromByteOffset: index &+ 32, as: SIMD4<UInt64>.self)
      unsafe target.storeBytes(of: first ^ lane, toByteOffset: index, as: SIMD4<UInt64>.self)
      unsafe target.storeBytes(
        of: second ^ lane, toByteOffset: index &+ 32, as: SIMD4<UInt64>.self)
      index &+= 64
    }
    while count &- index >= 8 {
      let piece = unsafe source.loadUnaligned(fromByteOffset: index, as: UInt64.self)
      unsafe target.storeBytes(
        of: piece ^ word.littleEndian, toByteOffset: index, as: UInt64.self)
      index &+= 8
    }
    // Eight bytes are twice the key: the rest starts at its first byte again.
    var rest = word
    while index < count {
      let byte = unsafe source.load(fromByteOffset: index, as: UInt8.self)
      unsafe target.storeBytes(
        of: byte ^ UInt8(truncatingIfNeeded: rest), toByteOffset: index, as: UInt8.self)
      rest >>= 8
      index &+= 1
    }
  }
}
