// The value of a Set-Cookie field, as a server writes it: RFC 6265bis §4.1.1. What is not
// of the grammar is refused, and so is a cookie that browsers would not keep.

struct CookieFlags: OptionSet {
  let rawValue: Int32
  static var secure: CookieFlags { CookieFlags(rawValue: 1) }
  static var httpOnly: CookieFlags { CookieFlags(rawValue: 2) }
  static var partitioned: CookieFlags { CookieFlags(rawValue: 4) }
  static var signed: CookieFlags { CookieFlags(rawValue: 8) }
  static var sameSiteNone: CookieFlags { CookieFlags(rawValue: 16) }
  static var sameSiteLax: CookieFlags { CookieFlags(rawValue: 32) }
  static var sameSiteStrict: CookieFlags { CookieFlags(rawValue: 64) }

  /// All that there are.
  static var mask: Int32 { 127 }

  /// SameSite is one or none.
  fileprivate var isSound: Bool {
    let sites = rawValue & 112
    return rawValue & ~CookieFlags.mask == 0 && sites & (sites &- 1) == 0
  }
}

@safe struct CookieAttributes {
  /// Empty: none.
  var domain = Text("")
  var path = Text("")
  /// Seconds; -1: none.
  var maxAge: Int64 = -1
  /// Seconds since 1970; -1: none.
  var expires: Int64 = -1
  var flags: CookieFlags = []
}

enum CookieLine {
  /// A year has four digits.
  static var latest: Int64 { 253_402_300_799 }
  static var longestAge: Int64 { 1 << 53 }

  static func append(
    name: Bytes, value: Bytes, _ attributes: CookieAttributes, to buffer: inout ByteBuffer
  ) throws(Failure) {
    try check(name: name, value: value)
    try check(attributes, name: name)
    buffer.append(name)
    buffer.append("=")
    buffer.append(value)
    if attributes.domain.count > 0 {
      buffer.append("; Domain=")
      buffer.append(attributes.domain.bytes)
    }
    if attributes.path.count > 0 {
      buffer.append("; Path=")
      buffer.append(attributes.path.bytes)
    }
    if attributes.maxAge >= 0 {
      buffer.append("; Max-Age=")
      buffer.append(decimal: attributes.maxAge)
    }
    if attributes.expires >= 0 {
      buffer.append("; Expires=")
      HTTPDate.append(attributes.expires, to: &buffer)
    }
    let flags = attributes.flags
    if flags.contains(.secure) { buffer.append("; Secure") }
    if flags.contains(.httpOnly) { buffer.append("; HttpOnly") }
    if flags.contains(.sameSiteNone) { buffer.append("; SameSite=None") }
    if flags.contains(.sameSiteLax) { buffer.append("; SameSite=Lax") }
    if flags.contains(.sameSiteStrict) { buffer.append("; SameSite=Strict") }
    if flags.contains(.partitioned) { buffer.append("; Partitioned") }
    if buffer.failed { throw .noMemory }
  }

  private static func check(name: Bytes, value: Bytes) throws(Failure) {
    guard name.isToken else { throw Failure(.argument, "a cookie's name is a token") }
    var inner = 0..<value.count
    if value.count >= 2, value[0] == 34, value[value.count &- 1] == 34 {
      inner = 1..<(value.count &- 1)
    }
    for index in inner where !isOctet(value[index]) {
      throw Failure(.argument, "a cookie's value has a character that it may not have")
    }
    guard name.count &+ value.count <= SetCookie.longest else {
      throw Failure(.tooLarge, "a cookie's name and value have at most 4096 bytes")
    }
  }

  /// cookie-octet: no control, space, quote, comma, semicolon or backslash.
  static func isOctet(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x21, 0x23...0x2B, 0x2D...0x3A, 0x3C...0x5B, 0x5D...0x7E: true
    default: false
    }
  }

  private static func check(_ attributes: CookieAttributes, name: Bytes) throws(Failure) {
    let domain = attributes.domain.bytes
    let path = attributes.path.bytes
    let flags = attributes.flags
    guard domain.count <= SetCookie.longestAttribute, path.count <= SetCookie.longestAttribute
    else { throw Failure(.tooLarge, "a cookie's attribute has at most 1024 bytes") }
    guard domain.isEmpty || isDomain(domain) else {
      throw Failure(.argument, "a cookie's domain is a host name without a leading dot")
    }
    guard path.isEmpty || isPath(path) else {
      throw Failure(.argument, "a cookie's path begins with a slash and has no semicolon")
    }
    guard attributes.maxAge >= -1, attributes.maxAge <= longestAge, attributes.expires >= -1,
      attributes.expires <= latest, flags.isSound
    else { throw Failure(.argument, "a time or the flags are out of range") }
    let isSecure = flags.contains(.secure)
    guard isSecure || flags.isDisjoint(with: [.sameSiteNone, .partitioned]) else {
      throw Failure(.argument, "SameSite=None and Partitioned need Secure")
    }
    // §4.1.3: browsers look at prefixes in any case.
    if begins(name, "__secure-"), !isSecure {
      throw Failure(.argument, "a cookie of the prefix __Secure- needs Secure")
    }
    if begins(name, "__host-"), !isSecure || !domain.isEmpty || !path.equals("/") {
      throw Failure(.argument, "__Host- needs Secure, the path / and no domain")
    }
  }

  private static func begins(_ name: Bytes, _ prefix: StaticString) -> Bool {
    let count = prefix.utf8CodeUnitCount
    return name.count >= count && name.extracting(0..<count).equalsLowercase(prefix)
  }

  /// Labels of letters, digits and hyphens, with single dots between.
  private static func isDomain(_ text: Bytes) -> Bool {
    var isAtStart = true
    for index in 0..<text.count {
      let byte = text[index]
      if byte == UInt8(ascii: ".") {
        if isAtStart { return false }
        isAtStart = true
      } else {
        guard byte.isLetter || byte.isDigit || byte == UInt8(ascii: "-") else { return false }
        isAtStart = false
      }
    }
    return !isAtStart
  }

  /// av-octets, and a slash first: any other path browsers replace by one of their own.
  private static func isPath(_ text: Bytes) -> Bool {
    guard text[0] == UInt8(ascii: "/") else { return false }
    for index in 0..<text.count {
      let byte = text[index]
      if byte < 32 || byte >= 127 || byte == UInt8(ascii: ";") { return false }
    }
    return true
  }
}
