// What OpenSSL asks of a server in a handshake: which certificate, which protocol, which
// key for tickets, which OCSP response.

import COpenSSL

private func server(of ssl: OpaquePointer?) -> Ref<TLSServer>? {
  guard let ssl = unsafe ssl, let context = unsafe SSL_get_SSL_CTX(ssl) else { return nil }
  return unsafe SSL_CTX_get_ex_data(context, 0).map { unsafe Ref<TLSServer>(opaque: $0) }
}

/// The client's hello: before all else, so that a session is only taken up again under
/// the name and the policy that it was made for.
func hearHello(
  _ ssl: OpaquePointer?, _ alert: UnsafeMutablePointer<Int32>?,
  _ argument: UnsafeMutableRawPointer?
) -> Int32 {
  guard let ssl = unsafe ssl, let argument = unsafe argument else { return TLS_HELLO_SUCCESS }
  let server = unsafe Ref<TLSServer>(opaque: argument)
  unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
    guard let start = buffer.baseAddress else { return }
    let count = unsafe tls_hello_name(ssl, start, 256)
    let bytes = unsafe UnsafeRawPointer(start).assumingMemoryBound(to: UInt8.self)
    unsafe server.prepare(ssl, name: Span(_unsafeStart: bytes, count: count))
  }
  return TLS_HELLO_SUCCESS
}

extension Ref where Object == TLSServer {
  @unsafe fileprivate func prepare(_ ssl: OpaquePointer, name: Bytes) {
    var scope = ByteBuffer()
    o.lock.lock()
    defer { o.lock.unlock() }
    if let entry = find(name) { _ = unsafe SSL_set_SSL_CTX(ssl, entry.o.context) }
    scope.append(decimal: Int64(o.policy.rawValue))
    scope.append(" ")
    for index in 0..<name.count { scope.append(name[index].lowercased) }
    scope.append("\n")
    if o.policy != .none { scope.append(o.trustDigest.bytes) }
    var digest = ByteBuffer()
    guard Crypto.append(.sha256, of: scope.bytes, to: &digest), let start = unsafe digest.pointer
    else { return }
    _ = unsafe SSL_set_session_id_context(ssl, start, 32)
  }
}

/// RFC 7301 §3.2: HTTP/1.1, or none at all; a client that insists on another is refused.
func chooseProtocol(
  _ ssl: OpaquePointer?, _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
  _ count: UnsafeMutablePointer<UInt8>?, _ offered: UnsafePointer<UInt8>?, _ size: UInt32,
  _ argument: UnsafeMutableRawPointer?
) -> Int32 {
  guard let offered = unsafe offered, let chosen = unsafe chosen, let count = unsafe count else {
    return SSL_TLSEXT_ERR_NOACK
  }
  var place = 0
  while place < Int(size) {
    let length = unsafe Int(offered[place])
    guard length > 0, place &+ length < Int(size) else { break }
    let name = unsafe Span(_unsafeStart: offered + place + 1, count: length)
    if name.equals("http/1.1") || name.equals("http/1.0") {
      unsafe chosen.pointee = unsafe offered + place + 1
      unsafe count.pointee = UInt8(truncatingIfNeeded: length)
      return SSL_TLSEXT_ERR_OK
    }
    place &+= length &+ 1
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL
}

func useTicketKey(
  _ ssl: OpaquePointer?, _ name: UnsafeMutablePointer<UInt8>?,
  _ iv: UnsafeMutablePointer<UInt8>?, _ cipher: OpaquePointer?, _ mac: OpaquePointer?,
  _ seals: Int32
) -> Int32 {
  guard let server = unsafe server(of: ssl), let name = unsafe name, let iv = unsafe iv else {
    return -1
  }
  server.o.lock.lock()
  defer { server.o.lock.unlock() }
  if seals == 0 {
    let result = unsafe server.o.tickets.open(name, iv, cipher, mac)
    // RFC 8446 §C.4: those of TLS 1.3 are used once, so that each brings the next.
    return unsafe result == 1 && SSL_version(ssl) == TLS_VERSION_13 ? 2 : result
  }
  return unsafe server.o.tickets.seal(name, iv, cipher, mac, now: Clock.wallSeconds) ? 1 : -1
}

/// RFC 6066 §8: the response that the host gave, if it did.
func answerStatus(_ ssl: OpaquePointer?, _ argument: UnsafeMutableRawPointer?) -> Int32 {
  guard let ssl = unsafe ssl, let server = unsafe server(of: ssl),
    let context = unsafe SSL_get_SSL_CTX(ssl)
  else { return SSL_TLSEXT_ERR_NOACK }
  server.o.lock.lock()
  defer { server.o.lock.unlock() }
  for index in 0..<server.o.entries.count
  where unsafe server.o.entries[index].o.context == context {
    let entry = server.o.entries[index]
    guard !entry.o.staple.isEmpty else { break }
    let isGiven = unsafe entry.o.staple.bytes.withUnsafeBufferPointer {
      unsafe tls_staple(ssl, $0.baseAddress, $0.count)
    }
    return isGiven == 1 ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK
  }
  return SSL_TLSEXT_ERR_NOACK
}

/// What is wrong with it stays in the session, for the host to see.
func acceptAnyClient(_ isGood: Int32, _ store: OpaquePointer?) -> Int32 { 1 }
