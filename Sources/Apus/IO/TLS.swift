// What all of TLS needs of OpenSSL: its start, its reasons, and a BIO that reads and
// writes through a stream's system calls. OpenSSL's own one would raise SIGPIPE.

import COpenSSL

enum TLS {
  private static let isPrepared: Bool = {
    tls_prepare()
    return true
  }()

  /// Before anything else of OpenSSL's is used. At the process's end it must not clean up
  /// under threads that are still in it.
  static func prepare() { _ = isPrepared }

  /// Why OpenSSL's latest call failed, in its own words; its queue is empty then.
  static func appendReason(to buffer: inout ByteBuffer) {
    let error = ERR_peek_error()
    if error != 0, let reason = unsafe ERR_reason_error_string(error) {
      let text = unsafe Text(characters: reason)
      buffer.append(text.bytes)
    }
    ERR_clear_error()
  }

  /// The same behind a sentence.
  static func failure(_ message: StaticString, code: Code = .tls) -> Failure {
    var reason = ByteBuffer()
    appendReason(to: &reason)
    return Failure(code, message, detail: Details.keep(reason.bytes))
  }

  // ---- the BIO, one method for all

  nonisolated(unsafe) private static let method: OpaquePointer? = {
    let method = unsafe BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "apus")
    guard let method = unsafe method else { return nil }
    _ = unsafe BIO_meth_set_read(method, readThrough)
    _ = unsafe BIO_meth_set_write(method, writeThrough)
    _ = unsafe BIO_meth_set_ctrl(method, controlThrough)
    _ = unsafe BIO_meth_set_create(method) { bio in
      unsafe BIO_set_init(bio, 1)
      return 1
    }
    return unsafe method
  }()

  /// One that is a session's; nil without memory.
  @unsafe static func makeBIO(_ session: UnsafeMutableRawPointer) -> OpaquePointer? {
    guard let method = unsafe method, let bio = unsafe BIO_new(method) else { return nil }
    unsafe BIO_set_data(bio, session)
    return unsafe bio
  }
}

private func session(_ bio: OpaquePointer?) -> Ref<TLSSession>? {
  unsafe BIO_get_data(bio).map { unsafe Ref<TLSSession>(opaque: $0) }
}

private func readThrough(
  _ bio: OpaquePointer?, _ space: UnsafeMutablePointer<CChar>?, _ capacity: Int32
) -> Int32 {
  unsafe tls_retry_nothing(bio)
  guard let session = unsafe session(bio), let space = unsafe space, capacity > 0 else {
    return -1
  }
  let count = unsafe session.receive(UnsafeMutableRawPointer(space), Int(capacity))
  if count == -1 { unsafe tls_retry_reading(bio) }
  return max(-1, Int32(truncatingIfNeeded: count))
}

private func writeThrough(
  _ bio: OpaquePointer?, _ bytes: UnsafePointer<CChar>?, _ count: Int32
) -> Int32 {
  unsafe tls_retry_nothing(bio)
  guard let session = unsafe session(bio), let bytes = unsafe bytes, count > 0 else { return -1 }
  let start = unsafe UnsafeRawPointer(bytes).assumingMemoryBound(to: UInt8.self)
  return unsafe session.gather(Span(_unsafeStart: start, count: Int(count))) ? count : -1
}

private func controlThrough(
  _ bio: OpaquePointer?, _ command: Int32, _ number: Int, _ argument: UnsafeMutableRawPointer?
) -> Int {
  command == TLS_CTRL_FLUSH ? 1 : 0
}
