// What a request is refused with: a status, and a sentence for the body of the
// reply, so that whoever wrote the client can find the mistake.

struct Refusal: Equatable {
  let status: Int32
  let reason: StaticString

  static func bad(_ reason: StaticString) -> Refusal { Refusal(status: 400, reason: reason) }

  static func == (left: Refusal, right: Refusal) -> Bool { left.status == right.status }

  static var requestLineTooLong: Refusal {
    Refusal(status: 414, reason: "The request line is longer than this server takes.")
  }
  static var headTooLong: Refusal {
    Refusal(status: 431, reason: "The header section is longer than this server takes.")
  }
  static var tooManyFields: Refusal {
    Refusal(status: 431, reason: "There are more fields than this server takes.")
  }
  static var bodyTooLong: Refusal {
    Refusal(status: 413, reason: "The body is longer than this server takes.")
  }
}

/// Limits on what a peer may send; each has one reaction, a Refusal.
struct RequestLimits {
  var requestLine = 8192
  var head = 32 * 1024
  var fields = 100
  var body: Int64 = 8 * 1024 * 1024
  /// Of the routes that have a limit of their own; -1: there are none.
  var form: Int64 = -1
  /// Chunk extensions: of one chunk, and of a whole body.
  static var extensionOfChunk: Int { 256 }
  static var extensions: Int { 16 * 1024 }
}
