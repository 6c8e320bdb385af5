// What a server refuses an opening handshake with: a status, and a sentence for the
// body of the reply.

/// A 426 carries the fields "Upgrade: websocket" (RFC 9110 §15.5.22) and
/// "Sec-WebSocket-Version: 13" (RFC 6455 §4.2.2 item 4), a 405 the field
/// "Allow: GET".
struct HandshakeProblem: Equatable {
  let status: Int32
  let reason: StaticString

  static func == (left: HandshakeProblem, right: HandshakeProblem) -> Bool {
    left.status == right.status
  }

  static func bad(_ reason: StaticString) -> HandshakeProblem {
    HandshakeProblem(status: 400, reason: reason)
  }
}
