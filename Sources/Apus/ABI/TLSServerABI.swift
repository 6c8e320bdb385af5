// Section 19 of the header: TLS of servers.

import CApus

private func withTLS(
  _ handle: UInt64, _ body: (Ref<TLSServer>) throws(Failure) -> Void
) -> Int32 {
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      try body(server.tlsServer())
      return 0
    }
  }
}

/// A setting that comes before the first certificate, while the server is stopped.
private func setting(
  _ handle: UInt64, _ body: (Ref<TLSServer>) throws(Failure) -> Void
) -> Int32 {
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      let tls = try server.tlsServer()
      try server.whileIdle { () throws(Failure) in try body(tls) }
      return 0
    }
  }
}

private func setList(
  _ handle: UInt64, _ list: TLSSettings.List, _ given: UnsafePointer<CChar>?
) -> Int32 {
  setting(handle) { tls throws(Failure) in
    try setList(list, unsafe text(given)) { exchange throws(Failure) in
      try tls.change { exchange(&tls.o.settings) }
    }
  }
}

@_cdecl("apus_server_set_tls_versions")
public func apusServerSetTLSVersions(_ handle: UInt64, _ least: Int32, _ most: Int32) -> Int32 {
  setting(handle) { tls throws(Failure) in
    try setVersions(least, most) { exchange throws(Failure) in
      try tls.change { exchange(&tls.o.settings) }
    }
  }
}

@_cdecl("apus_server_set_tls_ciphers")
public func apusServerSetTLSCiphers(_ handle: UInt64, _ list: UnsafePointer<CChar>?) -> Int32 {
  unsafe setList(handle, .ciphers, list)
}

@_cdecl("apus_server_set_tls_suites")
public func apusServerSetTLSSuites(_ handle: UInt64, _ list: UnsafePointer<CChar>?) -> Int32 {
  unsafe setList(handle, .suites, list)
}

@_cdecl("apus_server_set_tls_groups")
public func apusServerSetTLSGroups(_ handle: UInt64, _ list: UnsafePointer<CChar>?) -> Int32 {
  unsafe setList(handle, .groups, list)
}

@_cdecl("apus_server_set_tls_preference")
public func apusServerSetTLSPreference(_ handle: UInt64, _ on: Int32) -> Int32 {
  setting(handle) { tls throws(Failure) in
    try check(on, in: 0...1)
    var new = on == 1
    try tls.change { swap(&new, &tls.o.settings.serverChooses) }
  }
}

@_cdecl("apus_server_set_tls_password")
public func apusServerSetTLSPassword(
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

private func setClients(
  _ handle: UInt64, _ policy: Int32, _ trust: () throws(Failure) -> ByteBuffer
) -> Int32 {
  setting(handle) { tls throws(Failure) in
    guard var policy = TLSClientPolicy(rawValue: policy) else {
      throw Failure(.argument, "no such policy")
    }
    var new = try trust()
    guard policy == .none || !new.isEmpty else {
      throw Failure(.argument, "whoever asks for certificates must know whose are good")
    }
    try tls.change {
      swap(&policy, &tls.o.policy)
      swap(&new, &tls.o.trust)
    }
  }
}

@_cdecl("apus_server_set_client_certificates")
public func apusServerSetClientCertificates(
  _ handle: UInt64, _ policy: Int32, _ path: UnsafePointer<CChar>?
) -> Int32 {
  setClients(handle, policy) { () throws(Failure) in
    var trust = ByteBuffer()
    if let path = unsafe path { try TLSIdentity.read(unsafe Text(characters: path), to: &trust) }
    return trust
  }
}

@_cdecl("apus_server_set_client_certificates_memory")
public func apusServerSetClientCertificatesMemory(
  _ handle: UInt64, _ policy: Int32, _ data: UnsafeRawPointer?, _ length: Int
) -> Int32 {
  setClients(handle, policy) { () throws(Failure) in
    let given = try unsafe bytes(data, length)
    var trust = ByteBuffer()
    trust.append(given.bytes)
    if trust.failed { throw .noMemory }
    return trust
  }
}

// ---- certificates

private func add(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ identity: () throws(Failure) -> TLSIdentity
) -> Int32 {
  withTLS(handle) { tls throws(Failure) in
    let name = unsafe name.map { unsafe Text(characters: $0) } ?? Text("")
    let identity = try identity()
    try tls.add(identity, for: name.bytes)
  }
}

@_cdecl("apus_server_add_certificate")
public func apusServerAddCertificate(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ chain: UnsafePointer<CChar>?,
  _ key: UnsafePointer<CChar>?
) -> Int32 {
  unsafe add(handle, name) { () throws(Failure) in
    try unsafe TLSIdentity(chainPath: text(chain), keyPath: text(key))
  }
}

@_cdecl("apus_server_add_certificate_memory")
public func apusServerAddCertificateMemory(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ chain: UnsafeRawPointer?,
  _ chainLength: Int, _ key: UnsafeRawPointer?, _ keyLength: Int
) -> Int32 {
  unsafe add(handle, name) { () throws(Failure) in
    let chain = try unsafe bytes(chain, chainLength)
    let key = try unsafe bytes(key, keyLength)
    return try TLSIdentity(chain: chain.bytes, key: key.bytes)
  }
}

@_cdecl("apus_server_add_certificate_directory")
public func apusServerAddCertificateDirectory(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ path: UnsafePointer<CChar>?
) -> Int32 {
  unsafe add(handle, name) { () throws(Failure) in
    try unsafe TLSIdentity.ofFolder(
      text(path), certificate: "/server.crt", key: "/server.key")
  }
}

@_cdecl("apus_server_set_ocsp_file")
public func apusServerSetOCSPFile(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ path: UnsafePointer<CChar>?
) -> Int32 {
  withTLS(handle) { tls throws(Failure) in
    let name = unsafe name.map { unsafe Text(characters: $0) } ?? Text("")
    var response = ByteBuffer()
    if let path = unsafe path {
      try TLSIdentity.read(unsafe Text(characters: path), to: &response)
    }
    try tls.staple(&response, for: name.bytes)
  }
}

// ---- tickets

@_cdecl("apus_server_set_ticket_period")
public func apusServerSetTicketPeriod(_ handle: UInt64, _ seconds: Int32) -> Int32 {
  setting(handle) { tls throws(Failure) in
    try check(seconds, in: 0...604_800)
    var new = Int64(seconds)
    try tls.change { swap(&new, &tls.o.tickets.period) }
  }
}

@_cdecl("apus_server_set_ticket_keys")
public func apusServerSetTicketKeys(
  _ handle: UInt64, _ keys: UnsafeRawPointer?, _ length: Int
) -> Int32 {
  withTLS(handle) { tls throws(Failure) in
    let given = try unsafe bytes(keys, length)
    try tls.locked { () throws(Failure) in try tls.o.tickets.set(given.bytes) }
  }
}

@_cdecl("apus_server_rotate_ticket_keys")
public func apusServerRotateTicketKeys(_ handle: UInt64) -> Int32 {
  withTLS(handle) { tls throws(Failure) in
    let isDone = tls.locked { tls.o.tickets.rotate(now: Clock.wallSeconds) }
    if !isDone { throw Failure(.io, "no random numbers for a key") }
  }
}
