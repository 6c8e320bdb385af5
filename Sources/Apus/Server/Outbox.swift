// Messages that are sent while a channel has no connection: refused, or kept until it
// has one, up to a limit.

@safe struct Outbox: ~Copyable {
  enum Policy: Int32 {
    case refuse = 0
    case keep = 1
    case drop = 2
  }

  var policy = Policy.refuse
  /// Bytes that may wait.
  var limit: Int64 = 1024 * 1024
  private var first: Ref<Kept>? = nil
  private var last: Ref<Kept>? = nil
  private var bytes: Int64 = 0
  /// How many messages have made room for others, and whether that is to be told.
  private(set) var dropped: Int64 = 0
  var isDropTold = true

  /// A message, and the size of the frames it is to be sent in.
  struct Kept: ~Copyable {
    let letter: Ref<Letter>
    let size: Int
    var next: Ref<Kept>? = nil

    init(_ letter: Ref<Letter>, _ size: Int) {
      self.letter = letter
      self.size = size
    }

    deinit { letter.free() }
  }

  init() {}

  deinit {
    var kept = first
    while let one = kept {
      kept = one.o.next
      one.free()
    }
  }

  private static var overhead: Int64 { 64 }

  /// True where others were dropped for it.
  mutating func keep(_ payload: Bytes, _ opcode: UInt8, inFramesOf size: Int) throws(Failure)
    -> Bool
  {
    if policy == .refuse { throw Failure(.state, "the channel is not open yet") }
    if opcode == Opcode.text, !UTF8Validator.isValid(payload) {
      throw Failure(.argument, "the text is not UTF-8")
    }
    let weight = Int64(payload.count) &+ Outbox.overhead
    if weight > limit || (policy == .keep && bytes &+ weight > limit) {
      throw Failure(.full, "no more can be kept until the channel is open")
    }
    guard let letter = Letter.make(opcode, true, payload) else { throw .noMemory }
    // Without memory for it the letter goes with what would have kept it.
    guard let kept = Ref<Kept>(make: Kept(letter, size)) else { throw .noMemory }
    var isDropped = false
    while bytes &+ weight > limit, let oldest = take() {
      oldest.free()
      dropped &+= 1
      isDropped = true
    }
    if isDropped { isDropTold = false }
    if let last { last.o.next = kept } else { first = kept }
    last = kept
    bytes &+= weight
    return isDropped
  }

  mutating func take() -> Ref<Kept>? {
    guard let kept = first else { return nil }
    first = kept.o.next
    if first == nil { last = nil }
    bytes &-= Int64(kept.o.letter.o.count) &+ Outbox.overhead
    return kept
  }

  mutating func clear() {
    while let kept = take() { kept.free() }
  }

  /// For a new opening.
  mutating func restart() {
    clear()
    dropped = 0
    isDropTold = true
  }
}
