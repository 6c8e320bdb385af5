// What decides whose a cookie is: RFC 6265bis §5.1.3 and §5.1.4, and the prefixes of
// names of §5.4. Names of hosts come in lower case.

enum CookieRules {
  /// §5.1.3: the name is the domain, or one below it; addresses have none below them.
  static func matches(host: Bytes, domain: Bytes) -> Bool {
    let more = host.count &- domain.count
    if more == 0 { return host.equals(domain) }
    return more > 0 && domain.count > 0 && host[more &- 1] == UInt8(ascii: ".")
      && host.extracting(more..<host.count).equals(domain) && !isAddress(host)
  }

  /// Whether a host is an IP address. As in the URL standard, a name does not end in a
  /// number.
  static func isAddress(_ host: Bytes) -> Bool {
    if host.first(UInt8(ascii: ":")) != nil || host.first(UInt8(ascii: "[")) != nil { return true }
    var end = host.count
    if end > 0, host[end &- 1] == UInt8(ascii: ".") { end &-= 1 }
    var start = end
    while start > 0, host[start &- 1] != UInt8(ascii: ".") { start &-= 1 }
    if start == end { return false }
    let isHexadecimal = end &- start >= 2 && host[start] == 48 && host[start &+ 1] | 32 == 120
    var index = isHexadecimal ? start &+ 2 : start
    while index < end {
      if isHexadecimal ? host[index].hexValue == nil : !host[index].isDigit { return false }
      index &+= 1
    }
    return true
  }

  /// §5.1.4: where the default path of a cookie from such a path ends; 0: it is "/".
  static func defaultPathEnd(_ path: Bytes) -> Int {
    guard path.count > 0, path[0] == UInt8(ascii: "/") else { return 0 }
    var end = path.count &- 1
    while end > 0, path[end] != UInt8(ascii: "/") { end &-= 1 }
    return end
  }

  /// §5.1.4: the path is the cookie's, or one below it.
  static func matches(path: Bytes, cookie: Bytes) -> Bool {
    if path.count == 0 { return cookie.equals("/") }
    guard path.count >= cookie.count, cookie.count > 0,
      path.extracting(0..<cookie.count).equals(cookie)
    else { return false }
    return path.count == cookie.count || cookie[cookie.count &- 1] == UInt8(ascii: "/")
      || path[cookie.count] == UInt8(ascii: "/")
  }

  /// §5.7 items 20 to 22: why a name may not be had on these terms.
  static func problem(
    name: Bytes, value: Bytes, hasPath: Bool, path: Bytes, _ facts: CookieFacts
  ) -> StaticString? {
    if startsLowercase(name, "__secure-"), !facts.isSecure {
      return "a name with __Secure- is of a cookie that is secure"
    }
    if startsLowercase(name, "__host-"),
      !facts.isSecure || !facts.isHostOnly || !hasPath || !path.equals("/")
    {
      return "a name with __Host- is of a cookie that is secure, without Domain and of Path=/"
    }
    // Without a name, the value is what stands in the field.
    if name.count == 0, startsLowercase(value, "__secure-") || startsLowercase(value, "__host-") {
      return "a cookie without a name poses as one with a prefix"
    }
    return nil
  }

  private static func startsLowercase(_ text: Bytes, _ prefix: StaticString) -> Bool {
    let count = prefix.utf8CodeUnitCount
    return text.count >= count && text.extracting(0..<count).equalsLowercase(prefix)
  }

  /// An IPv6 address without its brackets.
  static func bare(_ host: Bytes) -> Range<Int> {
    let last = host.count &- 1
    return last > 0 && host[0] == UInt8(ascii: "[") && host[last] == UInt8(ascii: "]")
      ? 1..<last : 0..<host.count
  }

  static func appendLowercased(_ text: Bytes, to buffer: inout ByteBuffer) {
    for index in 0..<text.count { buffer.append(text[index].lowercased) }
  }
}
