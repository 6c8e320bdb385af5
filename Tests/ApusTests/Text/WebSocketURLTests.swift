// WebSocketURL: what it takes of the URLs of the web.

import Testing

@testable import Apus

@Suite struct WebSocketURLTests {
  /// The host, the port, the target and the Host field, or nil.
  private func parsed(_ text: String) -> String? {
    let bytes = Array(text.utf8)
    do throws(Failure) {
      let url = try WebSocketURL.parse(bytes.span)
      let parts = [url.parts.hostName, url.parts.target, url.parts.authority].map {
        string(url.bytes.extracting($0))
      }
      let scheme = url.scheme.isSecure ? "wss" : "ws"
      return "\(scheme) \(parts[0]) \(url.parts.port) \(parts[1]) \(parts[2])"
    } catch {
      return nil
    }
  }

  @Test(arguments: [
    ("ws://a", "ws a 80 / a"), ("ws://a/", "ws a 80 / a"), ("WS://A:80/B", "ws a 80 /B a"),
    ("wss://a", "wss a 443 / a"), ("wSs://a:443/x", "wss a 443 /x a"),
    ("wss://a:80", "wss a 80 / a:80"), ("ws://a:443", "ws a 443 / a:443"),
    ("ws://a:/x", "ws a 80 /x a"), ("ws://a:00081", "ws a 81 / a:81"),
    ("ws://a?b", "ws a 80 /?b a"), ("ws://a:1?b=c&d=/?", "ws a 1 /?b=c&d=/? a:1"),
    ("ws://127.0.0.1:8080/chat", "ws 127.0.0.1 8080 /chat 127.0.0.1:8080"),
    ("ws://[::1]/", "ws ::1 80 / [::1]"), ("ws://[::1]:9?x", "ws ::1 9 /?x [::1]:9"),
    ("ws://a//b/./c;d=%2F%e9", "ws a 80 //b/c;d=%2F%e9 a"),
    ("ws://a/!$&'()*+,;=:@-._~", "ws a 80 /!$&'()*+,;=:@-._~ a"),
    ("ws://a/\u{E9}", "ws a 80 /%C3%A9 a"),
  ])
  func takes(_ text: String, _ expected: String) { #expect(parsed(text) == expected) }

  @Test(arguments: [
    "", "ws", "ws:", "ws:/", "ws://", "ws:///", "ws://?", "ws://:80", "http://a", "https://a",
    "wsss://a", "w://a", "://a", "ws ://a", "ws://a#", "ws://a/#b", "ws://a/b?c#d", "ws://a@b",
    "ws://a:b@c", "ws://a/b c", "ws://\u{E9}", "ws://a/\tb", "ws://a/\r\nx", "ws://a\u{0}b",
    "ws://a/\u{7F}", "ws://a:0", "ws://a:65536", "ws://a:-1", "ws://a:x", "ws://[::1", "ws://::1",
    "ws://[a]", "ws://a/%", "ws://a/%1", "ws://a/%g0", "ws://a/%0g",
  ])
  func refuses(_ text: String) { #expect(parsed(text) == nil) }

  @Test func hasALimit() {
    let front = "ws://a/"
    let most = front + String(repeating: "x", count: WebSocketURL.longest - front.utf8.count)
    #expect(parsed(most) != nil)
    #expect(parsed(most + "x") == nil)
  }
}
