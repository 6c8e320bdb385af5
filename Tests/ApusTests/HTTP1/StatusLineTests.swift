// StatusLine: what is one, and from which byte on it is none.

import Testing

@testable import Apus

@Suite struct StatusLineTests {
  private func outcome(_ bytes: some Sequence<UInt8>, at start: Int = 0) -> String {
    let bytes = Array(bytes)
    switch StatusLine.parse(bytes.span, at: start) {
    case nil: return "more"
    case .line(let version, let status, let next): return "\(version) \(status) \(next)"
    case .refused: return "refused"
    }
  }

  @Test(arguments: [
    ("HTTP/1.1 200 OK\r\n", "11 200 17"), ("HTTP/1.0 404 Not Found\r\n", "10 404 24"),
    ("HTTP/1.1 101 \r\n", "11 101 15"), ("HTTP/1.9 599 a\tb\r\nmore", "11 599 18"),
    ("HTTP/1.1 100 \u{E4}\r\n", "11 100 17"),
  ])
  func lines(_ text: String, _ due: String) {
    #expect(outcome(text.utf8) == due)
    #expect(outcome("xx".utf8 + Array(text.utf8), at: 2) != "refused")
    let end = text.utf8.firstIndex(of: 10).map { text.utf8.distance(from: text.startIndex, to: $0) }
    for cut in 0...(end ?? 0) { #expect(outcome(text.utf8.prefix(cut)) == "more") }
  }

  /// The part before "|" may still become a line.
  @Test(arguments: [
    "|http/1.1 200 \r\n", "HTTP/|2.0 200 \r\n", "HTTP/1|/1 200 \r\n", "HTTP/1.|x 200 \r\n",
    "HTTP/1.1|  200 \r\n", "HTTP/1.1 |2x0 \r\n", "HTTP/1.1 200|\r\n", "HTTP/1.1 200|0 \r\n",
    "HTTP/1.1 09|9 \r\n", "HTTP/1.1 09|9 \r\n", "HTTP/1.1 200 a|\nb", "HTTP/1.1 200 a\r|b",
    "HTTP/1.1 200 \u{1}|", "| HTTP/1.1 200 \r\n", "|\r\n", "HTTP/1.1 200 a|\u{7F}",
  ])
  func others(_ text: String) {
    let parts = text.split(separator: "|", omittingEmptySubsequences: false)
    let bytes = Array(parts.joined().utf8)
    #expect(outcome(bytes) == "refused")
    #expect(outcome(parts[0].utf8) != "11 200 15")
    for cut in 0..<bytes.count { #expect(outcome(bytes.prefix(cut)).hasPrefix("11") == false) }
  }

  @Test func aStartThatIsNotThere() {
    for start in [-1, 1, 2, Int.max] { #expect(outcome([], at: start) == "more") }
  }
}
