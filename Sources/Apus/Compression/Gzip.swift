// Content in gzip (RFC 1952), by way of zlib: whole, or piece by piece as it comes.

import CZlib

@safe struct Gzip: ~Copyable {
  private let stream: UnsafeMutablePointer<z_stream>

  /// `level` is 0 to 9 as in zlib. Nil without memory.
  init?(level: Int32) {
    guard let made = unsafe zlib_gzip_make(level) else { return nil }
    unsafe stream = made
  }

  deinit { unsafe zlib_deflate_free(stream) }

  /// Appends all that comes of a piece, so that the other end can read it at once; `isEnd`
  /// with the last one, which may be empty. False without memory, and the stream is of no
  /// use then.
  mutating func append(_ piece: Bytes, isEnd: Bool, to buffer: inout ByteBuffer) -> Bool {
    unsafe deflate(stream, piece, isEnd ? Z_FINISH : Z_SYNC_FLUSH, to: &buffer)
  }

  /// Appends a whole body compressed; false without memory.
  static func append(_ bytes: Bytes, level: Int32, to buffer: inout ByteBuffer) -> Bool {
    guard var gzip = Gzip(level: level) else { return false }
    return gzip.append(bytes, isEnd: true, to: &buffer)
  }
}
