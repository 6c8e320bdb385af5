// Signed cookies: what is signed is what HMAC-SHA-256 gives elsewhere, and nothing else
// is taken.

import Testing

@testable import Apus

private func makeKey(_ text: String) -> Ref<ByteBuffer>? {
  guard let key = Ref<ByteBuffer>(make: ByteBuffer()) else { return nil }
  let bytes = Array(text.utf8)
  key.o.append(bytes.span)
  return key
}

/// What a cookie's text opens to, with both keys or the first alone.
private func opened(_ text: [UInt8], _ name: String, keys count: Int = 2) -> String? {
  var keys = List<Ref<ByteBuffer>>()
  for text in ["first key, long enough", "second key, long enough"].prefix(count) {
    guard let key = makeKey(text), keys.append(key) else { return nil }
  }
  defer { for index in 0..<keys.count { keys[index].free() } }
  let name = Array(name.utf8)
  guard let opened = CookieSigner.open(text.span, name: name.span, keys: keys) else { return nil }
  return "\(String(decoding: text[opened.value], as: UTF8.self)) \(opened.time)"
}

@Suite struct CookieSignerTests {
  /// By Python's hmac, of "sid=v.1.1700000000".
  private let known = Array("v.1.1700000000.sTH2SWwbCCn_SeUTEx3922MJRnmWL2yNGd3YltE_9_A".utf8)

  @Test func signs() throws {
    let key = try #require(makeKey("second key, long enough"))
    defer { key.free() }
    let (name, value) = (Array("sid".utf8), Array("v.1".utf8))
    let text = written { buffer in
      _ = CookieSigner.append(
        value.span, name: name.span, key: key, time: 1_700_000_000, to: &buffer)
    }
    #expect(Array(text.utf8) == known)
  }

  @Test func opensItsOwn() {
    #expect(opened(known, "sid") == "v.1 1700000000")
    #expect(opened(known, "sie") == nil && opened(known, "sid", keys: 1) == nil)
    #expect(opened(known, "sid", keys: 0) == nil)
  }

  @Test func opensNothingElse() {
    for index in 0..<known.count {
      var changed = known
      changed[index] = changed[index] == 65 ? 66 : 65
      #expect(opened(changed, "sid") == nil)
      #expect(opened(Array(known[..<index]), "sid") == nil)
      #expect(opened(known + [known[index]], "sid") == nil)
    }
    for text in ["", ".", "..", "a.b.c", "a.1.", ".1.", "...."] {
      #expect(opened(Array(text.utf8), "sid") == nil)
    }
  }
}
