// UTF8Validator: which byte is refused, against what Swift itself encodes.

import Testing

@testable import Apus

@Suite struct UTF8ValidatorTests {
  /// The first offence, whatever the pieces; nil: none, -1: the text is cut.
  private func offence(_ bytes: [UInt8], pieces: [Int] = []) -> Int? {
    var validator = UTF8Validator()
    var start = 0
    for end in pieces + [bytes.count] {
      if let index = validator.firstOffence(in: bytes.span.extracting(start..<end)) {
        return start + index
      }
      start = end
    }
    return validator.isComplete ? nil : -1
  }

  /// All that may stand at the start of a character: one, two and three bytes.
  private static let beginnings: Set<[UInt8]> = {
    var set: Set<[UInt8]> = []
    for first in stride(from: UInt32(0), to: 0x11_0000, by: 32) {
      guard let scalar = Unicode.Scalar(first) else { continue }
      let bytes = Array(String(Character(scalar)).utf8)
      for count in 1...min(bytes.count, 3) { set.insert(Array(bytes.prefix(count))) }
    }
    for first in UInt8(0)..<0x80 { set.insert([first]) }
    return set
  }()

  /// Every start of up to three bytes beyond ASCII, with and without much behind it:
  /// the two ways through the validator.
  @Test func everyBeginning() {
    let rest = [UInt8](repeating: 0x61, count: 40)
    func check(_ bytes: [UInt8], _ expected: Int?) -> Bool {
      let alone = offence(bytes)
      let padded = offence(bytes + rest)
      if alone == (expected ?? -1) || (expected == nil && alone == nil) {
        // A character that is cut is refused where the ASCII starts.
        let cut = alone == -1 ? bytes.count : alone
        if padded == cut { return true }
      }
      Issue.record("\(Escapes.encode(bytes)): \(alone as Int?), \(padded as Int?)")
      return false
    }
    let set = UTF8ValidatorTests.beginnings
    for first in UInt8(0x80)...0xFF {
      let one = [first]
      if !set.contains(one) {
        guard check(one, 0) else { return }
        continue
      }
      for second in UInt8.min...UInt8.max {
        let two = one + [second]
        // Of two bytes, the last five bits stand for any of thirty-two.
        let known = first < 0xE0 ? second & 0xC0 == 0x80 : set.contains(two)
        guard check(two, known ? nil : 1) else { return }
        guard known, first >= 0xE0 else { continue }
        for third in UInt8.min...UInt8.max {
          guard check(two + [third], third & 0xC0 == 0x80 ? nil : 2) else { return }
          guard first >= 0xF0, third == 0xBF else { continue }
          for fourth in UInt8.min...UInt8.max {
            let four = two + [third, fourth]
            guard check(four, fourth & 0xC0 == 0x80 ? nil : 3) else { return }
          }
        }
      }
    }
  }

  @Test func everyScalarIsText() {
    var text = String.UnicodeScalarView()
    for value in stride(from: UInt32(0), to: 0x11_0000, by: 7) {
      if let scalar = Unicode.Scalar(value) { text.append(scalar) }
    }
    let bytes = Array(String(text).utf8)
    #expect(offence(bytes) == nil)
    #expect(UTF8Validator.isValid(bytes.span) == true)
  }

  @Test func doesNotDependOnThePieces() {
    var random = Random(seed: Random.seed)
    let source = Array("plain ASCII of some length, then κόσμε, 你好 and 😀😀 \u{7FF}\u{800}".utf8)
    for _ in 0..<2000 {
      var bytes = Array((source + source).prefix(Int.random(in: 0...120, using: &random)))
      for _ in 0..<Int.random(in: 0...2, using: &random) where !bytes.isEmpty {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(
          in: 0...255, using: &random)
      }
      let whole = offence(bytes)
      let isText = String(validating: bytes, as: UTF8.self) != nil
      #expect((whole == nil) == isText, "\(Escapes.encode(bytes)), \(Random.note)")
      #expect(UTF8Validator.isValid(bytes.span) == isText)
      let cuts = (0..<6).map { _ in Int.random(in: 0...bytes.count, using: &random) }.sorted()
      #expect(offence(bytes, pieces: cuts) == whole, "\(Escapes.encode(bytes)), \(Random.note)")
      #expect(offence(bytes, pieces: Array(0...bytes.count)) == whole)
    }
  }

  @Test func nothingIsText() {
    #expect(offence([]) == nil)
    #expect(offence([], pieces: [0, 0]) == nil)
  }
}
