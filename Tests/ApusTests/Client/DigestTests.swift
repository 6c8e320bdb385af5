// Credentials: the examples of RFC 7616 §3.9, RFC 2617 §3.5, RFC 7617 §2 and RFC 6750
// §2.1; what no RFC has an example of was computed by Python's hashlib.

import Testing

@testable import Apus

private func digest(_ field: String, _ nonce: String) -> Digest? {
  var challenges = Challenges()
  with(field) { challenges.take($0) }
  let bytes = Array(nonce.utf8)
  return Digest(challenges.takeDigest(), nonce: bytes.span)
}

private func answer(
  _ digest: inout Digest, _ method: String, _ target: String, _ user: String, _ password: String
) throws -> String {
  let (method, target) = (Array(method.utf8), Array(target.utf8))
  let (user, password) = (Array(user.utf8), Array(password.utf8))
  var buffer = ByteBuffer()
  try digest.append(
    method: method.span, target: target.span, user: user.span, password: password.span,
    to: &buffer)
  return string(buffer)
}

private func answer(
  _ field: String, _ nonce: String, _ method: String = "GET", _ target: String = "/dir/index.html",
  _ user: String = "Mufasa", _ password: String = "Circle of Life", times: Int = 1
) throws -> String {
  guard var digest = digest(field, nonce) else { return "" }
  var text = ""
  for _ in 0..<times { text = try answer(&digest, method, target, user, password) }
  return text
}

@Suite struct DigestTests {
  static let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
  static let opaque = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
  static let own = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"

  /// RFC 7616 §3.9.1 for MD5 and SHA-256, first answer.
  @Test(arguments: [
    (
      "MD5", "8ca523f5e9506fed4657c9700eebdbec", "4b5d595ecf2db9df612ea5b45cd97101"
    ),
    (
      "SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
      "8c8db27f49ff1c202f9fb49fa9d2e9eabf078dcc93db40dfd6527010091d1c8e"
    ),
    (
      "SHA-512-256", "430d05014cecc49cab6fbe03176d41a1da86cbfe24a16580e22aaad928d960d0",
      "c70be613fc833a6fd44d48f13b0ae4431b234f5a5c232c4f817c08d99be9485e"
    ),
    (
      "MD5-sess", "e783283f46242139c486a698fec7211d", "6914b51e16f9459d9abc967ad41c4599"
    ),
    (
      "SHA-256-sess", "2fd51b3a77ad75bad6afad6003e818d767133c46d9e2749e7f5232ae1ea3efd7",
      "6bb0010aa4bdf46422a798c509ea32e256f27bd37de5cc3bdf8ed51e1d77d650"
    ),
    (
      "SHA-512-256-sess", "3f2a34f923c38b0fb26dce2fdfc2ce326c23cecf86fbb1444f3e51fbbc2cb92e",
      "3f0b079c78edc3f154dc32cd155ef358aab704e07c9fda1f425282a15cc97cf7"
    ),
  ])
  func answersTwice(_ algorithm: String, _ first: String, _ second: String) throws {
    let field = """
      Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=\(algorithm), \
      nonce="\(Self.nonce)", opaque="\(Self.opaque)"
      """
    for (times, response) in [(1, first), (2, second)] {
      let expected = """
        Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", \
        algorithm=\(algorithm), nonce="\(Self.nonce)", nc=0000000\(times), cnonce="\(Self.own)", \
        qop=auth, response="\(response)", opaque="\(Self.opaque)"
        """
      #expect(try answer(field, Self.own, times: times) == expected)
    }
  }

  /// RFC 7616 §3.9.2 with true SHA-512/256, which the erratum to its example has.
  @Test func hidesTheName() throws {
    let field = """
      Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, \
      nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", \
      opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", charset=UTF-8, userhash=true
      """
    let text = try answer(
      field, "NTg6RKcb9boFIAS3KrFK9BGeh+niz/sm", "GET", "/doe.json",
      "J\u{E4}s\u{F8}n Doe", "Secret, or not?")
    #expect(
      text.hasPrefix(
        """
        Digest username="793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b", \
        realm="api@example.org"
        """))
    #expect(
      text.contains("response=\"7a4e1192babbba02e91182d2895bfdbf7adafc6e48d4e517ca301974843d840c\"")
    )
    #expect(text.hasSuffix(", userhash=true"))
  }

  @Test func answersRFC2617() throws {
    let field = """
      Digest realm="testrealm@host.com", qop="auth,auth-int", \
      nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"
      """
    let text = try answer(field, "0a4f113b", "GET", "/dir/index.html", "Mufasa", "Circle Of Life")
    #expect(text.contains("response=\"6629fae49393a05397450978507c4ef1\""))
    #expect(!text.contains("algorithm"))
  }

  @Test func answersRFC2069() throws {
    let field = """
      Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", \
      opaque="5ccc069c403ebaf9f0171e9517f40e41"
      """
    let expected = """
      Digest username="Mufasa", realm="testrealm@host.com", uri="/dir/index.html", \
      nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", response="1949323746fe6a43ef61f9606e7febea", \
      opaque="5ccc069c403ebaf9f0171e9517f40e41"
      """
    let text = try answer(field, "x", "GET", "/dir/index.html", "Mufasa", "CircleOfLife")
    #expect(text == expected)
  }

  @Test func quotes() throws {
    let field = #"Digest realm="r\"\\e", nonce="n\"o", qop=auth"#
    let text = try answer(field, "xyz", "POST", "/x?y=z", #"a"b\c"#, "p")
    #expect(text.hasPrefix(#"Digest username="a\"b\\c", realm="r\"\\e", uri="/x?y=z", "#))
    #expect(text.contains(#"nonce="n\"o""#))
    #expect(text.contains("response=\"c07f8891f89cd1f32b07289914153188\""))
  }

  @Test func anEmptyOpaqueIsSent() throws {
    let field = "Digest realm=\"\", nonce=\"n\", opaque=\"\""
    #expect(try answer(field, "x").hasSuffix(", opaque=\"\""))
  }

  @Test func refuses() throws {
    let isUnanswerable = digest("Basic realm=x", "x") == nil
    let isWithoutNonce = digest("Digest realm=r, nonce=n", "") == nil
    let isWithBadNonce = digest("Digest realm=r, nonce=n", "a\r\n") == nil
    #expect(isUnanswerable && isWithoutNonce && isWithBadNonce)
    let field = "Digest realm=r, nonce=n, qop=auth"
    for user in ["a\r\nb", "a\0", "a\tb", String(repeating: "u", count: 4097)] {
      #expect(throws: Failure.self) { try answer(field, "x", "GET", "/", user, "p") }
    }
    for (method, target) in [("", "/"), ("G T", "/"), ("GET", "/ x"), ("GET", "/\r\n")] {
      #expect(throws: Failure.self) { try answer(field, "x", method, target) }
    }
    // The password is not sent: it may be anything.
    #expect(try answer(field, "x", "GET", "/", "u", "\0\r\n") != "")
  }

  @Test func drawsNonces() {
    var first = ByteBuffer()
    var second = ByteBuffer()
    let drew = Digest.appendNonce(to: &first)
    let drewAgain = Digest.appendNonce(to: &second)
    let texts = [string(first), string(second)]
    #expect(drew && drewAgain && texts[0].count == 32 && texts[0] != texts[1])
    #expect(texts[0].allSatisfy { $0.isHexDigit && !$0.isUppercase })
  }
}

@Suite struct CredentialsTests {
  private func basic(_ user: String, _ password: String) -> String? {
    let (user, password) = (Array(user.utf8), Array(password.utf8))
    var buffer = ByteBuffer()
    do throws(Failure) {
      try Credentials.appendBasic(user: user.span, password: password.span, to: &buffer)
    } catch {
      return nil
    }
    return string(buffer)
  }

  @Test(arguments: [
    ("Aladdin", "open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
    ("test", "123\u{A3}", "dGVzdDoxMjPCow=="),
    ("", "", "Og=="), ("a", ":", "YTo6"),
  ])
  func writesBasic(_ user: String, _ password: String, _ expected: String) {
    #expect(basic(user, password) == "Basic " + expected)
  }

  @Test(arguments: [
    ("a:b", "c"), ("a\n", "c"), ("a", "c\r"), ("a", "\0"), ("\t", "c"), ("a", "\u{7F}"),
    (String(repeating: "a", count: 4097), ""), ("", String(repeating: "a", count: 4097)),
  ])
  func refusesBasic(_ user: String, _ password: String) { #expect(basic(user, password) == nil) }

  private func bearer(_ token: String) -> String? {
    let token = Array(token.utf8)
    var buffer = ByteBuffer()
    do throws(Failure) {
      try Credentials.appendBearer(token: token.span, to: &buffer)
    } catch {
      return nil
    }
    return string(buffer)
  }

  @Test func writesBearer() {
    #expect(bearer("mF_9.B5f-4.1JqM") == "Bearer mF_9.B5f-4.1JqM")
    for token in ["", "a b", "a\r\n", "\u{E9}", String(repeating: "a", count: 4097)] {
      #expect(bearer(token) == nil)
    }
  }
}
