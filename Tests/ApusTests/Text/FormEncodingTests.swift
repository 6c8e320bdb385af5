// application/x-www-form-urlencoded, both ways.

import Testing

@testable import Apus

private func pairs(_ form: String, most: Int = FormPairs.most) -> [String] {
  with(form) { form in
    var pairs = FormPairs(most: most)
    var texts: [String] = []
    while true {
      switch pairs.next(in: form) {
      case .end: return texts
      case .tooMany: return texts + ["!"]
      case .pair(let name, let value):
        texts.append(
          written { Percent.decode(form: form.extracting(name), to: &$0) } + "|"
            + written { Percent.decode(form: form.extracting(value), to: &$0) })
      }
    }
  }
}

private func built(_ pairs: [(String, String)]) -> String {
  written { buffer in
    for (name, value) in pairs {
      let (name, value) = (Array(name.utf8), Array(value.utf8))
      FormEncoding.append(name: name.span, value: value.span, to: &buffer)
    }
  }
}

@Suite struct FormEncodingTests {
  @Test func builds() {
    #expect(built([]) == "")
    #expect(built([("", "")]) == "=")
    #expect(built([("a", "b"), ("c d", "e&f=g")]) == "a=b&c+d=e%26f%3Dg")
    #expect(built([("*-._~", "\u{E9}\u{1F600}")]) == "*-._%7E=%C3%A9%F0%9F%98%80")
    #expect(built([("\r\n\0", "%+/")]) == "%0D%0A%00=%25%2B%2F")
  }

  @Test(arguments: [
    ("", ""), ("&", ""), ("&&&", ""), ("a", "a|"), ("a=", "a|"), ("=a", "|a"), ("=", "|"),
    ("a=b", "a|b"), ("a=b&c=d", "a|b c|d"), ("&a=b&&c=d&", "a|b c|d"), ("a=b=c", "a|b=c"),
    ("a&b", "a| b|"), ("%61=%62", "a|b"), ("a%3Db=c%26d", "a=b|c&d"), ("a=%", "a|%"),
    ("a=%4", "a|%4"), ("a=%zz", "a|%zz"), ("a=%%41", "a|%A"), ("a;b=c", "a;b|c"),
  ])
  func reads(_ form: String, _ expected: String) {
    #expect(pairs(form).joined(separator: " ") == expected)
  }

  @Test func hasALimit() {
    #expect(pairs("a&b&&", most: 2) == ["a|", "b|"])
    #expect(pairs("a&b&c", most: 2) == ["a|", "b|", "!"])
    #expect(pairs("a", most: 0) == ["!"] && pairs("a", most: -1) == ["!"])
    let many = Array(repeating: "k=v", count: 100_000).joined(separator: "&")
    #expect(pairs(many).count == 1001 && pairs(many).last == "!")
  }

  @Test func finds() {
    func found(_ name: String, _ form: String) -> String? {
      var isFound = false
      let text = written { buffer in
        with(name) { name in
          with(form) { isFound = FormEncoding.find(name, in: $0, to: &buffer) }
        }
      }
      return isFound ? text : nil
    }
    #expect(found("a", "b=1&a=2+3&a=4") == "2 3" && found("c", "b=1&a=2") == nil)
    #expect(found("a b", "a+b=%41") == "A" && found("a b", "a%20b") == "" && found("", "=1") == "1")
    let most = Array(repeating: "k", count: 1000).joined(separator: "&")
    #expect(found("a", most + "&a=1") == nil && found("k", most) == "")
  }

  /// All bytes come back, through memory that ends at a guard.
  @Test func turnsRound() {
    var random = Random(seed: Random.seed)
    let memory = GuardedMemory(capacity: 4096)
    for _ in 0..<1000 {
      let value = (0..<Int.random(in: 0...50, using: &random)).map { _ in
        UInt8.random(in: 0...255, using: &random)
      }
      var buffer = ByteBuffer()
      FormEncoding.append(name: value.span, value: value.span, to: &buffer)
      let isSame = memory.with(array(buffer.bytes)) { form in
        var pairs = FormPairs()
        guard case .pair(let name, let range) = pairs.next(in: form) else { return false }
        var decoded = ByteBuffer()
        Percent.decode(form: form.extracting(name), to: &decoded)
        Percent.decode(form: form.extracting(range), to: &decoded)
        return array(decoded.bytes) == value + value && pairs.next(in: form) == .end
      }
      #expect(isSame, "\(Random.note)")
      let chance = memory.with(value) { form in
        var pairs = FormPairs()
        var count = 0
        while case .pair = pairs.next(in: form) { count += 1 }
        return count
      }
      #expect(chance <= value.count, "\(Random.note)")
    }
  }
}
