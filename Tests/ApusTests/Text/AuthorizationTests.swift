// What Authorization says.

import Testing

@testable import Apus

@Suite struct AuthorizationTests {
  private func basic(_ text: String) -> String {
    with(text) { value in
      var buffer = ByteBuffer()
      switch Authorization.basic(value, to: &buffer) {
      case .otherScheme: return "other"
      case .malformed: return "malformed"
      case .found(let user, let password):
        let bytes = buffer.bytes
        return string(bytes.extracting(user)) + "|" + string(bytes.extracting(password))
      }
    }
  }

  @Test(arguments: [
    ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin|open sesame"),
    ("bAsIc   dGVzdDoxMjPCow==", "test|123\u{A3}"), ("Basic Og==", "|"),
    ("Basic YTpiOmM=", "a|b:c"), ("Bearer abc", "other"), ("Basi Og==", "other"),
    ("Basic-Og==", "other"), ("", "other"), ("Basic", "malformed"), ("Basic ", "malformed"),
    ("Basic Og", "malformed"), ("Basic Og== x", "malformed"), ("Basic  Og==x", "malformed"),
    ("Basic YQ==", "malformed"), ("Basic YQA6Yg==", "malformed"), ("Basic /zpi", "malformed"),
    ("Basic OgA=", "malformed"), ("Basic OgkK", "malformed"), ("Basic\tOg==", "other"),
    ("Basic On8=", "malformed"), ("Basic OoA=", "malformed"), ("Basic Oh==", "malformed"),
  ])
  func readsNameAndPassword(_ value: String, _ expected: String) {
    #expect(basic(value) == expected)
  }

  private func bearer(_ text: String) -> String {
    with(text) { value in
      switch Authorization.bearer(value) {
      case .otherScheme: "other"
      case .malformed: "malformed"
      case .found(let range, _): string(value.extracting(range))
      }
    }
  }

  @Test(arguments: [
    ("Bearer mF_9.B5f-4.1JqM", "mF_9.B5f-4.1JqM"), ("bearer  a~+/==", "a~+/=="),
    ("Bearer", "malformed"), ("Bearer =", "malformed"), ("Bearer a=b", "malformed"),
    ("Bearer a b", "malformed"), ("Bearer a,b", "malformed"), ("Bearer \u{E4}", "malformed"),
    ("Basic YTpi", "other"), ("BearerX a", "other"),
  ])
  func readsAToken(_ value: String, _ expected: String) { #expect(bearer(value) == expected) }

  @Test(arguments: [
    ("Basic", "a", "Basic realm=\"a\", charset=\"UTF-8\""), ("Bearer", "", "Bearer realm=\"\""),
    ("bASIC", "\"\\", "bASIC realm=\"\\\"\\\\\", charset=\"UTF-8\""),
  ])
  func writesAChallenge(_ scheme: String, _ realm: String, _ expected: String) {
    let text = with(scheme) { scheme in
      with(realm) { realm in
        written { Authorization.appendChallenge(scheme: scheme, realm: realm, to: &$0) }
      }
    }
    #expect(text == expected)
  }

  @Test func decodesWhatItEncodes() {
    var random = Random(seed: Random.seed)
    for count in 0..<200 {
      let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
      var text = ByteBuffer()
      var back = ByteBuffer()
      back.append("x")
      Base64.append(bytes.span, to: &text)
      #expect(Base64.decode(text.bytes, to: &back))
      #expect(array(back.bytes) == [120] + bytes, "\(Random.note)")
    }
  }
}
