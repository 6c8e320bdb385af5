// Sessions that a client may take up again (RFC 8446 §2.2), by the server that they are
// with. One of TLS 1.3 is used once, so that nobody can tell that two connections are the
// same client's.

import COpenSSL

@safe struct TLSSessions: ~Copyable {
  @safe private struct Kept {
    let key: Ref<ByteBuffer>
    nonisolated(unsafe) let session: OpaquePointer
  }

  /// The oldest first.
  private var kept = List<Kept>()

  static var most: Int { 256 }

  init() {}

  deinit {
    for index in 0..<kept.count {
      kept[index].key.free()
      unsafe SSL_SESSION_free(kept[index].session)
    }
  }

  mutating func clear() {
    while let one = kept.removeLast() {
      one.key.free()
      unsafe SSL_SESSION_free(one.session)
    }
  }

  /// Keeps one, whose reference is taken; false: it was not.
  @unsafe mutating func put(_ session: OpaquePointer, _ key: Bytes) -> Bool {
    guard let name = Ref<ByteBuffer>(make: ByteBuffer()) else { return false }
    name.o.append(key)
    if kept.count >= TLSSessions.most {
      let oldest = kept[0]
      kept.removeFirst(1)
      oldest.key.free()
      unsafe SSL_SESSION_free(oldest.session)
    }
    if !name.o.failed, unsafe kept.append(Kept(key: name, session: session)) { return true }
    name.free()
    return false
  }

  /// The newest one for a server, whose reference is the caller's.
  @unsafe mutating func take(_ key: Bytes) -> OpaquePointer? {
    var index = kept.count &- 1
    while index >= 0 {
      let one = kept[index]
      if one.key.o.bytes.equals(key), unsafe SSL_SESSION_is_resumable(one.session) == 1 {
        if unsafe SSL_SESSION_get_protocol_version(one.session) < TLS_VERSION_13 {
          _ = unsafe SSL_SESSION_up_ref(one.session)
          return unsafe one.session
        }
        if let last = kept.removeLast(), index < kept.count {
          // The order of the rest does not matter much.
          kept[index] = last
        }
        one.key.free()
        return unsafe one.session
      }
      index &-= 1
    }
    return nil
  }
}
