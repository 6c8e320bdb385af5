// Challenges, as servers write them and as they should not; and which is answered.

import Testing

@testable import Apus

/// A field as its items: "Scheme", "~token68", "name=value".
private func items(_ field: Span<UInt8>) -> [String] {
  var list = ChallengeList()
  var items: [String] = []
  while items.count < 1000 {
    switch list.next(in: field) {
    case .end: return items
    case .malformed: return items + ["!"]
    case .scheme(let range): items.append(string(field.extracting(range)))
    case .token68(let range): items.append("~" + string(field.extracting(range)))
    case .parameter(let name, let value):
      let text = written { ChallengeList.append(value: field.extracting(value), to: &$0) }
      items.append(string(field.extracting(name)) + "=" + text)
    }
  }
  return items
}

@Suite struct ChallengeListTests {
  @Test(arguments: [
    ("Basic", "Basic"), ("Basic realm=x", "Basic|realm=x"), ("", ""), (" , ,\t,", ""),
    ("Basic realm=\"a b\"", "Basic|realm=a b"), ("Basic   realm=\"\"", "Basic|realm="),
    ("Basic realm = \"x\"", "Basic|realm=x"), ("Basic realm\t=\tx", "Basic|realm=x"),
    ("Basic realm=\"a\\\"b\\\\c\"", "Basic|realm=a\"b\\c"),
    ("Basic realm=\"a, Digest x=y\"", "Basic|realm=a, Digest x=y"),
    ("Basic realm=\"x\", charset=\"UTF-8\"", "Basic|realm=x|charset=UTF-8"),
    ("Basic realm=x,charset=y", "Basic|realm=x|charset=y"), ("Basic ,realm=x", "Basic|realm=x"),
    (",,Basic realm=x,,", "Basic|realm=x"), ("  Basic realm=x  ", "Basic|realm=x"),
    ("Basic, Digest", "Basic|Digest"), ("Basic , Digest", "Basic|Digest"),
    ("Basic realm=x, Digest realm=y", "Basic|realm=x|Digest|realm=y"),
    ("Basic realm=x, Negotiate, Bearer a=b", "Basic|realm=x|Negotiate|Bearer|a=b"),
    ("Negotiate YII==", "Negotiate|~YII=="), ("NTLM a+/-._~=", "NTLM|~a+/-._~="),
    ("Negotiate abc, Basic realm=x", "Negotiate|~abc|Basic|realm=x"),
    ("Negotiate abc ,Basic", "Negotiate|~abc|Basic"), ("X a=", "X|~a="), ("X a==", "X|~a=="),
    ("X a=b", "X|a=b"), ("X a==b", "X|!"), ("X a", "X|~a"), ("X a/b", "X|~a/b"),
    ("X \"a\"", "X|!"), ("X a b", "X|!"), ("X a=b c", "X|a=b|!"), ("X a=b c=d", "X|a=b|!"),
    ("X a=\"b\"c=d", "X|a=b|!"), ("X a=\"b", "X|!"), ("X a=\"b\\", "X|!"), ("X a=\"b\\\"", "X|!"),
    ("X a=\"", "X|!"), ("X a=,", "X|~a="), ("X a=b,=c", "X|a=b|!"), ("X a=b, c=", "X|a=b|!"),
    ("a=b", "!"), ("=", "!"), ("\"", "!"), ("X\ta=b", "X|!"), ("X;a=b", "X|!"),
    ("X abc, a=b", "X|~abc|!"),
    ("X a=b\"c\"", "X|a=b|!"), ("X a=\u{E9}", "X|!"), ("X a=\"\u{E9}\"", "X|a=\u{E9}"),
    ("X a=\"\0\"", "X|!"), ("X a=\"\\\0\"", "X|!"), ("X a=\"\r\n\"", "X|!"), ("X, a=b", "X|a=b"),
  ])
  func reads(_ field: String, _ expected: String) {
    #expect(with(field) { items($0).joined(separator: "|") } == expected)
  }

  @Test func readsChance() {
    var random = Random(seed: Random.seed)
    let memory = GuardedMemory(capacity: 4096)
    let pieces = ["a", "Digest", " ", ",", "=", "\"", "\\", "\t", "nonce", "realm", "\0", "\u{E9}"]
    for _ in 0..<20_000 {
      let bytes = (0..<Int.random(in: 0...20, using: &random)).flatMap { _ in
        Array((pieces.randomElement(using: &random) ?? "").utf8)
      }
      let found = memory.with(bytes) { items($0) }
      #expect(found.count <= bytes.count + 1, "\(Random.note)")
      memory.with(bytes) {
        var challenges = Challenges()
        challenges.take($0)
      }
    }
  }
}

private func choice(
  _ fields: [String], _ allowed: Challenges.Allowed = Challenges.Allowed()
) -> (scheme: Challenges.Scheme, strength: Int, isStale: Bool) {
  var challenges = Challenges()
  for field in fields { with(field) { challenges.take($0) } }
  let scheme = challenges.choice(allowed)
  let digest = challenges.takeDigest()
  return (scheme, digest.strength, digest.isStale)
}

@Suite struct ChallengesTests {
  static let md5 = "Digest realm=\"r\", nonce=\"n\", qop=\"auth\""
  static let sha256 = md5 + ", algorithm=SHA-256"
  static let sha512 = md5 + ", algorithm=SHA-512-256"
  static let basic = "Basic realm=\"r\""

  @Test(
    arguments: [
      ([], .none, 0), ([""], .none, 0), (["Negotiate"], .none, 0), ([basic], .basic, 0),
      (["BASIC"], .basic, 0), (["Bearer"], .bearer, 0), ([basic, "bearer a=b"], .bearer, 0),
      ([md5], .digest, 1), ([md5, basic], .digest, 1), ([basic, md5], .digest, 1),
      ([basic + ", " + md5], .digest, 1), ([md5 + ", " + basic], .digest, 1),
      ([md5, sha256], .digest, 2), ([sha256, md5], .digest, 2), ([md5 + ", " + sha256], .digest, 2),
      ([sha256 + ", " + sha512 + ", " + md5], .digest, 3), (["Bearer", md5], .digest, 1),
      (["Negotiate abc==, " + md5], .digest, 1), (["dIGEST realm=r, nonce=n"], .digest, 1),
      ([md5 + ", algorithm=md5"], .digest, 1), ([md5 + ", algorithm=\"MD5\""], .digest, 1),
      ([md5 + ", algorithm=MD5-sess"], .digest, 1),
      ([md5 + ", algorithm=sha-256-SESS"], .digest, 2),
      ([md5 + ", algorithm=SHA-1"], .none, 0), ([md5 + ", algorithm=-sess"], .none, 0),
      ([md5 + ", algorithm=\"\""], .none, 0), ([md5 + ", algorithm=SHA-512"], .none, 0),
      (["Digest realm=r, nonce=n, algorithm=MD5-sess"], .none, 0),
      (["Digest realm=r"], .none, 0), (["Digest nonce=n"], .none, 0), (["Digest"], .none, 0),
      (["Digest abc=="], .none, 0), (["Digest realm=r, nonce=n, qop=auth-int"], .none, 0),
      (["Digest realm=r, nonce=n, qop=\"auth-int, auth\""], .digest, 1),
      (["Digest realm=r, nonce=n, qop=\"\""], .digest, 1),
      (["Digest realm=r, nonce=n, qop=\"x,AUTH\""], .digest, 1),
      (["Digest realm=r, nonce=n, nonce=m"], .none, 0),
      (["Digest realm=r, nonce=n, x=1, x=2"], .digest, 1),
      ([md5 + ", realm=s, " + basic], .basic, 0), ([md5 + ", \""], .none, 0),
      ([basic + ", Digest realm=\"r"], .none, 0), ([basic, "Digest realm=\"r"], .basic, 0),
    ] as [([String], Challenges.Scheme, Int)])
  func chooses(_ fields: [String], _ scheme: Challenges.Scheme, _ strength: Int) {
    let found = choice(fields)
    #expect(found.scheme == scheme && found.strength == strength)
  }

  @Test func asksForWhatThereIs() {
    let all = ["Bearer", Self.basic, Self.sha256]
    #expect(choice(all, .init(basic: true, bearer: false, digest: false)).scheme == .basic)
    #expect(choice(all, .init(basic: true, bearer: true, digest: false)).scheme == .bearer)
    #expect(choice(all, .init(basic: false, bearer: false, digest: false)).scheme == .none)
    #expect(choice([Self.basic], .init(basic: false)).scheme == .none)
  }

  @Test func knowsStale() {
    #expect(choice([Self.md5 + ", stale=TRUE"]).isStale)
    #expect(!choice([Self.md5 + ", stale=false"]).isStale && !choice([Self.md5]).isStale)
  }

  @Test func hasLimits() {
    func list(_ count: Int) -> String { Array(repeating: "x", count: count).joined(separator: ",") }
    #expect(choice([list(255) + ",Basic"]).scheme == .basic)
    #expect(choice([list(256) + ",Basic"]).scheme == .none)
    #expect(choice([list(255), "Basic"]).scheme == .basic)
    #expect(choice([list(256), "Basic"]).scheme == .none)
    let many = Array(repeating: "a=b", count: 100_000).joined(separator: ",")
    #expect(choice(["Digest " + many, Self.basic]).scheme == .basic)
    let commas = String(repeating: ",", count: 1_000_000)
    #expect(choice([commas + Self.basic]).scheme == .basic)
    for (count, strength) in [(4096, 1), (4097, 0)] {
      let nonce = String(repeating: "n", count: count)
      #expect(choice(["Digest realm=r, nonce=\"\(nonce)\""]).strength == strength)
    }
  }
}
