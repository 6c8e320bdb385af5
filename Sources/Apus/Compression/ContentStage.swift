// One coding of a body's content, taken off: gzip (RFC 1952, member by member), deflate
// (RFC 1950, or bare RFC 1951 as some servers send it), brotli (RFC 7932) and zstd (RFC
// 8878, frame by frame).

import CZlib

@safe struct ContentStage: ~Copyable {
  private enum State {
    /// No byte has come, or only the first of two that tell the form of deflate.
    case start
    case inside
    /// Behind a member or frame: another may follow.
    case between
    case ended
  }

  let coding: ContentCoding
  /// One of these, once the form is known.
  private var stream: UnsafeMutablePointer<z_stream>?
  private var decoder: UnsafeMutablePointer<coding_decoder>?
  private var state = State.start
  /// The first byte of deflate.
  private var first: UInt8? = nil
  /// What is wrong behind the bytes that were given: their taker has them first, as it
  /// would if they had come in a piece of their own.
  private var pending: Failure? = nil
  /// The frame of zstd that is being decoded.
  private var frame = ZstdFrame()
  /// What came of it so far.
  var produced: Int64 = 0
  /// What waits for the next stage. It has memory of its own, since it is written to
  /// while the stage runs.
  let output: Ref<ByteBuffer>

  /// Nil without memory.
  init?(_ coding: ContentCoding) {
    guard let output = Ref(make: ByteBuffer()) else { return nil }
    self.coding = coding
    self.output = output
    unsafe stream = nil
    unsafe decoder = nil
  }

  deinit {
    output.free()
    if let stream = unsafe stream { unsafe zlib_inflate_free(stream) }
    unsafe coding_free(decoder)
  }

  /// Whether the content may end here. No byte at all is no content.
  var isComplete: Bool {
    switch state {
    case .start: first == nil
    case .inside: false
    case .between, .ended: true
    }
  }

  /// Makes what it needs; before the first input.
  mutating func prepare() throws(Failure) {
    switch coding {
    case .gzip: unsafe stream = zlib_inflate_make_wrapped(31)
    case .deflate: return
    case .br: unsafe decoder = coding_make_brotli()
    case .zstd: unsafe decoder = coding_make_zstd()
    }
    if unsafe stream != nil || decoder != nil { return }
    if coding == .gzip { throw .noMemory }
    throw Failure(.unsupported, "the library that decodes the content is not on this machine")
  }

  /// Decodes to a buffer until something came of it, at most so many bytes, or all input
  /// is used.
  mutating func run(
    _ input: Bytes, at index: inout Int, to buffer: inout ByteBuffer, most: Int
  ) throws(Failure) {
    while true {
      switch state {
      case .start:
        guard try begin(input, at: &index, to: &buffer, most: most) else { return }
      case .between:
        guard index < input.count else { return }
        // RFC 1952 §2.3.1: ID1.
        if coding == .gzip, input[index] != 0x1F { throw coding.trailing }
        if coding == .zstd, !ZstdFrame.mayBegin(with: input[index]) { throw coding.trailing }
        frame = ZstdFrame()
        if let stream = unsafe stream, unsafe inflateReset(stream) != Z_OK {
          throw coding.malformed
        }
        state = .inside
      case .ended:
        if index < input.count { throw coding.trailing }
        return
      case .inside:
        if let pending { throw pending }
        let before = index
        let made = try step(input, at: &index, to: &buffer, most: most)
        if made > 0 { return }
        if state == .inside, index == before {
          // Nothing moves: all is used, or the decoder is at fault.
          if index < input.count { throw coding.malformed }
          return
        }
      }
    }
  }

  /// Learns the form; false without the bytes that tell it.
  private mutating func begin(
    _ input: Bytes, at index: inout Int, to buffer: inout ByteBuffer, most: Int
  ) throws(Failure) -> Bool {
    guard index < input.count else { return false }
    guard coding == .deflate else {
      state = .inside
      return true
    }
    guard let one = first else {
      first = input[index]
      index &+= 1
      return try begin(input, at: &index, to: &buffer, most: most)
    }
    // RFC 1950 §2.2: method 8, a window of 32 KiB at most, and a check of 5 bits.
    let head = UInt16(truncatingIfNeeded: one) << 8 | UInt16(input[index])
    let isWrapped = one & 15 == 8 && one >> 4 <= 7 && head % 31 == 0
    unsafe stream = zlib_inflate_make_wrapped(isWrapped ? 15 : -15)
    if unsafe stream == nil { throw .noMemory }
    state = .inside
    let start: InlineArray<1, UInt8> = [one]
    var place = 0
    // Nothing can come of a single byte.
    _ = try step(start.span, at: &place, to: &buffer, most: most)
    return true
  }

  /// Calls the decoder once; how many bytes came of it.
  private mutating func step(
    _ input: Bytes, at index: inout Int, to buffer: inout ByteBuffer, most: Int
  ) throws(Failure) -> Int {
    guard let space = unsafe buffer.space(most) else { throw .noMemory }
    // zlib counts in 32 bits.
    let limit = coding == .zstd ? min(frame.mostAtOnce, 1 << 30) : 1 << 30
    let piece = input.extracting(index..<min(input.count, index &+ limit))
    var used = piece.count
    var made = most
    var isEnd = false
    if let stream = unsafe stream {
      let result = unsafe piece.withUnsafeBufferPointer { source in
        unsafe zlib_input(stream, source.baseAddress, UInt32(truncatingIfNeeded: source.count))
        unsafe zlib_output(stream, space, UInt32(truncatingIfNeeded: most))
        return unsafe CZlib.inflate(stream, Z_SYNC_FLUSH)
      }
      used &-= unsafe Int(stream.pointee.avail_in)
      made &-= unsafe Int(stream.pointee.avail_out)
      switch result {
      case Z_OK, Z_BUF_ERROR: break
      case Z_STREAM_END: isEnd = true
      case Z_MEM_ERROR: throw .noMemory
      default:
        if made == 0 { throw coding.malformed }
        pending = coding.malformed
      }
    } else if let decoder = unsafe decoder {
      let result = unsafe piece.withUnsafeBufferPointer { source in
        unsafe coding_step(decoder, source.baseAddress, &used, space, &made)
      }
      if result == CODING_MALFORMED { throw coding.malformed }
      isEnd = result == CODING_END
      if coding == .zstd, !frame.take(piece.extracting(first: used), made: made, isEnd: isEnd) {
        throw coding.malformed
      }
    } else {
      throw coding.malformed
    }
    index &+= used
    buffer.filled(made)
    if isEnd { state = coding == .gzip || coding == .zstd ? .between : .ended }
    return made
  }
}
