// Proxies in front whose word about their clients is believed, and what they have said
// of a request's client: looked up when somebody asks, so that nobody else pays.

import Synchronization

struct TrustedProxies: ~Copyable {
  private var networks = List<Network>()
  private var trustsUnix = false
  /// Which fields are read: Forwarded, or those that begin with X-Forwarded.
  var readsForwarded = false

  static var most: Int { 256 }

  var isEmpty: Bool { networks.isEmpty && !trustsUnix }

  /// Adds a network, an address, or "unix".
  mutating func add(_ text: Bytes) throws(Failure) {
    if text.equals("unix") {
      trustsUnix = true
      return
    }
    guard let network = Network(text) else {
      throw Failure(.argument, "not an address, a network as 10.0.0.0/8, or \"unix\"")
    }
    guard networks.count < TrustedProxies.most else {
      throw Failure(.full, "a server trusts at most 256 networks")
    }
    guard networks.append(network) else { throw .noMemory }
  }

  func trusts(_ address: NumericAddress) -> Bool {
    for index in 0..<networks.count where networks[index].contains(address) { return true }
    return false
  }

  func trusts(_ peer: Peer) -> Bool {
    if isEmpty { return false }
    if let address = peer.numeric { return trusts(address) }
    return trustsUnix && peer.isUnix
  }
}

/// What proxies have told of a request's client.
struct ToldClient {
  fileprivate(set) var isRead = false
  fileprivate(set) var node: ForwardedNode? = nil
  fileprivate(set) var isSecure: Bool? = nil
  fileprivate(set) var authority: Text? = nil
}

extension Ref where Object == Exchange {
  /// The client's address; nil where nobody knows it. For a shared request, under the
  /// lock.
  var clientPeer: Peer? {
    guard let connection = o.connection else { return nil }
    readForwarded()
    switch o.told.node {
    case nil: return connection.o.peer
    case .address(let address, let port): return Peer(address, port: port)
    case .hidden: return nil
    }
  }

  /// Whether the client came by https. Likewise.
  var isSecure: Bool {
    readForwarded()
    return o.told.isSecure ?? (tls != nil)
  }

  /// The host and port that the client asked for. Likewise.
  var authority: Text? {
    readForwarded()
    return o.told.authority ?? part(o.head.authority)
  }

  @inline(__always)
  private func readForwarded() {
    guard let connection = o.connection, connection.o.isTrusted, !o.told.isRead else { return }
    readForwarded(connection.server)
  }

  @inline(never)
  private func readForwarded(_ server: Ref<Server>) {
    o.hasExtras = true
    o.told.isRead = true
    let client = withSettings(of: server) { () -> ForwardedClient? in
      forwardedClient(server)
    }
    guard let client else {
      server.o.malformedForwards.wrappingAdd(1, ordering: .relaxed)
      return
    }
    o.told.node = client.node
    o.told.isSecure = client.isSecure
    if !client.authority.isEmpty { o.told.authority = o.arena.copy(client.authority.bytes) }
    if client.isMalformed { server.o.malformedForwards.wrappingAdd(1, ordering: .relaxed) }
  }

  /// Nil without memory: of a part of what was told nothing is believed.
  private func forwardedClient(_ server: Ref<Server>) -> ForwardedClient? {
    if server.o.proxies.readsForwarded {
      let list = joined("forwarded")
      if list.failed { return nil }
      return ForwardedClient(forwarded: list.bytes) { server.o.proxies.trusts($0) }
    }
    let addresses = joined("x-forwarded-for")
    let schemes = joined("x-forwarded-proto")
    let hosts = joined("x-forwarded-host")
    if addresses.failed || schemes.failed || hosts.failed { return nil }
    return ForwardedClient(
      addresses: addresses.bytes, schemes: schemes.bytes, hosts: hosts.bytes
    ) { server.o.proxies.trusts($0) }
  }
}
