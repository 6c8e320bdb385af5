// What the host does with the jar by its own hand.

extension CookieJar {
  private var longestPath: Int { 8192 }

  /// Adds a cookie, or replaces the one of the same name, domain and path. An empty path
  /// is "/". `facts.expires` is cut off as it is for servers; one in the past removes.
  mutating func add(
    name: Bytes, value: Bytes, domain: Bytes, path: Bytes, _ facts: CookieFacts, now: Int64
  ) throws(Failure) {
    guard CookieJar.isPart(name), CookieJar.isPart(value),
      name.first(UInt8(ascii: "=")) == nil, name.count > 0 || value.count > 0
    else { throw Failure(.argument, "the cookie's name or value is malformed") }
    guard name.count &+ value.count <= SetCookie.longest else {
      throw Failure(.tooLarge, "the cookie is too long")
    }
    var own = ByteBuffer()
    CookieRules.appendLowercased(domain.extracting(CookieRules.bare(domain)), to: &own)
    if own.failed { throw .noMemory }
    guard CookieJar.isDomain(own.bytes) else {
      throw Failure(.argument, "the cookie's domain is malformed")
    }
    let isPath =
      path.count <= longestPath && CookieJar.isPart(path)
      && (path.count == 0 || path[0] == UInt8(ascii: "/"))
    if !isPath { throw Failure(.argument, "the cookie's path is malformed") }
    var facts = facts
    if CookieRules.isAddress(own.bytes) { facts.isHostOnly = true }
    if !facts.isHostOnly, isPublicSuffix(own.bytes) {
      throw Failure(.argument, "the cookie's domain is a public suffix")
    }
    let root = Text("/")
    let outcome =
      path.count > 0
      ? put(name, value, own.bytes, path, hasPath: true, facts, isSecure: true, now)
      : put(name, value, own.bytes, root.bytes, hasPath: true, facts, isSecure: true, now)
    guard case .ignored(let reason) = outcome else { return }
    throw Failure(.argument, reason)
  }

  /// What can stand in a Cookie field between two semicolons.
  private static func isPart(_ text: Bytes) -> Bool {
    let trimmed = text.trimmed(0..<text.count)
    return text.isFieldValue && text.first(UInt8(ascii: ";")) == nil
      && text.first(9) == nil && trimmed.count == text.count
  }

  private static func isDomain(_ text: Bytes) -> Bool {
    if text.count == 0 || text.count > PublicSuffixes.longestName { return false }
    if text.first(UInt8(ascii: ":")) != nil { return IPv6Text.isValid(text) }
    return HostPort.isValid(text, 0..<text.count)
  }

  func index(name: Bytes, domain: Bytes, path: Bytes, isHostOnly: Bool) -> Int? {
    for index in 0..<cookies.count
    where cookies[index].o.isSame(
      name: name, domain: domain, path: path, isHostOnly: isHostOnly)
    {
      return index
    }
    return nil
  }

  /// Whether there was one.
  @discardableResult
  mutating func remove(name: Bytes, domain: Bytes, path: Bytes, isHostOnly: Bool) -> Bool {
    guard
      let index = index(name: name, domain: domain, path: path, isHostOnly: isHostOnly)
    else { return false }
    return remove(at: index)
  }

  @discardableResult
  mutating func remove(at index: Int) -> Bool {
    guard index >= 0, index < cookies.count else { return false }
    cookies[index].free()
    var place = index &+ 1
    while place < cookies.count {
      cookies[place &- 1] = cookies[place]
      place &+= 1
    }
    _ = cookies.removeLast()
    return true
  }

  mutating func removeAll() {
    for index in 0..<cookies.count { cookies[index].free() }
    cookies.removeAll()
  }

  mutating func removeExpired(_ now: Int64) {
    var kept = 0
    for index in 0..<cookies.count {
      let cookie = cookies[index]
      if (cookie.o.facts.expires ?? Int64.max) <= now {
        cookie.free()
        continue
      }
      if kept != index { cookies[kept] = cookie }
      kept &+= 1
    }
    while cookies.count > kept { _ = cookies.removeLast() }
  }
}
