// Section 19 of the header: TLS of clients.

import CApus

private func withTLS(
  _ handle: UInt64, _ body: (Ref<TLSClient>) throws(Failure) -> Void
) -> Int32 {
  boundary { () throws(Failure) in
    try withHost(handle) { server throws(Failure) in
      try body(server.httpClient().tlsClient())
      return 0
    }
  }
}

private func flag(_ number: Int32) throws(Failure) -> Bool {
  try check(number, in: 0...1)
  return number == 1
}

// ---- whom it trusts

/// Adds to the certificates that are trusted; from the first on the system's are not.
private func addTrust(_ handle: UInt64, _ read: (inout ByteBuffer) throws(Failure) -> Void)
  -> Int32
{
  withTLS(handle) { tls throws(Failure) in
    var more = ByteBuffer()
    try read(&more)
    if more.isEmpty { throw Failure(.argument, "there are no certificates in it") }
    // Alone first: what is there already would hide that it is none.
    try tls.checkTrust(more.bytes)
    try extend(tls, { swap(&$0, &tls.o.trust) }) { all throws(Failure) in
      all.append(tls.o.trust.bytes)
      all.append("\n")
      all.append(more.bytes)
      if all.count > TLSClient.mostTrust {
        throw Failure(.tooLarge, "the certificates that are trusted are more than 16 MiB")
      }
    }
  }
}

/// Exchanges what is trusted for what `join` makes of it and of more.
private func extend(
  _ tls: Ref<TLSClient>, _ exchange: (inout ByteBuffer) -> Void,
  _ join: (inout ByteBuffer) throws(Failure) -> Void
) throws(Failure) {
  var all = ByteBuffer()
  var (system, isOwn) = (false, true)
  try tls.change(
    {
      exchange(&all)
      swap(&system, &tls.o.trustsSystem)
      swap(&isOwn, &tls.o.hasOwnTrust)
    },
    after: { () throws(Failure) in
      try join(&all)
      if all.failed { throw .noMemory }
      system = tls.o.hasOwnTrust && tls.o.trustsSystem
    })
}

@_cdecl("apus_client_add_ca_file")
public func apusClientAddCAFile(_ handle: UInt64, _ path: UnsafePointer<CChar>?) -> Int32 {
  addTrust(handle) { buffer throws(Failure) in
    try TLSIdentity.read(unsafe text(path), to: &buffer)
  }
}

@_cdecl("apus_client_add_ca_memory")
public func apusClientAddCAMemory(
  _ handle: UInt64, _ data: UnsafeRawPointer?, _ length: Int
) -> Int32 {
  addTrust(handle) { buffer throws(Failure) in
    let given = try unsafe bytes(data, length)
    buffer.append(given.bytes)
  }
}

@_cdecl("apus_client_add_ca_directory")
public func apusClientAddCADirectory(_ handle: UInt64, _ path: UnsafePointer<CChar>?) -> Int32 {
  withTLS(handle) { tls throws(Failure) in
    let path = try unsafe text(path)
    _ = try Folder(path)
    try extend(tls, { swap(&$0, &tls.o.folders) }) { all throws(Failure) in
      all.append(tls.o.folders.bytes)
      all.append(path.bytes)
      all.append(0)
    }
  }
}

@_cdecl("apus_client_trust_system")
public func apusClientTrustSystem(_ handle: UInt64, _ on: Int32) -> Int32 {
  withTLS(handle) { tls throws(Failure) in
    var (on, isOwn) = (try flag(on), true)
    try tls.change {
      swap(&on, &tls.o.trustsSystem)
      swap(&isOwn, &tls.o.hasOwnTrust)
    }
  }
}

@_cdecl("apus_client_set_crl_file")
public func apusClientSetCRLFile(_ handle: UInt64, _ path: UnsafePointer<CChar>?) -> Int32 {
  withTLS(handle) { tls throws(Failure) in
    var new = ByteBuffer()
    if let path = unsafe path {
      try TLSIdentity.read(unsafe Text(characters: path), to: &new)
      if new.isEmpty { throw Failure(.argument, "there is no list in the file") }
    }
    try tls.change { swap(&new, &tls.o.revoked) }
  }
}

@_cdecl("apus_client_set_verify")
public func apusClientSetVerify(_ handle: UInt64, _ peer: Int32, _ host: Int32) -> Int32 {
  withTLS(handle) { tls throws(Failure) in
    var (peer, host) = (try flag(peer), try flag(host))
    try tls.change {
      swap(&peer, &tls.o.checksPeer)
      swap(&host, &tls.o.checksHost)
    }
  }
}

@_cdecl("apus_client_add_pin")
public func apusClientAddPin(
  _ handle: UInt64, _ host: UnsafePointer<CChar>?, _ pin: UnsafePointer<CChar>?
) -> Int32 {
  withTLS(handle) { tls throws(Failure) in
    let host = try unsafe text(host)
    let pin = try unsafe text(pin)
    try tls.pin(host.bytes, pin.bytes)
  }
}

// ---- what it shows of itself

@_cdecl("apus_client_set_certificate")
public func apusClientSetCertificate(
  _ handle: UInt64, _ chain: UnsafePointer<CChar>?, _ key: UnsafePointer<CChar>?
) -> Int32 {
  withTLS(handle) { tls throws(Failure) in
    let identity = try unsafe TLSIdentity(chainPath: text(chain), keyPath: text(key))
    try tls.show(identity)
  }
}

@_cdecl("apus_client_set_certificate_memory")
public func apusClientSetCertificateMemory(
  _ handle: UInt64, _ chain: UnsafeRawPointer?, _ chainLength: Int, _ key: UnsafeRawPointer?,
  _ keyLength: Int
) -> Int32 {
  withTLS(handle) { tls throws(Failure) in
    let chain = try unsafe bytes(chain, chainLength)
    let key = try unsafe bytes(key, keyLength)
    let identity = try TLSIdentity(chain: chain.bytes, key: key.bytes)
    try tls.show(identity)
  }
}

@_cdecl("apus_client_set_tls_password")
public func apusClientSetTLSPassword(
  _ handle: UInt64, _ function: apus_password_fn?, _ context: UnsafeMutableRawPointer?,
  _ drop: apus_drop_fn?
) -> Int32 {
  var callback = unsafe Callback<PasswordFunction>(function, context, drop)
  let result = withTLS(handle) { tls throws(Failure) in
    tls.o.passwordLock.lock()
    unsafe swap(&callback, &tls.o.password)
    tls.o.passwordLock.unlock()
  }
  unsafe callback.end()
  return result
}

@_cdecl("apus_client_set_hsts")
public func apusClientSetHSTS(_ handle: UInt64, _ on: Int32) -> Int32 {
  client(handle) { client throws(Failure) in
    client.o.remembersStrictTransport = try flag(on)
    if !client.o.remembersStrictTransport { client.o.strictHosts = StrictTransportHosts() }
  }
}

// ---- what it uses

@_cdecl("apus_client_set_tls_versions")
public func apusClientSetTLSVersions(_ handle: UInt64, _ least: Int32, _ most: Int32) -> Int32 {
  withTLS(handle) { tls throws(Failure) in
    try setVersions(least, most) { exchange throws(Failure) in
      try tls.change { exchange(&tls.o.settings) }
    }
  }
}

private func setList(
  _ handle: UInt64, _ list: TLSSettings.List, _ given: UnsafePointer<CChar>?
) -> Int32 {
  withTLS(handle) { tls throws(Failure) in
    try setList(list, unsafe text(given)) { exchange throws(Failure) in
      try tls.change { exchange(&tls.o.settings) }
    }
  }
}

@_cdecl("apus_client_set_tls_ciphers")
public func apusClientSetTLSCiphers(_ handle: UInt64, _ list: UnsafePointer<CChar>?) -> Int32 {
  unsafe setList(handle, .ciphers, list)
}

@_cdecl("apus_client_set_tls_suites")
public func apusClientSetTLSSuites(_ handle: UInt64, _ list: UnsafePointer<CChar>?) -> Int32 {
  unsafe setList(handle, .suites, list)
}

@_cdecl("apus_client_set_tls_groups")
public func apusClientSetTLSGroups(_ handle: UInt64, _ list: UnsafePointer<CChar>?) -> Int32 {
  unsafe setList(handle, .groups, list)
}
