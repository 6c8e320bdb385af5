// Section 14 of the header: credentials and proxies.

import CApus

/// Sets the credentials of a client or of a fetch.
private func set(
  _ handle: UInt64, ofClient: Bool, _ scheme: FetchCredentials.Scheme,
  _ user: UnsafePointer<CChar>?, _ password: UnsafePointer<CChar>?
) -> Int32 {
  boundary { () throws(Failure) in
    let user = try unsafe scheme == .bearer ? Text("") : optional(user)
    let password = try unsafe optional(password)
    var new = FetchCredentials()
    if let user, let password {
      try new.set(scheme, user: user.bytes, password: password.bytes)
    } else if user == nil ? password != nil : scheme != .bearer {
      throw Failure(.argument, "a name and a password are NULL together or not at all")
    }
    if ofClient {
      try withHost(handle) { server throws(Failure) in
        let client = try server.httpClient()
        try client.locked { () throws(Failure) in swap(&new, &client.o.credentials) }
      }
    } else {
      try withFetch(handle) { fetch throws(Failure) in
        try fetch.change { () throws(Failure) in swap(&new, &fetch.o.credentials) }
      }
    }
    return 0
  }
}

private func optional(_ characters: UnsafePointer<CChar>?) throws(Failure) -> Text? {
  unsafe characters.map { unsafe Text(characters: $0) }
}

@_cdecl("apus_client_set_basic")
public func apusClientSetBasic(
  _ handle: UInt64, _ user: UnsafePointer<CChar>?, _ password: UnsafePointer<CChar>?
) -> Int32 {
  unsafe set(handle, ofClient: true, .basic, user, password)
}

@_cdecl("apus_client_set_digest")
public func apusClientSetDigest(
  _ handle: UInt64, _ user: UnsafePointer<CChar>?, _ password: UnsafePointer<CChar>?
) -> Int32 {
  unsafe set(handle, ofClient: true, .digest, user, password)
}

@_cdecl("apus_client_set_credentials")
public func apusClientSetCredentials(
  _ handle: UInt64, _ user: UnsafePointer<CChar>?, _ password: UnsafePointer<CChar>?
) -> Int32 {
  unsafe set(handle, ofClient: true, .any, user, password)
}

@_cdecl("apus_client_set_bearer")
public func apusClientSetBearer(_ handle: UInt64, _ token: UnsafePointer<CChar>?) -> Int32 {
  unsafe set(handle, ofClient: true, .bearer, nil, token)
}

@_cdecl("apus_fetch_set_basic")
public func apusFetchSetBasic(
  _ handle: UInt64, _ user: UnsafePointer<CChar>?, _ password: UnsafePointer<CChar>?
) -> Int32 {
  unsafe set(handle, ofClient: false, .basic, user, password)
}

@_cdecl("apus_fetch_set_digest")
public func apusFetchSetDigest(
  _ handle: UInt64, _ user: UnsafePointer<CChar>?, _ password: UnsafePointer<CChar>?
) -> Int32 {
  unsafe set(handle, ofClient: false, .digest, user, password)
}

@_cdecl("apus_fetch_set_credentials")
public func apusFetchSetCredentials(
  _ handle: UInt64, _ user: UnsafePointer<CChar>?, _ password: UnsafePointer<CChar>?
) -> Int32 {
  unsafe set(handle, ofClient: false, .any, user, password)
}

@_cdecl("apus_fetch_set_bearer")
public func apusFetchSetBearer(_ handle: UInt64, _ token: UnsafePointer<CChar>?) -> Int32 {
  unsafe set(handle, ofClient: false, .bearer, nil, token)
}

// ---- proxies

@_cdecl("apus_client_set_proxy")
public func apusClientSetProxy(_ handle: UInt64, _ url: UnsafePointer<CChar>?) -> Int32 {
  client(handle) { client throws(Failure) in
    let given = try unsafe optional(url)
    if let given { _ = try ProxyURL(given.bytes) }
    try replace(&client.o.proxy, given)
    client.forgetProxyChallenge()
  }
}

@_cdecl("apus_client_set_no_proxy")
public func apusClientSetNoProxy(_ handle: UInt64, _ list: UnsafePointer<CChar>?) -> Int32 {
  client(handle) { client throws(Failure) in
    try replace(&client.o.noProxy, unsafe optional(list))
  }
}

@_cdecl("apus_client_set_proxy_tunnel")
public func apusClientSetProxyTunnel(_ handle: UInt64, _ on: Int32) -> Int32 {
  client(handle) { client throws(Failure) in
    try check(on, in: 0...1)
    client.o.tunnels = on == 1
  }
}

@_cdecl("apus_client_use_environment")
public func apusClientUseEnvironment(_ handle: UInt64) -> Int32 {
  client(handle) { client throws(Failure) in
    // Not HTTP_PROXY: a server that hands requests to a program sets that from a field.
    let proxy = unsafe Environment.value("http_proxy") ?? Environment.value("all_proxy")
    guard let proxy, proxy.count > 0 else {
      throw Failure(.notFound, "the environment names no proxy")
    }
    _ = try ProxyURL(proxy.bytes)
    try replace(&client.o.noProxy, unsafe Environment.value("no_proxy"))
    try replace(&client.o.proxy, proxy)
    client.forgetProxyChallenge()
  }
}
