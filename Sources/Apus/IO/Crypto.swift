// Digests and chance, from OpenSSL.

import COpenSSL

enum Crypto {
  /// Appends the SHA-1 of bytes, for the one place where a protocol asks for it (RFC
  /// 6455 §4.2.2). False when it failed.
  static func appendSHA1(_ bytes: Bytes, to buffer: inout ByteBuffer) -> Bool {
    TLS.prepare()
    guard let space = unsafe buffer.space(20) else { return false }
    let worked = unsafe bytes.withUnsafeBytes {
      unsafe ssl_sha1($0.baseAddress, $0.count, space)
    }
    if worked == 1 { buffer.filled(20) }
    return worked == 1
  }

  /// The digests of Digest authentication (RFC 7616 §6.1), by the names of its algorithms.
  enum Hash: Int32 {
    case md5 = 0
    case sha256
    /// SHA-512/256, which begins in another way than SHA-512 and is cut off.
    case sha512of256

    var name: StaticString {
      switch self {
      case .md5: "MD5"
      case .sha256: "SHA-256"
      case .sha512of256: "SHA-512-256"
      }
    }
  }

  /// Appends the digest of bytes. False when it failed: a provider may lack MD5.
  static func append(_ hash: Hash, of bytes: Bytes, to buffer: inout ByteBuffer) -> Bool {
    TLS.prepare()
    guard let space = unsafe buffer.space(32) else { return false }
    let count = unsafe bytes.withUnsafeBytes {
      unsafe ssl_digest(hash.rawValue, $0.baseAddress, $0.count, space)
    }
    if count > 0 { buffer.filled(Int(count)) }
    return count > 0
  }

  /// Appends the HMAC-SHA-256 of bytes (RFC 2104). False when it failed.
  static func appendHMAC(of bytes: Bytes, key: Bytes, to buffer: inout ByteBuffer) -> Bool {
    TLS.prepare()
    guard let space = unsafe buffer.space(32) else { return false }
    let worked = unsafe bytes.withUnsafeBytes { data in
      unsafe key.withUnsafeBytes { key in
        unsafe ssl_hmac(key.baseAddress, key.count, data.baseAddress, data.count, space)
      }
    }
    if worked == 1 { buffer.filled(32) }
    return worked == 1
  }

  /// Appends two digits, in lower case, for each byte.
  static func append(hexadecimal bytes: Bytes, to buffer: inout ByteBuffer) {
    for index in 0..<bytes.count {
      buffer.append(digit(bytes[index] >> 4))
      buffer.append(digit(bytes[index] & 15))
    }
  }

  private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? value &+ 48 : value &+ 87 }

  /// Whether bytes are the same; the time that it takes tells their number alone.
  static func areEqual(_ left: Bytes, _ right: Bytes) -> Bool {
    unsafe right.withUnsafeBytes { other in
      unsafe left.withUnsafeBytes { own in
        // Of different lengths: as long as the second is, so that this too takes its time.
        let first = own.count == other.count ? own.baseAddress : other.baseAddress
        let isSame = unsafe ssl_equal(first, other.baseAddress, other.count) == 1
        return isSame && own.count == other.count
      }
    }
  }

  /// Appends bytes of chance. False when there are none to be had.
  static func appendRandom(_ count: Int, to buffer: inout ByteBuffer) -> Bool {
    TLS.prepare()
    guard let space = unsafe buffer.space(count), unsafe ssl_random(space, count) == 1 else {
      return false
    }
    buffer.filled(count)
    return true
  }
}

extension HandshakeKey {
  /// Appends the value of Sec-WebSocket-Accept for a key (RFC 6455 §4.2.2 item 5.4).
  /// False when there is no SHA-1 to be had, or no memory.
  static func appendAccept(key: Bytes, to buffer: inout ByteBuffer) -> Bool {
    var input = ByteBuffer()
    var digest = ByteBuffer()
    appendInput(key: key, to: &input)
    return !input.failed && Crypto.appendSHA1(input.bytes, to: &digest)
      && appendAccept(digest: digest.bytes, to: &buffer) && !buffer.failed
  }

  /// Appends a new key. False when there is no chance to be had, or no memory.
  static func appendNew(to buffer: inout ByteBuffer) -> Bool {
    var random = ByteBuffer()
    return Crypto.appendRandom(16, to: &random) && append(random: random.bytes, to: &buffer)
      && !buffer.failed
  }
}

/// Keys for masking (RFC 6455 §5.3), drawn from chance in larger pieces. One thread
/// at a time.
struct MaskKeys: ~Copyable {
  private var pool = ByteBuffer()

  private func key(_ bytes: Bytes) -> MaskKey {
    MaskKey(bytes[0], bytes[1], bytes[2], bytes[3])
  }

  mutating func next() -> MaskKey? {
    if pool.count < 4, !Crypto.appendRandom(64, to: &pool) { return nil }
    guard pool.count >= 4 else { return nil }
    defer { pool.consume(4) }
    return key(pool.bytes)
  }
}
