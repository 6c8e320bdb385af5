// A piece of input through a zlib stream that compresses: what gzip and raw deflate share.

import CZlib

/// Compresses a piece behind what a buffer holds, and flushes as is said. False without
/// memory.
func deflate(
  _ stream: UnsafeMutablePointer<z_stream>, _ piece: Bytes, _ flush: Int32,
  to buffer: inout ByteBuffer
) -> Bool {
  var index = 0
  repeat {
    // zlib counts in 32 bits.
    let end = piece.count &- index > 1 << 30 ? index &+ 1 << 30 : piece.count
    let part = piece.extracting(index..<end)
    guard unsafe take(stream, part, end == piece.count ? flush : Z_NO_FLUSH, to: &buffer) else {
      return false
    }
    index = end
  } while index < piece.count
  return true
}

private func take(
  _ stream: UnsafeMutablePointer<z_stream>, _ piece: Bytes, _ flush: Int32,
  to buffer: inout ByteBuffer
) -> Bool {
  unsafe piece.withUnsafeBufferPointer { source in
    unsafe zlib_input(stream, source.baseAddress, UInt32(truncatingIfNeeded: source.count))
    while true {
      let input = unsafe Int(stream.pointee.avail_in)
      let size = min(64 * 1024, max(256, input / 2))
      guard let space = unsafe buffer.space(size) else { return false }
      unsafe zlib_output(stream, space, UInt32(truncatingIfNeeded: size))
      let result = unsafe CZlib.deflate(stream, flush)
      let rest = unsafe Int(stream.pointee.avail_out)
      buffer.filled(size &- rest)
      if result == Z_STREAM_END { return true }
      guard result == Z_OK || result == Z_BUF_ERROR else { return false }
      // All is taken and out once room is left.
      if rest > 0 { return flush != Z_FINISH }
    }
  }
}
