// TLS on a server's connections: its certificates, and what a connection does once the
// handshake is done, or when there is none to be.

extension Ref where Object == Server {
  /// Made when it is first asked for.
  func tlsServer() throws(Failure) -> Ref<TLSServer> {
    o.lock.lock()
    defer { o.lock.unlock() }
    if let tls = o.tls { return tls }
    o.tls = Ref<TLSServer>.makeServer()
    guard let tls = o.tls else { throw .noMemory }
    return tls
  }
}

extension Ref where Object == Connection {
  /// The stream has yet to start; false: there is no TLS to be had.
  func secure() -> Bool {
    guard let session = server.o.tls?.makeSession() else { return false }
    o.stream.secure(by: session)
    return true
  }

  /// The handshake is done: requests may come.
  func secured() {
    guard let session = o.stream.o.tls else { return }
    guard let facts = TLSFacts(session.o) else {
      _ = lose()
      return
    }
    o.tls = Ref<TLSFacts>(make: facts)
    if o.tls == nil {
      _ = lose()
      return
    }
    o.since = o.worker.o.loop.o.now
    armTimer()
  }

  /// A request without TLS, or what looks like one: it is told so, without TLS.
  func plainHeard() {
    refuseAtOnce(Refusal(status: 400, reason: "This port speaks HTTPS: use https://."))
  }
}

extension Ref where Object == Exchange {
  /// What came of the handshake, of a connection that had one.
  var tls: Ref<TLSFacts>? { o.connection?.o.tls }
}
