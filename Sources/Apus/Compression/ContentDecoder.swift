// Decodes the content of a body from the codings of its Content-Encoding fields, RFC 9110
// §8.4: the last one comes off first. Input comes as it arrives, and output in pieces of
// a bounded size, each when it is asked for, so that its taker may stop in the middle.
// Little input may not become boundless output: there is a limit on its bytes, and one
// on how many times the input it is.

struct ContentDecoder: ~Copyable {
  struct Limits {
    /// Bytes of decoded content.
    var bytes: Int64 = .max
    /// How many times the input the output may be, of each coding, once it is as long
    /// as `freely`.
    var ratio: Int64 = 1000
    var freely: Int64 = 1 << 20
  }

  /// The most that comes at a time.
  static var piece: Int { 16 * 1024 }
  /// The most codings one over the other.
  static var mostCodings: Int { 4 }

  private let limits: Limits
  /// In the order in which they come off.
  private var stages = List<Ref<ContentStage>>()
  /// Bytes of input so far, and of output without any coding.
  private var consumed: Int64 = 0
  private var plain: Int64 = 0
  private var failure: Failure? = nil

  init(limits: Limits = Limits()) { self.limits = limits }

  deinit {
    for index in 0..<stages.count { stages[index].free() }
  }

  /// Whether there is nothing to decode.
  var isIdentity: Bool { stages.isEmpty }

  /// Adds the codings of a Content-Encoding field, in the order of the fields. Before
  /// any input.
  mutating func add(_ value: Bytes) throws(Failure) {
    var elements = ListElements()
    while let range = elements.next(in: value) {
      let name = value.extracting(range)
      // The second is no coding of the registry's, but servers say it that want none.
      if name.equalsLowercase("identity") || name.equalsLowercase("none") { continue }
      guard let coding = ContentCoding(name) else {
        throw Failure(.unsupported, "the content has a coding that is not known here")
      }
      if stages.count >= ContentDecoder.mostCodings {
        throw Failure(.tooLarge, "the content has too many codings")
      }
      try add(coding)
    }
  }

  private mutating func add(_ coding: ContentCoding) throws(Failure) {
    guard let made = ContentStage(coding), let stage = Ref(make: made) else { throw .noMemory }
    do throws(Failure) {
      try stage.o.prepare()
    } catch {
      stage.free()
      throw error
    }
    guard stages.append(stage) else {
      stage.free()
      throw .noMemory
    }
    // The last one added is the first to come off.
    var index = stages.count &- 1
    while index > 0 {
      stages[index] = stages[index &- 1]
      index &-= 1
    }
    stages[0] = stage
  }

  /// Takes input from an index on, and appends the next piece of content to a buffer:
  /// true with one, after which there may be more without further input; false when all
  /// input is used and nothing more comes of it. After a failure nothing is of use.
  mutating func next(_ input: Bytes, at index: inout Int, to buffer: inout ByteBuffer)
    throws(Failure) -> Bool
  {
    if let failure { throw failure }
    let start = buffer.count
    do throws(Failure) {
      guard stages.isEmpty else {
        try pull(stages.count &- 1, input, at: &index, to: &buffer)
        return buffer.count > start
      }
      let end = min(input.count, index &+ ContentDecoder.piece)
      let piece = input.extracting(index..<end)
      buffer.append(piece)
      if buffer.failed { throw .noMemory }
      plain &+= Int64(piece.count)
      if plain > limits.bytes { throw ContentDecoder.tooLong }
      index = end
      return piece.count > 0
    } catch {
      buffer.truncate(to: start)
      failure = error
      throw error
    }
  }

  /// The content has ended, and all that it gives was taken. Throws where it is cut.
  mutating func finish() throws(Failure) {
    if let failure { throw failure }
    for index in 0..<stages.count where !stages[index].o.isComplete {
      throw stages[index].o.coding.truncated
    }
  }

  /// Has a stage give something, by asking those before it while it lacks input.
  private mutating func pull(
    _ number: Int, _ input: Bytes, at index: inout Int, to buffer: inout ByteBuffer
  ) throws(Failure) {
    let stage = stages[number]
    let isLast = number == stages.count &- 1
    // One byte past the limit is let in, to tell "at" from "past".
    let left = isLast ? limits.bytes &- stage.o.produced : .max
    let most = Int(min(Int64(ContentDecoder.piece), max(left, 0) &+ (left < .max ? 1 : 0)))
    let start = buffer.count
    if number == 0 {
      let before = index
      // What was used counts also where it fails.
      defer { consumed &+= Int64(index &- before) }
      try stage.o.run(input, at: &index, to: &buffer, most: most)
    } else {
      let source = stages[number &- 1].o.output
      while true {
        var place = 0
        try stage.o.run(source.o.bytes, at: &place, to: &buffer, most: most)
        source.o.consume(place)
        if buffer.count > start { break }
        try pull(number &- 1, input, at: &index, to: &source.o)
        if source.o.isEmpty { break }
      }
    }
    stage.o.produced &+= Int64(buffer.count &- start)
    if isLast, stage.o.produced > limits.bytes { throw ContentDecoder.tooLong }
    // No trap: what it is divided by is 1 or more.
    if stage.o.produced > limits.freely, stage.o.produced / max(limits.ratio, 1) > consumed {
      throw Failure(.tooLarge, "the content is a bomb: it grows out of measure when decoded")
    }
  }

  private static var tooLong: Failure {
    Failure(.tooLarge, "the content is longer than its limit once decoded")
  }
}
