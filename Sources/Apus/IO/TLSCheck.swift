// What a client expects of a server's certificate, and what is wrong with it: a code for
// each kind of fault and a sentence that says which certificate, what, and what to do.

import COpenSSL

@safe struct TLSCheck: ~Copyable {
  let client: Ref<TLSClient>
  /// What sessions with this server are kept under: host, port, settings.
  let key: ByteBuffer
  let checksPeer: Bool
  let checksHost: Bool
  /// SHA-256 of the keys that it may have, in Base64, one behind the other; empty: any.
  let pins: ByteBuffer
  var failure: Failure? = nil

  init(
    client: Ref<TLSClient>, key: consuming ByteBuffer, checksPeer: Bool, checksHost: Bool,
    pins: consuming ByteBuffer
  ) {
    self.client = client
    self.key = key
    self.checksPeer = checksPeer
    self.checksHost = checksHost
    self.pins = pins
  }

  /// Once the handshake is done, before anything is sent: the key.
  @unsafe func verdict(of ssl: OpaquePointer) -> Failure? {
    if pins.isEmpty { return nil }
    guard let certificate = unsafe SSL_get1_peer_certificate(ssl) else {
      return Failure(.pin, "the server has shown no certificate, but its key is pinned")
    }
    defer { unsafe X509_free(certificate) }
    var digest = ByteBuffer()
    guard let space = unsafe digest.space(32), unsafe tls_key_digest(certificate, space) == 1
    else { return .noMemory }
    digest.filled(32)
    var text = ByteBuffer()
    Base64.append(digest.bytes, to: &text)
    var place = 0
    while place &+ 44 <= pins.count {
      if pins.bytes.extracting(place..<(place &+ 44)).equals(text.bytes) { return nil }
      place &+= 44
    }
    var words = ByteBuffer()
    words.append("it is sha256//")
    words.append(text.bytes)
    words.append("; pin that if you trust it")
    return Failure(
      .pin, "the key of the server's certificate is not one that is pinned",
      detail: Details.keep(words.bytes))
  }
}

/// OpenSSL has looked at one certificate of the chain, in some way.
func checkCertificate(_ isGood: Int32, _ store: OpaquePointer?) -> Int32 {
  if isGood == 1 { return 1 }
  guard let store = unsafe store,
    let ssl = unsafe X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()),
    let object = unsafe SSL_get_ex_data(OpaquePointer(ssl), 0)
  else { return 0 }
  let session = unsafe Ref<TLSSession>(opaque: object)
  guard let check = session.o.check else { return 0 }
  let error = unsafe X509_STORE_CTX_get_error(store)
  let isOfHost = error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_IP_ADDRESS_MISMATCH
  if isOfHost ? !check.o.checksHost : !check.o.checksPeer { return 1 }
  check.o.failure = unsafe CertificateFault.failure(
    error, X509_STORE_CTX_get_current_cert(store), X509_STORE_CTX_get_error_depth(store))
  return 0
}

enum CertificateFault {
  @unsafe static func failure(_ error: Int32, _ certificate: OpaquePointer?, _ depth: Int32)
    -> Failure
  {
    let (code, message) = kind(error)
    var words = ByteBuffer()
    words.append(depth == 0 ? "its own, " : "an issuer's, ")
    unsafe append(certificate, error, to: &words)
    if code == .certificate, let text = unsafe X509_verify_cert_error_string(Int(error)) {
      words.append(" (")
      let text = unsafe Text(characters: text)
      words.append(text.bytes)
      words.append(")")
    }
    words.append("; ")
    words.append(
      error == X509_V_ERR_UNABLE_TO_GET_CRL
        ? "add a list of its issuer's to the CRL file" : advice(code))
    return Failure(code, message, detail: Details.keep(words.bytes))
  }

  @unsafe private static func append(
    _ certificate: OpaquePointer?, _ error: Int32, to words: inout ByteBuffer
  ) {
    guard let certificate = unsafe certificate else { return words.append("none") }
    unsafe appendName(X509_get_subject_name(certificate), to: &words)
    switch error {
    case X509_V_ERR_CERT_HAS_EXPIRED, X509_V_ERR_CERT_NOT_YET_VALID:
      let isLast = error == X509_V_ERR_CERT_HAS_EXPIRED
      words.append(isLast ? ", good until " : ", good from ")
      guard let space = unsafe words.space(48) else { return }
      unsafe space.withMemoryRebound(to: CChar.self, capacity: 48) { text in
        words.filled(unsafe tls_day(certificate, isLast ? 1 : 0, text, 48))
      }
    default:
      words.append(", issued by ")
      unsafe appendName(X509_get_issuer_name(certificate), to: &words)
    }
  }

  @unsafe private static func appendName(_ name: OpaquePointer?, to words: inout ByteBuffer) {
    guard let name = unsafe name, let space = unsafe words.space(48) else { return }
    let count = unsafe space.withMemoryRebound(to: CChar.self, capacity: 48) {
      unsafe tls_name_text(name, $0, 48)
    }
    if count == 0 { return words.append("nameless") }
    words.filled(count)
  }

  private static func kind(_ error: Int32) -> (Code, StaticString) {
    switch error {
    case X509_V_ERR_CERT_HAS_EXPIRED: (.expired, "a certificate of the server's has expired")
    case X509_V_ERR_CERT_NOT_YET_VALID:
      (.notYetValid, "a certificate of the server's is not valid yet")
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      (.selfSigned, "the server's certificate is self-signed")
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
      X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      (.unknownIssuer, "the issuer of the server's certificate is unknown")
    case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
      (.wrongHost, "the server's certificate is not for this host")
    case X509_V_ERR_CERT_REVOKED: (.revoked, "a certificate of the server's was revoked")
    case X509_V_ERR_EE_KEY_TOO_SMALL, X509_V_ERR_CA_KEY_TOO_SMALL, X509_V_ERR_CA_MD_TOO_WEAK:
      (.weak, "a certificate of the server's is too weak")
    default: (.certificate, "the server's certificate is not good")
    }
  }

  private static func advice(_ code: Code) -> StaticString {
    switch code {
    case .expired: "renew it there, or set the clock here"
    case .notYetValid: "set the clock here or there"
    case .selfSigned: "add it as a CA if you trust it"
    case .unknownIssuer: "add its CA here, or have the whole chain sent"
    case .wrongHost: "use a name that its subjectAltName has"
    case .revoked: "a new one is needed there"
    case .weak: "one with a larger key or SHA-256 is needed there"
    default: "have it corrected there"
    }
  }
}
