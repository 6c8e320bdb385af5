// A cookie as the jar keeps it, RFC 6265bis §5.7, in memory of its own: what it hands
// out stays where it is until the cookie ends.

/// What is known of a cookie apart from its text.
struct CookieFacts {
  /// Seconds since 1970; nil: it ends with the jar.
  var expires: Int64?
  var isHostOnly = true
  var isSecure = false
  var isHTTPOnly = false
  /// Kept for who asks. A client has no pages and hence no requests across sites: it is
  /// no reason not to send a cookie.
  var sameSite = SameSite.unset
}

@safe struct StoredCookie: ~Copyable {
  /// Name, value, domain and path, a NUL behind each.
  private var text = ByteBuffer()
  private let ends: (name: Int, value: Int, domain: Int, path: Int)
  var facts: CookieFacts
  /// When it was last used, by the jar's count of uses.
  var use: UInt64 = 0

  enum Part {
    case name
    case value
    case domain
    case path
  }

  /// Nil without memory.
  init?(name: Bytes, value: Bytes, domain: Bytes, path: Bytes, _ facts: CookieFacts) {
    self.facts = facts
    let name0 = name.count
    let value0 = name0 &+ 1 &+ value.count
    let domain0 = value0 &+ 1 &+ domain.count
    let path0 = domain0 &+ 1 &+ path.count
    ends = (name0, value0, domain0, path0)
    guard text.reserve(path0 &+ 1) else { return nil }
    text.append(name)
    text.append(0)
    text.append(value)
    text.append(0)
    text.append(domain)
    text.append(0)
    text.append(path)
    text.append(0)
  }

  private func range(_ part: Part) -> Range<Int> {
    switch part {
    case .name: 0..<ends.name
    case .value: (ends.name &+ 1)..<ends.value
    case .domain: (ends.value &+ 1)..<ends.domain
    case .path: (ends.domain &+ 1)..<ends.path
    }
  }

  subscript(part: Part) -> Bytes {
    @_lifetime(borrow self) get { text.bytes.extracting(range(part)) }
  }

  /// The same with a NUL behind it, until the cookie ends.
  @unsafe func terminated(_ part: Part) -> Text? {
    guard let base = unsafe text.pointer else { return nil }
    let range = range(part)
    return unsafe Text(start: base + range.lowerBound, count: range.count)
  }

  /// §5.7 item 23: what a new cookie takes the place of.
  func isSame(name: Bytes, domain: Bytes, path: Bytes, isHostOnly: Bool) -> Bool {
    facts.isHostOnly == isHostOnly && self[.name].equals(name) && self[.domain].equals(domain)
      && self[.path].equals(path)
  }
}
