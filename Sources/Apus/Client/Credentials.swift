// What a client answers to challenges, RFC 9110 §11: the strongest scheme that it may
// use, and the credentials of Basic (RFC 7617) and Bearer (RFC 6750).

/// The challenges of one reply, in as many fields as it has.
struct Challenges: ~Copyable {
  enum Scheme {
    case none
    case basic
    case bearer
    /// Taken by `takeDigest`.
    case digest
  }

  /// What there are credentials for.
  struct Allowed {
    var basic = true
    var bearer = true
    var digest = true
  }

  private var digest = DigestChallenge()
  private var hasBasic = false
  private var hasBearer = false
  private var items = 0

  /// Schemes and parameters of one reply; fields past that do not count.
  static var most: Int { 256 }

  /// Takes a field's value. What is not well-formed does not count, nor what else is in
  /// its field.
  mutating func take(_ field: Bytes) {
    guard let count = Challenges.count(field), items &+ count <= Challenges.most else { return }
    items = items &+ count
    var list = ChallengeList()
    var current = DigestChallenge()
    var isDigest = false
    while true {
      switch list.next(in: field) {
      case .end, .malformed:
        if isDigest { consider(current) }
        return
      case .scheme(let range):
        if isDigest {
          var next = DigestChallenge()
          swap(&next, &current)
          consider(next)
        }
        let name = field.extracting(range)
        isDigest = name.equalsLowercase("digest")
        if name.equalsLowercase("basic") { hasBasic = true }
        if name.equalsLowercase("bearer") { hasBearer = true }
      case .token68: if isDigest { current.spoil() }
      case .parameter(let name, let value):
        if isDigest { current.take(field.extracting(name), field.extracting(value)) }
      }
    }
  }

  /// How many items there are; nil: the field is malformed.
  private static func count(_ field: Bytes) -> Int? {
    var list = ChallengeList()
    var count = 0
    while count <= most {
      switch list.next(in: field) {
      case .end: return count
      case .malformed: return nil
      default: count &+= 1
      }
    }
    return nil
  }

  /// The first of the strongest stays.
  private mutating func consider(_ challenge: consuming DigestChallenge) {
    if challenge.strength > digest.strength { digest = challenge }
  }

  /// What to answer with: Digest before Bearer before Basic.
  func choice(_ allowed: Allowed) -> Scheme {
    if allowed.digest, digest.strength > 0 { return .digest }
    if allowed.bearer, hasBearer { return .bearer }
    return allowed.basic && hasBasic ? .basic : .none
  }

  /// The strongest Digest challenge, which is moved out.
  mutating func takeDigest() -> DigestChallenge {
    var taken = DigestChallenge()
    swap(&taken, &digest)
    return taken
  }
}

enum Credentials {
  /// Of a user's name, a password and a token.
  static var longest: Int { 4096 }

  /// Appends the value of Authorization for Basic; the text is UTF-8.
  static func appendBasic(user: Bytes, password: Bytes, to buffer: inout ByteBuffer)
    throws(Failure)
  {
    // RFC 7617 §2: no colon in the name, no control character in either.
    guard user.count <= longest, password.count <= longest, isText(user), isText(password),
      user.first(UInt8(ascii: ":")) == nil
    else { throw Failure(.argument, "the user's name or password cannot be sent by Basic") }
    var pair = ByteBuffer()
    pair.append(user)
    pair.append(":")
    pair.append(password)
    if pair.failed { throw .noMemory }
    buffer.append("Basic ")
    Base64.append(pair.bytes, to: &buffer)
    if buffer.failed { throw .noMemory }
  }

  /// Appends the value of Authorization for Bearer, RFC 6750 §2.1; the token may have
  /// any characters that are seen.
  static func appendBearer(token: Bytes, to buffer: inout ByteBuffer) throws(Failure) {
    guard token.count > 0, token.count <= longest, token.firstOutsideTarget(from: 0) == token.count
    else { throw Failure(.argument, "the token is malformed") }
    buffer.append("Bearer ")
    buffer.append(token)
    if buffer.failed { throw .noMemory }
  }

  /// Whether there is no control character.
  static func isText(_ text: Bytes) -> Bool { text.isFieldValue && text.first(9) == nil }
}
