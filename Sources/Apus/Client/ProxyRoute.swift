// How a request or a channel gets to its server, by what the client was told of proxies,
// and who the client is for its proxy: by Basic at once (RFC 7617), or by Digest (RFC 7616)
// once the proxy has asked for that.

import Synchronization

struct ProxyRoute: ~Copyable {
  enum Kind {
    case direct
    /// A request in absolute form, RFC 9112 §3.2.2.
    case plain
    /// By CONNECT, RFC 9110 §9.3.6.
    case tunnel
    case socks
  }

  var kind = Kind.direct
  /// The proxy's URL.
  var text = ByteBuffer()
  var proxy: ProxyURL? = nil

  init() {}

  /// Whether the way is to be made before anything is sent.
  var isTunnel: Bool { kind == .tunnel || kind == .socks }
}

extension Ref where Object == HTTPClient {
  /// Finds the way to a host. What is no plain request must have a tunnel.
  func findRoute(
    to host: Bytes, port: UInt16, isPlain: Bool, _ route: inout ProxyRoute
  ) throws(Failure) {
    var found = ProxyRoute()
    try locked { () throws(Failure) in
      guard !o.proxy.isEmpty, !ProxyRules.exempts(o.noProxy.bytes, host: host, port: port)
      else { return }
      found.text.append(o.proxy.bytes)
      if found.text.failed { throw .noMemory }
      let proxy = try ProxyURL(found.text.bytes)
      found.proxy = proxy
      if proxy.kind != .http {
        found.kind = .socks
      } else {
        found.kind = isPlain && !o.tunnels ? .plain : .tunnel
      }
    }
    swap(&found, &route)
  }

  // ---- who the client is

  /// Another proxy has another challenge. The caller holds the lock.
  func forgetProxyChallenge() {
    o.proxyDigest?.free()
    o.proxyDigest = nil
  }

  /// Adds the Proxy-Authorization field, where there is one. The target is as in the
  /// request line.
  func appendProxyAuthorization(
    for route: borrowing ProxyRoute, method: Bytes, target: Bytes, to output: inout ByteBuffer
  ) throws(Failure) {
    guard let proxy = route.proxy, let name = proxy.user else { return }
    var user = ByteBuffer()
    var password = ByteBuffer()
    ProxyURL.appendDecoded(name, of: route.text.bytes, to: &user)
    ProxyURL.appendDecoded(proxy.password, of: route.text.bytes, to: &password)
    output.append("Proxy-Authorization: ")
    o.lock.lock()
    defer { o.lock.unlock() }
    if let digest = o.proxyDigest {
      try digest.o.append(
        method: method, target: target, user: user.bytes, password: password.bytes, to: &output)
    } else {
      try Credentials.appendBasic(user: user.bytes, password: password.bytes, to: &output)
    }
    output.append("\r\n")
  }

  /// Takes the challenge of a 407; whether the request may go once more. `answers` is how
  /// often it has: again only if the nonce alone was at fault, or if the proxy that asked for
  /// Digest is content with Basic now.
  func takesProxyChallenge(
    _ head: borrowing ResponseHead, _ bytes: Bytes, for route: borrowing ProxyRoute,
    _ answers: inout Int
  ) -> Bool {
    guard route.proxy?.user != nil, answers < 4 else { return false }
    var challenges = Challenges()
    let name = Text("proxy-authenticate")
    var number = 0
    while let field = head.field(name.bytes, number: number, in: bytes) {
      challenges.take(bytes.extracting(field.value))
      number &+= 1
    }
    let allowed = Challenges.Allowed(basic: true, bearer: false, digest: true)
    switch challenges.choice(allowed) {
    case .digest: break
    case .basic: return goesBackToBasic(&answers)
    default: return false
    }
    let challenge = challenges.takeDigest()
    if answers > 0, !challenge.isStale { return false }
    var nonce = ByteBuffer()
    guard Digest.appendNonce(to: &nonce), let made = Digest(challenge, nonce: nonce.bytes),
      let digest = Ref<Digest>(make: made)
    else { return false }
    answers &+= 1
    o.lock.lock()
    forgetProxyChallenge()
    o.proxyDigest = digest
    o.lock.unlock()
    return true
  }

  /// Whether it was by Digest that the request went, or may have.
  private func goesBackToBasic(_ answers: inout Int) -> Bool {
    o.lock.lock()
    defer { o.lock.unlock() }
    if o.proxyDigest == nil { return false }
    forgetProxyChallenge()
    answers &+= 1
    return true
  }
}
