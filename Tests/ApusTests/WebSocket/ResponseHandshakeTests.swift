// ResponseHandshake: the bytes of a response, in all pieces.

import Testing

@testable import Apus

@Suite struct ResponseHandshakeTests {
  private let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

  private var good: String {
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      + "Sec-WebSocket-Accept: \(accept)\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
  }

  /// "more", what it took and chose, or what is wrong.
  private func outcome(_ bytes: some Sequence<UInt8>) -> String {
    let bytes = Array(bytes)
    let expected = Array(accept.utf8)
    var protocols = ProtocolList()
    var status: Int32 = 0
    _ = with("superchat, chat") { protocols.take($0) }
    do throws(Failure) {
      let opening = try ResponseHandshake.check(
        bytes.span, accept: expected.span, protocols: protocols, deflate: nil, status: &status)
      return opening.map { "\($0.count) \($0.subprotocol)" } ?? "more"
    } catch {
      return "\(error.code.name)"
    }
  }

  @Test func everyCut() {
    let bytes = Array((good + "frames").utf8)
    let count = good.utf8.count
    for cut in 0...bytes.count {
      #expect(outcome(bytes.prefix(cut)) == (cut < count ? "more" : "\(count) 1"))
    }
  }

  @Test func interimResponses() {
    let front = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\nLink: a\r\n\r\n"
    let bytes = Array((front + good).utf8)
    for cut in 0..<bytes.count { #expect(outcome(bytes.prefix(cut)) == "more") }
    #expect(outcome(bytes) == "\(bytes.count) 1")
    #expect(outcome((front + "HTTP/1.1 200 OK\r\n").utf8) == "APUS_E_PROTOCOL")
  }

  @Test func theLimits() {
    // The last CRLF is one character.
    let front = good.dropLast() + "X: "
    let room = 32 * 1024 - front.utf8.count - 4
    let atLimit = front + String(repeating: "x", count: room) + "\r\n\r\n"
    #expect(outcome(atLimit.utf8) == "32768 1")
    let past = front + String(repeating: "x", count: room + 1) + "\r\n\r\n"
    #expect(outcome(past.utf8) == "APUS_E_TOO_LARGE")
    #expect(outcome(past.utf8.prefix(32 * 1024)) == "more")
    let interim = "HTTP/1.1 100 \r\n\r\n"
    #expect(outcome(String(repeating: interim, count: 2000).utf8) == "APUS_E_TOO_LARGE")
    for fields in [96, 97] {
      let many = good.dropLast() + String(repeating: "A: b\r\n", count: fields) + "\r\n"
      #expect(outcome(many.utf8) == (fields == 96 ? "\(many.utf8.count) 1" : "APUS_E_TOO_LARGE"))
    }
  }
}
