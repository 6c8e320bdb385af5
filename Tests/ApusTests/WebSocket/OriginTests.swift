// Origin: which pages have the host that they ask for.

import Testing

@testable import Apus

@Suite struct OriginTests {
  private func isSame(_ origin: String, _ host: String) -> Bool {
    with(origin) { origin in with(host) { host in Origin.isSame(origin, host: host) } }
  }

  @Test(arguments: [
    ("http://a", "a"), ("https://a", "a"), ("HTTP://A.Example", "a.example"),
    ("http://a:80", "a"), ("http://a", "a:80"), ("https://a:443", "a"), ("https://a", "a:443"),
    ("http://a:8080", "a:8080"), ("http://[::1]:8080", "[::1]:8080"),
    ("http://127.0.0.1", "127.0.0.1"),
  ])
  func same(_ origin: String, _ host: String) {
    #expect(isSame(origin, host) == true)
  }

  @Test(arguments: [
    ("https://evil.example", "a"), ("http://a:8080", "a"), ("http://a", "a:8080"),
    ("http://a:443", "a"), ("https://a", "a:80"), ("null", "null"), ("", ""), ("http://", "a"),
    ("a", "a"), ("ws://a", "a"), ("file://a", "a"), ("http://a.evil", "a"), ("http://evil.a", "a"),
    ("http://a/", "a"), ("http://a/path", "a"), ("http://u@a", "a"), ("http://a b", "a"),
    ("http://a, http://b", "a"), ("http://a", "a, b"), ("http://a", ""), ("http://a:", "a:1"),
  ])
  func other(_ origin: String, _ host: String) {
    #expect(isSame(origin, host) == false)
  }
}
