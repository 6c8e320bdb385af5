// Cookies of the server's side: read from Cookie, written to Set-Cookie.

import Testing

@testable import Apus

private func pairs(_ field: String) -> [String] {
  with(field) { bytes in
    var pairs = CookiePairs()
    var texts: [String] = []
    while let pair = pairs.next(in: bytes) {
      texts.append(
        string(bytes.extracting(pair.name)) + "|" + string(bytes.extracting(pair.value)))
    }
    return texts
  }
}

/// The line, or the name of the code that it is refused with.
private func line(
  _ name: String, _ value: String, domain: StaticString = "", path: StaticString = "",
  maxAge: Int64 = -1, expires: Int64 = -1, _ flags: CookieFlags = []
) -> String {
  var attributes = CookieAttributes()
  attributes.domain = Text(domain)
  attributes.path = Text(path)
  attributes.maxAge = maxAge
  attributes.expires = expires
  attributes.flags = flags
  let (name, value) = (Array(name.utf8), Array(value.utf8))
  var buffer = ByteBuffer()
  do throws(Failure) {
    try CookieLine.append(name: name.span, value: value.span, attributes, to: &buffer)
  } catch {
    return error.code.name.text
  }
  return string(buffer)
}

private let bad = "APUS_E_ARGUMENT"

@Suite struct CookieLineTests {
  @Test(arguments: [
    ("", ""), (";", ""), ("a=b", "a|b"), ("a=b; c=d", "a|b c|d"), ("a=b;c=d;", "a|b c|d"),
    (" a = b ;\tc\t=\td", "a|b c|d"), ("a=", "a|"), ("=b", "|b"), ("b", "|b"), ("=", ""),
    ("a=b=c", "a|b=c"), ("a=\"b\"", "a|\"b\""), ("a=b,c", "a|b,c"), (";; a=1;;", "a|1"),
  ])
  func reads(_ field: String, _ expected: String) {
    #expect(pairs(field).joined(separator: " ") == expected)
  }

  @Test func writes() {
    #expect(line("a", "b") == "a=b" && line("a", "") == "a=" && line("a", "\"b\"") == "a=\"b\"")
    #expect(
      line(
        "a", "b", domain: "example.com", path: "/x", maxAge: 60, expires: 0,
        [.secure, .httpOnly, .sameSiteLax, .partitioned])
        == "a=b; Domain=example.com; Path=/x; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT; "
        + "Secure; HttpOnly; SameSite=Lax; Partitioned")
    #expect(line("a", "b", [.sameSiteStrict]) == "a=b; SameSite=Strict")
    #expect(line("a", "b", [.sameSiteNone, .secure]) == "a=b; Secure; SameSite=None")
    #expect(line("a", "b", maxAge: 0) == "a=b; Max-Age=0")
  }

  @Test(arguments: ["", "a b", "a=b", "a;b", "a\n", "a\r", "a\0", "a\"b", "\u{E9}", "a,b"])
  func refusesNames(_ name: String) { #expect(line(name, "b") == bad) }

  @Test(arguments: [
    "a b", "a;b", "a,b", "a\\b", "a\"b", "\"", "\"a", "a\n", "a\r", "a\0", "\u{7F}", "\u{E9}",
    "a\tb",
  ])
  func refusesValues(_ value: String) { #expect(line("a", value) == bad) }

  @Test func refusesAttributes() {
    for domain: StaticString in [
      ".a", "a.", "a..b", "a b", "a;b", "a\n", "a/b", "\u{E9}", "a:1", "a\0",
    ] {
      #expect(line("a", "b", domain: domain) == bad)
    }
    for path: StaticString in ["a", "/;", "/\n", "/\r", "/\0", "/\u{7F}", "/\u{E9}", ";"] {
      #expect(line("a", "b", path: path) == bad)
    }
    #expect(line("a", "b", maxAge: -2) == bad && line("a", "b", expires: -2) == bad)
    #expect(line("a", "b", expires: 253_402_300_800) == bad)
    #expect(line("a", "b", expires: 253_402_300_799).hasSuffix("31 Dec 9999 23:59:59 GMT"))
    #expect(line("a", "b", CookieFlags(rawValue: 128)) == bad)
    #expect(line("a", "b", CookieFlags(rawValue: -1)) == bad)
    #expect(line("a", "b", [.sameSiteLax, .sameSiteStrict]) == bad)
    #expect(line("a", "b", [.sameSiteNone]) == bad && line("a", "b", [.partitioned]) == bad)
  }

  @Test func knowsPrefixes() {
    for name in ["__Secure-a", "__SECURE-a"] {
      #expect(line(name, "b") == bad && line(name, "b", [.secure]) == name + "=b; Secure")
    }
    for name in ["__Host-a", "__hOST-a"] {
      #expect(line(name, "b", [.secure]) == bad && line(name, "b", path: "/") == bad)
      #expect(line(name, "b", path: "/x", [.secure]) == bad)
      #expect(line(name, "b", domain: "a", path: "/", [.secure]) == bad)
      #expect(line(name, "b", path: "/", [.secure]) == name + "=b; Path=/; Secure")
    }
    #expect(line("__Host", "b") == "__Host=b" && line("__Secure", "b") == "__Secure=b")
  }

  @Test func hasLimits() {
    #expect(line("a", String(repeating: "x", count: 4095)).utf8.count == 4097)
    #expect(line("a", String(repeating: "x", count: 4096)) == "APUS_E_TOO_LARGE")
  }
}
