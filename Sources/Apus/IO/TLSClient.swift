// The client's side of TLS: whom it trusts, what it shows of itself, keys that are pinned,
// and sessions to be taken up again. All threads; what a connection needs is made under
// the lock.

import COpenSSL

@safe struct TLSClient: ~Copyable {
  let lock = Lock()
  // ---- behind the lock
  var settings = TLSSettings()
  /// Certificates and lists of revoked ones in PEM; folders, each with a NUL behind it.
  var trust = ByteBuffer()
  var revoked = ByteBuffer()
  var folders = ByteBuffer()
  var trustsSystem = true
  /// The host has said whom to trust.
  var hasOwnTrust = false
  var checksPeer = true
  var checksHost = true
  /// Keys by their digests in Base64, each with its host behind it.
  var pins = List<Ref<ByteBuffer>>()
  /// A context that has the client's certificate and key, and nothing else of use.
  nonisolated(unsafe) var identity: OpaquePointer? = nil
  /// What connections are made with; nil: to be made.
  nonisolated(unsafe) var context: OpaquePointer? = nil
  var sessions = TLSSessions()
  /// Grows with each change: connections of before are not used after it.
  var version: Int64 = 1

  /// Held while passwords are asked for: the callback stays until then.
  let passwordLock = Lock()
  var password = unsafe Callback<PasswordFunction>.none

  static var mostPins: Int { 1024 }
  static var mostTrust: Int { 16 * 1024 * 1024 }

  init() {}

  deinit {
    unsafe SSL_CTX_free(context)
    unsafe SSL_CTX_free(identity)
    for index in 0..<pins.count { pins[index].free() }
    unsafe password.end()
  }

  nonisolated(unsafe) fileprivate static let systemStore: OpaquePointer? = {
    guard let store = unsafe X509_STORE_new() else { return nil }
    unsafe tls_store_trust_system(store)
    return unsafe store
  }()

  /// The next connection is made by what is set now.
  mutating func changed() {
    unsafe SSL_CTX_free(context)
    unsafe context = nil
    sessions.clear()
    version &+= 1
  }
}

extension TLSClient {
  /// A host as a connection has it: in one form, without brackets or a last dot.
  fileprivate static func name(of host: Bytes) throws(Failure) -> ByteBuffer {
    let isBare = host[0] != UInt8(ascii: "[") && host.first(UInt8(ascii: ":")) != nil
    var text = ByteBuffer()
    if isBare { text.append("[") }
    text.append(host)
    if isBare { text.append("]") }
    var name = ByteBuffer()
    if text.failed { throw .noMemory }
    try URLHost.append(text.bytes, to: &name)
    if name.failed { throw .noMemory }
    let last = name.count &- 1
    if last > 0, name.bytes[last] == UInt8(ascii: ".") { name.truncate(to: last) }
    if last > 0, name.bytes[0] == UInt8(ascii: "[") {
      name.truncate(to: last)
      name.consume(1)
    }
    return name
  }
}

extension Ref where Object == TLSClient {
  static func makeClient() -> Ref? {
    guard let client = Ref(make: TLSClient()) else { return nil }
    if client.o.lock.isUsable, client.o.passwordLock.isUsable { return client }
    client.free()
    return nil
  }

  @inline(__always)
  func locked<Result, Thrown: Error>(_ body: () throws(Thrown) -> Result) throws(Thrown) -> Result {
    o.lock.lock()
    defer { o.lock.unlock() }
    return try body()
  }

  // ---- what the host sets

  /// Changes something; what cannot be used is refused, and nothing has changed then, as
  /// `exchange` done twice changes nothing. What it depends on is looked at before.
  func change(
    _ exchange: () -> Void, after look: () throws(Failure) -> Void = {}
  ) throws(Failure) {
    TLS.prepare()
    try locked { () throws(Failure) in
      try look()
      exchange()
      do throws(Failure) {
        let context = try unsafe makeContext()
        o.changed()
        unsafe o.context = unsafe context
      } catch {
        exchange()
        throw error
      }
    }
  }

  /// Whether text holds certificates, and each can be read.
  func checkTrust(_ bytes: Bytes) throws(Failure) {
    TLS.prepare()
    ERR_clear_error()
    guard let probe = unsafe SSL_CTX_new(TLS_client_method()) else {
      throw TLS.failure("OpenSSL cannot start")
    }
    defer { unsafe SSL_CTX_free(probe) }
    let count = unsafe bytes.withUnsafeBufferPointer {
      unsafe tls_context_trust(probe, $0.baseAddress, $0.count, 0)
    }
    if count == 0 { throw TLS.failure("these are no certificates in PEM") }
  }

  /// Shows a certificate to servers that ask for one.
  func show(_ new: borrowing TLSIdentity) throws(Failure) {
    TLS.prepare()
    guard let context = unsafe SSL_CTX_new(TLS_client_method()) else {
      throw TLS.failure("OpenSSL cannot start")
    }
    do throws(Failure) {
      o.passwordLock.lock()
      defer { o.passwordLock.unlock() }
      try unsafe new.apply(to: context, password: o.password)
    } catch {
      unsafe SSL_CTX_free(context)
      throw error
    }
    locked {
      unsafe SSL_CTX_free(o.identity)
      unsafe o.identity = unsafe context
      o.changed()
    }
  }

  /// A host's key, as "sha256//" and the digest in Base64. The host is kept as connections
  /// name it, or the pin would hold for none.
  func pin(_ host: Bytes, _ text: Bytes) throws(Failure) {
    let prefix = Text("sha256//")
    guard text.count == 52, text.extracting(0..<8).equals(prefix.bytes),
      Base64.decodedCount(text.extracting(8..<52)) == 32
    else { throw Failure(.argument, "a pin is \"sha256//\" and 44 characters of Base64") }
    guard host.count > 0, host.count <= 255 else {
      throw Failure(.argument, "a pin is for a host")
    }
    let name = try TLSClient.name(of: host)
    guard let kept = Ref<ByteBuffer>(make: ByteBuffer()) else { throw .noMemory }
    kept.o.append(text.extracting(8..<52))
    kept.o.append(name.bytes)
    let isTaken = locked {
      let isTaken =
        !kept.o.failed && o.pins.count < TLSClient.mostPins
        && o.pins.append(kept)
      if isTaken { o.changed() }
      return isTaken
    }
    if isTaken { return }
    kept.free()
    throw Failure(.full, "a client has at most 1024 pins")
  }

  // ---- contexts

  /// The caller holds the lock.
  @unsafe private func makeContext() throws(Failure) -> OpaquePointer {
    TLS.prepare()
    ERR_clear_error()
    guard let context = unsafe SSL_CTX_new(TLS_client_method()) else {
      throw TLS.failure("OpenSSL cannot start")
    }
    unsafe tls_context_prepare(context)
    unsafe tls_context_cache(context, 1)
    unsafe SSL_CTX_sess_set_new_cb(context, keepSession)
    unsafe SSL_CTX_set_verify(context, SSL_VERIFY_PEER, checkCertificate)
    let isOffered = unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 9) { list in
      let name = Text("http/1.1")
      guard let start = list.baseAddress else { return false }
      unsafe start.pointee = 8
      unsafe (start + 1).copy(name.bytes)
      return unsafe SSL_CTX_set_alpn_protos(context, start, 9) == 0
    }
    do throws(Failure) {
      guard isOffered else { throw .noMemory }
      try unsafe configure(context)
    } catch {
      unsafe SSL_CTX_free(context)
      throw error
    }
    return unsafe context
  }

  @unsafe private func configure(_ context: OpaquePointer) throws(Failure) {
    try unsafe o.settings.apply(to: context)
    if o.trustsSystem {
      // Reading it takes a while: where nothing is added to it, it is one for all.
      let isAlone = o.trust.isEmpty && o.revoked.isEmpty && o.folders.isEmpty
      if isAlone, let store = unsafe TLSClient.systemStore {
        unsafe SSL_CTX_set1_cert_store(context, store)
      } else {
        unsafe tls_store_trust_system(SSL_CTX_get_cert_store(context))
      }
    }
    if !o.trust.isEmpty {
      let count = unsafe o.trust.bytes.withUnsafeBufferPointer {
        unsafe tls_context_trust(context, $0.baseAddress, $0.count, 0)
      }
      if count == 0 { throw TLS.failure("these are no certificates in PEM") }
    }
    if !o.revoked.isEmpty {
      let count = unsafe o.revoked.bytes.withUnsafeBufferPointer {
        unsafe tls_context_revoke(context, $0.baseAddress, $0.count)
      }
      if count == 0 { throw TLS.failure("these are no lists of revoked certificates in PEM") }
    }
    var place = 0
    while place < o.folders.count, let start = unsafe o.folders.pointer {
      let path = unsafe UnsafeRawPointer(start + place).assumingMemoryBound(to: CChar.self)
      guard unsafe SSL_CTX_load_verify_dir(context, path) == 1 else {
        throw TLS.failure("the folder of certificates cannot be used")
      }
      place &+= unsafe Text(characters: path).count &+ 1
    }
    guard let identity = unsafe o.identity else { return }
    guard unsafe tls_context_copy_identity(context, identity) == 1 else {
      throw TLS.failure("the client's certificate cannot be used")
    }
  }

  /// Reads what a first connection needs, on a thread that may wait for it.
  func prepare() {
    locked {
      if unsafe o.context != nil { return }
      do throws(Failure) { unsafe o.context = try unsafe makeContext() } catch {}
    }
  }

  // ---- connections

  /// For a connection to a host, by its name or address in text without brackets.
  func makeSession(host: Bytes, port: UInt16) throws(Failure) -> Ref<TLSSession> {
    var name = ByteBuffer()
    name.append(
      host.count > 1 && host[host.count &- 1] == UInt8(ascii: ".")
        ? host.extracting(0..<(host.count &- 1)) : host)
    guard name.terminate(), let start = unsafe name.pointer else { throw .noMemory }
    let text = unsafe Text(start: start, count: name.count)
    o.lock.lock()
    defer { o.lock.unlock() }
    if unsafe o.context == nil { unsafe o.context = try unsafe makeContext() }
    guard let context = unsafe o.context,
      let session = unsafe Ref<TLSSession>.make(context, .client)
    else { throw .noMemory }
    do throws(Failure) {
      try prepare(session, text, port)
    } catch {
      session.free()
      throw error
    }
    return session
  }

  private func prepare(_ session: Ref<TLSSession>, _ host: Text, _ port: UInt16) throws(Failure) {
    var pins = ByteBuffer()
    for index in 0..<o.pins.count {
      let pin = o.pins[index].o.bytes
      if pin.extracting(44..<pin.count).equalsIgnoringCase(host.bytes) {
        pins.append(pin.extracting(0..<44))
      }
    }
    var key = ByteBuffer()
    key.append(host.bytes)
    key.append(":")
    key.append(decimal: Int64(port))
    // What was agreed on under other settings is not taken up under these.
    key.append(" ")
    key.append(decimal: o.version)
    if pins.failed || key.failed { throw .noMemory }
    let check = TLSCheck(
      client: self, key: key, checksPeer: o.checksPeer, checksHost: o.checksHost, pins: pins)
    session.o.check = Ref<TLSCheck>(make: check)
    guard let kept = session.o.check else { throw .noMemory }
    let isAddress = Peer(literal: host, port: port) != nil
    let ssl = unsafe session.o.ssl
    ERR_clear_error()
    // RFC 6066 §3: names only, no addresses.
    let isNamed = unsafe isAddress || tls_send_name(ssl, host.characters) == 1
    guard isNamed,
      unsafe tls_expect_host(ssl, host.characters, isAddress ? 1 : 0) == 1
    else { throw TLS.failure("TLS cannot be spoken with a host of this name") }
    if let old = unsafe o.sessions.take(kept.o.key.bytes) {
      _ = unsafe SSL_set_session(ssl, old)
      unsafe SSL_SESSION_free(old)
    }
  }
}

/// A session can be taken up again: 1, it is kept.
private func keepSession(_ ssl: OpaquePointer?, _ session: OpaquePointer?) -> Int32 {
  guard let ssl = unsafe ssl, let session = unsafe session,
    let object = unsafe SSL_get_ex_data(ssl, 0),
    let check = unsafe Ref<TLSSession>(opaque: object).o.check
  else { return 0 }
  let client = check.o.client
  return client.locked { unsafe client.o.sessions.put(session, check.o.key.bytes) } ? 1 : 0
}
