// The names of attachments, RFC 6266.

import Testing

@testable import Apus

private func value(_ name: String) -> String? {
  with(name) { name in
    var buffer = ByteBuffer()
    return ContentDisposition.append(attachment: name, to: &buffer) ? string(buffer) : nil
  }
}

@Suite struct ContentDispositionTests {
  @Test(arguments: [
    ("a.txt", "attachment; filename=\"a.txt\""),
    ("a b;c.txt", "attachment; filename=\"a b;c.txt\""),
    ("\u{20AC} rates", "attachment; filename=\"_ rates\"; filename*=UTF-8''%E2%82%AC%20rates"),
    ("a\"b", "attachment; filename=\"a_b\"; filename*=UTF-8''a%22b"),
    ("100%.txt", "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
    ("\u{E4}'*.x", "attachment; filename=\"_'*.x\"; filename*=UTF-8''%C3%A4%27%2A.x"),
  ])
  func writes(_ name: String, _ expected: String) { #expect(value(name) == expected) }

  @Test(arguments: ["", "a/b", "a\\b", "a\r\nb", "a\u{7F}", "..", ".", "a\0b"])
  func refuses(_ name: String) { #expect(value(name) == nil) }

  @Test func hasALimit() {
    #expect(value(String(repeating: "a", count: 255)) != nil)
    #expect(value(String(repeating: "a", count: 256)) == nil)
    let bytes: [UInt8] = [0x61, 0xFF]
    var buffer = ByteBuffer()
    #expect(!ContentDisposition.append(attachment: bytes.span, to: &buffer))
  }
}
