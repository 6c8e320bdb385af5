// The content codings, RFC 9110 §8.4.1, that a body may be decoded from.

import CZlib

enum ContentCoding: UInt8, CaseIterable {
  case gzip, deflate, br, zstd

  /// Nil for a coding that is not known here.
  init?(_ name: Bytes) {
    if name.equalsLowercase("gzip") || name.equalsLowercase("x-gzip") {
      self = .gzip
    } else if name.equalsLowercase("deflate") {
      self = .deflate
    } else if name.equalsLowercase("br") {
      self = .br
    } else if name.equalsLowercase("zstd") {
      self = .zstd
    } else {
      return nil
    }
  }

  var name: StaticString {
    switch self {
    case .gzip: "gzip"
    case .deflate: "deflate"
    case .br: "br"
    case .zstd: "zstd"
    }
  }

  /// Whether this machine has what it takes. For br and zstd that is a library which is
  /// looked for each time.
  var isAvailable: Bool {
    switch self {
    case .gzip, .deflate: return true
    case .br, .zstd:
      let decoder = unsafe self == .br ? coding_make_brotli() : coding_make_zstd()
      defer { unsafe coding_free(decoder) }
      return unsafe decoder != nil
    }
  }

  /// Appends the value of an Accept-Encoding field: what is available here.
  static func appendAvailable(to buffer: inout ByteBuffer) {
    let start = buffer.count
    for coding in allCases where coding.isAvailable {
      if buffer.count > start { buffer.append(", ") }
      buffer.append(coding.name)
    }
  }

  // ---- what is wrong with content in it

  var malformed: Failure {
    switch self {
    case .gzip: Failure(.protocolBroken, "the content is no gzip, or its checksum is wrong")
    case .deflate: Failure(.protocolBroken, "the content is no deflate, or its checksum is wrong")
    case .br: Failure(.protocolBroken, "the content is no brotli")
    case .zstd: Failure(.protocolBroken, "the content is no zstd, or its checksum is wrong")
    }
  }

  var trailing: Failure {
    switch self {
    case .gzip: Failure(.protocolBroken, "bytes that are no gzip stand behind the content")
    case .deflate: Failure(.protocolBroken, "bytes stand behind the end of deflate content")
    case .br: Failure(.protocolBroken, "bytes stand behind the end of brotli content")
    case .zstd: Failure(.protocolBroken, "bytes stand behind the end of zstd content")
    }
  }

  var truncated: Failure {
    switch self {
    case .gzip: Failure(.protocolBroken, "the content ends inside its gzip coding")
    case .deflate: Failure(.protocolBroken, "the content ends inside its deflate coding")
    case .br: Failure(.protocolBroken, "the content ends inside its brotli coding")
    case .zstd: Failure(.protocolBroken, "the content ends inside its zstd coding")
    }
  }
}
