// The way through a proxy: plain requests are sent to it, and others go through a tunnel,
// which is made before the first request on a connection. The loop's thread.

import Synchronization

/// How a fetch gets to its server.
struct FetchRoute: ~Copyable {
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
}

extension Ref where Object == Fetch {
  /// Finds the way for the target.
  func findRoute() throws(Failure) {
    var route = FetchRoute()
    let client = o.client
    try client.locked { () throws(Failure) in
      guard !client.o.proxy.isEmpty, o.unixPath.isEmpty,
        !ProxyRules.exempts(
          client.o.noProxy.bytes, host: o.run.target.host, port: o.run.target.port)
      else { return }
      route.text.append(client.o.proxy.bytes)
      if route.text.failed { throw .noMemory }
      let proxy = try ProxyURL(route.text.bytes)
      route.proxy = proxy
      if proxy.kind != .http {
        route.kind = .socks
      } else {
        route.kind = o.run.target.isSecure || client.o.tunnels ? .tunnel : .plain
      }
    }
    swap(&route, &o.run.route)
  }

  /// What makes connections stand in for each other.
  func appendKey(to key: inout ByteBuffer) throws(Failure) {
    if !o.unixPath.isEmpty {
      key.append("unix:")
      key.append(o.unixPath.bytes)
    } else if o.run.route.kind != .direct {
      key.append(o.run.route.text.bytes)
    }
    if o.run.target.isSecure {
      key.append(" ")
      let tls = try o.client.tlsClient()
      key.append(decimal: tls.locked { tls.o.version })
    }
    if o.run.target.isSecure || (o.unixPath.isEmpty && o.run.route.kind != .plain) {
      key.append(" ")
      o.run.target.appendOrigin(to: &key)
    }
    if key.failed { throw .noMemory }
  }

  /// The request target.
  func appendTarget(to output: inout ByteBuffer) {
    if o.run.route.kind == .plain { o.run.target.appendOrigin(to: &output) }
    output.append(o.run.target.bytes.extracting(o.run.target.parts.target))
  }

  /// Adds the Proxy-Authorization field, where there is one.
  func appendProxyAuthorization(to output: inout ByteBuffer) throws(Failure) {
    guard let proxy = o.run.route.proxy, let user = proxy.user else { return }
    var name = ByteBuffer()
    var password = ByteBuffer()
    let text = o.run.route.text.bytes
    ProxyURL.appendDecoded(user, of: text, to: &name)
    ProxyURL.appendDecoded(proxy.password, of: text, to: &password)
    output.append("Proxy-Authorization: ")
    try Credentials.appendBasic(user: name.bytes, password: password.bytes, to: &output)
    output.append("\r\n")
  }

  // ---- tunnels

  /// Whether the connection is to be made a tunnel first.
  func needsTunnel(_ link: Ref<Link>) -> Bool {
    (o.run.route.kind == .tunnel || o.run.route.kind == .socks) && !link.o.isTunnel
  }

  func startTunnel(on link: Ref<Link>) {
    o.run.stage = .tunnelling
    o.run.active = link.o.pool.o.worker.o.loop.o.now
    guard let output = link.o.stream.writing() else { return finish(.noMemory) }
    do throws(Failure) {
      if o.run.route.kind == .socks {
        try startSocks(to: &output.o)
      } else {
        try appendConnect(to: &output.o)
        o.run.head.reset()
        link.o.machine.nextResponse(to: RequestFacts(isConnect: true))
      }
    } catch {
      return finish(error)
    }
    link.o.stream.o.loop.addDirty(link.o.stream)
  }

  private func startSocks(to output: inout ByteBuffer) throws(Failure) {
    var user = ByteBuffer()
    var password = ByteBuffer()
    if let proxy = o.run.route.proxy, let name = proxy.user {
      let text = o.run.route.text.bytes
      ProxyURL.appendDecoded(name, of: text, to: &user)
      ProxyURL.appendDecoded(proxy.password, of: text, to: &password)
    }
    let made = try Socks5(
      host: o.run.target.host, port: o.run.target.port, user: user.bytes,
      password: password.bytes)
    o.run.socks?.free()
    o.run.socks = Ref<Socks5>(make: made)
    guard let socks = o.run.socks else { throw .noMemory }
    socks.o.start(to: &output)
  }

  private func appendConnect(to output: inout ByteBuffer) throws(Failure) {
    output.append("CONNECT ")
    appendHostPort(to: &output)
    output.append(" HTTP/1.1\r\nHost: ")
    appendHostPort(to: &output)
    output.append("\r\n")
    try appendProxyAuthorization(to: &output)
    output.append("\r\n")
  }

  /// RFC 9112 §3.2.3: always with the port.
  private func appendHostPort(to output: inout ByteBuffer) {
    output.append(o.run.target.bytes.extracting(o.run.target.parts.host))
    output.append(":")
    output.append(decimal: Int64(o.run.target.port))
  }

  /// What the proxy says before the tunnel is there.
  func tunnelReceived(_ bytes: Bytes, on link: Ref<Link>) -> Int {
    var index = 0
    do throws(Failure) {
      if let socks = o.run.socks {
        guard let output = link.o.stream.writing() else { throw .noMemory }
        index = try socks.o.take(bytes, to: &output.o)
        link.o.stream.o.loop.addDirty(link.o.stream)
        if !socks.o.isOpen { return index }
        o.run.socks = nil
        socks.free()
      } else if try !takeConnected(bytes, &index, link) {
        return index
      }
      // The server cannot have said anything yet.
      if index < bytes.count {
        throw Failure(.protocolBroken, "there are bytes behind the proxy's answer")
      }
    } catch {
      finish(error)
      return bytes.count
    }
    link.o.isTunnel = true
    ready(link)
    return index
  }

  private func takeConnected(_ bytes: Bytes, _ index: inout Int, _ link: Ref<Link>) throws(Failure)
    -> Bool
  {
    while true {
      let step = link.o.machine.next(
        bytes, at: &index, head: &o.run.head, limits: ResponseLimits())
      switch step {
      case .more: return false
      case .failed(let failure): throw failure
      case .end: return true
      case .head:
        let status = o.run.head.status
        if status == 407 { throw Failure(.permission, "the proxy wants a name and password") }
        if status / 100 != 2 { throw Failure(.io, "the proxy does not make the connection") }
      default: break
      }
    }
  }
}
