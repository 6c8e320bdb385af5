// TLS on one stream (RFC 8446, RFC 5246), by OpenSSL. What arrives is decrypted where the
// stream wants it; what is sent is encrypted into a buffer, of which as much as possible
// goes out in one call. It makes no system call but the stream's.

import COpenSSL
import CSystem

@safe struct TLSSession: ~Copyable {
  enum Role {
    case client, server
  }

  nonisolated(unsafe) let ssl: OpaquePointer
  let role: Role
  fileprivate(set) var stream: Ref<Stream>? = nil
  /// Encrypted bytes that the kernel has not taken; nil when there are none.
  var sealed: Ref<ByteBuffer>? = nil
  fileprivate(set) var isHandshaking = true
  /// The connection's end was seen, and the error that it broke with.
  fileprivate(set) var sawEnd = false
  /// Half a message of TLS's own has come, and nothing can be encrypted before its rest.
  fileprivate(set) var isMidMessage = false
  /// The peer's end has come while reading was paused, and is to be told.
  var isEndHeld = false
  fileprivate var number: Int32 = 0
  /// How often this turn may still receive: other streams come first.
  fileprivate var receives = 0
  fileprivate var firstByte: UInt8 = 0
  /// What the stream had received before; it comes first.
  var early = ByteBuffer()
  /// The stream holds more of that, and hands it over when its user has returned.
  var takesInput = false
  fileprivate var isNew = true
  fileprivate var isOutOfMemory = false
  /// Bytes since it was silent, and when it last was not.
  fileprivate var burst = 0
  fileprivate var lastSealed: Int64 = 0
  /// What the client expects of the server's certificate.
  var check: Ref<TLSCheck>? = nil
  /// Why it failed.
  var failure: Failure? = nil

  /// Receives in one turn, of up to a record each.
  static var receivesPerTurn: Int { 4 }
  /// Encrypted bytes that are gathered for one call, and how many there may ever be: more
  /// come only of a peer that asks for answers and does not read them.
  static var mostGathered: Int { 64 * 1024 }
  static var mostSealed: Int { 256 * 1024 }
  /// A page's first bytes go out in records of one packet, which can be read as they come.
  static var firstRecord: Int { 1350 }
  static var firstBurst: Int { 16 * 1024 }
  static var largestRecord: Int { 16 * 1024 }
  /// Microseconds without sending after which a burst begins anew.
  static var silence: Int64 { 1_000_000 }

  fileprivate init(_ ssl: OpaquePointer, _ role: Role) {
    unsafe self.ssl = unsafe ssl
    self.role = role
  }

  deinit {
    unsafe SSL_free(ssl)
    check?.free()
    sealed?.free()
  }
}

/// How much came, and why there is no more.
struct Unsealed {
  enum Reason {
    /// The space is full.
    case full
    /// The peer has to send more first.
    case dry
    /// The peer sends no more.
    case ended
    case failed
  }
  var count: Int
  var reason: Reason
}

enum Shaken {
  case done, waiting, plain, ended, failed
}

extension Ref where Object == TLSSession {
  /// One of a context, which it keeps; nil without memory.
  @unsafe static func make(_ context: OpaquePointer, _ role: TLSSession.Role) -> Ref? {
    guard let ssl = unsafe SSL_new(context) else { return nil }
    // Without memory for it, what is OpenSSL's goes with it.
    guard let session = unsafe Ref(make: TLSSession(ssl, role)) else { return nil }
    guard let bio = unsafe TLS.makeBIO(session.opaque) else {
      session.free()
      return nil
    }
    unsafe SSL_set_bio(ssl, bio, bio)
    _ = unsafe SSL_set_ex_data(ssl, 0, session.opaque)
    if role == .server {
      unsafe SSL_set_accept_state(ssl)
    } else {
      unsafe SSL_set_connect_state(ssl)
    }
    return session
  }

  func attach(to stream: Ref<Stream>) { o.stream = stream }

  /// A turn begins.
  func startTurn() { o.receives = TLSSession.receivesPerTurn }

  // ---- what the BIO calls

  /// 0 at the end, -1 when there is nothing now, less when it is broken.
  @unsafe func receive(_ space: UnsafeMutableRawPointer, _ capacity: Int) -> Int {
    if o.sawEnd { return 0 }
    guard o.number == 0, let stream = o.stream else { return -2 }
    if !o.early.isEmpty { return unsafe takeEarly(space, capacity) }
    if o.receives <= 0 { return -1 }
    o.receives &-= 1
    let loop = stream.o.loop
    let system = loop.o.system
    let count = unsafe system.receive(system.context, stream.o.descriptor, space, capacity)
    if count > 0 {
      loop.o.bytesIn &+= count
      // The poller says so when there is more.
      if count < capacity { o.receives = 0 }
      noteFirst(unsafe space.load(as: UInt8.self))
      return Int(count)
    }
    o.receives = 0
    if count == 0 {
      o.sawEnd = true
      return 0
    }
    let number = Int32(truncatingIfNeeded: 0 &- count)
    if number == EAGAIN || number == EINTR { return -1 }
    o.number = number
    return -2
  }

  @unsafe private func takeEarly(_ space: UnsafeMutableRawPointer, _ capacity: Int) -> Int {
    let count = min(capacity, o.early.count)
    guard count > 0, let from = unsafe o.early.pointer else { return -1 }
    unsafe space.copyMemory(from: from, byteCount: count)
    noteFirst(unsafe from[0])
    o.early.consume(count)
    if o.early.isEmpty { o.early.clear() }
    return count
  }

  private func noteFirst(_ byte: UInt8) {
    if !o.isNew { return }
    o.isNew = false
    o.firstByte = byte
  }

  /// Keeps encrypted bytes; false without memory, or when there are too many.
  func gather(_ bytes: Bytes) -> Bool {
    if o.sealed == nil { o.sealed = o.stream?.o.loop.takeOutput() }
    guard let sealed = o.sealed, sealed.o.count &+ bytes.count <= TLSSession.mostSealed else {
      o.isOutOfMemory = o.sealed == nil
      return false
    }
    sealed.o.append(bytes)
    if sealed.o.failed { o.isOutOfMemory = true }
    return !sealed.o.failed
  }

  // ---- the handshake

  func shake() -> Shaken {
    ERR_clear_error()
    let result = unsafe SSL_do_handshake(o.ssl)
    if result == 1 { return finishHandshake() }
    if unsafe SSL_get_error(o.ssl, result) == SSL_ERROR_WANT_READ { return .waiting }
    if o.role == .server, o.firstByte >= UInt8(ascii: "A"), o.firstByte <= UInt8(ascii: "Z") {
      ERR_clear_error()
      return .plain
    }
    if o.sawEnd, ERR_peek_error() == 0 { return .ended }
    fail("the TLS handshake failed")
    return .failed
  }

  private func finishHandshake() -> Shaken {
    o.isHandshaking = false
    guard let check = o.check else { return .done }
    if let failure = unsafe check.o.verdict(of: o.ssl) {
      o.failure = failure
      return .failed
    }
    return .done
  }

  private func fail(_ message: StaticString) {
    if o.failure != nil { return ERR_clear_error() }
    if o.isOutOfMemory {
      ERR_clear_error()
      o.failure = .noMemory
    } else if let failure = o.check?.o.failure {
      ERR_clear_error()
      o.failure = failure
    } else if o.number != 0 {
      ERR_clear_error()
      o.failure = Failure(.closed, "the connection broke", number: o.number)
    } else {
      o.failure = TLS.failure(message)
    }
  }

  // ---- bytes

  /// Decrypts what there is into a space.
  @unsafe func unseal(into space: UnsafeMutablePointer<UInt8>, _ capacity: Int) -> Unsealed {
    var count = 0
    while count < capacity {
      ERR_clear_error()
      let got = unsafe SSL_read(
        o.ssl, space + count, Int32(truncatingIfNeeded: min(capacity &- count, 1 << 30)))
      if got > 0 {
        count &+= Int(got)
        // What asking once more would say.
        if o.receives <= 0, unsafe SSL_has_pending(o.ssl) == 0 {
          return Unsealed(count: count, reason: o.sawEnd ? .ended : .dry)
        }
        continue
      }
      switch unsafe SSL_get_error(o.ssl, got) {
      case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE:
        return Unsealed(count: count, reason: .dry)
      case SSL_ERROR_ZERO_RETURN:
        return Unsealed(count: count, reason: .ended)
      default:
        if o.sawEnd {
          ERR_clear_error()
          return Unsealed(count: count, reason: .ended)
        }
        fail("the peer broke the protocol of TLS")
        return Unsealed(count: count, reason: .failed)
      }
    }
    return Unsealed(count: count, reason: .full)
  }

  /// The peer's end was announced (RFC 8446 §6.1).
  var hasGoodbye: Bool { unsafe tls_has_goodbye(o.ssl) != 0 }

  /// The peer's end was not announced: what it sent may have been cut.
  var isTruncated: Bool { !o.isHandshaking && !hasGoodbye }

  /// Encrypts until there is enough for one call, or nothing can be before more has come;
  /// how many bytes were taken, or -1.
  func seal(_ bytes: Bytes, now: Int64) -> Int {
    var count = 0
    if now &- o.lastSealed > TLSSession.silence { o.burst = 0 }
    o.lastSealed = now
    while count < bytes.count, (o.sealed?.o.count ?? 0) < TLSSession.mostGathered {
      let most =
        o.burst < TLSSession.firstBurst ? TLSSession.firstRecord : TLSSession.largestRecord
      let size = min(most, bytes.count &- count)
      ERR_clear_error()
      let put = unsafe bytes.withUnsafeBufferPointer { buffer -> Int32 in
        guard let start = buffer.baseAddress else { return -1 }
        return unsafe SSL_write(o.ssl, start + count, Int32(truncatingIfNeeded: size))
      }
      if put <= 0 {
        // RFC 8446 §5.1: a message may come in several records.
        o.isMidMessage = unsafe SSL_get_error(o.ssl, put) == SSL_ERROR_WANT_READ
        if o.isMidMessage { return count }
        fail("TLS cannot send")
        return -1
      }
      o.isMidMessage = false
      count &+= Int(put)
      o.burst = min(o.burst &+ Int(put), TLSSession.firstBurst)
    }
    return count
  }

  /// Says that no more comes from here (RFC 8446 §6.1).
  func sayGoodbye() {
    if o.isHandshaking || o.failure != nil { return }
    ERR_clear_error()
    _ = unsafe SSL_shutdown(o.ssl)
    ERR_clear_error()
  }

  /// What waits to be sent does so for more input, not for the kernel.
  var isHeldUp: Bool { o.isMidMessage && o.sealed == nil }

  /// What it has gathered has gone.
  func giveSealed() {
    guard let sealed = o.sealed else { return }
    o.sealed = nil
    o.stream?.o.loop.giveOutput(sealed)
  }
}
