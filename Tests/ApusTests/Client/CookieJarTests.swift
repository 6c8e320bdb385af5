// The cookie jar: the cases of Vectors/Client/cookies.txt, its limits, the host's hand,
// and files.

import Testing

@testable import Apus

private func suffixes() throws -> Ref<PublicSuffixes> {
  let text = Array(try SourceFiles.text("Vectors/Client/suffixes.dat").utf8)
  let suffixes = Ref(make: PublicSuffixes(list: text.span))
  return try #require(suffixes)
}

@Suite struct CookieJarTests {
  @Test func thereAreCases() throws { #expect(try CookieCase.load().count > 200) }

  @Test(arguments: CookieCase.all)
  func doesAsTheCaseSays(_ test: CookieCase) throws {
    let suffixes = try suffixes()
    defer { suffixes.free() }
    var jar = CookieJar(suffixes: suffixes)
    var now: Int64 = 1000
    for step in test.steps {
      switch step {
      case .set(let url, let field): _ = jar.set(url, field, now: now)
      case .send(let url, let expected):
        #expect(Escapes.encode(jar.field(url, now: now)) == Escapes.encode(expected))
      case .clock(let time): now = time
      case .count(let number): #expect(jar.count == number)
      }
    }
  }

  @Test func withoutAListASingleLabelIsASuffix() {
    var jar = CookieJar(suffixes: nil)
    #expect(!jar.set("https://example.com/", "a=b; Domain=com").isStored)
    #expect(jar.set("https://example.co.uk/", "a=b; Domain=co.uk").isStored)
  }

  @Test func keepsWhatItWasTold() throws {
    var jar = CookieJar(suffixes: nil)
    _ = jar.set(
      "https://a.example.com/", "n=v; Domain=example.com; Path=/p; Secure; HttpOnly; SameSite=LAX")
    let first = jar.cookie(at: 0)
    let cookie = try #require(first)
    #expect(string(cookie.o[.name]) == "n")
    #expect(string(cookie.o[.value]) == "v")
    #expect(string(cookie.o[.domain]) == "example.com")
    #expect(string(cookie.o[.path]) == "/p")
    #expect(cookie.o.facts.isSecure && cookie.o.facts.isHTTPOnly && !cookie.o.facts.isHostOnly)
    #expect(cookie.o.facts.sameSite == .lax && cookie.o.facts.expires == nil)
    let text = try #require(unsafe cookie.o.terminated(.domain))
    #expect(unsafe String(cString: text.characters) == "example.com")
    let others = [jar.cookie(at: 1), jar.cookie(at: -1)]
    #expect(others == [nil, nil])
    for (text, site) in [
      ("None", SameSite.none), ("strict", .strict), ("x", .unset), ("Lax; SameSite=", .unset),
    ] {
      _ = jar.set("https://a.example.com/", "s=1; SameSite=\(text)")
      let found = jar.cookie(at: 1)?.o.facts.sameSite
      #expect(found == site)
    }
  }

  @Test func takesFiftyOfAReply() {
    var jar = CookieJar(suffixes: nil)
    for index in 0..<51 { _ = jar.set("https://a.example/", "n\(index)=v", index: index) }
    #expect(jar.count == 50)
    #expect(!jar.set("https://b.example/", "a=b", index: 50).isStored)
    #expect(jar.set("https://b.example/", "a=b", index: 49).isStored)
  }

  @Test func keepsFiftyOfADomain() {
    var jar = CookieJar(suffixes: nil)
    for index in 0..<50 { _ = jar.set("https://a.example/\(index)/", "n\(index)=v; Secure") }
    #expect(jar.count == 50)
    // Number 0 was used since: 1 is the one to go.
    #expect(jar.field("https://a.example/0/") == "n0=v")
    _ = jar.set("https://a.example/", "new=v; Secure")
    #expect(jar.count == 50)
    #expect(jar.field("https://a.example/1/") == "new=v")
    #expect(jar.field("https://a.example/0/") == "n0=v; new=v")
    // Of those that are not secure one goes first, be it the new one.
    _ = jar.set("https://a.example/", "plain=v")
    #expect(jar.field("https://a.example/") == "new=v")
    #expect(jar.count == 50)
    // Another domain has its own fifty.
    _ = jar.set("https://b.example/", "plain=v")
    #expect(jar.count == 51)
  }

  @Test func keepsThreeThousand() {
    var jar = CookieJar(suffixes: nil)
    for index in 0..<3000 { _ = jar.set("https://h\(index).example/", "n=\(index)") }
    #expect(jar.count == 3000)
    #expect(jar.field("https://h0.example/") == "n=0")
    _ = jar.set("https://new.example/", "n=v")
    #expect(jar.count == 3000)
    #expect(jar.field("https://h0.example/") == "n=0")
    #expect(jar.field("https://h1.example/") == "")
    #expect(jar.field("https://h2.example/") == "n=2")
    #expect(jar.field("https://new.example/") == "n=v")
  }

  @Test func expiredOnesMakeRoomFirst() {
    var jar = CookieJar(suffixes: nil)
    for index in 0..<50 {
      _ = jar.set("https://a.example/", "n\(index)=v" + (index == 30 ? "; Max-Age=1" : ""))
    }
    _ = jar.set("https://a.example/", "new=v", now: 1001)
    #expect(jar.count == 50)
    #expect(jar.field("https://a.example/", now: 1001).hasPrefix("n0=v; n1=v; "))
  }

  @Test func sendsWhatARequestCanHold() {
    var jar = CookieJar(suffixes: nil)
    for index in 0..<4 {
      _ = jar.set("https://a.example/", "n\(index)=" + String(repeating: "v", count: 2500))
    }
    var buffer = ByteBuffer()
    let url = TestURL("https://a.example/")
    let sent = jar.appendCookies(
      to: &buffer, host: url.host.span, path: url.path.span, isSecure: true, now: 1000)
    #expect(sent.count == 3 && sent.left == 1)
    #expect(buffer.count == 3 * 2503 + 4)
    var many = CookieJar(suffixes: nil)
    for index in 0..<200 {
      let domain = ["a.b.c.d.x.y", "b.c.d.x.y", "c.d.x.y", "d.x.y", "x.y"][index / 40]
      _ = many.set("https://a.b.c.d.x.y/", "n\(index)=v; Domain=\(domain)")
    }
    var out = ByteBuffer()
    let deep = TestURL("https://a.b.c.d.x.y/")
    let all = many.appendCookies(
      to: &out, host: deep.host.span, path: deep.path.span, isSecure: true, now: 1000)
    #expect(all.count == 150 && all.left == 50)
  }

  /// Any bytes at all, flush against the end of memory.
  @Test func takesChance() {
    var random = Random(seed: Random.seed)
    let memory = GuardedMemory(capacity: 4096)
    let pieces = [
      "a", "=", ";", " ", "Domain", "Path", "/", ".", "x.y", "Max-Age", "-", "9", "Expires", "\t",
      "\r", "\u{E9}", "Secure", "__Host-", "SameSite", "HttpOnly", ",", "[::1]", "1 Jan 2030 1:2:3",
    ]
    func chance() -> [UInt8] {
      (0..<Int.random(in: 0...12, using: &random)).flatMap { _ in
        Array((pieces.randomElement(using: &random) ?? "").utf8)
      }
    }
    var jar = CookieJar(suffixes: nil)
    for round in 0..<5000 {
      if round % 100 == 0 { jar.removeAll() }
      let (host, path) = (chance(), chance())
      memory.with(chance()) {
        _ = jar.take($0, index: 0, host: host.span, path: path.span, isSecure: true, now: 1000)
      }
      let field = jar.field("https://x.y/")
      #expect(!field.contains("\r") && jar.count <= CookieJar.most, "\(Random.note)")
    }
  }

  @Test func finds() throws {
    var jar = CookieJar(suffixes: nil)
    _ = jar.set("https://a.example/", "n=top; Path=/")
    _ = jar.set("https://a.example/", "n=deep; Path=/x; Max-Age=10")
    let name = Array("n".utf8)
    func value(_ url: String, _ now: Int64) -> String? {
      let url = TestURL(url)
      return jar.find(
        name.span, host: url.host.span, path: url.path.span, isSecure: url.isSecure, now: now
      ).map { string($0.o[.value]) }
    }
    #expect(value("https://a.example/x/y", 1000) == "deep")
    #expect(value("https://a.example/x/y", 1010) == "top")
    #expect(value("https://A.example/", 1000) == "top")
    #expect(value("https://b.example/", 1000) == nil)
  }

  @Test func removes() {
    var jar = CookieJar(suffixes: nil)
    for name in ["a", "b", "c", "d"] { _ = jar.set("https://a.example/", "\(name)=1") }
    #expect(jar.remove(at: 1) && !jar.remove(at: 3) && !jar.remove(at: -1))
    #expect(jar.field("https://a.example/") == "a=1; c=1; d=1")
    let (name, domain, path) = (Array("c".utf8), Array("a.example".utf8), Array("/".utf8))
    for isThere in [true, false] {
      #expect(
        jar.remove(name: name.span, domain: domain.span, path: path.span, isHostOnly: true)
          == isThere)
    }
    #expect(jar.field("https://a.example/") == "a=1; d=1")
    jar.removeAll()
    #expect(jar.count == 0 && jar.field("https://a.example/") == "")
    #expect(jar.set("https://a.example/", "e=1").isStored)
  }
}

@Suite struct CookieHostTests {
  private func add(
    _ jar: inout CookieJar, _ name: String, _ value: String, _ domain: String, _ path: String,
    _ facts: CookieFacts = CookieFacts()
  ) -> Bool {
    let (name, value) = (Array(name.utf8), Array(value.utf8))
    let (domain, path) = (Array(domain.utf8), Array(path.utf8))
    do throws(Failure) {
      try jar.add(
        name: name.span, value: value.span, domain: domain.span, path: path.span, facts, now: 1000)
      return true
    } catch {
      return false
    }
  }

  @Test(arguments: [
    ("a", "b", "example.com", "/"), ("a", "b", "EXAMPLE.com", ""), ("", "b", "example.com", "/"),
    ("a", "", "example.com", "/x y"), ("a", "b=c, d", "127.0.0.1", "/"), ("a", "b", "::1", "/"),
    ("a", "b", "[::1]", "/"), ("a", "b", "localhost", "/"), ("a", "\u{E9}", "example.com", "/"),
  ])
  func takes(_ name: String, _ value: String, _ domain: String, _ path: String) {
    var jar = CookieJar(suffixes: nil)
    #expect(add(&jar, name, value, domain, path) && jar.count == 1)
  }

  @Test(arguments: [
    ("", "", "example.com", "/"), ("a;", "b", "example.com", "/"), ("a", "b;c", "example.com", "/"),
    ("a=", "b", "example.com", "/"), ("a\r\n", "b", "example.com", "/"),
    ("a", "b\n", "example.com", "/"), ("a", "b\0", "example.com", "/"),
    ("a", "b\tc", "example.com", "/"), (" a", "b", "example.com", "/"),
    ("a", "b ", "example.com", "/"), ("a", "b", "", "/"), ("a", "b", "exam ple", "/"),
    ("a", "b", "example.com", "x"), ("a", "b", "example.com", "/;"),
    ("a", "b", "example.com", "/\n"), ("__Secure-a", "b", "example.com", "/"),
    ("__Host-a", "b", "example.com", "/"), ("", "__host-a", "example.com", "/"),
    ("a", "b", "exam\u{E9}.com", "/"), ("a", "b", "a:b", "/"), ("a", "b", "example.com:80", "/"),
  ])
  func refuses(_ name: String, _ value: String, _ domain: String, _ path: String) {
    var jar = CookieJar(suffixes: nil)
    #expect(!add(&jar, name, value, domain, path) && jar.count == 0)
  }

  @Test func hasLimits() {
    var jar = CookieJar(suffixes: nil)
    #expect(add(&jar, "a", String(repeating: "b", count: 4095), "a.b", "/"))
    #expect(!add(&jar, "a", String(repeating: "b", count: 4096), "a.b", "/"))
    let long = "a." + String(repeating: "b", count: 253)
    #expect(add(&jar, "a", "b", long, "/") && !add(&jar, "a", "b", long + "b", "/"))
  }

  @Test func knowsDomains() {
    var jar = CookieJar(suffixes: nil)
    let wide = CookieFacts(isHostOnly: false)
    #expect(add(&jar, "a", "1", "example.com", "/", wide))
    #expect(!add(&jar, "a", "1", "com", "/", wide))
    #expect(add(&jar, "a", "2", "127.0.0.1", "/", wide))
    #expect(jar.field("http://w.example.com/") == "a=1")
    #expect(jar.cookie(at: 1)?.o.facts.isHostOnly == true)
  }

  @Test func expires() {
    var jar = CookieJar(suffixes: nil)
    #expect(add(&jar, "a", "1", "a.b", "/", CookieFacts(expires: .max)))
    let latest = jar.cookie(at: 0)?.o.facts.expires
    #expect(latest == Int64(34_561_000))
    #expect(add(&jar, "a", "1", "a.b", "/", CookieFacts(expires: .min)) && jar.count == 0)
  }
}

@Suite struct CookieFileTests {
  private func imported(_ text: String, _ jar: inout CookieJar) -> (Int, Int) {
    let bytes = Array(text.utf8)
    let result = jar.importLines(bytes.span, now: 1000)
    return (result.taken, result.refused)
  }

  @Test func writesAndReads() {
    var jar = CookieJar(suffixes: nil)
    _ = jar.set("https://www.example.com/", "a=1; Domain=example.com; Secure; Max-Age=100")
    _ = jar.set("https://www.example.com/x/y", "b=two words; HttpOnly")
    _ = jar.set("https://www.example.com/", "c=")
    _ = jar.set("https://www.example.com/", "=d=e")
    _ = jar.set("http://[::1]/", "f=g")
    let text = """
      # Netscape HTTP Cookie File
      .example.com\tTRUE\t/\tTRUE\t1100\ta\t1
      #HttpOnly_www.example.com\tFALSE\t/x\tFALSE\t0\tb\ttwo words
      www.example.com\tFALSE\t/\tFALSE\t0\tc\t
      www.example.com\tFALSE\t/\tFALSE\t0\t\td=e
      ::1\tFALSE\t/\tFALSE\t0\tf\tg

      """
    #expect(jar.exported() == text)
    for ending in ["\n", "\r\n"] {
      var copy = CookieJar(suffixes: nil)
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
      #expect(imported(lines.joined(separator: ending), &copy) == (5, 0))
      #expect(copy.exported() == text)
    }
    #expect(!jar.exported(now: 1100).contains("1100"))
  }

  @Test(arguments: [
    "example.com\tFALSE\t/\tFALSE\t0\ta\tb", "example.com\tfalse\t/\tFalse\t0\ta\tb\n\n\n",
    "example.com\tFALSE\t/\tFALSE\t0\ta",
    ".example.com\tTRUE\t/\tFALSE\t99999999999999999999\ta\tb",
    "# a comment\n#\n#example.com\nexample.com\tTRUE\t\tFALSE\t0\ta\tb",
  ])
  func reads(_ text: String) {
    var jar = CookieJar(suffixes: nil)
    #expect(imported(text, &jar) == (1, 0) && jar.count == 1)
  }

  @Test(arguments: [
    "x", "\t", "\t\t\t\t\t\t", "example.com", "example.com\tFALSE\t/\tFALSE\t0",
    "example.com\tMAYBE\t/\tFALSE\t0\ta\tb", "example.com\tFALSE\t/\tx\t0\ta\tb",
    "example.com\tFALSE\t/\tFALSE\t-1\ta\tb", "example.com\tFALSE\t/\tFALSE\tx\ta\tb",
    "example.com\tFALSE\t/\tFALSE\t\ta\tb", "com\tTRUE\t/\tFALSE\t0\ta\tb",
    "example.com\tFALSE\tx\tFALSE\t0\ta\tb", "example.com\tFALSE\t/\tFALSE\t0\ta\tb\tc",
    "example.com\tFALSE\t/\tFALSE\t0\t__Host-a\tb", "\tFALSE\t/\tFALSE\t0\ta\tb",
    "example.com\tFALSE\t/\tFALSE\t0\ta;b\tb", "#HttpOnly_", "#HttpOnly_\tFALSE\t/\tFALSE\t0\ta\tb",
    "example.com\tFALSE\t/\tFALSE\t0\ta\tb\0",
  ])
  func refuses(_ text: String) {
    var jar = CookieJar(suffixes: nil)
    #expect(imported(text, &jar) == (0, 1) && jar.count == 0)
  }

  /// Any bytes at all.
  @Test func readsChance() {
    var random = Random(seed: Random.seed)
    let memory = GuardedMemory(capacity: 4096)
    let pieces = ["\t", "\n", "TRUE", "FALSE", "/", "0", "a.b", "#HttpOnly_", "\0", "x", "=", ";"]
    for _ in 0..<3000 {
      var bytes: [UInt8] = []
      for _ in 0..<Int.random(in: 0...30, using: &random) {
        bytes += Array((pieces.randomElement(using: &random) ?? "").utf8)
      }
      var jar = CookieJar(suffixes: nil)
      let lines = memory.with(bytes) { jar.importLines($0, now: 1000) }
      #expect(jar.count <= lines.taken, "\(Random.note)")
    }
  }
}
