// What the requests of one client share: defaults, limits, cookies. It hangs on the
// server whose workers it uses, which is its own or one that serves, too.

import Synchronization

@safe struct HTTPClient: ~Copyable {
  let server: Ref<Server>
  let lock = Lock()

  // ---- behind the lock
  var options = FetchOptions()
  var pool = PoolOptions()
  var base = ByteBuffer()
  var fields = FieldLines()
  var unixPath = ByteBuffer()
  var jar: Ref<CookieJar>? = nil
  var credentials = FetchCredentials()
  /// The proxy's URL, which is checked, and what is reached without it.
  var proxy = ByteBuffer()
  var noProxy = ByteBuffer()
  /// What the proxy has asked for, if that is Digest.
  var proxyDigest: Ref<Digest>? = nil
  /// Through the proxy by CONNECT always.
  var tunnels = false
  /// Hosts that want TLS are remembered, if that is wanted.
  var remembersStrictTransport = false
  var strictHosts = StrictTransportHosts()
  /// Made when it is first asked for.
  var tls: Ref<TLSClient>? = nil

  init(server: Ref<Server>) { self.server = server }

  deinit {
    jar?.free()
    proxyDigest?.free()
    tls?.free()
  }
}

extension Ref where Object == Server {
  /// The client that lives on it.
  func httpClient() throws(Failure) -> Ref<HTTPClient> {
    o.lock.lock()
    defer { o.lock.unlock() }
    if let guest = o.guest { return unsafe Ref<HTTPClient>(opaque: guest.object) }
    guard let client = Ref<HTTPClient>(make: HTTPClient(server: self)) else { throw .noMemory }
    let name = Text("User-Agent")
    let product = Text("apus/0.1")
    do throws(Failure) {
      if !client.o.lock.isUsable { throw .noMemory }
      try client.o.fields.add(name.bytes, product.bytes)
    } catch {
      client.free()
      throw error
    }
    o.guest = unsafe Guest(
      object: client.opaque,
      end: { unsafe Ref<HTTPClient>(opaque: $0).free() },
      endHandles: { unsafe Ref<HTTPClient>(opaque: $0).endHandles() })
    return client
  }
}

extension Ref where Object == HTTPClient {
  func locked<Result>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    o.lock.lock()
    defer { o.lock.unlock() }
    return try body()
  }

  /// Whom it trusts, and what else it needs for TLS.
  func tlsClient() throws(Failure) -> Ref<TLSClient> {
    try locked { () throws(Failure) in
      if o.tls == nil { o.tls = Ref<TLSClient>.makeClient() }
      guard let tls = o.tls else { throw .noMemory }
      return tls
    }
  }

  /// The client goes: so do the handles of its requests.
  fileprivate func endHandles() {
    Slots.forEach { slot, handle in
      if handle.kind == .source, case .held(let object, _) = Slots.pin(handle, .source) {
        let source = unsafe Ref<Source>(opaque: object)
        if source.o.fetch.o.client == self { _ = source.end(handle) }
        return Slots.unpin(slot)
      }
      guard handle.kind == .fetch, case .held(let object, _) = Slots.pin(handle, .fetch)
      else { return }
      let fetch = unsafe Ref<Fetch>(opaque: object)
      if fetch.o.client == self { _ = fetch.end(handle) }
      Slots.unpin(slot)
    }
  }
}
