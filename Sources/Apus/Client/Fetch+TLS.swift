// TLS under a fetch: nothing of the request goes before the server has shown who it is.
// The loop's thread.

extension Ref where Object == Fetch {
  func startTLS(on link: Ref<Link>) {
    o.run.stage = .securing
    o.run.active = link.o.pool.o.worker.o.loop.o.now
    do throws(Failure) {
      let tls = try o.client.tlsClient()
      let session = try tls.makeSession(host: o.run.target.host, port: o.run.target.port)
      link.o.stream.secure(by: session)
    } catch {
      finish(error)
    }
  }

  func secured(_ link: Ref<Link>) {
    guard o.run.stage == .securing, o.run.link == link else { return }
    o.run.times.secured = max(0, Clock.now &- o.run.started)
    ready(link)
  }

  /// The handshake has failed.
  func unsecured(_ link: Ref<Link>, _ number: Int32) {
    notReady(
      link,
      link.o.stream.o.tlsFailure
        ?? Failure(.closed, "the connection broke in the TLS handshake", number: number))
  }
}
