// Section 14 of the header: the cookies of a client.

import CApus

private func withJar(
  _ handle: UInt64, _ body: (Ref<CookieJar>) throws(Failure) -> Int32
) -> Int32 {
  boundary { () throws(Failure) in
    try withHost(handle) { server throws(Failure) in
      try server.httpClient().withJar { jar throws(Failure) in try body(jar) }
    }
  }
}

/// Copies text with a NUL, cut to what there is room for; the length of all of it.
private func give(_ text: Bytes, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int)
  throws(Failure) -> Int32
{
  if let buffer = unsafe buffer, capacity > 0 {
    let count = min(text.count, capacity &- 1)
    for index in 0..<count { unsafe buffer[index] = CChar(bitPattern: text[index]) }
    unsafe buffer[count] = 0
  } else if capacity != 0 {
    throw Failure(.argument, "the buffer must not be NULL with a capacity")
  }
  return Int32(truncatingIfNeeded: min(text.count, Int(Int32.max)))
}

@_cdecl("apus_client_set_cookies")
public func apusClientSetCookies(_ handle: UInt64, _ on: Int32) -> Int32 {
  client(handle) { client throws(Failure) in
    try check(on, in: 0...1)
    client.o.options.usesCookies = on == 1
  }
}

@_cdecl("apus_client_cookie_count")
public func apusClientCookieCount(_ handle: UInt64) -> Int32 {
  withJar(handle) { jar throws(Failure) in
    jar.o.removeExpired(Clock.wallSeconds)
    return Int32(truncatingIfNeeded: jar.o.count)
  }
}

@_cdecl("apus_client_cookie_at")
public func apusClientCookieAt(
  _ handle: UInt64, _ index: Int32, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
  withJar(handle) { jar throws(Failure) in
    guard let cookie = jar.o.cookie(at: Int(index)) else {
      throw Failure(.notFound, "the jar has no cookie of that index")
    }
    var line = ByteBuffer()
    CookieJar.append(cookie, to: &line)
    if line.failed { throw .noMemory }
    return try unsafe give(line.bytes, buffer, capacity)
  }
}

@_cdecl("apus_client_cookie")
public func apusClientCookie(
  _ handle: UInt64, _ url: UnsafePointer<CChar>?, _ name: UnsafePointer<CChar>?,
  _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
  withJar(handle) { jar throws(Failure) in
    let given = try unsafe text(url)
    let url = try WebURL(given.bytes)
    let name = try unsafe text(name)
    let found = jar.o.find(
      name.bytes, host: url.host, path: url.path, isSecure: url.isSecure, now: Clock.wallSeconds)
    guard let found else { throw Failure(.notFound, "the jar has no such cookie for that URL") }
    return try unsafe give(found.o[.value], buffer, capacity)
  }
}

@_cdecl("apus_client_add_cookie")
public func apusClientAddCookie(
  _ handle: UInt64, _ url: UnsafePointer<CChar>?, _ cookie: UnsafePointer<CChar>?
) -> Int32 {
  withJar(handle) { jar throws(Failure) in
    let given = try unsafe text(url)
    let url = try WebURL(given.bytes)
    let field = try unsafe text(cookie)
    let outcome = jar.o.take(
      field.bytes, index: 0, host: url.host, path: url.path, isSecure: url.isSecure,
      now: Clock.wallSeconds)
    if case .ignored(let reason) = outcome { throw Failure(.argument, reason) }
    return 0
  }
}

@_cdecl("apus_client_clear_cookies")
public func apusClientClearCookies(_ handle: UInt64) -> Int32 {
  withJar(handle) { jar throws(Failure) in
    jar.o.removeAll()
    return 0
  }
}

@_cdecl("apus_client_export_cookies")
public func apusClientExportCookies(
  _ handle: UInt64, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
  withJar(handle) { jar throws(Failure) in
    var lines = ByteBuffer()
    jar.o.exportLines(to: &lines, now: Clock.wallSeconds)
    if lines.failed { throw .noMemory }
    return try unsafe give(lines.bytes, buffer, capacity)
  }
}

@_cdecl("apus_client_import_cookies")
public func apusClientImportCookies(
  _ handle: UInt64, _ data: UnsafeRawPointer?, _ length: Int
) -> Int32 {
  withJar(handle) { jar throws(Failure) in
    let lines = try unsafe bytes(data, length)
    let imported = jar.o.importLines(lines.bytes, now: Clock.wallSeconds)
    return Int32(truncatingIfNeeded: imported.taken)
  }
}
