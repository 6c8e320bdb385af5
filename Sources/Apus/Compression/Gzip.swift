// Whole bodies in gzip (RFC 1952), by way of zlib.

import CZlib

enum Gzip {
  /// Appends bytes compressed; false without memory.
  static func append(_ bytes: Bytes, level: Int32, to buffer: inout ByteBuffer) -> Bool {
    guard let stream = unsafe zlib_gzip_make(level) else { return false }
    defer { unsafe zlib_deflate_free(stream) }
    // zlib counts in 32 bits.
    guard bytes.count < 1 << 30 else { return false }
    return unsafe bytes.withUnsafeBufferPointer { source in
      unsafe zlib_input(stream, source.baseAddress, UInt32(truncatingIfNeeded: source.count))
      while true {
        let size = 64 * 1024
        guard let space = unsafe buffer.space(size) else { return false }
        unsafe zlib_output(stream, space, UInt32(truncatingIfNeeded: size))
        let result = unsafe deflate(stream, Z_FINISH)
        buffer.filled(size &- Int(unsafe stream.pointee.avail_out))
        if result == Z_STREAM_END { return true }
        guard result == Z_OK || result == Z_BUF_ERROR else { return false }
      }
    }
  }
}
