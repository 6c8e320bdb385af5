// Section 17 of the header: cookies of the server's side.

import CApus

@_cdecl("apus_server_add_cookie_key")
public func apusServerAddCookieKey(_ handle: UInt64, _ key: UnsafeRawPointer?, _ length: Int)
  -> Int32
{
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      let key = try unsafe bytes(key, length)
      return try server.whileIdle { () throws(Failure) in
        guard key.count >= CookieSigner.shortestKey, key.count <= CookieSigner.longestKey else {
          throw Failure(.argument, "a key has 16 to 1024 bytes")
        }
        guard server.o.cookieKeys.count < CookieSigner.mostKeys else {
          throw Failure(.full, "there are 16 keys already")
        }
        guard let kept = Ref<ByteBuffer>(make: ByteBuffer()) else { throw .noMemory }
        kept.o.append(key.bytes)
        guard !kept.o.failed, server.o.cookieKeys.append(kept) else {
          kept.free()
          throw .noMemory
        }
        return 0
      }
    }
  }
}

// ---- of a request

@_cdecl("apus_request_cookie")
public func apusRequestCookie(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ length: UnsafeMutablePointer<Int>?
) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withRequest(handle) { exchange throws(Failure) in
      let name = try unsafe text(name)
      try exchange.readCookies()
      guard let value = exchange.cookie(name.bytes) else {
        throw Failure(.notFound, "there is nothing of this name")
      }
      return unsafe value.give(length)
    }
  }
}

@_cdecl("apus_request_cookie_count")
public func apusRequestCookieCount(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in
      try exchange.readCookies()
      return Int32(truncatingIfNeeded: exchange.o.cookies.count)
    }
  }
}

@_cdecl("apus_request_cookie_at")
public func apusRequestCookieAt(
  _ handle: UInt64, _ index: Int32, _ name: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ value: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ length: UnsafeMutablePointer<Int>?
) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in
      try exchange.readCookies()
      guard let pair = exchange.cookie(at: Int(index)) else {
        throw Failure(.notFound, "there is nothing at this index")
      }
      return unsafe pair.give(name, value, length)
    }
  }
}

@_cdecl("apus_request_signed_cookie")
public func apusRequestSignedCookie(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ maxAge: Int64,
  _ length: UnsafeMutablePointer<Int>?
) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withRequest(handle) { exchange throws(Failure) in
      let name = try unsafe text(name)
      try check(maxAge, in: -1...CookieLine.longestAge)
      return unsafe try exchange.signedCookie(name.bytes, maxAge: maxAge).give(length)
    }
  }
}

// ---- of a reply

/// What is set, from arguments as C has them.
private func attributes(
  _ domain: UnsafePointer<CChar>?, _ path: UnsafePointer<CChar>?, _ maxAge: Int64,
  _ expires: Int64, _ flags: Int32
) throws(Failure) -> CookieAttributes {
  try check(flags, in: 0...CookieFlags.mask)
  var attributes = CookieAttributes()
  if unsafe domain != nil { attributes.domain = try unsafe text(domain) }
  if unsafe path != nil { attributes.path = try unsafe text(path) }
  attributes.maxAge = maxAge
  attributes.expires = expires
  attributes.flags = CookieFlags(rawValue: flags)
  return attributes
}

private func onReply(_ handle: UInt64, _ body: (Ref<Exchange>) throws(Failure) -> Void) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in
      try exchange.checkUnreplied()
      if exchange.o.isShared { try exchange.checkPresent() }
      try body(exchange)
      return 0
    }
  }
}

private func onWriter(_ handle: UInt64, _ body: (Ref<Exchange>) throws(Failure) -> Void) -> Int32 {
  boundary { () throws(Failure) in
    try withWriter(handle) { exchange throws(Failure) in
      try exchange.checkNotBegun()
      try body(exchange)
      return 0
    }
  }
}

@_cdecl("apus_reply_set_cookie")
public func apusReplySetCookie(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?,
  _ domain: UnsafePointer<CChar>?, _ path: UnsafePointer<CChar>?, _ maxAge: Int64,
  _ expires: Int64, _ flags: Int32
) -> Int32 {
  onReply(handle) { exchange throws(Failure) in
    let name = try unsafe text(name)
    let value = try unsafe text(value)
    let attributes = try unsafe attributes(domain, path, maxAge, expires, flags)
    try exchange.setCookie(name: name.bytes, value: value.bytes, attributes)
  }
}

@_cdecl("apus_writer_set_cookie")
public func apusWriterSetCookie(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?,
  _ domain: UnsafePointer<CChar>?, _ path: UnsafePointer<CChar>?, _ maxAge: Int64,
  _ expires: Int64, _ flags: Int32
) -> Int32 {
  onWriter(handle) { exchange throws(Failure) in
    let name = try unsafe text(name)
    let value = try unsafe text(value)
    let attributes = try unsafe attributes(domain, path, maxAge, expires, flags)
    try exchange.setCookie(name: name.bytes, value: value.bytes, attributes)
  }
}

/// No value, and a time that has passed.
private func delete(
  _ exchange: Ref<Exchange>, _ name: UnsafePointer<CChar>?, _ domain: UnsafePointer<CChar>?,
  _ path: UnsafePointer<CChar>?, _ flags: Int32
) throws(Failure) {
  let name = try unsafe text(name)
  var attributes = try unsafe attributes(domain, path, 0, 0, flags)
  attributes.flags.remove(.signed)
  try exchange.setCookie(name: name.bytes, value: Bytes(), attributes)
}

@_cdecl("apus_reply_delete_cookie")
public func apusReplyDeleteCookie(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ domain: UnsafePointer<CChar>?,
  _ path: UnsafePointer<CChar>?, _ flags: Int32
) -> Int32 {
  onReply(handle) { exchange throws(Failure) in
    try unsafe delete(exchange, name, domain, path, flags)
  }
}

@_cdecl("apus_writer_delete_cookie")
public func apusWriterDeleteCookie(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ domain: UnsafePointer<CChar>?,
  _ path: UnsafePointer<CChar>?, _ flags: Int32
) -> Int32 {
  onWriter(handle) { exchange throws(Failure) in
    try unsafe delete(exchange, name, domain, path, flags)
  }
}
