// Deflater: what RFC 7692 shows, and that it inflates again, in the window agreed on.

import Testing

@testable import Apus

/// Bytes that are alike again and again, at all distances up to some thousands.
func repetitive(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
  var random = Random(seed: seed)
  var bytes: [UInt8] = []
  while bytes.count < count {
    let isNew = bytes.count < 20 || Int.random(in: 0..<4, using: &random) == 0
    if isNew {
      bytes += (0..<12).map { _ in UInt8.random(in: 0...255, using: &random) }
    } else {
      let start = Int.random(in: 0..<bytes.count - 12, using: &random)
      bytes += Array(bytes[start..<start + 12])
    }
  }
  return Array(bytes.prefix(count))
}

func makeDeflater(level: Int32 = 6, bits: UInt8 = 15, keepsContext: Bool = true) -> Deflater {
  guard let deflater = Deflater(level: level, bits: bits, keepsContext: keepsContext) else {
    preconditionFailure("no memory for a test")
  }
  return deflater
}

func makeInflater(bits: UInt8 = 15, keepsContext: Bool = true) -> Inflater {
  guard let inflater = Inflater(bits: bits, keepsContext: keepsContext) else {
    preconditionFailure("no memory for a test")
  }
  return inflater
}

/// A message compressed, in pieces that end at these places.
func deflated(
  _ deflater: inout Deflater, _ message: [UInt8], endingAt ends: [Int] = []
) -> [UInt8] {
  var buffer = ByteBuffer()
  buffer.append("before")
  var start = 0
  for end in ends + [message.count] {
    let isEnd = end == message.count
    let isDone = deflater.deflate(
      message.span.extracting(start..<end), isEnd: isEnd, to: &buffer)
    precondition(isDone, "no memory for a test")
    start = end
    if isEnd { break }
  }
  #expect(string(buffer).hasPrefix("before"))
  return Array(array(buffer.bytes).dropFirst(6))
}

/// A message inflated, or nil.
func inflated(_ inflater: inout Inflater, _ message: [UInt8]) -> [UInt8]? {
  var buffer = ByteBuffer()
  let outcome = inflater.inflate(message.span, isEnd: true, to: &buffer, room: 1 << 24)
  return outcome == .done ? array(buffer.bytes) : nil
}

/// The same byte by byte. zlib looks at distances only beyond what a call has put
/// out, so this is how it notices those that the window does not reach.
private func inflatedBytewise(_ inflater: inout Inflater, _ message: [UInt8]) -> [UInt8]? {
  var buffer = ByteBuffer()
  for (index, byte) in message.enumerated() {
    let isEnd = index == message.count - 1
    let piece = [byte]
    let outcome = inflater.inflate(piece.span, isEnd: isEnd, to: &buffer, room: 1 << 24)
    guard outcome == .done else { return nil }
  }
  return array(buffer.bytes)
}

@Suite struct DeflaterTests {
  /// RFC 7692 §7.2.3.1, §7.2.3.2.
  @Test func theExamplesOfTheRFC() {
    var deflater = makeDeflater()
    #expect(deflated(&deflater, Array("Hello".utf8)) == [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 7, 0])
    #expect(deflated(&deflater, Array("Hello".utf8)) == [0xF2, 0, 0x11, 0, 0])
    var alone = makeDeflater(keepsContext: false)
    for _ in 0..<3 {
      #expect(deflated(&alone, Array("Hello".utf8)) == [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 7, 0])
    }
  }

  /// RFC 7692 §7.2.3.6.
  @Test func emptyMessages() {
    var deflater = makeDeflater()
    var inflater = makeInflater(bits: 15, keepsContext: true)
    for _ in 0..<3 {
      #expect(deflated(&deflater, []) == [0])
      #expect(inflated(&inflater, [0]) == [])
    }
    let hello = Array("Hello".utf8)
    #expect(inflated(&inflater, deflated(&deflater, hello)) == hello)
    #expect(deflated(&deflater, []) == [0])
    #expect(inflated(&inflater, deflated(&deflater, hello)) == hello)
  }

  @Test(arguments: Array(UInt8(8)...15), [true, false])
  func inflatesAgain(_ bits: UInt8, _ keepsContext: Bool) {
    var deflater = makeDeflater(bits: bits, keepsContext: keepsContext)
    var inflater = makeInflater(bits: bits, keepsContext: keepsContext)
    for (index, count) in [1, 2, 100, 255, 256, 5000, 40_000, 0, 70_000].enumerated() {
      let message = repetitive(count, seed: UInt64(index))
      let bytes = deflated(&deflater, message)
      #expect(inflatedBytewise(&inflater, bytes) == message, "\(count)")
    }
  }

  /// The test above has teeth: a smaller window would not do.
  @Test func aWindowThatIsTooSmall() {
    var deflater = makeDeflater(bits: 15)
    var inflater = makeInflater(bits: 8, keepsContext: true)
    let bytes = deflated(&deflater, repetitive(5000))
    #expect((inflatedBytewise(&inflater, bytes) == nil) == true)
  }

  @Test func piecesMakeOneMessage() {
    var random = Random(seed: Random.seed)
    var deflater = makeDeflater()
    var inflater = makeInflater(bits: 15, keepsContext: true)
    for count in [10, 1000, 100_000] {
      let message = repetitive(count)
      var ends = (0..<8).map { _ in Int.random(in: 0..<count, using: &random) }.sorted()
      ends = [0] + ends
      let bytes = deflated(&deflater, message, endingAt: ends)
      #expect(inflated(&inflater, bytes) == message, "\(ends), \(Random.note)")
    }
  }

  /// The last piece may be empty.
  @Test func anEmptyLastPiece() {
    var deflater = makeDeflater()
    var inflater = makeInflater(bits: 15, keepsContext: true)
    let hello = Array("Hello".utf8)
    var buffer = ByteBuffer()
    #expect(deflater.deflate(hello.span, isEnd: false, to: &buffer) == true)
    #expect(deflater.deflate(Span(), isEnd: false, to: &buffer) == true)
    #expect(deflater.deflate(Span(), isEnd: true, to: &buffer) == true)
    #expect(inflated(&inflater, array(buffer.bytes)) == hello)
  }

  @Test(arguments: [0, 1, 9] as [Int32])
  func levels(_ level: Int32) {
    var deflater = makeDeflater(level: level)
    var inflater = makeInflater(bits: 15, keepsContext: true)
    var random = Random(seed: 5)
    for count in [1, 1000, 66_000] {
      let noise = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
      let bytes = deflated(&deflater, noise)
      #expect(inflated(&inflater, bytes) == noise)
      // What the receiver's limit on compressed bytes counts on.
      #expect(bytes.count <= count + count / 8 + 1024)
    }
  }

  private func isNone<Value: ~Copyable>(_ value: consuming Value?) -> Bool {
    switch consume value {
    case .none: true
    case .some: false
    }
  }

  @Test func takesNoNonsense() {
    #expect(isNone(Deflater(level: 10, bits: 15, keepsContext: true)) == true)
    #expect(isNone(Deflater(bits: 16, keepsContext: true)) == true)
    #expect(isNone(Deflater(bits: 15, memory: 0, keepsContext: true)) == true)
    #expect(isNone(Inflater(bits: 16, keepsContext: true)) == true)
    #expect(isNone(Inflater(bits: 7, keepsContext: true)) == true)
  }
}
