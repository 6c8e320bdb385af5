// ContentDecoder: each vector of Vectors/contents.txt, split at each place, and its limits.

import Testing

@testable import Apus

struct ContentVector: Sendable, CustomTestStringConvertible {
  let title: String
  let codings: String
  let bytes: [UInt8]
  /// The content, or the code and a part of the sentence that says why there is none.
  let content: [UInt8]?
  let code: String
  let reason: String

  var testDescription: String { title }

  static let all: [ContentVector] = (try? load()) ?? []

  static func load() throws -> [ContentVector] {
    try SourceFiles.text("Vectors/contents.txt").split(separator: "\n").filter { $0.first != "#" }
      .map { line in
        let mark = line.contains(" => ") ? " => " : " !! "
        guard let range = line.firstRange(of: mark) else {
          throw Escapes.Mistake(text: String(line))
        }
        let parts = line[..<range.lowerBound].split(
          separator: " | ", omittingEmptySubsequences: false)
        let right = line[range.upperBound...]
        let words = right.split(separator: " ", maxSplits: 1)
        let isSound = mark == " => "
        guard parts.count == 3 else { throw Escapes.Mistake(text: String(line)) }
        return ContentVector(
          title: String(parts[0]), codings: String(parts[1]), bytes: try bytes(parts[2]),
          content: isSound ? try Escapes.decode(right) : nil,
          code: isSound ? "" : "APUS_E_" + words[0], reason: isSound ? "" : String(words[1]))
      }
  }

  private static func bytes(_ text: Substring) throws -> [UInt8] {
    let digits = Array(text.utf8)
    return try stride(from: 0, to: digits.count, by: 2).map { place in
      let pair = String(decoding: digits[place..<min(place + 2, digits.count)], as: UTF8.self)
      guard pair.utf8.count == 2, let byte = UInt8(pair, radix: 16) else {
        throw Escapes.Mistake(text: String(text))
      }
      return byte
    }
  }
}

@Suite struct ContentDecoderTests {
  private enum Result: Equatable {
    case content([UInt8])
    case failed(String, String)
  }

  /// Decodes pieces that end at these places; `most` is the largest piece that came out.
  private func decode(
    _ bytes: [UInt8], _ codings: String, _ ends: [Int],
    limits: ContentDecoder.Limits = ContentDecoder.Limits(), memory: GuardedMemory? = nil,
    given: inout Int
  ) -> Result {
    let memory = memory ?? GuardedMemory(capacity: max(bytes.count, 1))
    var decoder = ContentDecoder(limits: limits)
    var buffer = ByteBuffer()
    var content: [UInt8] = []
    do throws(Failure) {
      try decoder.add(Array(codings.utf8).span)
      var consumed = 0
      for end in ends {
        let room = memory.place(end - consumed)
        _ = room.initialize(from: bytes[consumed..<end])
        let piece = Span(_unsafeElements: UnsafeBufferPointer(room))
        var index = 0
        var goesOn = true
        while goesOn {
          goesOn = try decoder.next(piece, at: &index, to: &buffer)
          precondition(index <= piece.count && buffer.count <= ContentDecoder.piece)
          precondition(goesOn == (buffer.count > 0) && (goesOn || index == piece.count))
          content += array(buffer.bytes)
          given = content.count
          buffer.truncate(to: 0)
        }
        consumed = end
      }
      try decoder.finish()
    } catch {
      return .failed(error.code.name.text, error.message.text)
    }
    return .content(content)
  }

  private func isFailure(_ result: Result) -> Bool {
    if case .failed = result { return true }
    return false
  }

  private func check(_ vector: ContentVector, _ result: Result) -> Bool {
    switch result {
    case .content(let content): content == vector.content
    case .failed(let code, let reason):
      vector.content == nil && code == vector.code && reason.contains(vector.reason)
    }
  }

  @Test func theVectorsAreThere() throws {
    let vectors = try ContentVector.load()
    #expect(vectors.count >= 80)
    #expect(Set(vectors.map(\.title)).count == vectors.count)
  }

  @Test(arguments: ContentVector.all)
  func givesItsContent(_ vector: ContentVector) throws {
    for (name, coding) in [("br", ContentCoding.br), ("zstd", .zstd)]
    where vector.codings.contains(name) && !coding.isAvailable {
      return
    }
    let bytes = vector.bytes
    let memory = GuardedMemory(capacity: max(bytes.count, 1))
    var random = Random(seed: Random.seed)
    var given = 0
    for ends in [[bytes.count]] + Splits.of(bytes.count, &random) {
      let result = decode(bytes, vector.codings, ends, memory: memory, given: &given)
      if !check(vector, result) {
        Issue.record("\(vector.title), split at \(ends.prefix(50)): \(result), \(Random.note)")
        return
      }
    }
  }

  @Test func codingsInSeveralFields() throws(Failure) {
    guard let vector = ContentVector.all.first(where: { $0.title == "two codings" }) else {
      Issue.record("no vector")
      return
    }
    var decoder = ContentDecoder()
    try decoder.add(Array("deflate".utf8).span)
    try decoder.add(Array("gzip".utf8).span)
    let isIdentity = decoder.isIdentity
    #expect(!isIdentity)
    var buffer = ByteBuffer()
    var index = 0
    let isThere = try decoder.next(vector.bytes.span, at: &index, to: &buffer)
    #expect(isThere && array(buffer.bytes) == vector.content)
  }

  /// At the limit on bytes and past it, however it is coded and cut.
  @Test(arguments: ["", "gzip", "deflate", "gzip, gzip", "deflate, gzip"])
  func aLimitOnBytes(_ codings: String) throws {
    let title = [
      "": "plain", "gzip": "gzip", "deflate": "deflate", "gzip, gzip": "two codings, the inner",
      "deflate, gzip": "two codings",
    ][codings]
    let vector = try #require(
      ContentVector.all.first { vector in
        vector.codings == codings && vector.content?.count == 12
          && title.map { vector.title.hasPrefix($0) } == true
      })
    for most in [0, 1, 11, 12, 13] {
      for ends in [[vector.bytes.count], Array(0...vector.bytes.count)] {
        var given = 0
        let limits = ContentDecoder.Limits(bytes: Int64(most))
        let result = decode(vector.bytes, codings, ends, limits: limits, given: &given)
        let tooLong = "the content is longer than its limit once decoded"
        #expect(
          result
            == (most >= 12
              ? .content(vector.content ?? []) : .failed("APUS_E_TOO_LARGE", tooLong)))
        #expect(given <= most)
      }
    }
  }

  /// Zeros shrink a thousandfold and no more in gzip, and much more in two codings.
  @Test func aLimitOnTheRatio() throws {
    let bomb = "the content is a bomb: it grows out of measure when decoded"
    let zeros = [UInt8](repeating: 0, count: 8 << 20)
    var deflater = makeDeflater(level: 9, bits: 15, keepsContext: true)
    let once = deflated(&deflater, zeros)
    // Behind a last, empty block, as raw deflate has it.
    let raw = once + [0, 0, 0xFF, 0xFF, 3, 0]
    var again = makeDeflater(level: 9, bits: 15, keepsContext: true)
    let twice = deflated(&again, raw) + [0, 0, 0xFF, 0xFF, 3, 0]
    var given = 0
    var result = decode(raw, "deflate", [raw.count], given: &given)
    let isWithin = zeros.count / raw.count < 1000
    #expect(isWithin || result == .failed("APUS_E_TOO_LARGE", bomb), "\(raw.count)")
    result = decode(twice, "deflate, deflate", [twice.count], given: &given)
    #expect(result == .failed("APUS_E_TOO_LARGE", bomb))
    #expect(given <= 2 << 20, "\(given)")
    // Not before the first MiB, and at another ratio.
    let limits = ContentDecoder.Limits(ratio: 10, freely: 1000)
    result = decode(raw, "deflate", [raw.count], limits: limits, given: &given)
    #expect(result == .failed("APUS_E_TOO_LARGE", bomb))
    result = decode(
      twice, "deflate, deflate", [twice.count],
      limits: ContentDecoder.Limits(freely: Int64(zeros.count)), given: &given)
    #expect(result == .content(zeros))
  }

  /// Members of gzip of which nothing comes are counted where they come from.
  @Test func aBombOfWhichNothingComes() throws {
    let empty = try #require(ContentVector.all.first { $0.title == "gzip of nothing" }).bytes
    let members = Array(repeatElement(empty, count: 1000).joined())
    var deflater = makeDeflater(level: 9, bits: 15, keepsContext: true)
    let bytes = deflated(&deflater, members) + [0, 0, 0xFF, 0xFF, 3, 0]
    var given = 0
    let sound = decode(bytes, "gzip, deflate", [bytes.count], given: &given)
    #expect(sound == .content([]))
    let limits = ContentDecoder.Limits(ratio: 10, freely: 1000)
    let bomb = decode(bytes, "gzip, deflate", [bytes.count], limits: limits, given: &given)
    #expect(
      bomb
        == .failed(
          "APUS_E_TOO_LARGE", "the content is a bomb: it grows out of measure when decoded"))
  }

  /// What is malformed behind the limit, or behind content, changes nothing of what comes
  /// before it, however it is cut.
  @Test(arguments: ["deflate", "gzip"])
  func whatIsWrongFirstIsFoundFirst(_ codings: String) {
    // A stored block, and one of no type.
    let head: [UInt8] = codings == "gzip" ? [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3] : []
    let bytes = head + [0, 12, 0, 0xF3, 0xFF] + Array("Hello, world".utf8) + [7, 0]
    let tooLong = "the content is longer than its limit once decoded"
    let malformed = "the content is no \(codings), or its checksum is wrong"
    for end in 0...bytes.count {
      for (most, due) in [
        (5, Result.failed("APUS_E_TOO_LARGE", tooLong)), (11, .failed("APUS_E_TOO_LARGE", tooLong)),
        (12, .failed("APUS_E_PROTOCOL", malformed)), (99, .failed("APUS_E_PROTOCOL", malformed)),
      ] {
        var given = 0
        let limits = ContentDecoder.Limits(bytes: Int64(most))
        let result = decode(bytes, codings, [end, bytes.count], limits: limits, given: &given)
        #expect(result == due, "at \(end), \(most) bytes")
        #expect(given == 12 || most < 12, "at \(end), \(most) bytes: \(given)")
      }
    }
  }

  /// RFC 8878 §3.1.1.2.3: no compressed block is empty. libzstd takes one in a stream, and
  /// refuses it in a frame that it has whole.
  @Test func aFrameIsDecodedAlikeHoweverCut() {
    guard ContentCoding.zstd.isAvailable else { return }
    let frame: [UInt8] =
      [0x28, 0xB5, 0x2F, 0xFD, 0x80, 0x58, 12, 0, 0, 0, 0x60, 0, 0]
      + Array("Hello, world".utf8) + [5, 0, 0]
    for bytes in [frame, frame + frame] {
      var given = 0
      let whole = decode(bytes, "zstd", [bytes.count], given: &given)
      for cut in 0...bytes.count {
        let result = decode(bytes, "zstd", [cut, bytes.count], given: &given)
        #expect(isFailure(result) == isFailure(whole), "at \(cut): \(result)")
      }
    }
  }

  @Test func aFailureIsFinal() {
    var decoder = ContentDecoder()
    var buffer = ByteBuffer()
    func isRefused(_ text: String) -> Bool {
      var index = 0
      do throws(Failure) {
        _ = try decoder.next(Array(text.utf8).span, at: &index, to: &buffer)
        return false
      } catch { return true }
    }
    do throws(Failure) {
      try decoder.add(Array("gzip".utf8).span)
    } catch {
      Issue.record("gzip is not there")
    }
    #expect(isRefused("hello"))
    #expect(isRefused(""))
    #expect(buffer.isEmpty == true)
  }

  @Test func whatIsAvailable() {
    let value = written { ContentCoding.appendAvailable(to: &$0) }
    #expect(value.hasPrefix("gzip, deflate"))
    #expect(value.contains("br") == ContentCoding.br.isAvailable)
    #expect(value.contains("zstd") == ContentCoding.zstd.isAvailable)
    for coding in ContentCoding.allCases {
      let name = coding.name.text
      #expect(with(name.uppercased()) { ContentCoding($0) } == coding)
      #expect(with(name + "x") { ContentCoding($0) } == nil)
    }
  }

  /// Noise, and sound content with bytes changed, never does more than fail.
  @Test func noise() {
    var random = Random(seed: Random.seed)
    let vectors = ContentVector.all.filter { (1..<300).contains($0.bytes.count) }
    for _ in 0..<3000 {
      guard let vector = vectors.randomElement(using: &random) else { return }
      var bytes = vector.bytes
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        let place = Int.random(in: 0..<bytes.count, using: &random)
        bytes[place] = UInt8.random(in: 0...255, using: &random)
      }
      let limits = ContentDecoder.Limits(bytes: 1_000_000)
      var given = 0
      let whole = decode(bytes, vector.codings, [bytes.count], limits: limits, given: &given)
      let split = decode(
        bytes, vector.codings, Array(0...bytes.count), limits: limits, given: &given)
      // The libraries of brotli and zstd keep back what they have made before a fault.
      let isTheirs = vector.codings.contains("br") || vector.codings.contains("zstd")
      let isSame = whole == split || isTheirs && isFailure(whole) && isFailure(split)
      #expect(isSame, "\(vector.title), \(Escapes.encode(bytes)), \(Random.note)")
      #expect(given <= 1_000_000)
    }
  }
}
