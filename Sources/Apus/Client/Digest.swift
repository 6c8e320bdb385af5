// Digest authentication, RFC 7616, with qop=auth or, as in RFC 2069, without a qop.
// Authentication-Info is not looked at: what it proves matters only to who trusts no TLS.

/// A challenge. Of parameters that come twice, and of what is unknown, it is said below.
struct DigestChallenge: ~Copyable {
  fileprivate var realm = ByteBuffer()
  fileprivate var nonce = ByteBuffer()
  fileprivate var opaque = ByteBuffer()
  fileprivate var hash = Crypto.Hash.md5
  fileprivate var isSession = false
  fileprivate var hasQop = false
  fileprivate var hasUserHash = false
  /// The request before was refused for its old nonce alone (§3.3).
  private(set) var isStale = false
  private var isQopKnown = true
  private var isSpoilt = false
  /// Names that came; a bit for each.
  fileprivate var seen: UInt32 = 0

  /// Of realm, nonce and opaque.
  static var longest: Int { 4096 }

  fileprivate static var realmBit: UInt32 { 1 }
  fileprivate static var nonceBit: UInt32 { 2 }
  fileprivate static var opaqueBit: UInt32 { 4 }
  fileprivate static var algorithmBit: UInt32 { 8 }

  mutating func spoil() { isSpoilt = true }

  /// How good an answer can be; 0: there can be none.
  var strength: Int {
    let due = DigestChallenge.realmBit | DigestChallenge.nonceBit
    // A session's key needs the client's nonce, which is sent with a qop alone.
    if isSpoilt || seen & due != due || !isQopKnown || (isSession && !hasQop) { return 0 }
    switch hash {
    case .md5: return 1
    case .sha256: return 2
    case .sha512of256: return 3
    }
  }

  /// Takes a parameter, with the backslashes of its value. One that comes twice spoils
  /// the challenge (RFC 9110 §11.2); one that is unknown does not.
  mutating func take(_ name: Bytes, _ quoted: Bytes) {
    var buffer = ByteBuffer()
    ChallengeList.append(value: quoted, to: &buffer)
    if buffer.failed || buffer.count > DigestChallenge.longest { return spoil() }
    let bit: UInt32
    switch name.count {
    case 3 where name.equalsLowercase("qop"):
      bit = 16
      takeQop(buffer.bytes)
    case 5 where name.equalsLowercase("realm"):
      bit = DigestChallenge.realmBit
      swap(&buffer, &realm)
    case 5 where name.equalsLowercase("nonce"):
      bit = DigestChallenge.nonceBit
      swap(&buffer, &nonce)
    case 5 where name.equalsLowercase("stale"):
      bit = 32
      isStale = buffer.bytes.equalsLowercase("true")
    case 6 where name.equalsLowercase("opaque"):
      bit = DigestChallenge.opaqueBit
      swap(&buffer, &opaque)
    case 8 where name.equalsLowercase("userhash"):
      bit = 64
      hasUserHash = buffer.bytes.equalsLowercase("true")
    case 9 where name.equalsLowercase("algorithm"):
      bit = DigestChallenge.algorithmBit
      takeAlgorithm(buffer.bytes)
    default: return
    }
    if seen & bit != 0 { spoil() }
    seen |= bit
  }

  /// A list. Without "auth" in it there is only the body's digest, which is not made.
  private mutating func takeQop(_ value: Bytes) {
    var elements = ListElements()
    isQopKnown = true
    hasQop = false
    while let range = elements.next(in: value) {
      if value.extracting(range).equalsLowercase("auth") {
        hasQop = true
      } else {
        isQopKnown = false
      }
    }
    if hasQop { isQopKnown = true }
  }

  private mutating func takeAlgorithm(_ value: Bytes) {
    var end = value.count
    if end > 5, value.extracting((end &- 5)..<end).equalsLowercase("-sess") {
      isSession = true
      end &-= 5
    }
    let name = value.extracting(0..<end)
    if name.equalsLowercase("md5") {
      hash = .md5
    } else if name.equalsLowercase("sha-256") {
      hash = .sha256
    } else if name.equalsLowercase("sha-512-256") {
      hash = .sha512of256
    } else {
      spoil()
    }
  }
}

/// A challenge that is answered, with each request by another number.
struct Digest: ~Copyable {
  private let challenge: DigestChallenge
  private let nonce: ByteBuffer
  private var count: UInt32 = 0

  /// Nil for a challenge that cannot be answered, and without memory. `nonce` is the
  /// client's own, the same for all requests, as a session's key
  /// (§3.4.2) needs it; what tells them from another is the count.
  init?(_ challenge: consuming DigestChallenge, nonce: Bytes) {
    guard challenge.strength > 0, nonce.count > 0, Credentials.isText(nonce) else { return nil }
    var own = ByteBuffer()
    own.append(nonce)
    if own.failed { return nil }
    self.challenge = challenge
    self.nonce = own
  }

  /// Appends a client's nonce: 128 bits of chance. False when there is none to be had.
  static func appendNonce(to buffer: inout ByteBuffer) -> Bool {
    var random = ByteBuffer()
    guard Crypto.appendRandom(16, to: &random) else { return false }
    Crypto.append(hexadecimal: random.bytes, to: &buffer)
    return !buffer.failed
  }

  /// Appends the value of Authorization for a request, whose target is as in its request
  /// line. Fails where a count of 32 bits is used up: then a new challenge is due.
  mutating func append(
    method: Bytes, target: Bytes, user: Bytes, password: Bytes, to buffer: inout ByteBuffer
  ) throws(Failure) {
    guard user.count <= Credentials.longest, password.count <= Credentials.longest,
      Credentials.isText(user), method.isToken, target.firstOutsideTarget(from: 0) == target.count
    else { throw Failure(.argument, "the user's name cannot be sent by Digest") }
    if count == UInt32.max { throw Failure(.state, "the nonce is used up") }
    count = count &+ 1
    var number = ByteBuffer()
    appendCount(to: &number)
    var key = ByteBuffer()
    try appendKey(user, password, to: &key)
    var request = ByteBuffer()
    request.append(method)
    request.append(":")
    request.append(target)
    var about = ByteBuffer()
    try appendHash(of: request, to: &about)
    // §3.4.1; without a qop, RFC 2069 §2.1.2.
    var answer = ByteBuffer()
    answer.append(key.bytes)
    answer.append(":")
    answer.append(challenge.nonce.bytes)
    if challenge.hasQop {
      answer.append(":")
      answer.append(number.bytes)
      answer.append(":")
      answer.append(nonce.bytes)
      answer.append(":auth")
    }
    answer.append(":")
    answer.append(about.bytes)
    var response = ByteBuffer()
    try appendHash(of: answer, to: &response)
    try write(user, target, number.bytes, response.bytes, to: &buffer)
  }

  /// §3.4.2: H(A1), in hexadecimal digits.
  private func appendKey(_ user: Bytes, _ password: Bytes, to key: inout ByteBuffer)
    throws(Failure)
  {
    var text = ByteBuffer()
    text.append(user)
    text.append(":")
    text.append(challenge.realm.bytes)
    text.append(":")
    text.append(password)
    try appendHash(of: text, to: &key)
    guard challenge.isSession else { return }
    var session = ByteBuffer()
    session.append(key.bytes)
    session.append(":")
    session.append(challenge.nonce.bytes)
    session.append(":")
    session.append(nonce.bytes)
    key.truncate(to: 0)
    try appendHash(of: session, to: &key)
  }

  private func appendHash(of text: borrowing ByteBuffer, to digits: inout ByteBuffer)
    throws(Failure)
  {
    if text.failed { throw .noMemory }
    var digest = ByteBuffer()
    guard Crypto.append(challenge.hash, of: text.bytes, to: &digest) else {
      throw Failure(.unsupported, "libcrypto does not have the digest")
    }
    Crypto.append(hexadecimal: digest.bytes, to: &digits)
    if digits.failed { throw .noMemory }
  }

  private func appendCount(to buffer: inout ByteBuffer) {
    var shift: UInt32 = 32
    while shift > 0 {
      shift = shift &- 4
      let digit = UInt8(truncatingIfNeeded: count >> shift) & 15
      buffer.append(digit < 10 ? digit &+ 48 : digit &+ 87)
    }
  }

  /// §3.4, the parameters in the order of its examples.
  private func write(
    _ user: Bytes, _ target: Bytes, _ number: Bytes, _ response: Bytes,
    to buffer: inout ByteBuffer
  ) throws(Failure) {
    buffer.append("Digest username=")
    if challenge.hasUserHash {
      // §3.4.4.
      var text = ByteBuffer()
      text.append(user)
      text.append(":")
      text.append(challenge.realm.bytes)
      var digits = ByteBuffer()
      try appendHash(of: text, to: &digits)
      ChallengeList.append(quoted: digits.bytes, to: &buffer)
    } else {
      ChallengeList.append(quoted: user, to: &buffer)
    }
    buffer.append(", realm=")
    ChallengeList.append(quoted: challenge.realm.bytes, to: &buffer)
    buffer.append(", uri=")
    ChallengeList.append(quoted: target, to: &buffer)
    if challenge.seen & DigestChallenge.algorithmBit != 0 {
      buffer.append(", algorithm=")
      buffer.append(challenge.hash.name)
      if challenge.isSession { buffer.append("-sess") }
    }
    buffer.append(", nonce=")
    ChallengeList.append(quoted: challenge.nonce.bytes, to: &buffer)
    if challenge.hasQop {
      buffer.append(", nc=")
      buffer.append(number)
      buffer.append(", cnonce=")
      ChallengeList.append(quoted: nonce.bytes, to: &buffer)
      buffer.append(", qop=auth")
    }
    buffer.append(", response=")
    ChallengeList.append(quoted: response, to: &buffer)
    if challenge.seen & DigestChallenge.opaqueBit != 0 {
      buffer.append(", opaque=")
      ChallengeList.append(quoted: challenge.opaque.bytes, to: &buffer)
    }
    if challenge.hasUserHash { buffer.append(", userhash=true") }
    if buffer.failed { throw .noMemory }
  }
}
