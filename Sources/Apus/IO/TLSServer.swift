// The server's side of TLS: its certificates by the names that they are for, each with a
// context of OpenSSL's, and what they share. Certificates come and go while it runs:
// connections keep the context that they began with.

import COpenSSL

/// Whether clients are asked for a certificate.
enum TLSClientPolicy: Int32 {
  case none = 0
  /// One that is sent is looked at, and what came of it is the host's to judge.
  case optional = 1
  /// It must be there, and be good.
  case required = 2
}

@safe struct TLSEntry: ~Copyable {
  /// In lower case, perhaps with "*." before; empty: for whatever nothing else is for.
  let name: ByteBuffer
  nonisolated(unsafe) var context: OpaquePointer
  var staple = ByteBuffer()

  init(name: consuming ByteBuffer, context: OpaquePointer) {
    self.name = name
    unsafe self.context = unsafe context
  }

  deinit { unsafe SSL_CTX_free(context) }
}

@safe struct TLSServer: ~Copyable {
  let lock = Lock()
  // ---- behind the lock
  var settings = TLSSettings()
  var entries = List<Ref<TLSEntry>>()
  var tickets = TLSTickets()
  var policy = TLSClientPolicy.none
  /// How often a setting was changed.
  var changes = 0
  /// Certificates of those that vouch for clients, in PEM; and their SHA-256, which each hello
  /// needs.
  var trust = ByteBuffer()
  var trustDigest = ByteBuffer()

  /// Held while passwords are asked for: the callback stays until then.
  let passwordLock = Lock()
  var password = unsafe Callback<PasswordFunction>.none

  static var mostEntries: Int { 1024 }

  init() {}

  deinit {
    for index in 0..<entries.count { entries[index].free() }
    unsafe password.end()
  }
}

extension Ref where Object == TLSServer {
  static func makeServer() -> Ref? {
    guard let server = Ref(make: TLSServer()) else { return nil }
    if server.o.lock.isUsable, server.o.passwordLock.isUsable { return server }
    server.free()
    return nil
  }

  @inline(__always)
  func locked<Result, Thrown: Error>(_ body: () throws(Thrown) -> Result) throws(Thrown) -> Result {
    o.lock.lock()
    defer { o.lock.unlock() }
    return try body()
  }

  // ---- certificates

  /// Adds one for a name, or takes the place of the one that is there for it.
  func add(_ identity: borrowing TLSIdentity, for name: Bytes) throws(Failure) {
    TLS.prepare()
    var kept = ByteBuffer()
    for index in 0..<name.count { kept.append(name[index].lowercased) }
    if kept.failed { throw .noMemory }
    guard Self.isName(kept.bytes) else {
      throw Failure(.argument, "a name for a certificate is a host's, or \"*.\" and one")
    }
    let changes = locked { o.changes }
    let context = try unsafe makeContext()
    do throws(Failure) {
      // The host may be asked for a password, and connections must not wait for that.
      o.passwordLock.lock()
      defer { o.passwordLock.unlock() }
      try unsafe identity.apply(to: context, password: o.password)
    } catch {
      unsafe SSL_CTX_free(context)
      throw error
    }
    try unsafe put(context, kept, of: changes)
  }

  @unsafe private func put(
    _ context: OpaquePointer, _ name: consuming ByteBuffer, of changes: Int
  ) throws(Failure) {
    o.lock.lock()
    defer { o.lock.unlock() }
    if changes != o.changes {
      // A setting was changed meanwhile, while the password was asked for perhaps.
      unsafe SSL_CTX_free(context)
      throw Failure(.state, "settings of TLS come before the first certificate")
    }
    for index in 0..<o.entries.count where o.entries[index].o.name.bytes.equals(name.bytes) {
      let entry = o.entries[index]
      let old = unsafe entry.o.context
      unsafe entry.o.context = unsafe context
      entry.o.staple.clear()
      return unsafe SSL_CTX_free(old)
    }
    guard o.entries.count < TLSServer.mostEntries else {
      unsafe SSL_CTX_free(context)
      throw Failure(.full, "a server has at most 1024 certificates")
    }
    // Without memory for it the context goes with the entry.
    guard let entry = unsafe Ref<TLSEntry>(make: TLSEntry(name: name, context: context)) else {
      throw .noMemory
    }
    guard o.entries.append(entry) else {
      entry.free()
      throw .noMemory
    }
  }

  /// An OCSP response (in DER) for clients that ask, with the certificate of a name.
  func staple(_ response: inout ByteBuffer, for name: Bytes) throws(Failure) {
    o.lock.lock()
    defer { o.lock.unlock() }
    for index in 0..<o.entries.count
    where o.entries[index].o.name.bytes.equalsIgnoringCase(name) {
      return swap(&response, &o.entries[index].o.staple)
    }
    throw Failure(.notFound, "there is no certificate for this name")
  }

  private static func isName(_ name: Bytes) -> Bool {
    if name.count == 0 { return true }
    var start = 0
    if name.count > 2, name[0] == UInt8(ascii: "*"), name[1] == UInt8(ascii: ".") { start = 2 }
    guard name.count <= 255 else { return false }
    for index in start..<name.count {
      let byte = name[index]
      let isOther = byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".") || byte == 95
      guard isOther || byte.isDigit || (byte >= 97 && byte <= 122) else { return false }
    }
    return true
  }

  // ---- contexts

  @unsafe private func makeContext() throws(Failure) -> OpaquePointer {
    ERR_clear_error()
    guard let context = unsafe SSL_CTX_new(TLS_server_method()) else {
      throw TLS.failure("OpenSSL cannot start")
    }
    unsafe tls_context_prepare(context)
    unsafe tls_context_cache(context, 0)
    unsafe tls_context_take_names(context)
    unsafe tls_context_status(context, answerStatus)
    _ = unsafe SSL_CTX_set_ex_data(context, 0, opaque)
    unsafe SSL_CTX_set_client_hello_cb(context, hearHello, opaque)
    unsafe SSL_CTX_set_alpn_select_cb(context, chooseProtocol, nil)
    _ = unsafe SSL_CTX_set_tlsext_ticket_key_evp_cb(context, useTicketKey)
    do throws(Failure) {
      try locked { () throws(Failure) in try unsafe configure(context) }
    } catch {
      unsafe SSL_CTX_free(context)
      throw error
    }
    return unsafe context
  }

  /// The caller holds the lock.
  @unsafe private func configure(_ context: OpaquePointer) throws(Failure) {
    try unsafe o.settings.apply(to: context)
    _ = unsafe SSL_CTX_set_timeout(context, o.tickets.sessionLifetime)
    if o.policy == .none { return }
    let mode = o.policy == .required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0
    unsafe SSL_CTX_set_verify(
      context, SSL_VERIFY_PEER | mode, o.policy == .optional ? acceptAnyClient : nil)
    if o.trust.isEmpty { return }
    let count = unsafe o.trust.bytes.withUnsafeBufferPointer {
      unsafe tls_context_trust(context, $0.baseAddress, $0.count, 1)
    }
    if count == 0 { throw TLS.failure("these are no certificates in PEM") }
  }

  /// Changes what all contexts share, before there is one; `exchange` done twice changes
  /// nothing, which is what happens to nonsense.
  func change(_ exchange: () -> Void) throws(Failure) {
    TLS.prepare()
    guard let probe = unsafe SSL_CTX_new(TLS_server_method()) else {
      throw TLS.failure("OpenSSL cannot start")
    }
    defer { unsafe SSL_CTX_free(probe) }
    try locked { () throws(Failure) in
      guard o.entries.isEmpty else {
        throw Failure(.state, "settings of TLS come before the first certificate")
      }
      exchange()
      do throws(Failure) {
        try unsafe configure(probe)
        var digest = ByteBuffer()
        guard Crypto.append(.sha256, of: o.trust.bytes, to: &digest) else { throw .noMemory }
        swap(&digest, &o.trustDigest)
        o.changes &+= 1
      } catch {
        exchange()
        throw error
      }
    }
  }

  // ---- connections

  /// For a connection that was accepted; nil without a certificate, or memory.
  func makeSession() -> Ref<TLSSession>? {
    o.lock.lock()
    defer { o.lock.unlock() }
    guard let entry = find(Span()) else { return nil }
    return unsafe Ref<TLSSession>.make(entry.o.context, .server)
  }

  var isEmpty: Bool { locked { o.entries.isEmpty } }

  /// The certificate for a name: that name's own, a wildcard's (of one label, RFC 6125
  /// §6.4.3), or the one for the rest. The caller holds the lock.
  func find(_ name: Bytes) -> Ref<TLSEntry>? {
    var rest: Ref<TLSEntry>? = nil
    var wildcard: Ref<TLSEntry>? = nil
    let dot = name.first(UInt8(ascii: "."))
    for index in 0..<o.entries.count {
      let entry = o.entries[index]
      let own = entry.o.name.bytes
      if own.count == 0 {
        rest = entry
      } else if own.equalsIgnoringCase(name) {
        return entry
      } else if let dot, dot > 0, own[0] == UInt8(ascii: "*"),
        own.extracting(1..<own.count).equalsIgnoringCase(name.extracting(dot..<name.count))
      {
        wildcard = entry
      }
    }
    if let found = wildcard ?? rest { return found }
    return o.entries.isEmpty ? nil : o.entries[0]
  }
}
