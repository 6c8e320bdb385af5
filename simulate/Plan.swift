// What is asked of the server and what is due for it: the peer that asks and the host that
// answers share it, so that each can tell whether the library has changed anything.

final class Plan {
  enum Kind: CaseIterable {
    /// Answered in the handler, later, in pieces, in pieces of a length that is told before.
    case now
    case later
    case pieces
    case measured
    /// Broken off half way.
    case broken
    /// The handler does nothing: 500.
    case nothing
    /// There is no route.
    case missing
    /// With a body, which comes whole, or as it arrives.
    case upload
    case stream
    case file
    /// With a form, which is parsed as it arrives.
    case form
  }

  let id: Int
  let kind: Kind
  let size: Int
  let delay: Int
  let isHead: Bool
  let upload: [UInt8]
  let form: FormPlan?
  let isChunked: Bool
  let expectsContinue: Bool
  let isLast: Bool
  /// The host closes with it, whatever else was asked behind it.
  let isHostsLast: Bool
  weak var script: HTTPScript?
  /// All of it was sent, behind nothing that would be refused.
  var isSent = false
  var isForbidden = false
  var handled = 0
  var closes = 0

  /// One of many goes on with the next: nothing ends the connection, and no body is sent.
  init(_ id: Int, isLast: Bool, isOfMany: Bool) {
    self.id = id
    self.isLast = isLast
    kind =
      Kind.allCases[
        world.chance.weighted(
          isOfMany ? [60, 10, 8, 6, 0, 2, 2, 0, 0, 2] : [40, 12, 12, 8, 3, 3, 3, 10, 8, 5, 6])]
    size = world.chance.size(upTo: world.chance.once(in: 8) ? 200_000 : 4000)
    delay = world.chance.size(upTo: 300_000)
    isHostsLast = kind == .now && !isOfMany && world.chance.once(in: 12)
    isHead = kind == .now && world.chance.once(in: 10)
    let hasBody = kind == .upload || kind == .stream || kind == .form
    form = kind == .form ? FormPlan(id) : nil
    upload =
      form?.body
      ?? (!hasBody
        ? []
        : Plan.bytes(id + 7, world.chance.size(upTo: world.chance.once(in: 8) ? 150_000 : 3000)))
    isChunked = hasBody && world.chance.once(in: 2)
    expectsContinue = hasBody && world.chance.once(in: 4)
  }

  /// What the body numbered so has in it.
  static func bytes(_ id: Int, _ count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      for index in 0..<count {
        buffer[index] = UInt8(truncatingIfNeeded: id &* 31 &+ index &* 7 &+ (index >> 8))
      }
      filled = count
    }
  }

  var body: [UInt8] { Plan.bytes(id, size) }
  /// The body that is due for it.
  var due: [UInt8] { kind == .file ? world.fileBytes : hasBody ? upload : body }
  /// The server takes no bodies of that size.
  var isTooLarge: Bool {
    upload.count > Int(kind == .form ? world.limits.form : world.limits.body)
  }
  /// Its handler had it before it was refused: that takes the connection with it, unless
  /// it was the next one to be answered.
  var isRefusedLate: Bool { isTooLarge && kind == .stream && handled > 0 }
  var hasBody: Bool { kind == .upload || kind == .stream || kind == .form }

  var path: String {
    switch kind {
    case .form: "/form/\(id)"
    case .upload: "/upload/\(id)"
    case .stream: "/stream/\(id)"
    case .missing: "/missing/\(id)"
    default: "/plan/\(id)"
    }
  }

  /// The request on the wire; what goes behind its head is apart where it waits for 100.
  var request: (head: [UInt8], body: [UInt8]) {
    let method = hasBody ? "POST" : isHead ? "HEAD" : "GET"
    var head = "\(method) \(path) HTTP/1.1\r\nHost: sim\r\n"
    if isLast { head += "Connection: close\r\n" }
    for index in 0..<world.chance.below(4) { head += "X-Filler-\(index): \(id * index)\r\n" }
    if kind == .form {
      head += "Content-Type: multipart/form-data; boundary=\(FormPlan.boundary)\r\n"
    }
    if expectsContinue { head += "Expect: 100-continue\r\n" }
    var body: [UInt8] = []
    if isChunked {
      head += "Transfer-Encoding: chunked\r\n"
      var rest = upload[...]
      while !rest.isEmpty {
        let piece = rest.prefix(1 + world.chance.size(upTo: rest.count))
        body += Array("\(String(piece.count, radix: 16))\r\n".utf8) + piece + [13, 10]
        rest = rest.dropFirst(piece.count)
      }
      body += Array("0\r\n\r\n".utf8)
    } else if hasBody {
      head += "Content-Length: \(upload.count)\r\n"
      body = upload
    }
    return (Array((head + "\r\n").utf8), body)
  }

  /// The status that is due.
  var status: Int {
    switch kind {
    case .nothing: 500
    case .missing: 404
    default: 200
    }
  }

  /// Compares what has come with what is due.
  func check(_ reply: Reply) {
    world.check(!isTooLarge, "request \(id): a body of \(upload.count) bytes is taken")
    world.check(
      reply.status == status, "request \(id) \(kind): status \(reply.status), not \(status)")
    guard reply.status == 200, status == 200 else { return }
    world.check(
      reply.field("x-id") == "\(id)" || (reply.field("x-id") == nil && world.lacks > 0),
      "request \(id): the reply of \(reply.field("x-id") ?? "nobody")")
    world.check(
      isHead ? reply.body.isEmpty : reply.body == due,
      "request \(id) \(kind): \(reply.body.count) bytes of body, not the \(due.count) due")
  }
}
