// Public suffixes: the cases that the list's keepers publish, and lists of any bytes.

import Testing

@testable import Apus

private func list() throws -> PublicSuffixes {
  let text = Array(try SourceFiles.text("Vectors/Client/suffixes.dat").utf8)
  return PublicSuffixes(list: text.span)
}

/// What of a name a site can register, by the rules.
private func registrable(_ name: String, _ rules: borrowing PublicSuffixes) -> String {
  let bytes = Array(name.utf8)
  guard let start = rules.start(in: bytes.span), start > 0 else { return "-" }
  let before = bytes[..<(start - 1)].lastIndex(of: UInt8(ascii: ".")).map { $0 + 1 } ?? 0
  return String(decoding: bytes[before...], as: UTF8.self)
}

private func cases() throws -> [(name: String, expected: String)] {
  try SourceFiles.text("Vectors/Client/suffixes.txt").split(separator: "\n")
    .filter { !$0.hasPrefix("#") }
    .map { line in
      let words = line.split(separator: " ")
      try #require(words.count == 2, "\(line)")
      return (String(words[0]), String(words[1]))
    }
}

@Suite struct PublicSuffixesTests {
  @Test func agreesWithItsKeepers() throws {
    let rules = try list()
    #expect(rules.count == 27)
    let cases = try cases()
    #expect(cases.count >= 80)
    for (name, expected) in cases { #expect(registrable(name, rules) == expected, "\(name)") }
  }

  /// The system's list, where there is one, has all these rules and thousands more.
  @Test func readsTheSystemsList() throws {
    let shared = try #require(PublicSuffixes.shared)
    #expect(PublicSuffixes.shared == shared)
    guard shared.o.count > 0 else { return }
    #expect(shared.o.count > 8000)
    for (name, expected) in try cases() where !name.hasSuffix("inside") {
      #expect(registrable(name, shared.o) == expected, "\(name)")
    }
  }

  @Test func withoutRulesTheLastLabelIsOne() {
    let none = PublicSuffixes()
    for (name, expected) in [("com", "-"), ("co.uk", "co.uk"), ("a.co.uk", "co.uk"), ("", "-")] {
      #expect(registrable(name, none) == expected)
    }
    #expect(with("com") { none.contains($0) } && with("") { none.contains($0) })
    #expect(!with("co.uk") { none.contains($0) })
  }

  @Test func hasLimits() {
    let none = PublicSuffixes()
    let name = String(repeating: "a.", count: 127) + "b"
    #expect(with(name) { none.start(in: $0) } == 254)
    #expect(with(name + ".") { none.start(in: $0) } == 254)
    #expect(with("c" + name) { none.start(in: $0) } == nil)
  }

  @Test func readsChance() {
    var random = Random(seed: Random.seed)
    let memory = GuardedMemory(capacity: 4096)
    let pieces: [[UInt8]] = [
      [42, 46], [33], [46], [10], [97], [98, 99], [0xE4, 0xB8, 0xAD], [0xC3], [0xFF], [47, 47],
      [32], [42], [0xF4, 0x8F, 0xBF, 0xBF], [13],
    ]
    for _ in 0..<2000 {
      var bytes: [UInt8] = []
      for _ in 0..<Int.random(in: 0...60, using: &random) {
        bytes += pieces.randomElement(using: &random) ?? []
      }
      let start = memory.with(bytes) {
        let rules = PublicSuffixes(list: $0)
        return rules.start(in: $0.extracting(first: 200))
      }
      #expect((start ?? 0) <= 200, "\(Random.note)")
    }
  }

  /// As many rules as make the table grow, all of which are found again.
  @Test func findsEachOfMany() {
    let names = (0..<5000).map { "n\($0).x\($0 % 7)" }
    let text = Array(names.joined(separator: "\n").utf8)
    let rules = PublicSuffixes(list: text.span)
    #expect(rules.count == 5000)
    #expect(names.allSatisfy { name in with(name) { rules.contains($0) } })
    #expect(!with("n5000.x2") { rules.contains($0) })
  }
}

@Suite struct PunycodeTests {
  @Test(arguments: [
    ("com", "com"), ("COM", "com"), ("中国", "xn--fiqs8s"), ("公司", "xn--55qx5d"),
    ("bücher", "xn--bcher-kva"), ("münchen", "xn--mnchen-3ya"), ("рф", "xn--p1ai"),
    ("ไทย", "xn--o3cw4h"), ("भारत", "xn--h2brj9c"), ("السعودية", "xn--mgberp4a5d4ar"),
    ("他们为什么不说中文", "xn--ihqwcrb4cv8a8dqg056pqjye"), ("みんな", "xn--q9jyb4c"),
    ("3年b組金八先生", "xn--3b-ww4c5e180e575a65lsy2b"), ("ü", "xn--tda"),
    ("pročprostěnemluvíčesky", "xn--proprostnemluvesky-uyb24dma41a"), ("\u{1F600}", "xn--e28h"),
  ])
  func encodes(_ label: String, _ expected: String) {
    let text = written { buffer in #expect(with(label) { Punycode.append(label: $0, to: &buffer) })
    }
    #expect(text == expected)
  }

  @Test(
    arguments: [
      [], [0x80], [0xC3], [0xC0, 0x80], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80],
      [0xF5, 0x80, 0x80, 0x80],
      [0xF4, 0x90, 0x80, 0x80], [0xFF], [97, 0xE4, 0xB8], [0xC3, 0x28],
      [UInt8](repeating: 97, count: 64), [UInt8](repeating: 0xC3, count: 300),
    ] as [[UInt8]])
  func refuses(_ label: [UInt8]) {
    var buffer = ByteBuffer()
    #expect(!Punycode.append(label: label.span, to: &buffer))
  }

  /// The longest labels of the largest scalars.
  @Test func doesNotOverflow() {
    for count in 1...63 {
      let label = [UInt8](repeating: 97, count: count) + [0xF4, 0x8F, 0xBF, 0xBF]
      var buffer = ByteBuffer()
      _ = Punycode.append(label: label.span, to: &buffer)
      let many = Array(repeatElement([0xF4, 0x8F, 0xBF, 0xBF] as [UInt8], count: count).joined())
      _ = Punycode.append(label: many.span, to: &buffer)
    }
  }
}
