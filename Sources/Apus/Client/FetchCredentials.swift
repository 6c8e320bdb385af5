// Who a fetch is to be for a server: what the host has set for it or for its client, or
// what its URL says.

@safe struct FetchCredentials: ~Copyable {
  enum Scheme {
    case none
    /// At once.
    case basic, bearer
    /// When the server asks for it.
    case digest
    /// Whatever the server asks for.
    case any
    /// At once by Basic, and then whatever the server asks for.
    case url
  }

  var scheme = Scheme.none
  var user = ByteBuffer()
  /// Or the token.
  var password = ByteBuffer()

  init() {}

  mutating func set(_ scheme: Scheme, user: Bytes, password: Bytes) throws(Failure) {
    // What cannot be sent is refused now.
    var line = ByteBuffer()
    if scheme == .bearer {
      try Credentials.appendBearer(token: password, to: &line)
    } else {
      guard Credentials.isText(user), Credentials.isText(password),
        user.count <= Credentials.longest, password.count <= Credentials.longest
      else { throw Failure(.argument, "the user's name or password cannot be sent") }
      if scheme == .basic { try Credentials.appendBasic(user: user, password: password, to: &line) }
    }
    var new = FetchCredentials()
    new.scheme = scheme
    new.user.append(user)
    new.password.append(password)
    if new.user.failed || new.password.failed { throw .noMemory }
    swap(&new, &self)
  }

  mutating func clear() { self = FetchCredentials() }

  mutating func copy(_ other: borrowing FetchCredentials) -> Bool {
    scheme = other.scheme
    user.truncate(to: 0)
    user.append(other.user.bytes)
    password.truncate(to: 0)
    password.append(other.password.bytes)
    return !user.failed && !password.failed
  }

  /// Those of a URL, which are there.
  mutating func take(from url: borrowing WebURL) -> Bool {
    var new = FetchCredentials()
    new.scheme = .url
    url.appendUsername(to: &new.user)
    url.appendPassword(to: &new.password)
    swap(&new, &self)
    return !user.failed && !password.failed
  }

  /// What may answer a challenge.
  var allowed: Challenges.Allowed {
    let isAny = scheme == .any || scheme == .url
    return Challenges.Allowed(basic: isAny, bearer: false, digest: isAny || scheme == .digest)
  }
}
