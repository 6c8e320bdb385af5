// The character classes against the RFCs' lists, and each scanner against a plain
// loop over the class: every length, every alignment and every byte value, with
// the input flush against memory that must not be read.

import Testing

@testable import Apus

/// The classes as the RFCs spell them out, written again from the text.
private enum Oracle {
  static func isToken(_ byte: UInt8) -> Bool {
    "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8
      .contains(byte)
  }

  static func isFieldValue(_ byte: UInt8) -> Bool {
    byte == 0x09 || byte == 0x20 || (0x21...0x7E).contains(byte) || byte >= 0x80
  }

  static func isTarget(_ byte: UInt8) -> Bool { (0x21...0x7E).contains(byte) }

  static func isUnreserved(_ byte: UInt8) -> Bool {
    "-._~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8.contains(byte)
  }
}

@Suite struct CharacterTests {
  @Test func classes() {
    for byte in UInt8.min...UInt8.max {
      #expect(byte.isToken == Oracle.isToken(byte), "\(byte)")
      #expect(byte.isFieldValue == Oracle.isFieldValue(byte), "\(byte)")
      #expect(byte.isUnreserved == Oracle.isUnreserved(byte), "\(byte)")
      #expect(byte.isDigit == "0123456789".utf8.contains(byte), "\(byte)")
      let isLetter = (65...90).contains(byte) || (97...122).contains(byte)
      #expect(byte.isLetter == isLetter, "\(byte)")
      #expect(byte.lowercased == ((65...90).contains(byte) ? byte + 32 : byte), "\(byte)")
    }
  }

  @Test func hexDigits() {
    for byte in UInt8.min...UInt8.max {
      let text = String(UnicodeScalar(byte))
      let value = byte < 128 ? UInt8(text, radix: 16) : nil
      #expect(byte.hexValue == value, "\(byte)")
    }
  }
}

/// A scanner: what it finds in bytes from a start on.
private struct Scanner: CustomTestStringConvertible, Sendable {
  let testDescription: String
  let find: @Sendable (Span<UInt8>, Int) -> Int
  let accepts: @Sendable (UInt8) -> Bool
  /// What the bytes around the one under test are.
  let fill: [UInt8]

  func expected(_ bytes: [UInt8], from start: Int) -> Int {
    bytes[start...].firstIndex { !accepts($0) } ?? bytes.count
  }

  static let all = [
    Scanner(
      testDescription: "firstOutsideFieldValue",
      find: { $0.firstOutsideFieldValue(from: $1) }, accepts: Oracle.isFieldValue,
      fill: Array(" a\t\u{FF}~!".utf8)),
    Scanner(
      testDescription: "firstOutsideTarget",
      find: { $0.firstOutsideTarget(from: $1) }, accepts: Oracle.isTarget,
      fill: Array("/a~!%".utf8)),
    Scanner(
      testDescription: "firstTargetMark",
      find: { $0.firstTargetMark(from: $1) }, accepts: { !"#%?".utf8.contains($0) },
      fill: Array("/a~!\u{0}".utf8)),
    Scanner(
      testDescription: "firstOutsideToken",
      find: { $0.firstOutsideToken(from: $1) }, accepts: Oracle.isToken,
      fill: Array("aZ0-!_".utf8)),
    Scanner(
      testDescription: "firstOutsideASCII",
      find: { $0.firstOutsideASCII(from: $1) }, accepts: { $0 < 0x80 },
      fill: Array("aZ0\u{0}\u{7F}\r".utf8)),
    Scanner(
      testDescription: "first",
      find: { $0.first(0x2C, from: $1) ?? $0.count }, accepts: { $0 != 0x2C },
      fill: Array("a+-\u{0}\u{7F}".utf8)),
  ]
}

@Suite struct ScannerTests {
  /// A byte of each value at every place of every length; the place also says
  /// how the scan is aligned, since the end of the bytes is that of a page.
  @Test(arguments: Scanner.all)
  fileprivate func findsEachByteAtEachPlace(_ scanner: Scanner) {
    let memory = GuardedMemory(capacity: 128)
    var wrong = 0
    for length in 0...70 {
      let room = memory.place(length)
      for index in 0..<length { room[index] = scanner.fill[index % scanner.fill.count] }
      let span = Span(_unsafeElements: UnsafeBufferPointer(room))
      if scanner.find(span, 0) != length { wrong += 1 }
      for place in 0..<length {
        let kept = room[place]
        for byte in values(at: place, of: length) {
          room[place] = byte
          if scanner.find(span, 0) != (scanner.accepts(byte) ? length : place) { wrong += 1 }
        }
        room[place] = kept
      }
    }
    #expect(wrong == 0)
  }

  /// All values in some lengths, in the others those at the borders of classes.
  private func values(at place: Int, of length: Int) -> [UInt8] {
    let borders: [UInt8] = [
      0, 8, 9, 10, 13, 31, 32, 33, 34, 44, 47, 58, 64, 91, 94, 96, 123, 126, 127, 128, 255,
    ]
    return length < 18 || length == 33 || length == 70 ? Array(0...255) : borders
  }

  @Test(arguments: Scanner.all)
  fileprivate func startsWhereItIsTold(_ scanner: Scanner) {
    let memory = GuardedMemory(capacity: 128)
    for length in 0...70 {
      for start in 0...length {
        for place in [0, start - 1, start, start + 1, length - 1] {
          var bytes = [UInt8](repeating: UInt8(ascii: "a"), count: length)
          if bytes.indices.contains(place) { bytes[place] = place % 2 == 0 ? 0 : 0x2C }
          let found = memory.with(bytes) { scanner.find($0, start) }
          let expected = scanner.expected(bytes, from: start)
          if found != expected {
            Issue.record("\(found), not \(expected): \(length) from \(start), odd at \(place)")
          }
        }
      }
    }
  }

  /// Bytes at random, so that several lanes hit at once.
  @Test(arguments: Scanner.all)
  fileprivate func findsTheFirstOfMany(_ scanner: Scanner) {
    var random = Random(seed: Random.seed)
    let memory = GuardedMemory(capacity: 256)
    for _ in 0..<4000 {
      let accepted = UInt8.random(in: 0...40, using: &random)
      let bytes = (0..<Int.random(in: 0...100, using: &random)).map { _ in
        UInt8.random(in: 0...40, using: &random) < accepted
          ? scanner.fill[Int.random(in: 0..<scanner.fill.count, using: &random)]
          : UInt8.random(in: 0...255, using: &random)
      }
      let start = Int.random(in: 0...bytes.count, using: &random)
      let found = memory.with(bytes) { scanner.find($0, start) }
      if found != scanner.expected(bytes, from: start) {
        Issue.record("\(found) in \(bytes) from \(start); \(Random.note)")
        return
      }
    }
  }

  @Test func words() {
    let memory = GuardedMemory(capacity: 32)
    let bytes = (1...20 as ClosedRange<UInt8>).map { $0 }
    memory.with(bytes) { span in
      #expect(span.word(at: 0) == 0x0807_0605_0403_0201)
      #expect(span.word(at: 12) == 0x1413_1211_100F_0E0D)
      for index in [13, 19, 20, 21, Int.max, -1, Int.min] { #expect(span.word(at: index) == nil) }
    }
    #expect(with("1234567") { $0.word(at: 0) } == nil)
  }

  @Test func firstOfNone() {
    #expect(with("") { $0.first(0) } == nil)
    #expect(with("aaaaaaaaaaaaaaaaaaaaa") { $0.first(0) } == nil)
    #expect(with("ab") { $0.first(UInt8(ascii: "a"), from: 1) } == nil)
    #expect(with("ab") { $0.first(UInt8(ascii: "b"), from: 1) } == 1)
  }
}

@Suite struct ComparisonTests {
  @Test func ignoresTheCaseOfLettersOnly() {
    #expect(with("Content-Length") { $0.equalsLowercase("content-length") })
    #expect(with("content-length") { $0.equalsLowercase("content-length") })
    #expect(!with("content-lengt") { $0.equalsLowercase("content-length") })
    #expect(!with("content-lengthh") { $0.equalsLowercase("content-length") })
    // "@" and "`", "[" and "{" differ by the bit that tells cases apart.
    for (left, right) in [("@", "`"), ("[", "{"), ("-", "\r"), ("0", "\u{10}")] {
      #expect(!with(left) { left in with(right) { left.equalsIgnoringCase($0) } })
    }
    for byte in UInt8.min...UInt8.max {
      for other in UInt8.min...UInt8.max {
        let same = byte.lowercased == other.lowercased
        if [byte].span.equalsIgnoringCase([other].span) != same {
          Issue.record("\(byte) and \(other)")
        }
      }
    }
  }

  @Test func equals() {
    #expect(with("GET") { $0.equals("GET") })
    #expect(!with("get") { $0.equals("GET") })
    #expect(!with("GE") { $0.equals("GET") })
    #expect(!with("") { $0.equals("GET") })
    #expect(with("") { $0.equals("") })
  }

  @Test func tokensAndValues() {
    #expect(with("X-Token") { $0.isToken })
    #expect(!with("") { $0.isToken })
    #expect(!with("two words") { $0.isToken })
    #expect(with("") { $0.isFieldValue })
    #expect(with("two words\tand a tab") { $0.isFieldValue })
    #expect(!with("a\nb") { $0.isFieldValue })
  }

  @Test func trims() {
    func trimmed(_ text: String) -> String {
      with(text) { bytes in string(bytes.extracting(bytes.trimmed(0..<bytes.count))) }
    }
    #expect(trimmed("  a b\t ") == "a b")
    #expect(trimmed("a") == "a")
    #expect(trimmed(" \t ") == "")
    #expect(trimmed("") == "")
    #expect(trimmed("\r a \n") == "\r a \n")
    #expect(with(" ab ") { $0.trimmed(1..<2) } == 1..<2)
  }
}
