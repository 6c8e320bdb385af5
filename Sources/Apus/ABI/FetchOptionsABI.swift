// Section 14 of the header: what is set for all fetches of a client, and for one; and what
// of it can be read.

import CApus

/// Changes what a client has for all of its fetches.
func client(
  _ handle: UInt64, _ body: (Ref<HTTPClient>) throws(Failure) -> Void
) -> Int32 {
  boundary { () throws(Failure) in
    try withHost(handle) { server throws(Failure) in
      let client = try server.httpClient()
      try client.locked { () throws(Failure) in try body(client) }
      return 0
    }
  }
}

private func fetch(_ handle: UInt64, _ body: (Ref<Fetch>) throws(Failure) -> Void) -> Int32 {
  boundary { () throws(Failure) in
    try withFetch(handle) { fetch throws(Failure) in
      try fetch.change { () throws(Failure) in try body(fetch) }
      return 0
    }
  }
}

private func time(_ milliseconds: Int32) throws(Failure) -> Int64 {
  try check(milliseconds, in: 0...86_400_000)
  return Int64(milliseconds)
}

private func flag(_ number: Int32) throws(Failure) -> Bool {
  try check(number, in: 0...1)
  return number == 1
}

private func count(_ number: Int32) throws(Failure) -> Int32 {
  try check(number, in: 0...100)
  return number
}

private func size(_ bytes: Int64) throws(Failure) -> Int64 {
  try check(bytes, in: 0...(1 << 40))
  return bytes
}

/// Puts a text, or nothing, in the place of another, with a NUL behind it.
func replace(_ buffer: inout ByteBuffer, _ text: Text?) throws(Failure) {
  var new = ByteBuffer()
  if let text { new.append(text.bytes) }
  if new.failed || !new.terminate() { throw .noMemory }
  swap(&new, &buffer)
}

// ---- a client

@_cdecl("apus_client_set_base_url")
public func apusClientSetBaseURL(_ handle: UInt64, _ url: UnsafePointer<CChar>?) -> Int32 {
  client(handle) { client throws(Failure) in
    let given = unsafe url.map { unsafe Text(characters: $0) }
    if let given { _ = try WebURL.fetchable(given.bytes) }
    try replace(&client.o.base, given)
  }
}

@_cdecl("apus_client_set_header")
public func apusClientSetHeader(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?
) -> Int32 {
  client(handle) { client throws(Failure) in
    let name = try unsafe text(name)
    let given = unsafe value.map { unsafe Text(characters: $0) }
    try client.o.fields.set(name.bytes, given?.bytes)
  }
}

@_cdecl("apus_client_set_max_connections")
public func apusClientSetMaxConnections(
  _ handle: UInt64, _ perOrigin: Int32, _ together: Int32, _ waiting: Int32
) -> Int32 {
  client(handle) { client throws(Failure) in
    try check(perOrigin, in: 1...1_000_000)
    try check(together, in: 1...1_000_000)
    try check(waiting, in: 1...1_000_000)
    client.o.pool.mostPerOrigin = perOrigin
    client.o.pool.most = together
    client.o.pool.mostWaiting = waiting
  }
}

@_cdecl("apus_client_set_idle_connection_timeout")
public func apusClientSetIdleConnectionTimeout(_ handle: UInt64, _ ms: Int32) -> Int32 {
  client(handle) { client throws(Failure) in client.o.pool.idleTimeout = try time(ms) }
}

@_cdecl("apus_client_set_unix_socket")
public func apusClientSetUnixSocket(_ handle: UInt64, _ path: UnsafePointer<CChar>?) -> Int32 {
  client(handle) { client throws(Failure) in
    let given = unsafe path.map { unsafe Text(characters: $0) }
    if let given, given.count == 0 || given.count > 107 {
      throw Failure(.argument, "the path is not one of a Unix socket")
    }
    try replace(&client.o.unixPath, given)
  }
}

@_cdecl("apus_client_set_connect_timeout")
public func apusClientSetConnectTimeout(_ handle: UInt64, _ ms: Int32) -> Int32 {
  client(handle) { client throws(Failure) in client.o.options.connectTimeout = try time(ms) }
}

@_cdecl("apus_fetch_set_connect_timeout")
public func apusFetchSetConnectTimeout(_ handle: UInt64, _ ms: Int32) -> Int32 {
  fetch(handle) { fetch throws(Failure) in fetch.o.options.connectTimeout = try time(ms) }
}

@_cdecl("apus_client_set_response_timeout")
public func apusClientSetResponseTimeout(_ handle: UInt64, _ ms: Int32) -> Int32 {
  client(handle) { client throws(Failure) in client.o.options.responseTimeout = try time(ms) }
}

@_cdecl("apus_fetch_set_response_timeout")
public func apusFetchSetResponseTimeout(_ handle: UInt64, _ ms: Int32) -> Int32 {
  fetch(handle) { fetch throws(Failure) in fetch.o.options.responseTimeout = try time(ms) }
}

@_cdecl("apus_client_set_idle_timeout")
public func apusClientSetIdleTimeout(_ handle: UInt64, _ ms: Int32) -> Int32 {
  client(handle) { client throws(Failure) in client.o.options.idleTimeout = try time(ms) }
}

@_cdecl("apus_fetch_set_idle_timeout")
public func apusFetchSetIdleTimeout(_ handle: UInt64, _ ms: Int32) -> Int32 {
  fetch(handle) { fetch throws(Failure) in fetch.o.options.idleTimeout = try time(ms) }
}

@_cdecl("apus_client_set_total_timeout")
public func apusClientSetTotalTimeout(_ handle: UInt64, _ ms: Int32) -> Int32 {
  client(handle) { client throws(Failure) in client.o.options.totalTimeout = try time(ms) }
}

@_cdecl("apus_fetch_set_total_timeout")
public func apusFetchSetTotalTimeout(_ handle: UInt64, _ ms: Int32) -> Int32 {
  fetch(handle) { fetch throws(Failure) in fetch.o.options.totalTimeout = try time(ms) }
}

@_cdecl("apus_client_set_redirects")
public func apusClientSetRedirects(_ handle: UInt64, _ most: Int32) -> Int32 {
  client(handle) { client throws(Failure) in client.o.options.redirects = try count(most) }
}

@_cdecl("apus_fetch_set_redirects")
public func apusFetchSetRedirects(_ handle: UInt64, _ most: Int32) -> Int32 {
  fetch(handle) { fetch throws(Failure) in fetch.o.options.redirects = try count(most) }
}

@_cdecl("apus_client_set_max_body")
public func apusClientSetMaxBody(_ handle: UInt64, _ bytes: Int64) -> Int32 {
  client(handle) { client throws(Failure) in client.o.options.maxBody = try size(bytes) }
}

@_cdecl("apus_fetch_set_max_body")
public func apusFetchSetMaxBody(_ handle: UInt64, _ bytes: Int64) -> Int32 {
  fetch(handle) { fetch throws(Failure) in fetch.o.options.maxBody = try size(bytes) }
}

@_cdecl("apus_client_set_decoding")
public func apusClientSetDecoding(_ handle: UInt64, _ on: Int32) -> Int32 {
  client(handle) { client throws(Failure) in client.o.options.decodes = try flag(on) }
}

@_cdecl("apus_fetch_set_decoding")
public func apusFetchSetDecoding(_ handle: UInt64, _ on: Int32) -> Int32 {
  fetch(handle) { fetch throws(Failure) in fetch.o.options.decodes = try flag(on) }
}

@_cdecl("apus_client_set_expect")
public func apusClientSetExpect(_ handle: UInt64, _ on: Int32) -> Int32 {
  client(handle) { client throws(Failure) in client.o.options.expects = try flag(on) }
}

@_cdecl("apus_client_set_keep_alive")
public func apusClientSetKeepAlive(_ handle: UInt64, _ on: Int32) -> Int32 {
  client(handle) { client throws(Failure) in client.o.options.keepsAlive = try flag(on) }
}

// ---- a fetch alone

@_cdecl("apus_fetch_set_expect")
public func apusFetchSetExpect(_ handle: UInt64, _ on: Int32) -> Int32 {
  fetch(handle) { fetch throws(Failure) in fetch.o.options.expects = try flag(on) }
}

@_cdecl("apus_fetch_allow_downgrade")
public func apusFetchAllowDowngrade(_ handle: UInt64, _ on: Int32) -> Int32 {
  fetch(handle) { fetch throws(Failure) in fetch.o.options.allowsDowngrade = try flag(on) }
}

@_cdecl("apus_fetch_set_retries")
public func apusFetchSetRetries(_ handle: UInt64, _ most: Int32, _ delay: Int32) -> Int32 {
  fetch(handle) { fetch throws(Failure) in
    fetch.o.options.retryDelay = try time(delay)
    fetch.o.options.retries = try count(most)
  }
}

@_cdecl("apus_fetch_set_output_file")
public func apusFetchSetOutputFile(_ handle: UInt64, _ path: UnsafePointer<CChar>?) -> Int32 {
  fetch(handle) { fetch throws(Failure) in
    let given = unsafe path.map { unsafe Text(characters: $0) }
    if let given, given.count == 0 { throw Failure(.argument, "the path is empty") }
    try replace(&fetch.o.output, given)
  }
}

// ---- what was set

/// Copies out what is made of it.
private func read(
  _ handle: UInt64, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int,
  _ body: (Ref<Fetch>, inout ByteBuffer) throws(Failure) -> Void
) -> Int32 {
  boundary { () throws(Failure) in
    if unsafe buffer == nil { throw Failure(.argument, "no place for the text") }
    return try withFetch(handle) { fetch throws(Failure) in
      var text = ByteBuffer()
      try fetch.locked { () throws(Failure) in try body(fetch, &text) }
      return Int32(truncatingIfNeeded: try unsafe give(text, buffer, capacity))
    }
  }
}

@_cdecl("apus_fetch_method")
public func apusFetchMethod(
  _ handle: UInt64, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
  unsafe read(handle, buffer, capacity) { fetch, text in text.append(fetch.o.method.bytes) }
}

@_cdecl("apus_fetch_url")
public func apusFetchURL(
  _ handle: UInt64, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
  unsafe read(handle, buffer, capacity) { fetch, text throws(Failure) in
    text.append(try fetch.target().bytes)
  }
}

@_cdecl("apus_fetch_header")
public func apusFetchHeader(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ buffer: UnsafeMutablePointer<CChar>?,
  _ capacity: Int
) -> Int32 {
  unsafe read(handle, buffer, capacity) { fetch, text throws(Failure) in
    let name = try unsafe Apus.text(name)
    guard name.bytes.isToken else { throw Failure(.argument, "not a field name of RFC 9110") }
    guard let value = fetch.o.fields.value(of: name.bytes) else {
      throw Failure(.notFound, "there is no such field")
    }
    text.append(fetch.o.fields.bytes.extracting(value))
  }
}
