// The receiving half of a WebSocket connection, for either role, as a machine
// without sockets or clocks: RFC 6455 §5 and §8.1, RFC 7692 §7.2.2.
//
// The caller hands in what it has received, from `index` on, and is told one step
// at a time; the machine moves the index past what it took. A header and a control
// frame are taken whole, so bytes that are not taken must come again with more
// behind; they are 131 at most. The payload of a data frame is taken as it comes:
// unmasked where it stands, checked, and gathered here. Memory thus grows with
// what has arrived, and never by what a header promises. A message that lies in
// the input whole, in one frame and not compressed, is not gathered: its step tells
// where it stands.
//
// What comes of the bytes does not depend on the pieces in which they arrive, save
// for that last difference.

struct MessageReceiver: ~Copyable {
  /// Limits on what a peer may send; each has one reaction, a Violation.
  struct Limits {
    /// Bytes of a message, once inflated: 1009.
    var message = 16 * 1024 * 1024
    /// Frames of a message: 1008.
    var frames = 1024
    /// Pings and pongs until the owner calls `resetControls`: 1008.
    var controls = 1000

    /// Bytes of a compressed message on the wire. Deflate makes what it cannot
    /// compress longer, by less than an eighth; padding beyond that is an attack.
    var compressed: Int {
      let bound = message.addingReportingOverflow(message / 8 &+ 1024)
      return bound.overflow ? .max : bound.partialValue
    }
  }

  enum Step {
    /// Nothing more can be said without more bytes.
    case more
    /// A whole message, and where it stands in the input.
    case message(opcode: UInt8, Range<Int>)
    /// A whole message, in `gathered` until the next call.
    case assembled(opcode: UInt8)
    /// With `givesFrames`: a frame of a message, and where its payload stands; a
    /// compressed one is given inflated, as far as its bytes go.
    case frame(opcode: UInt8, isFinal: Bool, Range<Int>)
    /// The same, in `gathered` until the next call.
    case assembledFrame(opcode: UInt8, isFinal: Bool)
    case ping(Range<Int>)
    case pong(Range<Int>)
    /// The peer's Close: nothing more is taken. No code: it sent none.
    case close(code: UInt16?, reason: Range<Int>)
    /// The peer broke the protocol or passed a limit: nothing more is taken.
    case refused(Violation)
  }

  /// Inflates a piece of a message behind what a buffer holds; `isEnd` with the
  /// last piece, which may be empty. At most `room` bytes may come of it.
  typealias Inflate = (
    _ piece: Bytes, _ isEnd: Bool, _ buffer: inout ByteBuffer, _ room: Int
  ) -> Inflated

  enum Inflated {
    case done, tooLong, malformed, noMemory
  }

  private enum State: UInt8 {
    case header, payload, over
  }

  var limits: Limits
  /// Gives the frames of messages one by one, and not messages. A change counts from
  /// the next message on.
  var givesFrames = false

  private var rules: FrameRules
  private var state = State.header
  private var isGiven = false
  /// The data frame whose payload is being taken, and how much of that is to come.
  private var header = FrameHeader()
  private var due = 0
  /// The message of which that is a part.
  private var opcode: UInt8 = 0
  private var isCompressed = false
  private var isGivenAsFrames = false
  private var frames = 0
  private var onWire = 0
  /// How long the message is in frames that were given one by one.
  private var given = 0
  private var text = UTF8Validator()
  private var controls = 0
  private var buffer = ByteBuffer()

  init(role: Role, allowsCompression: Bool = false, limits: Limits = Limits()) {
    rules = FrameRules(role: role, allowsCompression: allowsCompression)
    self.limits = limits
  }

  /// The message or frame of the last step, if it was assembled here. Memory up to
  /// `kept` bytes is kept for the next one.
  var gathered: Bytes {
    @_lifetime(borrow self) get { buffer.bytes }
  }

  static var kept: Int { 4096 }

  /// The same as memory, which stays where it is until the next call.
  @unsafe var gatheredMemory: (UnsafeMutablePointer<UInt8>, Int)? {
    unsafe buffer.pointer.map { unsafe ($0, buffer.count) }
  }

  /// Puts a NUL behind what is gathered, which does not count; false without memory.
  mutating func terminate() -> Bool {
    buffer.reserve(1, upTo: most)
    return buffer.terminate()
  }

  /// What a message may take, with its NUL.
  private var most: Int { limits.message == .max ? .max : limits.message &+ 1 }

  /// The memory that a message takes at the moment.
  var memory: Int { buffer.capacity }

  /// Whether a message has begun and is not whole.
  var isInMessage: Bool { rules.isInMessage || state == .payload }

  /// Whether nothing more is taken: a Close came, or a refusal.
  var isOver: Bool { state == .over }

  /// Lets as many pings and pongs in again as `limits` says; for the owner's clock.
  mutating func resetControls() { controls = 0 }

  /// The next step. `inflate` is called for compressed messages alone.
  mutating func next(
    _ bytes: inout MutableSpan<UInt8>, at index: inout Int, inflate: Inflate
  ) -> Step {
    if isGiven { release() }
    while true {
      switch state {
      case .over:
        return .more
      case .header:
        if let step = takeShort(&bytes, at: &index) { return step }
        if let step = takeHeader(&bytes, at: &index) { return step }
      case .payload:
        if let step = takePayload(&bytes, at: &index, inflate) { return step }
      }
    }
  }

  /// Without compression.
  mutating func next(_ bytes: inout MutableSpan<UInt8>, at index: inout Int) -> Step {
    next(&bytes, at: &index) { _, _, _, _ in .malformed }
  }

  /// Lets go of what is gathered, once it was given; the next call would as well.
  mutating func release() {
    guard isGiven else { return }
    isGiven = false
    given &+= buffer.count
    buffer.clear(keep: MessageReceiver.kept)
    if !rules.isInMessage { given = 0 }
  }

  private mutating func refuse(_ violation: Violation) -> Step {
    state = .over
    buffer.clear()
    return .refused(violation)
  }
}

// ---- headers and control frames

extension MessageReceiver {
  /// A message of a client in one short frame that has come whole, as most are. Nil
  /// says nothing.
  @inline(__always)
  private mutating func takeShort(_ bytes: inout MutableSpan<UInt8>, at index: inout Int) -> Step? {
    guard rules.role == .server, !rules.isInMessage, !givesFrames, index >= 0,
      bytes.count &- index >= 6
    else { return nil }
    // FIN is set, as is MASK, and no other bit than those of the opcode and the length.
    let opcode = bytes[index] ^ 0x80
    let length = Int(bytes[index &+ 1] ^ 0x80)
    let start = index &+ 6
    guard opcode == Opcode.text || opcode == Opcode.binary, length <= FrameHeader.longestControl,
      length <= bytes.count &- start, length <= limits.message, limits.frames > 0
    else { return nil }
    let key = MaskKey(
      bytes[index &+ 2], bytes[index &+ 3], bytes[index &+ 4], bytes[index &+ 5])
    let payload = start..<(start &+ length)
    Mask.apply(key, phase: 0, to: &bytes, payload)
    index = payload.upperBound
    if opcode == Opcode.text, !UTF8Validator.isValid(bytes.span.extracting(payload)) {
      return refuse(.notUTF8)
    }
    return .message(opcode: opcode, payload)
  }

  /// Nil: a data frame starts, whose payload is next.
  private mutating func takeHeader(_ bytes: inout MutableSpan<UInt8>, at index: inout Int) -> Step?
  {
    guard bytes.count &- index >= 2 else { return .more }
    if let violation = rules.violation(bytes[index], bytes[index &+ 1]) {
      return refuse(violation)
    }
    switch FrameHeader.decode(bytes.span, at: index) {
    case .incomplete:
      return .more
    case .refused(let violation):
      return refuse(violation)
    case .header(let header, let payload):
      if header.isControl {
        return takeControl(header, &bytes, at: &index, payload)
      }
      if let violation = start(header) { return refuse(violation) }
      index = payload
      if let step = takeWhole(&bytes, at: &index) { return step }
      state = .payload
      return nil
    }
  }

  /// RFC 6455 §5.5: a control frame may stand between the frames of a message.
  private mutating func takeControl(
    _ header: FrameHeader, _ bytes: inout MutableSpan<UInt8>, at index: inout Int, _ start: Int
  ) -> Step {
    let isClose = header.opcode == Opcode.close
    if !isClose, controls >= limits.controls { return refuse(.tooManyControls) }
    let end = start &+ Int(header.length)
    guard end <= bytes.count else { return .more }
    let payload = start..<end
    unmask(payload, header.mask, phase: 0, &bytes)
    index = end
    if isClose {
      switch CloseCode.parse(bytes.span.extracting(payload)) {
      case .refused(let violation): return refuse(violation)
      case .none: return finish(.close(code: nil, reason: payload))
      case .code(let code): return finish(.close(code: code, reason: (start &+ 2)..<end))
      }
    }
    controls &+= 1
    return header.opcode == Opcode.ping ? .ping(payload) : .pong(payload)
  }

  /// RFC 6455 §1.4: what comes behind a Close does not count.
  private mutating func finish(_ step: Step) -> Step {
    state = .over
    buffer.clear()
    return step
  }

  /// Notes the header of a data frame that has passed the rules.
  private mutating func start(_ header: FrameHeader) -> Violation? {
    if header.opcode != Opcode.continuation {
      opcode = header.opcode
      isCompressed = header.reserved & FrameHeader.rsv1 != 0
      isGivenAsFrames = givesFrames
      frames = 0
      onWire = 0
      given = 0
      text = UTF8Validator()
    }
    frames &+= 1
    if frames > limits.frames { return .tooManyFrames }
    let most = isCompressed ? limits.compressed : limits.message
    guard header.length <= Int64(most &- onWire) else { return .messageTooLong }
    onWire &+= Int(header.length)
    due = Int(header.length)
    self.header = header
    rules.isInMessage = !header.isFinal
    return nil
  }

  private func unmask(
    _ range: Range<Int>, _ key: MaskKey?, phase: Int, _ bytes: inout MutableSpan<UInt8>
  ) {
    if let key { Mask.apply(key, phase: phase, to: &bytes, range) }
  }
}

// ---- the payload of data frames

extension MessageReceiver {
  /// The step of a frame that lies in the input whole and need not be gathered.
  private mutating func takeWhole(_ bytes: inout MutableSpan<UInt8>, at index: inout Int) -> Step? {
    guard due <= bytes.count &- index, !isCompressed else { return nil }
    guard isGivenAsFrames || (header.isFinal && header.opcode != Opcode.continuation) else {
      return nil
    }
    let payload = index..<(index &+ due)
    unmask(payload, header.mask, phase: 0, &bytes)
    index = payload.upperBound
    if opcode == Opcode.text {
      let offence = text.firstOffence(in: bytes.span.extracting(payload))
      if offence != nil || (header.isFinal && !text.isComplete) { return refuse(.notUTF8) }
    }
    guard isGivenAsFrames else { return .message(opcode: opcode, payload) }
    return .frame(opcode: header.opcode, isFinal: header.isFinal, payload)
  }

  /// Nil: the frame is taken, and the message goes on behind it.
  private mutating func takePayload(
    _ bytes: inout MutableSpan<UInt8>, at index: inout Int, _ inflate: Inflate
  ) -> Step? {
    let count = min(due, bytes.count &- index)
    if count == 0, due > 0 { return .more }
    let piece = index..<(index &+ count)
    unmask(piece, header.mask, phase: Int(header.length) &- due, &bytes)
    index = piece.upperBound
    due &-= count
    let isEnd = due == 0 && header.isFinal
    let before = buffer.count
    let violation = gather(bytes.span.extracting(piece), isEnd, inflate)
    if opcode == Opcode.text {
      // What was gathered before the piece went wrong counts first, as it would have
      // if the piece had come in two.
      var text = text
      let offence = text.firstOffence(in: buffer.bytes.extracting(before..<buffer.count))
      let isCut = violation == nil && isEnd && !text.isComplete
      if offence != nil || isCut { return refuse(.notUTF8) }
      self.text = text
    }
    if let violation { return refuse(violation) }
    if due > 0 { return .more }
    state = .header
    if isGivenAsFrames {
      isGiven = true
      return .assembledFrame(opcode: header.opcode, isFinal: header.isFinal)
    }
    guard header.isFinal else { return nil }
    isGiven = true
    return .assembled(opcode: opcode)
  }

  private mutating func gather(_ piece: Bytes, _ isEnd: Bool, _ inflate: Inflate) -> Violation? {
    let room = limits.message &- given &- buffer.count
    if isCompressed {
      switch inflate(piece, isEnd, &buffer, room) {
      case .done: return nil
      case .tooLong: return .messageTooLong
      case .malformed: return .notDeflate
      case .noMemory: return .noMemory
      }
    }
    guard buffer.reserve(piece.count, upTo: most) else { return .noMemory }
    buffer.append(piece)
    return nil
  }
}
