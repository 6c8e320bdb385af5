// The cookies of a client, RFC 6265bis §5.7 and §5.8. It has no clock: `now` is in
// seconds since 1970. One thread at a time. Cookies are in the order of their creation.

@safe struct CookieJar: ~Copyable {
  var cookies = List<Ref<StoredCookie>>()
  private let suffixes: Ref<PublicSuffixes>?
  private var uses: UInt64 = 0

  enum Outcome {
    case stored
    /// It had expired when it came, and any that it was to replace has gone.
    case removed
    case ignored(StaticString)
  }

  /// Cookies in all, of one domain, and taken from one reply.
  static var most: Int { 3000 }
  static var mostOfDomain: Int { 50 }
  static var mostOfReply: Int { 50 }
  /// 400 days, in seconds (§5.5).
  static var longestLife: Int64 { 400 &* 86_400 }
  /// What is sent with one request, which servers limit: cookies, and bytes.
  static var mostSent: Int { 150 }
  static var longestSent: Int { 8190 }

  /// Public suffixes are the given ones; nil: a single label is one.
  init(suffixes: Ref<PublicSuffixes>?) { self.suffixes = suffixes }

  deinit {
    for index in 0..<cookies.count { cookies[index].free() }
  }

  var count: Int { cookies.count }

  /// The cookie at an index that counts; until the next change.
  func cookie(at index: Int) -> Ref<StoredCookie>? {
    index >= 0 && index < cookies.count ? cookies[index] : nil
  }

  // ---- what servers set

  /// Takes the value of a Set-Cookie field; `index` counts those of one reply from 0.
  mutating func take(
    _ field: Bytes, index: Int, host: Bytes, path: Bytes, isSecure: Bool, now: Int64
  ) -> Outcome {
    if index >= CookieJar.mostOfReply { return .ignored("the reply sets too many cookies") }
    guard let cookie = SetCookie(field) else { return .ignored("the field is malformed") }
    var ownHost = ByteBuffer()
    CookieRules.appendLowercased(host.extracting(CookieRules.bare(host)), to: &ownHost)
    var domain = ByteBuffer()
    CookieRules.appendLowercased(field.extracting(cookie.domain), to: &domain)
    if ownHost.failed || domain.failed { return .ignored(Code.memory.message) }
    if ownHost.isEmpty { return .ignored("there is no host") }
    var facts = CookieFacts(
      expires: cookie.expires, isSecure: cookie.isSecure, isHTTPOnly: cookie.isHTTPOnly,
      sameSite: cookie.sameSite)
    if let seconds = cookie.maxAge {
      // Max-Age wins over Expires, whichever comes first.
      facts.expires = seconds > 0 ? now &+ min(seconds, CookieJar.longestLife) : Int64.min
    }
    if !domain.isEmpty {
      if domain.bytes.firstOutsideASCII(from: 0) < domain.count {
        return .ignored("the domain is not ASCII")
      }
      let isOwn = domain.bytes.equals(ownHost.bytes)
      if isPublicSuffix(domain.bytes) {
        if !isOwn { return .ignored("the domain is a public suffix") }
      } else if !CookieRules.matches(host: ownHost.bytes, domain: domain.bytes) {
        return .ignored("the domain is not the host's")
      } else {
        facts.isHostOnly = CookieRules.isAddress(ownHost.bytes)
      }
    }
    if facts.isHostOnly { swap(&domain, &ownHost) }
    var ownPath = ByteBuffer()
    if let range = cookie.path, !range.isEmpty, field[range.lowerBound] == UInt8(ascii: "/") {
      ownPath.append(field.extracting(range))
    } else {
      let end = CookieRules.defaultPathEnd(path)
      if end > 0 { ownPath.append(path.extracting(0..<end)) } else { ownPath.append("/") }
    }
    // Also one that is the request's own: 3000 of them are kept.
    if ownPath.count > SetCookie.longestAttribute { return .ignored("the path is too long") }
    if ownPath.failed { return .ignored(Code.memory.message) }
    return put(
      field.extracting(cookie.name), field.extracting(cookie.value), domain.bytes, ownPath.bytes,
      hasPath: cookie.path != nil, facts, isSecure: isSecure, now)
  }

  func isPublicSuffix(_ domain: Bytes) -> Bool {
    if let suffixes { return suffixes.o.contains(domain) }
    return domain.first(UInt8(ascii: ".")) == nil
  }

  /// The items of §5.7 from the path on.
  mutating func put(
    _ name: Bytes, _ value: Bytes, _ domain: Bytes, _ path: Bytes, hasPath: Bool,
    _ facts: CookieFacts, isSecure: Bool, _ now: Int64
  ) -> Outcome {
    // Any cookie may be ignored (item 1); one with a tab has no place in a file.
    if name.first(9) != nil || value.first(9) != nil || path.first(9) != nil {
      return .ignored("there is a tab in the cookie")
    }
    if facts.isSecure, !isSecure { return .ignored("a secure cookie came over plain HTTP") }
    if !facts.isSecure, !isSecure, shadowsSecure(name, domain, path) {
      return .ignored("there is a secure cookie of this name")
    }
    if let reason = CookieRules.problem(
      name: name, value: value, hasPath: hasPath, path: path, facts)
    {
      return .ignored(reason)
    }
    removeExpired(now)
    var facts = facts
    if let expires = facts.expires {
      if expires <= now {
        remove(name: name, domain: domain, path: path, isHostOnly: facts.isHostOnly)
        return .removed
      }
      facts.expires = min(expires, now &+ CookieJar.longestLife)
    }
    guard
      let cookie = StoredCookie(name: name, value: value, domain: domain, path: path, facts),
      let new = Ref(make: cookie)
    else { return .ignored(Code.memory.message) }
    uses = uses &+ 1
    new.o.use = uses
    if let index = index(name: name, domain: domain, path: path, isHostOnly: facts.isHostOnly) {
      // It keeps the time of creation, which is its place.
      cookies[index].free()
      cookies[index] = new
    } else if cookies.append(new) {
      makeRoom(domain)
    } else {
      new.free()
      return .ignored(Code.memory.message)
    }
    return .stored
  }

  /// §5.7: whether a cookie that is not secure would lie over or beside a secure one.
  private func shadowsSecure(_ name: Bytes, _ domain: Bytes, _ path: Bytes) -> Bool {
    for index in 0..<cookies.count where cookies[index].o.facts.isSecure {
      let old = cookies[index]
      guard old.o[.name].equals(name) else { continue }
      let isRelated =
        CookieRules.matches(host: domain, domain: old.o[.domain])
        || CookieRules.matches(host: old.o[.domain], domain: domain)
      if isRelated, CookieRules.matches(path: path, cookie: old.o[.path]) { return true }
    }
    return false
  }

  /// §5.7, on excess cookies: of a domain with too many, one that is not secure, else any;
  /// else any of all. The one that was not used for longest goes first.
  private mutating func makeRoom(_ domain: Bytes) {
    var ofDomain = 0
    var plain: Int?
    var ofAny: Int?
    var oldest = 0
    for index in 0..<cookies.count {
      let cookie = cookies[index]
      if cookie.o.use < cookies[oldest].o.use { oldest = index }
      guard cookie.o[.domain].equals(domain) else { continue }
      ofDomain &+= 1
      if cookie.o.use < cookies[ofAny ?? index].o.use || ofAny == nil { ofAny = index }
      if cookie.o.facts.isSecure { continue }
      if cookie.o.use < cookies[plain ?? index].o.use || plain == nil { plain = index }
    }
    if ofDomain > CookieJar.mostOfDomain {
      remove(at: plain ?? ofAny ?? oldest)
    } else if cookies.count > CookieJar.most {
      remove(at: oldest)
    }
  }

  // ---- what is sent

  struct Sent {
    var count = 0
    /// Those for which there was no room.
    var left = 0
  }

  /// Appends the value of the Cookie field for a request (§5.8.3); nothing where there
  /// are no cookies for it. `path` is without the query.
  mutating func appendCookies(
    to buffer: inout ByteBuffer, host: Bytes, path: Bytes, isSecure: Bool, now: Int64
  ) -> Sent {
    removeExpired(now)
    var sent = Sent()
    let start = buffer.count
    var own = ByteBuffer()
    CookieRules.appendLowercased(host.extracting(CookieRules.bare(host)), to: &own)
    uses = uses &+ 1
    var matching = List<Ref<StoredCookie>>()
    var length = -1
    for index in 0..<cookies.count {
      let cookie = cookies[index]
      guard CookieJar.isFor(cookie, own.bytes, path, isSecure) else { continue }
      cookie.o.use = uses
      if !matching.append(cookie) { sent.left &+= 1 }
      length = max(length, cookie.o[.path].count)
    }
    // Longer paths come first, and older cookies before younger ones: a round for each
    // length that there is.
    while length >= 0 {
      var next = -1
      for index in 0..<matching.count {
        let cookie = matching[index]
        let count = cookie.o[.path].count
        if count < length { next = max(next, count) }
        if count == length { CookieJar.append(cookie, to: &buffer, since: start, &sent) }
      }
      length = next
    }
    return sent
  }

  private static func append(
    _ cookie: Ref<StoredCookie>, to buffer: inout ByteBuffer, since start: Int, _ sent: inout Sent
  ) {
    let more = cookie.o[.name].count &+ cookie.o[.value].count &+ 3
    if sent.count >= mostSent || buffer.count &- start &+ more > longestSent {
      sent.left &+= 1
      return
    }
    if sent.count > 0 { buffer.append("; ") }
    if cookie.o[.name].count > 0 {
      buffer.append(cookie.o[.name])
      buffer.append("=")
    }
    buffer.append(cookie.o[.value])
    sent.count &+= 1
  }

  /// §5.8.3 item 1. `host` is in lower case.
  private static func isFor(
    _ cookie: Ref<StoredCookie>, _ host: Bytes, _ path: Bytes, _ isSecure: Bool
  ) -> Bool {
    if cookie.o.facts.isSecure, !isSecure { return false }
    let domain = cookie.o[.domain]
    let isHost =
      cookie.o.facts.isHostOnly
      ? host.equals(domain) : CookieRules.matches(host: host, domain: domain)
    return isHost && CookieRules.matches(path: path, cookie: cookie.o[.path])
  }

  /// The cookie of a name that is sent first with such a request.
  func find(
    _ name: Bytes, host: Bytes, path: Bytes, isSecure: Bool, now: Int64
  ) -> Ref<StoredCookie>? {
    var own = ByteBuffer()
    CookieRules.appendLowercased(host.extracting(CookieRules.bare(host)), to: &own)
    var best: Ref<StoredCookie>?
    for index in 0..<cookies.count {
      let cookie = cookies[index]
      guard cookie.o[.name].equals(name), (cookie.o.facts.expires ?? Int64.max) > now,
        CookieJar.isFor(cookie, own.bytes, path, isSecure)
      else { continue }
      if let known = best, cookie.o[.path].count <= known.o[.path].count { continue }
      best = cookie
    }
    return best
  }
}
