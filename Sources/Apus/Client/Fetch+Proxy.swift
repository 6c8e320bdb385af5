// The way through a proxy: plain requests are sent to it, and others go through a tunnel,
// which is made before the first request on a connection. The loop's thread.

import Synchronization

extension Ref where Object == Fetch {
  /// Finds the way for the target.
  func findRoute() throws(Failure) {
    var route = ProxyRoute()
    if o.unixPath.isEmpty {
      try o.client.findRoute(
        to: o.run.target.host, port: o.run.target.port, isPlain: !o.run.target.isSecure, &route)
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
    guard o.run.route.kind == .plain else { return }
    var target = ByteBuffer()
    appendTarget(to: &target)
    try o.client.appendProxyAuthorization(
      for: o.run.route, method: o.run.method.bytes, target: target.bytes, to: &output)
  }

  /// Whether a 407 has an answer that was not given yet.
  func answersProxy(_ bytes: Bytes) -> Bool {
    guard o.run.route.kind == .plain, canSendAgain, !o.run.fields.has("proxy-authorization")
    else { return false }
    return o.client.takesProxyChallenge(
      o.run.head, bytes, for: o.run.route, &o.run.proxyAnswers)
  }

  // ---- tunnels

  /// Whether the connection is to be made a tunnel first.
  func needsTunnel(_ link: Ref<Link>) -> Bool { o.run.route.isTunnel && !link.o.isTunnel }

  func startTunnel(on link: Ref<Link>) {
    o.run.stage = .tunnelling
    o.run.active = link.o.pool.o.worker.o.loop.o.now
    guard let output = link.o.stream.writing() else { return finish(.noMemory) }
    do throws(Failure) {
      let made = try Tunnel(
        o.client, by: o.run.route, to: o.run.target.host, port: o.run.target.port,
        answers: o.run.proxyAnswers)
      o.run.tunnel?.free()
      o.run.tunnel = Ref<Tunnel>(make: made)
      guard let tunnel = o.run.tunnel else { throw .noMemory }
      try tunnel.o.start(to: &output.o)
    } catch {
      return finish(error)
    }
    link.o.stream.o.loop.addDirty(link.o.stream)
  }

  /// What the proxy says before the tunnel is there.
  func tunnelReceived(_ bytes: Bytes, on link: Ref<Link>) -> Int {
    var index = 0
    do throws(Failure) {
      guard let tunnel = o.run.tunnel, let output = link.o.stream.writing() else {
        throw .noMemory
      }
      let step = try tunnel.o.take(bytes, at: &index, to: &output.o)
      link.o.stream.o.loop.addDirty(link.o.stream)
      if step == .more { return index }
      endTunnelling()
      if step == .again {
        tunnelAgain(link)
        return bytes.count
      }
    } catch {
      notReady(link, error)
      return bytes.count
    }
    link.o.isTunnel = true
    ready(link)
    return index
  }

  /// The proxy has closed the connection before the tunnel was there.
  func tunnelEnded(_ link: Ref<Link>) {
    guard let tunnel = o.run.tunnel, tunnel.o.mayGoOn else {
      return notReady(link, Failure(.closed, "the proxy closed the connection"))
    }
    endTunnelling()
    tunnelAgain(link)
  }

  private func endTunnelling() {
    guard let tunnel = o.run.tunnel else { return }
    o.run.proxyAnswers = tunnel.o.answers
    o.run.tunnel = nil
    tunnel.free()
  }

  /// Over another connection.
  private func tunnelAgain(_ link: Ref<Link>) {
    leave(link, isReusable: false)
    goOn()
  }
}
