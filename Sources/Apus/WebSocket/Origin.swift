// Whether a page may open a WebSocket here, by its Origin field (RFC 6454 §7,
// RFC 6455 §10.2): browsers let any page try.

enum Origin {
  /// Whether a page has the host and port that it asks for. What is known to have come by
  /// TLS is for pages that did: others anybody on their way may have written. Elsewhere a
  /// proxy in front may have ended TLS, so that both schemes are right; where no port is
  /// named, that of the page's scheme is meant for both. "null" is like no host.
  static func isSame(_ origin: Bytes, host: Bytes, isSecure: Bool) -> Bool {
    var scheme = 0
    var port: Int32 = 0
    if origin.count > 7, origin.extracting(first: 7).equalsLowercase("http://") {
      scheme = 7
      port = 80
    } else if origin.count > 8, origin.extracting(first: 8).equalsLowercase("https://") {
      scheme = 8
      port = 443
    }
    guard scheme > 0, !isSecure || port == 443 else { return false }
    let page = origin.extracting(scheme..<origin.count)
    guard let left = HostPort(page), let right = HostPort(host) else { return false }
    guard (left.port < 0 ? port : left.port) == (right.port < 0 ? port : right.port) else {
      return false
    }
    return page.extracting(left.host).equalsIgnoringCase(host.extracting(right.host))
  }
}
