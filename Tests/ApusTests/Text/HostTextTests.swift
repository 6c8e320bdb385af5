// HostPort and IPv6Text: what a Host field may say.

import Testing

@testable import Apus

private func parsed(_ text: String) -> HostPort? { with(text) { HostPort($0) } }

@Suite struct HostPortTests {
  @Test(arguments: [
    ("a", "a", -1), ("example.com", "example.com", -1), ("example.com:80", "example.com", 80),
    ("EXAMPLE.com:8080", "EXAMPLE.com", 8080), ("a:", "a", -1), ("a:0", "a", 0),
    ("a:65535", "a", 65535), ("a:00080", "a", 80), ("127.0.0.1", "127.0.0.1", -1),
    ("127.0.0.1:9", "127.0.0.1", 9), ("a_b.c", "a_b.c", -1), ("a-b~c", "a-b~c", -1),
    ("a.", "a.", -1), ("a.:1", "a.", 1), ("[::1]", "[::1]", -1), ("[::1]:443", "[::1]", 443),
    ("[::1]:", "[::1]", -1), ("[::ffff:1.2.3.4]:1", "[::ffff:1.2.3.4]", 1),
    ("xn--bcher-kva.example", "xn--bcher-kva.example", -1),
  ])
  func accepts(_ text: String, _ host: String, _ port: Int) throws {
    let found = try #require(parsed(text))
    #expect(String(decoding: Array(text.utf8)[found.host], as: UTF8.self) == host)
    #expect(found.port == Int32(port))
  }

  @Test(arguments: [
    "", ":", ":80", ".", "..", ".a", "a..b", "a..", "a,b", "a b", " a", "a ", "a/x", "a?x",
    "a#x", "a@b", "u:p@a", "a:65536", "a:99999", "a:123456", "a:8x", "a:x", "a:-1", "a:+1",
    "a: 1", "a:1 ", "a:1.2", "a:1:2", "::1", "[::1", "::1]", "[]", "[]:1", "[::1]x", "[::1]80",
    "[[::1]]", "[::1%25eth0]", "[fe80::1%eth0]", "[v1.a]", "[1.2.3.4]", "[a]", "a\\b", "a%00b",
    "a%41", "\u{E9}", "a;b", "a!b", "a*", "<a>", "\"a\"", "[",
  ])
  func refuses(_ text: String) { #expect(parsed(text) == nil) }

  /// The short way to tell and the long one, of names of every length anywhere in a head.
  @Test func isToldAlikeInsideAText() {
    var random = Random(seed: Random.seed)
    let bytes = Array("a-b.c_d~e.9Z.:1@/".utf8)
    let memory = GuardedMemory(capacity: 128)
    for _ in 0..<20_000 {
      let text = (0..<Int.random(in: 0...60, using: &random)).map { _ in
        bytes[Int.random(in: 0..<(Bool.random(using: &random) ? 13 : bytes.count), using: &random)]
      }
      let start = Int.random(in: 0...text.count, using: &random)
      let end = Int.random(in: start...min(start + 20, text.count), using: &random)
      let isValid = memory.with(text) { HostPort.isValid($0, start..<end) }
      if isValid != (HostPort(text[start..<end].span) != nil) {
        Issue.record("\(text[start..<end]) in \(text); \(Random.note)")
        return
      }
    }
  }

  @Test func hasALimit() {
    let label = String(repeating: "a", count: 1024)
    #expect(parsed(label) != nil)
    #expect(parsed(label + "a") == nil)
  }

  /// Every byte, alone and inside a name.
  @Test func everyByte() {
    for byte in UInt8.min...UInt8.max {
      let isName = byte.isUnreserved && byte != UInt8(ascii: ".")
      #expect((HostPort([byte].span) != nil) == isName, "\(byte)")
      let inside = [97, byte, 98] as [UInt8]
      #expect((HostPort(inside.span) != nil) == byte.isUnreserved, "\(byte)")
    }
  }
}

@Suite struct IPv6TextTests {
  @Test(arguments: [
    "::", "::1", "1::", "1::8", "1:2:3:4:5:6:7:8", "a:B:c:D:e:F:0:9", "ffff::", "::ffff",
    "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::3:4:5:6:7:8", "1:2:3::6:7:8", "2001:db8::1",
    "0000:0000:0000:0000:0000:0000:0000:0000", "::1.2.3.4", "::ffff:255.255.255.255",
    "1:2:3:4:5:6:1.2.3.4", "64:ff9b::0.0.0.0", "1::1.2.3.4", "1:2:3:4:5::1.2.3.4",
    "::2:3:4:5:6:1.2.3.4",
  ])
  func accepts(_ text: String) { #expect(with(text) { IPv6Text.isValid($0) }) }

  @Test(arguments: [
    "", ":", ":::", "1", "1:", ":1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8:",
    ":1:2:3:4:5:6:7:8", "::1::", "1::2::3", "1:::2", "12345::", "::12345", "g::", "::g",
    "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1::2:3:4:5:6:7:8", "::1:", "1.2.3.4", "::1.2.3",
    "::1.2.3.4.5", "::1.2.3.256", "::1.2.3.04", "::1.2.3.", "::.1.2.3", "::1..2.3", "::1.2.3.4:5",
    "::1.2.3.4::", "::01.2.3.4", "::1.2.3.1000", "1:2:3:4:5:6:7:1.2.3.4", "1:2:3:4:5:1.2.3.4",
    "::a.2.3.4", "::1.2.3.a", "1:2:3:4:5:6::1.2.3.4", "fe80::1%eth0", " ::1", "::1 ", "::-1",
    "1:2:3:4:5:6:7:8.", "::1.2.3.4.", "::00000",
  ])
  func refuses(_ text: String) { #expect(!with(text) { IPv6Text.isValid($0) }) }
}
