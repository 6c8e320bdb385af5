// Section 19 of the header: what a request's connection has of TLS.

import CApus

private func withFacts<Result>(
  _ handle: UInt64, _ body: (Ref<Exchange>, Ref<TLSFacts>) throws(Failure) -> Result
) throws(Failure) -> Result {
  try withRequest(handle) { exchange throws(Failure) in
    guard let facts = exchange.tls else {
      throw Failure(.notFound, "the request came without TLS")
    }
    return try body(exchange, facts)
  }
}

/// Text that lives as long as the connection.
private func facts(_ handle: UInt64, _ text: (Ref<TLSFacts>) -> Text) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withFacts(handle) { _, facts throws(Failure) in unsafe text(facts).characters }
  }
}

private func kept(_ buffer: borrowing ByteBuffer) -> Text {
  guard let start = unsafe buffer.pointer else { return Text("") }
  return unsafe Text(start: start, count: buffer.count)
}

@_cdecl("apus_request_tls_version")
public func apusRequestTLSVersion(_ handle: UInt64) -> UnsafePointer<CChar>? {
  unsafe facts(handle) { $0.o.version }
}

@_cdecl("apus_request_tls_cipher")
public func apusRequestTLSCipher(_ handle: UInt64) -> UnsafePointer<CChar>? {
  unsafe facts(handle) { $0.o.cipher }
}

@_cdecl("apus_request_tls_name")
public func apusRequestTLSName(_ handle: UInt64) -> UnsafePointer<CChar>? {
  unsafe facts(handle) { kept($0.o.name) }
}

@_cdecl("apus_request_tls_alpn")
public func apusRequestTLSALPN(_ handle: UInt64) -> UnsafePointer<CChar>? {
  unsafe facts(handle) { kept($0.o.alpn) }
}

@_cdecl("apus_request_tls_resumed")
public func apusRequestTLSResumed(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withFacts(handle) { _, facts throws(Failure) in facts.o.isResumed ? 1 : 0 }
  }
}

// ---- the peer's certificate

private func part(_ handle: UInt64, _ part: TLSFacts.Part) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withFacts(handle) { exchange, facts throws(Failure) in
      guard facts.o.hasCertificate else {
        throw Failure(.notFound, "the client has shown no certificate")
      }
      var text = ByteBuffer()
      exchange.o.hasExtras = true
      guard facts.o.append(part, to: &text), let copy = exchange.o.arena.copy(text.bytes) else {
        throw .noMemory
      }
      return unsafe copy.characters
    }
  }
}

@_cdecl("apus_request_peer_subject")
public func apusRequestPeerSubject(_ handle: UInt64) -> UnsafePointer<CChar>? {
  unsafe part(handle, .subject)
}

@_cdecl("apus_request_peer_issuer")
public func apusRequestPeerIssuer(_ handle: UInt64) -> UnsafePointer<CChar>? {
  unsafe part(handle, .issuer)
}

@_cdecl("apus_request_peer_names")
public func apusRequestPeerNames(_ handle: UInt64) -> UnsafePointer<CChar>? {
  unsafe part(handle, .names)
}

@_cdecl("apus_request_peer_fingerprint")
public func apusRequestPeerFingerprint(_ handle: UInt64) -> UnsafePointer<CChar>? {
  unsafe part(handle, .fingerprint)
}

@_cdecl("apus_request_peer_problem")
public func apusRequestPeerProblem(_ handle: UInt64) -> UnsafePointer<CChar>? {
  unsafe part(handle, .problem)
}

@_cdecl("apus_request_peer_is_verified")
public func apusRequestPeerIsVerified(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withFacts(handle) { _, facts throws(Failure) in
      guard facts.o.hasCertificate else {
        throw Failure(.notFound, "the client has shown no certificate")
      }
      return facts.o.isVerified ? 1 : 0
    }
  }
}
