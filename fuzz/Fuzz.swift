// What libFuzzer calls: the bytes go to the target that APUS_FUZZ names, whole and in
// pieces, and what comes of them must be the same. A trap, a read past the end and a
// difference all end the process, and libFuzzer keeps the bytes. fuzz/run.sh builds
// this with the sources of the library, as one module.

import Glibc

private let target: String = getenv("APUS_FUZZ").map { String(cString: $0) } ?? ""

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ data: UnsafePointer<UInt8>?, _ size: Int) -> Int32 {
  let bytes = Array(UnsafeBufferPointer(start: data, count: size))
  switch target {
  case "request":
    same(bytes, fuzzRequest)
    rewriteRequests(bytes)
  case "response":
    same(bytes, fuzzResponse)
    rewriteResponse(bytes)
  case "reply": fuzzReply(bytes)
  case "chunked": same(bytes, fuzzChunked)
  case "frames-server": same(bytes, settings: 1) { fuzzFrames($0, $1, role: .server) }
  case "frames-client": same(bytes, settings: 1) { fuzzFrames($0, $1, role: .client) }
  case "messages": fuzzMessages(bytes)
  case "handshake": whole(bytes, fuzzHandshake)
  case "inflate":
    same(bytes, settings: 2, fuzzInflate)
    deflateAgain(bytes)
  case "contents": same(bytes, settings: 2, fuzzContents)
  case "multipart": same(bytes, settings: 1, fuzzMultipart)
  case "form": fuzzForm(bytes)
  case "events": same(bytes, fuzzEvents)
  case "event": fuzzEvent(bytes)
  case "url": whole(bytes, fuzzURL)
  case "set-cookie": whole(bytes, fuzzSetCookie)
  case "cookies": whole(bytes, fuzzCookies)
  case "ranges": whole(bytes, fuzzRanges)
  case "dates": whole(bytes, fuzzDates)
  case "forwarded": whole(bytes, fuzzForwarded)
  case "proxy": fuzzProxy(bytes)
  default: fatalError("APUS_FUZZ names no target: \(target)")
  }
  return 0
}

/// Runs a target that takes bytes at once, and looks at what it costs.
private func whole(_ bytes: [UInt8], _ run: ([UInt8]) -> Void) {
  run(bytes)
  checkWork(bytes, settings: 0, run)
}

/// Runs a target on the bytes in one piece, in single bytes and in a few other ways.
/// `settings` is how many of the first bytes are not the parser's.
private func same(_ bytes: [UInt8], settings: Int = 0, _ run: ([UInt8], [Int]) -> FuzzLog) {
  let whole = run(bytes, [bytes.count])
  var ways: [[Int]] = []
  if bytes.count <= 600 { ways.append(Array(0...bytes.count)) }
  var chance: UInt64 = 14_695_981_039_346_656_037
  for byte in bytes { chance = (chance ^ UInt64(byte)) &* 1_099_511_628_211 }
  for _ in 0..<3 where !bytes.isEmpty {
    var cuts: [Int] = [bytes.count]
    for _ in 0..<5 {
      chance = chance &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      cuts.append(Int(truncatingIfNeeded: chance >> 33) % bytes.count)
    }
    ways.append(cuts.sorted())
  }
  for ends in ways {
    let other = run(bytes, ends)
    if other != whole {
      fatalError("split at \(ends):\n\(other.text)\nin one piece:\n\(whole.text)")
    }
  }
  checkWork(bytes, settings: settings) { bytes in
    _ = run(bytes, Array(stride(from: 1000, to: bytes.count, by: 1000)) + [bytes.count])
  }
}

/// What came of some bytes.
struct FuzzLog: Equatable {
  private var lines: [[UInt8]] = []
  private var body: [UInt8] = []

  mutating func add(_ text: String, _ bytes: [UInt8] = []) {
    if !body.isEmpty { lines.append(Array("body ".utf8) + body) }
    body = []
    lines.append(Array(text.utf8) + bytes)
  }

  /// Content, whose pieces are nobody's business.
  mutating func add(body piece: Span<UInt8>) {
    if piece.isEmpty { fatalError("an empty piece of a body") }
    body += copy(piece)
  }

  /// Of the body since the last line.
  var bodyCount: Int { body.count }

  var text: String {
    lines.map { String(decoding: $0, as: UTF8.self).debugDescription }.joined(separator: "\n")
  }
}

func copy(_ bytes: Span<UInt8>) -> [UInt8] { bytes.withUnsafeBufferPointer { Array($0) } }

/// Bytes as the parsers take them, in memory of their own.
func span<Result>(_ bytes: [UInt8], _ body: (Span<UInt8>) -> Result) -> Result {
  alone(bytes[...]) { body(Span(_unsafeElements: UnsafeBufferPointer($0))) }
}

/// The parts of an input for a target that wants several: a byte says how long each is,
/// the last has the rest.
func parts(_ bytes: [UInt8], _ count: Int) -> [[UInt8]] {
  var parts: [[UInt8]] = []
  var rest = bytes[...]
  while parts.count < count - 1 {
    let length = min(Int(rest.popFirst() ?? 0), rest.count)
    parts.append(Array(rest.prefix(length)))
    rest = rest.dropFirst(length)
  }
  return parts + [Array(rest)]
}

/// Calls a function with memory of its own for the bytes, so that a sanitizer sees what
/// is read past them.
func alone<Result>(
  _ bytes: ArraySlice<UInt8>, _ body: (UnsafeMutableBufferPointer<UInt8>) -> Result
) -> Result {
  let room = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: bytes.count)
  defer { room.deallocate() }
  _ = room.initialize(from: bytes)
  return body(room)
}

/// Feeds bytes in pieces that end at these places; what is not taken comes again.
func feed(_ bytes: [UInt8], _ ends: [Int], _ take: (Span<UInt8>) -> Int?) {
  var consumed = 0
  for end in ends where end >= consumed {
    let taken = alone(bytes[consumed..<end]) {
      take(Span(_unsafeElements: UnsafeBufferPointer($0)))
    }
    guard let taken else { return }
    if taken < 0 || consumed + taken > end { fatalError("more was taken than there was") }
    consumed += taken
  }
}
