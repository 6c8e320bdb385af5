// A proxy's URL, and the list of hosts that go without one.

import Testing

@testable import Apus

private func parsed(_ text: String) throws -> String {
  try with(text) { bytes -> Result<String, Failure> in
    do throws(Failure) {
      let url = try ProxyURL(bytes)
      var parts = "\(url.kind) \(string(bytes.extracting(url.host))) \(url.port)"
      if let user = url.user {
        parts += " " + written { ProxyURL.appendDecoded(user, of: bytes, to: &$0) }
        parts += " " + written { ProxyURL.appendDecoded(url.password, of: bytes, to: &$0) }
      }
      return .success(parts)
    } catch {
      return .failure(error)
    }
  }.get()
}

@Suite struct ProxyURLTests {
  @Test(arguments: [
    ("http://proxy", "http proxy 80"), ("http://proxy/", "http proxy 80"),
    ("HTTP://proxy:3128", "http proxy 3128"), ("proxy", "http proxy 80"),
    ("proxy:8080", "http proxy 8080"), ("proxy.example.com:8080/", "http proxy.example.com 8080"),
    ("socks5://proxy", "socks5 proxy 1080"), ("socks5h://proxy", "socks5ByName proxy 1080"),
    ("Socks5h://127.0.0.1:9050", "socks5ByName 127.0.0.1 9050"), ("http://[::1]", "http ::1 80"),
    ("socks5://[::1]:1", "socks5 ::1 1"), ("[::1]:8080", "http ::1 8080"),
    ("http://u:p@proxy", "http proxy 80 u p"), ("u:p@proxy:1", "http proxy 1 u p"),
    ("http://u@proxy", "http proxy 80 u "), ("http://u:@proxy", "http proxy 80 u "),
    ("http://:p@proxy", "http proxy 80  p"), ("http://u:p:q@proxy", "http proxy 80 u p:q"),
    ("http://u%3Av:p%40%2f@proxy", "http proxy 80 u:v p@/"), ("http://@proxy", "http proxy 80  "),
    ("http://%C3%A9:x@[::1]:2/", "http ::1 2 \u{E9} x"), ("http://proxy:", "http proxy 80"),
  ])
  func reads(_ text: String, _ expected: String) throws { #expect(try parsed(text) == expected) }

  @Test(arguments: [
    ("", Code.argument), ("http://", .argument), ("http:///", .argument),
    ("http://proxy/x", .argument),
    ("http://proxy?x", .argument), ("http://proxy#x", .argument), ("http://proxy//", .argument),
    ("http://proxy:0", .argument), ("http://proxy:65536", .argument), ("http://proxy:x", .argument),
    ("http://u:p@q@proxy", .argument), ("http://u%:p@proxy", .argument), ("http://u@", .argument),
    ("http://u%00@proxy", .argument), ("http://u%0D%0A@proxy", .argument),
    ("http://a b", .argument),
    ("http://u v@proxy", .argument), ("http://[::1", .argument), ("http://::1", .argument),
    ("http://\u{E9}", .argument), ("http://u\u{E9}@proxy", .argument), ("http:proxy", .argument),
    ("https://proxy", .unsupported), ("socks4://proxy", .unsupported),
    ("socks://proxy", .unsupported),
    ("://proxy", .unsupported), ("ftp://proxy", .unsupported), ("socks4a://p", .unsupported),
  ])
  func refuses(_ text: String, _ code: Code) {
    do {
      _ = try parsed(text)
      Issue.record("it was taken")
    } catch let failure as Failure {
      #expect(failure.code == code)
    } catch {
      Issue.record("another error")
    }
  }

  @Test func hasALimit() throws {
    let user = String(repeating: "u", count: 8192 - 14)
    _ = try parsed("http://\(user)@proxy:")
    refuses("http://\(user)u@proxy:", .argument)
  }
}

private func exempts(_ list: String, _ host: String, _ port: UInt16 = 80) -> Bool {
  with(list) { list in with(host) { ProxyRules.exempts(list, host: $0, port: port) } }
}

@Suite struct ProxyRulesTests {
  @Test(arguments: [
    ("*", "a"), ("*", "::1"), ("x, *", "a"), ("a", "a"), ("A", "a"), ("a", "A"), ("a.b", "x.a.b"),
    (".a.b", "x.a.b"), (".a.b", "a.b"), ("*.a.b", "x.a.b"), ("*.a.b", "a.b"), ("a.b.", "a.b"),
    ("a.b", "a.b."), ("a.b.", "x.a.b."), ("x,a.b", "a.b"), ("x a.b", "a.b"),
    ("x\t,\n a.b\r\n", "a.b"),
    (",,a.b,,", "a.b"), ("a:80", "a"), (".a:80", "x.a"), ("127.0.0.1", "127.0.0.1"),
    ("127.0.0.1:80", "127.0.0.1"), ("127.0.0.0/8", "127.1.2.3"), ("0.0.0.0/0", "1.2.3.4"),
    ("::1", "::1"), ("::1", "[::1]"), ("[::1]", "::1"), ("[::1]:80", "::1"), ("0:0::1", "::1"),
    ("fe80::/10", "febf::1"), ("[fe80::]/10", "fe80::1"), ("::ffff:1.2.3.4", "1.2.3.4"),
    ("1.2.3.4", "::ffff:1.2.3.4"), ("1.2.3.4/32", "[::ffff:1.2.3.4]"), ("com", "example.com"),
    ("localhost", "localhost"), ("10.0.0.0/8,a,fc00::/7", "fd00::1"),
  ])
  func has(_ list: String, _ host: String) { #expect(exempts(list, host)) }

  @Test(arguments: [
    ("", "a"), (",", "a"), (" ", ""), (".", "a"), ("*.", "a"), ("..", "a"), ("", ""), ("b", "a"),
    ("a.b", "xa.b"), ("a.b", "b"), ("x.a.b", "a.b"), ("*a.b", "xa.b"), ("a*", "ab"), ("a:81", "a"),
    ("a:", "a"), ("a:x", "a"), ("a:80:80", "a"), ("127.0.0.1:81", "127.0.0.1"),
    ("0.0.1", "127.0.0.1"),
    (".1", "127.0.0.1"), ("127.0.0.0/8", "128.0.0.1"), ("127.0.0.0/33", "127.0.0.1"),
    ("127.0.0.0/", "127.0.0.1"), ("127.0.0.0/x", "127.0.0.1"), ("127.0.0.0/-1", "127.0.0.1"),
    ("127.0.0.0/8", "a"), ("127.0.0.0/8", "127.0.0.1.a"), ("a/8", "a"), ("/8", "1.2.3.4"),
    ("0.0.0.0/0", "::1"), ("::/0", "1.2.3.4"), ("::1", "::2"), ("[::1]:81", "::1"),
    ("[::1]x", "::1"),
    ("::1/129", "::1"), ("[", "a"), ("]", "a"), ("127.0.0.0/8/8", "127.0.0.1"),
    ("1.2.3.4", "a.1.2.3.4"),
  ])
  func hasNot(_ list: String, _ host: String) { #expect(!exempts(list, host)) }

  @Test func knowsPorts() {
    #expect(exempts("a:65535", "a", 65535) && !exempts("a:65535", "a", 80))
    #expect(!exempts("a:65616", "a", 80))
    #expect(exempts("a:1,a:2", "x.a", 2) && exempts("a", "a", 0))
  }

  @Test func readsChance() {
    var random = Random(seed: Random.seed)
    let memory = GuardedMemory(capacity: 4096)
    let pieces = [
      "a", ".", ":", "/", "[", "]", "*", ",", "1", "80", "::", " ", "\0", "\u{E9}", "0",
    ]
    func chance() -> [UInt8] {
      (0..<Int.random(in: 0...12, using: &random)).flatMap { _ in
        Array((pieces.randomElement(using: &random) ?? "").utf8)
      }
    }
    for _ in 0..<20_000 {
      let host = chance()
      let list = chance()
      // What a list has, it has with more before it and behind it.
      let isIn = memory.with(list) { ProxyRules.exempts($0, host: host.span, port: 80) }
      let more = Array("x, ".utf8) + list + Array(",y".utf8)
      let isStillIn = ProxyRules.exempts(more.span, host: host.span, port: 80)
      #expect(!isIn || isStillIn, "\(Random.note)")
      memory.with(list) { text in
        do throws(Failure) { _ = try ProxyURL(text) } catch {}
      }
    }
  }
}
