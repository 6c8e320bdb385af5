// Inflates raw deflate (RFC 1951) by way of zlib, message by message as RFC 7692
// §7.2.2 has it: the four bytes 00 00 FF FF that a sender cuts off behind each
// message are put back. What comes out is bounded by the caller, piece by piece, so
// that a small message cannot become a large one.

import CZlib

@safe struct Inflater: ~Copyable {
  enum Outcome {
    case done
    /// More came of it than there was room for.
    case tooLong
    /// It is no deflate, or its end is not the end of a block.
    case malformed
    case noMemory
  }

  private let stream: UnsafeMutablePointer<z_stream>
  private let keepsContext: Bool
  /// The last block had BFINAL set, and nothing came behind it.
  private var isAtEnd = false
  /// Nothing more can come of a stream that failed.
  private var hasFailed = false

  /// Output grows by that much and less.
  static var block: Int { 16 * 1024 }

  /// `bits` is the size of the window, 8 to 15. Nil without memory. Without
  /// `keepsContext` each message is compressed by itself. Bytes from further back than the
  /// window are malformed where zlib does not have them in the same call's output; its
  /// caller's pieces decide that, and no byte but the message's own is ever taken.
  init?(bits: UInt8, keepsContext: Bool) {
    guard let made = unsafe zlib_inflate_make(Int32(bits)) else { return nil }
    unsafe stream = made
    self.keepsContext = keepsContext
  }

  deinit { unsafe zlib_inflate_free(stream) }

  /// Inflates a piece of a message behind what a buffer holds; `isEnd` with the last
  /// piece, which may be empty. At most `room` bytes may come of it. After anything
  /// but `done` the stream is of no use.
  mutating func inflate(
    _ piece: Bytes, isEnd: Bool, to buffer: inout ByteBuffer, room: Int
  ) -> Outcome {
    if hasFailed { return .malformed }
    let most = buffer.count.addingReportingOverflow(max(room, 0))
    let limit = most.overflow ? Int.max / 2 : min(most.partialValue, Int.max / 2)
    var outcome = run(piece, to: &buffer, limit)
    if isEnd, outcome == .done { outcome = finish(&buffer, limit) }
    hasFailed = outcome != .done
    return outcome
  }

  /// The end of a message.
  private mutating func finish(_ buffer: inout ByteBuffer, _ limit: Int) -> Outcome {
    // RFC 7692 §7.2.3.4: a sender may use blocks with BFINAL set. It should put an
    // empty block behind; if it has not, there is no block to complete.
    if isAtEnd {
      unsafe inflateResetKeep(stream)
      isAtEnd = false
    } else {
      let tail: InlineArray<4, UInt8> = [0, 0, 0xFF, 0xFF]
      let outcome = run(tail.span, to: &buffer, limit)
      if outcome != .done { return outcome }
      // What was put back must be the end of an empty block, or the message was cut.
      guard unsafe !isAtEnd && zlib_is_between_blocks(stream) != 0 else { return .malformed }
    }
    // RFC 7692 §7.2.2: without context takeover, the window starts empty.
    if !keepsContext, unsafe inflateReset(stream) != Z_OK { return .malformed }
    return .done
  }

  private mutating func run(_ piece: Bytes, to buffer: inout ByteBuffer, _ limit: Int) -> Outcome {
    var index = 0
    while index < piece.count {
      // zlib counts in 32 bits.
      let end = piece.count &- index > 1 << 30 ? index &+ 1 << 30 : piece.count
      let outcome = take(piece.extracting(index..<end), to: &buffer, limit)
      if outcome != .done { return outcome }
      index = end
    }
    return .done
  }

  private mutating func take(_ piece: Bytes, to buffer: inout ByteBuffer, _ limit: Int) -> Outcome {
    unsafe piece.withUnsafeBufferPointer { source in
      unsafe zlib_input(stream, source.baseAddress, UInt32(truncatingIfNeeded: source.count))
      while true {
        // RFC 7692 §7.2.3.5: another block may follow one with BFINAL. Its window
        // is that of the message.
        if isAtEnd {
          if unsafe stream.pointee.avail_in == 0 { return .done }
          unsafe inflateResetKeep(stream)
          isAtEnd = false
        }
        // Room for one byte more than allowed, to tell "at" from "past".
        let left = limit &- buffer.count &+ 1
        let input = unsafe Int(stream.pointee.avail_in)
        let size = min(left, Inflater.block, max(256, input &* 4))
        guard buffer.reserve(size, upTo: limit &+ 1), let space = unsafe buffer.space(size) else {
          return .noMemory
        }
        unsafe zlib_output(stream, space, UInt32(truncatingIfNeeded: size))
        let result = unsafe CZlib.inflate(stream, Z_SYNC_FLUSH)
        let rest = unsafe Int(stream.pointee.avail_out)
        buffer.filled(size &- rest)
        if buffer.count > limit { return .tooLong }
        switch result {
        case Z_STREAM_END: isAtEnd = true
        case Z_OK: if rest > 0 { return .done }
        // Neither input nor output moved: all is taken.
        case Z_BUF_ERROR: return .done
        case Z_MEM_ERROR: return .noMemory
        default: return .malformed
        }
      }
    }
  }
}
