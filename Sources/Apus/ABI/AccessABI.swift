// Section 18 of the header: pages of other origins, credentials, proxies in front.

import CApus

private func set(_ handle: UInt64, _ body: (Ref<Server>) throws(Failure) -> Void) -> Int32 {
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      try server.whileIdle { () throws(Failure) in
        try body(server)
        return 0
      }
    }
  }
}

// ---- pages of other origins

@_cdecl("apus_server_set_cors_origins")
public func apusServerSetCORSOrigins(_ handle: UInt64, _ origins: UnsafePointer<CChar>?) -> Int32 {
  set(handle) { server throws(Failure) in
    let origins = unsafe origins == nil ? Text("") : try text(origins)
    try server.o.crossOrigin.setOrigins(origins.bytes)
  }
}

@_cdecl("apus_server_set_cors_check")
public func apusServerSetCORSCheck(
  _ handle: UInt64, _ function: apus_origin_fn?, _ context: UnsafeMutableRawPointer?,
  _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback<OriginFunction>(function, context, drop)
  var old = unsafe Callback<OriginFunction>.none
  let result = set(handle) { server throws(Failure) in
    unsafe old = server.o.crossOrigin.setCheck(callback.isSet ? callback : .none)
  }
  // Without the lock: whatever is done in there counts as done outside.
  unsafe old.end()
  if unsafe result < 0 || !callback.isSet { unsafe callback.end() }
  return result
}

@_cdecl("apus_server_set_cors_methods")
public func apusServerSetCORSMethods(_ handle: UInt64, _ methods: UnsafePointer<CChar>?) -> Int32 {
  set(handle) { server throws(Failure) in
    let methods = try unsafe text(methods)
    try server.o.crossOrigin.setMethods(methods.bytes)
  }
}

@_cdecl("apus_server_set_cors_headers")
public func apusServerSetCORSHeaders(_ handle: UInt64, _ headers: UnsafePointer<CChar>?) -> Int32 {
  set(handle) { server throws(Failure) in
    let headers = try unsafe text(headers)
    try server.o.crossOrigin.setHeaders(headers.bytes)
  }
}

@_cdecl("apus_server_set_cors_exposed")
public func apusServerSetCORSExposed(_ handle: UInt64, _ headers: UnsafePointer<CChar>?) -> Int32 {
  set(handle) { server throws(Failure) in
    let headers = try unsafe text(headers)
    try server.o.crossOrigin.setExposed(headers.bytes)
  }
}

@_cdecl("apus_server_set_cors_credentials")
public func apusServerSetCORSCredentials(_ handle: UInt64, _ on: Int32) -> Int32 {
  set(handle) { server throws(Failure) in
    try check(on, in: 0...1)
    try server.o.crossOrigin.setCredentials(on == 1)
  }
}

@_cdecl("apus_server_set_cors_max_age")
public func apusServerSetCORSMaxAge(_ handle: UInt64, _ seconds: Int32) -> Int32 {
  set(handle) { server throws(Failure) in
    try check(seconds, in: -1...86_400)
    server.o.crossOrigin.maxAge = seconds
  }
}

// ---- credentials

/// The one Authorization field of a request.
private func authorization(_ exchange: Ref<Exchange>) throws(Failure) -> Text {
  let name = Text("authorization")
  if let value = exchange.single("authorization") { return value }
  if exchange.field(name.bytes) == nil {
    throw Failure(.notFound, "the request has no Authorization field")
  }
  throw Failure(.protocolBroken, "the request has several Authorization fields")
}

@_cdecl("apus_request_basic")
public func apusRequestBasic(
  _ handle: UInt64, _ user: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ password: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in
      let value = try authorization(exchange)
      var decoded = ByteBuffer()
      switch Authorization.basic(value.bytes, to: &decoded) {
      case .otherScheme: throw Failure(.notFound, "the scheme is not Basic")
      case .malformed: throw Failure(.protocolBroken, "not the credentials of RFC 7617")
      case .found(let first, let second):
        let bytes = decoded.bytes
        guard let name = exchange.o.arena.copy(bytes.extracting(first)),
          let word = exchange.o.arena.copy(bytes.extracting(second))
        else { throw .noMemory }
        unsafe user?.pointee = unsafe name.characters
        unsafe password?.pointee = unsafe word.characters
        return 0
      }
    }
  }
}

@_cdecl("apus_request_bearer")
public func apusRequestBearer(_ handle: UInt64, _ length: UnsafeMutablePointer<Int>?)
  -> UnsafePointer<CChar>?
{
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withRequest(handle) { exchange throws(Failure) in
      let value = try authorization(exchange)
      switch Authorization.bearer(value.bytes) {
      case .otherScheme: throw Failure(.notFound, "the scheme is not Bearer")
      case .malformed: throw Failure(.protocolBroken, "not a token of RFC 6750")
      case .found(let range, _):
        // The value has its NUL behind it, and so has its end.
        let token = unsafe Text(start: value.start + range.lowerBound, count: range.count)
        return unsafe token.give(length)
      }
    }
  }
}

@_cdecl("apus_equal")
public func apusEqual(
  _ left: UnsafeRawPointer?, _ leftLength: Int, _ right: UnsafeRawPointer?, _ rightLength: Int
) -> Int32 {
  boundary { () throws(Failure) in
    let left = try unsafe bytes(left, leftLength)
    let right = try unsafe bytes(right, rightLength)
    return Crypto.areEqual(left.bytes, right.bytes) ? 1 : 0
  }
}

// ---- proxies in front

@_cdecl("apus_server_trust_proxy")
public func apusServerTrustProxy(_ handle: UInt64, _ network: UnsafePointer<CChar>?) -> Int32 {
  set(handle) { server throws(Failure) in
    let network = try unsafe text(network)
    try server.o.proxies.add(network.bytes)
  }
}

@_cdecl("apus_server_set_forwarded_fields")
public func apusServerSetForwardedFields(_ handle: UInt64, _ fields: Int32) -> Int32 {
  set(handle) { server throws(Failure) in
    try check(fields, in: 0...1)
    server.o.proxies.readsForwarded = fields == 1
  }
}

@_cdecl("apus_server_set_proxy_protocol")
public func apusServerSetProxyProtocol(_ handle: UInt64, _ listener: Int32, _ mode: Int32)
  -> Int32
{
  set(handle) { server throws(Failure) in
    guard let mode = Listener.ProxyMode(rawValue: mode) else {
      throw Failure(.argument, "no such mode")
    }
    guard listener >= 0, Int(listener) < server.o.listeners.count else {
      throw Failure(.notFound, "no listener has this index")
    }
    server.o.listeners[Int(listener)].o.proxyMode = mode
  }
}
