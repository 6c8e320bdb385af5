// The head of a response as the parser found it: where each part stands, counted
// from the first byte of the status line. Nothing is copied; whoever keeps the
// bytes can look everything up.

/// What the response depends on in its request, RFC 9112 §6.3.
struct RequestFacts: Equatable {
  var isHead = false
  var isConnect = false
  /// Whether the request has Expect: 100-continue.
  var expectsContinue = false
  /// Whether the request has an Upgrade field, so that 101 may answer it.
  var asksForUpgrade = false
}

/// Limits on what a server may send. Past each of them the response has failed.
struct ResponseLimits {
  /// Bytes of a head with its empty line; each interim response has one of its own.
  var head = 64 * 1024
  var fields = 256
  /// Interim responses before the final one.
  var interim = 16
  /// Bytes of a trailer section with its empty line.
  var trailers = 16 * 1024
  var body: Int64 = .max
}

/// How the end of a response's body is told, RFC 9112 §6.3.
enum ResponseFraming: UInt8 {
  case none, length, chunked, untilClose
}

struct ResponseHead: ~Copyable {
  /// 10 or 11.
  var version: Int32 = 11
  var status: Int32 = 0
  var reason = 0..<0
  /// -1: no Content-Length. It may stand in a response without a body, too.
  var contentLength: Int64 = -1
  var isChunked = false
  /// How this response's body is framed; known once the head is complete.
  var framing = ResponseFraming.none
  var connectionClose = false
  var connectionKeepAlive = false
  /// What is wrong with the fields that frame a body. It counts if there may be one.
  var problem: Failure? = nil
  /// All of the head, with the empty line.
  var count = 0
  var fields = List<Field>()

  var isInterim: Bool { status < 200 && status != 101 }

  /// Whether the connection may be used again behind this response, RFC 9112 §9.3.
  var persists: Bool {
    if connectionClose || framing == .untilClose || status == 101 { return false }
    if problem != nil { return false }
    return version >= 11 || connectionKeepAlive
  }

  /// The field of a name, which is compared without regard to case; `number` counts
  /// those of the same name. `bytes` is the head.
  func field(_ name: Bytes, number: Int = 0, in bytes: Bytes) -> Field? {
    var left = number
    for index in 0..<fields.count {
      let field = fields[index]
      guard bytes.extracting(field.name).equalsIgnoringCase(name) else { continue }
      if left == 0 { return field }
      left &-= 1
    }
    return nil
  }

  mutating func reset() {
    version = 11
    status = 0
    reason = 0..<0
    contentLength = -1
    isChunked = false
    framing = .none
    connectionClose = false
    connectionKeepAlive = false
    problem = nil
    count = 0
    fields.removeAll()
  }
}
