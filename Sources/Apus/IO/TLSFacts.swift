// What came of a handshake, for whoever asks later and on another thread: it stays as it
// is, and what it has of OpenSSL's is never changed.

import COpenSSL

@safe struct TLSFacts: ~Copyable {
  /// Such as "TLSv1.3", and the cipher's name in OpenSSL's words; static text.
  let version: Text
  let cipher: Text
  /// The name that the client asked for, and the protocol that was agreed on.
  let name: ByteBuffer
  let alpn: ByteBuffer
  let isResumed: Bool
  /// The peer's certificate.
  nonisolated(unsafe) private let certificate: OpaquePointer?
  /// X509_V_OK, or what is wrong with it.
  private let result: Int

  /// Nil without memory.
  init?(_ session: borrowing TLSSession) {
    let ssl = unsafe session.ssl
    version = unsafe SSL_get_version(ssl).map { unsafe Text(characters: $0) } ?? Text("")
    let cipher = unsafe SSL_get_current_cipher(ssl)
    self.cipher = unsafe SSL_CIPHER_get_name(cipher).map { unsafe Text(characters: $0) } ?? Text("")
    var name = ByteBuffer()
    if let given = unsafe SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) {
      name = Self.kept(unsafe Text(characters: given).bytes)
    }
    var alpn = ByteBuffer()
    var start: UnsafePointer<UInt8>? = nil
    var count: UInt32 = 0
    unsafe SSL_get0_alpn_selected(ssl, &start, &count)
    if let start = unsafe start {
      alpn = Self.kept(unsafe Span(_unsafeStart: start, count: Int(count)))
    }
    isResumed = unsafe tls_is_resumed(ssl) == 1
    unsafe certificate = unsafe SSL_get1_peer_certificate(ssl)
    result = unsafe SSL_get_verify_result(ssl)
    let isWhole = !name.failed && !alpn.failed
    self.name = name
    self.alpn = alpn
    if !isWhole { return nil }
  }

  /// Text with a NUL behind it, in no more memory than it takes: each connection has some.
  private static func kept(_ text: Bytes) -> ByteBuffer {
    var buffer = ByteBuffer()
    buffer.reserve(text.count &+ 1, upTo: text.count &+ 1)
    buffer.append(text)
    _ = buffer.terminate()
    return buffer
  }

  deinit { if let certificate = unsafe certificate { unsafe X509_free(certificate) } }

  enum Part {
    case subject, issuer, names, fingerprint, problem
  }

  var hasCertificate: Bool { unsafe certificate != nil }
  var isVerified: Bool { hasCertificate && result == 0 }

  /// Appends what the peer's certificate says; false: there is none.
  func append(_ part: Part, to buffer: inout ByteBuffer) -> Bool {
    guard let certificate = unsafe certificate else { return false }
    // On the host's thread: what OpenSSL told the host stays, and nothing comes to it.
    ERR_set_mark()
    defer { ERR_pop_to_mark() }
    switch part {
    case .subject, .issuer:
      let name =
        unsafe part == .subject
        ? X509_get_subject_name(certificate) : X509_get_issuer_name(certificate)
      guard let space = unsafe buffer.space(1024) else { return false }
      let count = unsafe space.withMemoryRebound(to: CChar.self, capacity: 1024) {
        unsafe tls_name_text(name, $0, 1024)
      }
      buffer.filled(count)
    case .names:
      guard let space = unsafe buffer.space(8192) else { return false }
      let count = unsafe space.withMemoryRebound(to: CChar.self, capacity: 8192) {
        unsafe tls_certificate_names(certificate, $0, 8192)
      }
      buffer.filled(count)
    case .fingerprint:
      var digest = ByteBuffer()
      guard let space = unsafe digest.space(32),
        unsafe tls_certificate_digest(certificate, space) == 1
      else { return false }
      digest.filled(32)
      Crypto.append(hexadecimal: digest.bytes, to: &buffer)
    case .problem:
      guard result != 0, let words = unsafe X509_verify_cert_error_string(result) else { break }
      let text = unsafe Text(characters: words)
      buffer.append(text.bytes)
    }
    return !buffer.failed
  }
}
