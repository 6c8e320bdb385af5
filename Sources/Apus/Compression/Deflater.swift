// Compresses to raw deflate (RFC 1951) by way of zlib, message by message as
// RFC 7692 §7.2.1 has it: each ends with an empty block without compression, whose
// last four bytes are cut off.

import CZlib

@safe struct Deflater: ~Copyable {
  private let stream: UnsafeMutablePointer<z_stream>
  private let keepsContext: Bool
  /// Whether a message has begun.
  private var isInMessage = false
  /// Output was lost for want of memory, so the peer's window would differ.
  private var hasFailed = false

  /// `level` is 0 to 9, `memory` 1 to 9 as in zlib, `bits` the size of the window, 8
  /// to 15. Nil without memory. Without `keepsContext` each message is compressed by
  /// itself.
  init?(level: Int32 = 6, bits: UInt8, memory: Int32 = 8, keepsContext: Bool) {
    // zlib has no window of 2^8 bytes for raw deflate. With one of 2^9 bytes it must
    // not refer back further than one byte, and then the size makes no difference.
    let isSmall = bits <= 8
    let made = unsafe zlib_deflate_make(
      level, isSmall ? 9 : Int32(bits), memory, isSmall ? ZLIB_RLE : ZLIB_DEFAULT_STRATEGY)
    guard let made = unsafe made else { return nil }
    unsafe stream = made
    self.keepsContext = keepsContext
  }

  deinit { unsafe zlib_deflate_free(stream) }

  /// Compresses a piece of a message behind what a buffer holds; `isEnd` with the
  /// last piece, which may be empty. False without memory, and the stream is of no
  /// use then.
  mutating func deflate(_ piece: Bytes, isEnd: Bool, to buffer: inout ByteBuffer) -> Bool {
    if hasFailed { return false }
    if piece.count > 0 { isInMessage = true }
    if isEnd, !isInMessage {
      // RFC 7692 §7.2.3.6: an empty message is one empty block.
      buffer.append(0)
      hasFailed = buffer.failed
      return !hasFailed
    }
    let start = buffer.count
    if unsafe !Apus.deflate(stream, piece, isEnd ? Z_SYNC_FLUSH : Z_NO_FLUSH, to: &buffer) {
      buffer.truncate(to: start)
      hasFailed = true
      return false
    }
    if isEnd {
      isInMessage = false
      // RFC 7692 §7.2.1 item 3: without LEN and NLEN of that block, 00 00 FF FF.
      buffer.truncate(to: max(start, buffer.count &- 4))
      if !keepsContext, unsafe deflateReset(stream) != Z_OK { hasFailed = true }
    }
    return !hasFailed
  }

  /// What is compressed from here on does not refer to what was before: the other end
  /// has received something else meanwhile.
  mutating func forget() {
    if unsafe deflateReset(stream) != Z_OK { hasFailed = true }
  }
}
