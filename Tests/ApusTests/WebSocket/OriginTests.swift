// Origin: which pages have the host that they ask for.

import Testing

@testable import Apus

@Suite struct OriginTests {
  private func isSame(_ origin: String, _ host: String, isSecure: Bool = false) -> Bool {
    with(origin) { origin in
      with(host) { host in Origin.isSame(origin, host: host, isSecure: isSecure) }
    }
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

  /// What came by TLS is for pages that did.
  @Test(arguments: [
    ("https://a", "a", true), ("https://a:443", "a", true), ("https://a", "a:443", true),
    ("https://a:8443", "a:8443", true), ("HTTPS://A", "a", true), ("http://a", "a", false),
    ("http://a:443", "a", false), ("http://a:443", "a:443", false), ("http://a", "a:80", false),
    ("http://a:8443", "a:8443", false), ("https://a:80", "a", false), ("null", "null", false),
  ])
  func secure(_ origin: String, _ host: String, _ isAllowed: Bool) {
    #expect(isSame(origin, host, isSecure: true) == isAllowed)
  }
}
