// What a server's or a client's TLS may use: versions, ciphers, groups. The defaults are
// TLS 1.2 with forward secrecy and authenticated encryption, and TLS 1.3 (RFC 9325).

import COpenSSL

struct TLSSettings: ~Copyable {
  /// 12 or 13.
  var least: Int32 = 12
  var most: Int32 = 13
  /// Lists between colons, NUL-terminated: of TLS 1.2, of TLS 1.3, and of key exchange.
  var ciphers = TLSSettings.text(
    """
    ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:\
    ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:\
    ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305
    """)
  var suites = TLSSettings.text(
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256")
  var groups = TLSSettings.text("X25519:P-256:P-384")
  /// Whether the server's order counts, and not the client's.
  var serverChooses = true

  static var longestList: Int { 1024 }

  init() {}

  static func text(_ text: StaticString) -> ByteBuffer {
    var buffer = ByteBuffer()
    buffer.append(text)
    _ = buffer.terminate()
    return buffer
  }

  enum List {
    case ciphers, suites, groups
  }

  mutating func exchange(_ list: List, _ new: inout ByteBuffer) {
    switch list {
    case .ciphers: swap(&ciphers, &new)
    case .suites: swap(&suites, &new)
    case .groups: swap(&groups, &new)
    }
  }

  /// A list that the host gave, for one of the above.
  static func list(_ text: Bytes) throws(Failure) -> ByteBuffer {
    guard text.count > 0, text.count <= longestList else {
      throw Failure(.argument, "a list of TLS is 1 to 1024 bytes long")
    }
    var buffer = ByteBuffer()
    buffer.append(text)
    guard buffer.terminate() else { throw .noMemory }
    return buffer
  }

  /// Makes a context be like that.
  @unsafe func apply(to context: OpaquePointer) throws(Failure) {
    let versions = unsafe tls_context_versions(
      context, TLSSettings.wire(least), TLSSettings.wire(most))
    guard versions == 1 else { throw TLS.failure("OpenSSL does not have these versions of TLS") }
    guard let ciphers = unsafe ciphers.pointer, let suites = unsafe suites.pointer,
      let groups = unsafe groups.pointer
    else { throw .noMemory }
    guard unsafe SSL_CTX_set_cipher_list(context, characters(ciphers)) == 1 else {
      throw TLS.failure("OpenSSL has no cipher of this list", code: .argument)
    }
    guard unsafe SSL_CTX_set_ciphersuites(context, characters(suites)) == 1 else {
      throw TLS.failure("OpenSSL has no cipher suites as in this list", code: .argument)
    }
    guard unsafe tls_context_groups(context, characters(groups)) == 1 else {
      throw TLS.failure("OpenSSL has no groups as in this list", code: .argument)
    }
    unsafe tls_context_preference(context, serverChooses ? 1 : 0)
  }

  @unsafe private func characters(_ bytes: UnsafeMutablePointer<UInt8>) -> UnsafePointer<CChar> {
    unsafe UnsafeRawPointer(bytes).assumingMemoryBound(to: CChar.self)
  }

  private static func wire(_ version: Int32) -> Int32 {
    version <= 12 ? TLS_VERSION_12 : TLS_VERSION_13
  }
}
