// WebSocketURL: what it takes, what it refuses, and what a request says of it.

import Testing

@testable import Apus

@Suite struct WebSocketURLTests {
  /// The host, the port, the target and the Host field, or nil.
  private func parsed(_ text: String) -> String? {
    let bytes = Array(text.utf8)
    guard let url = WebSocketURL(bytes.span) else { return nil }
    let host = String(decoding: bytes[url.host], as: UTF8.self)
    let target = written { url.appendTarget(of: bytes.span, to: &$0) }
    let field = written { url.appendHost(of: bytes.span, to: &$0) }
    return "\(url.isSecure ? "wss" : "ws") \(host) \(url.port) \(target) \(field)"
  }

  @Test(arguments: [
    ("ws://a", "ws a 80 / a"), ("ws://a/", "ws a 80 / a"), ("WS://A:80/B", "ws A 80 /B A"),
    ("wss://a", "wss a 443 / a"), ("wSs://a:443/x", "wss a 443 /x a"),
    ("wss://a:80", "wss a 80 / a:80"), ("ws://a:443", "ws a 443 / a:443"),
    ("ws://a:/x", "ws a 80 /x a"), ("ws://a:00081", "ws a 81 / a:81"),
    ("ws://a?b", "ws a 80 /?b a"), ("ws://a:1?b=c&d=/?", "ws a 1 /?b=c&d=/? a:1"),
    ("ws://127.0.0.1:8080/chat", "ws 127.0.0.1 8080 /chat 127.0.0.1:8080"),
    ("ws://[::1]/", "ws ::1 80 / [::1]"), ("ws://[::1]:9?x", "ws ::1 9 /?x [::1]:9"),
    ("ws://a//b/../c;d=%2F%e9", "ws a 80 //b/../c;d=%2F%e9 a"),
    ("ws://a/!$&'()*+,;=:@-._~", "ws a 80 /!$&'()*+,;=:@-._~ a"),
  ])
  func takes(_ text: String, _ expected: String) { #expect(parsed(text) == expected) }

  @Test(arguments: [
    "", "ws", "ws:", "ws:/", "ws://", "ws:a", "ws:///", "ws://?", "ws://:80", "http://a",
    "https://a", "wsss://a", "w://a", "://a", " ws://a", "ws ://a", "ws://a#", "ws://a/#b",
    "ws://a/b?c#d", "ws://a@b", "ws://a:b@c", "ws://a/ ", "ws://a/b c", "ws://a/\u{E9}",
    "ws://\u{E9}", "ws://a/\t", "ws://a/\r\nx", "ws://a\u{0}", "ws://a/\u{7F}", "ws://a:0",
    "ws://a:65536", "ws://a:-1", "ws://a:x", "ws://[::1", "ws://::1", "ws://[a]", "ws://a/%",
    "ws://a/%1", "ws://a/%g0", "ws://a/%0g", "ws://a/\"", "ws://a/<", "ws://a/\\", "ws://a/^",
    "ws://a/`", "ws://a/{", "ws://a/|", "ws://a/[", "ws://a?\"", "ws://a%41", "ws:\\\\a",
  ])
  func refuses(_ text: String) { #expect(parsed(text) == nil) }

  @Test func hasALimit() {
    let front = "ws://a/"
    let most = front + String(repeating: "x", count: WebSocketURL.longest - front.utf8.count)
    #expect(parsed(most) != nil)
    #expect(parsed(most + "x") == nil)
  }

  /// Every byte at each place never traps, and no control or other alphabet passes.
  @Test func everyByte() {
    let text = Array("ws://[::1]:80/a%20b?c".utf8)
    for place in 0..<text.count {
      for byte in UInt8.min...UInt8.max {
        var changed = text
        changed[place] = byte
        let isTaken = WebSocketURL(changed.span) != nil
        if byte <= 32 || byte >= 127 || byte == UInt8(ascii: "#") { #expect(!isTaken) }
      }
      _ = WebSocketURL(Array(text[..<place]).span)
    }
  }
}
