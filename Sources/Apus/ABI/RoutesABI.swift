// Section 5 of the header: routes and listeners.

import CApus

/// Registers a callback; its context is dropped if that fails.
private func register<Function>(
  _ handle: UInt64, _ callback: Callback<Function>, needed: Bool = true,
  _ body: (Ref<Server>) throws(Failure) -> Int32
) -> Int32 {
  let result = boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      try server.whileIdle { () throws(Failure) in
        if needed, !callback.isSet { throw Failure(.argument, "the function must not be NULL") }
        return try body(server)
      }
    }
  }
  if result < 0 { callback.end() }
  return result
}

private func route(
  _ handle: UInt64, _ method: Int32, _ pattern: UnsafePointer<CChar>?,
  _ callback: Callback<HandlerFunction>, isStreamed: Bool = false
) -> Int32 {
  unsafe register(handle, callback, needed: isStreamed) { server throws(Failure) in
    guard method == Router.anyMethod || Method.name(method) != nil else {
      throw Failure(.argument, "no method has this number")
    }
    let pattern = try unsafe text(pattern)
    let route = unsafe Route(
      method: method, methodName: ByteBuffer(), handler: callback, isStreamed: isStreamed)
    return try server.o.router.add(route, pattern: pattern.bytes)
  }
}

@_cdecl("apus_server_route")
public func apusServerRoute(
  _ handle: UInt64, _ method: Int32, _ pattern: UnsafePointer<CChar>?,
  _ function: apus_handler_fn?, _ context: UnsafeMutableRawPointer?, _ drop: apus_drop_fn?
) -> Int32 {
  unsafe route(handle, method, pattern, Callback(function, context, drop))
}

@_cdecl("apus_server_route_stream")
public func apusServerRouteStream(
  _ handle: UInt64, _ method: Int32, _ pattern: UnsafePointer<CChar>?,
  _ function: apus_handler_fn?, _ context: UnsafeMutableRawPointer?, _ drop: apus_drop_fn?
) -> Int32 {
  unsafe route(handle, method, pattern, Callback(function, context, drop), isStreamed: true)
}

@_cdecl("apus_server_route_named")
public func apusServerRouteNamed(
  _ handle: UInt64, _ method: UnsafePointer<CChar>?, _ pattern: UnsafePointer<CChar>?,
  _ function: apus_handler_fn?, _ context: UnsafeMutableRawPointer?, _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback<HandlerFunction>(function, context, drop)
  return unsafe register(handle, callback, needed: false) { server throws(Failure) in
    let method = try unsafe text(method)
    let pattern = try unsafe text(pattern)
    guard method.bytes.isToken, method.count <= RequestLine.longestMethod else {
      throw Failure(.argument, "a method is a token of at most 32 bytes")
    }
    var name = ByteBuffer()
    name.append(method.bytes)
    if name.failed { throw .noMemory }
    let route = unsafe Route(
      method: Method.number(method.bytes), methodName: name, handler: callback,
      isStreamed: false)
    return try server.o.router.add(route, pattern: pattern.bytes)
  }
}

@_cdecl("apus_server_get")
public func apusServerGet(
  _ handle: UInt64, _ pattern: UnsafePointer<CChar>?, _ function: apus_handler_fn?,
  _ context: UnsafeMutableRawPointer?, _ drop: apus_drop_fn?
) -> Int32 {
  unsafe route(handle, Method.get, pattern, Callback(function, context, drop))
}

@_cdecl("apus_server_head")
public func apusServerHead(
  _ handle: UInt64, _ pattern: UnsafePointer<CChar>?, _ function: apus_handler_fn?,
  _ context: UnsafeMutableRawPointer?, _ drop: apus_drop_fn?
) -> Int32 {
  unsafe route(handle, Method.head, pattern, Callback(function, context, drop))
}

@_cdecl("apus_server_post")
public func apusServerPost(
  _ handle: UInt64, _ pattern: UnsafePointer<CChar>?, _ function: apus_handler_fn?,
  _ context: UnsafeMutableRawPointer?, _ drop: apus_drop_fn?
) -> Int32 {
  unsafe route(handle, Method.post, pattern, Callback(function, context, drop))
}

@_cdecl("apus_server_put")
public func apusServerPut(
  _ handle: UInt64, _ pattern: UnsafePointer<CChar>?, _ function: apus_handler_fn?,
  _ context: UnsafeMutableRawPointer?, _ drop: apus_drop_fn?
) -> Int32 {
  unsafe route(handle, Method.put, pattern, Callback(function, context, drop))
}

@_cdecl("apus_server_patch")
public func apusServerPatch(
  _ handle: UInt64, _ pattern: UnsafePointer<CChar>?, _ function: apus_handler_fn?,
  _ context: UnsafeMutableRawPointer?, _ drop: apus_drop_fn?
) -> Int32 {
  unsafe route(handle, Method.patch, pattern, Callback(function, context, drop))
}

@_cdecl("apus_server_delete")
public func apusServerDelete(
  _ handle: UInt64, _ pattern: UnsafePointer<CChar>?, _ function: apus_handler_fn?,
  _ context: UnsafeMutableRawPointer?, _ drop: apus_drop_fn?
) -> Int32 {
  unsafe route(handle, Method.delete, pattern, Callback(function, context, drop))
}

@_cdecl("apus_server_any")
public func apusServerAny(
  _ handle: UInt64, _ pattern: UnsafePointer<CChar>?, _ function: apus_handler_fn?,
  _ context: UnsafeMutableRawPointer?, _ drop: apus_drop_fn?
) -> Int32 {
  unsafe route(handle, Router.anyMethod, pattern, Callback(function, context, drop))
}

@_cdecl("apus_server_websocket")
public func apusServerWebsocket(
  _ handle: UInt64, _ pattern: UnsafePointer<CChar>?, _ function: apus_open_fn?,
  _ context: UnsafeMutableRawPointer?, _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback<OpenFunction>(function, context, drop)
  let result = unsafe register(handle, callback, needed: false) { server throws(Failure) in
    let pattern = try unsafe text(pattern)
    guard let channels = Ref<ChannelRoute>(make: ChannelRoute()) else { throw .noMemory }
    if unsafe callback.isSet, unsafe !channels.o.listeners.onOpen.append(callback) {
      channels.free()
      throw .noMemory
    }
    var route = unsafe Route(
      method: Method.get, methodName: ByteBuffer(), handler: .none, isStreamed: false)
    route.channels = channels
    return try server.o.router.add(route, pattern: pattern.bytes)
  }
  // Nothing will be called.
  if result >= 0, unsafe !callback.isSet { unsafe callback.end() }
  return result
}

// ---- listeners

@_cdecl("apus_server_on_connect")
public func apusServerOnConnect(
  _ handle: UInt64, _ function: apus_connection_fn?, _ context: UnsafeMutableRawPointer?,
  _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback<ConnectionFunction>(function, context, drop)
  return unsafe register(handle, callback) { server throws(Failure) in
    guard unsafe server.o.onConnect.append(callback) else { throw .noMemory }
    return 0
  }
}

@_cdecl("apus_server_on_disconnect")
public func apusServerOnDisconnect(
  _ handle: UInt64, _ function: apus_connection_fn?, _ context: UnsafeMutableRawPointer?,
  _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback<ConnectionFunction>(function, context, drop)
  return unsafe register(handle, callback) { server throws(Failure) in
    guard unsafe server.o.onDisconnect.append(callback) else { throw .noMemory }
    return 0
  }
}

@_cdecl("apus_server_on_receive")
public func apusServerOnReceive(
  _ handle: UInt64, _ function: apus_handler_fn?, _ context: UnsafeMutableRawPointer?,
  _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback<HandlerFunction>(function, context, drop)
  return unsafe register(handle, callback) { server throws(Failure) in
    guard unsafe server.o.onReceive.append(callback) else { throw .noMemory }
    return 0
  }
}

@_cdecl("apus_server_on_reply")
public func apusServerOnReply(
  _ handle: UInt64, _ function: apus_replied_fn?, _ context: UnsafeMutableRawPointer?,
  _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback<RepliedFunction>(function, context, drop)
  return unsafe register(handle, callback) { server throws(Failure) in
    guard unsafe server.o.onReply.append(callback) else { throw .noMemory }
    return 0
  }
}

@_cdecl("apus_server_on_error")
public func apusServerOnError(
  _ handle: UInt64, _ function: apus_failed_fn?, _ context: UnsafeMutableRawPointer?,
  _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback<FailedFunction>(function, context, drop)
  return unsafe register(handle, callback) { server throws(Failure) in
    guard unsafe server.o.onError.append(callback) else { throw .noMemory }
    return 0
  }
}

@_cdecl("apus_server_on_tick")
public func apusServerOnTick(
  _ handle: UInt64, _ function: apus_server_fn?, _ context: UnsafeMutableRawPointer?,
  _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback<ServerFunction>(function, context, drop)
  return unsafe register(handle, callback) { server throws(Failure) in
    guard unsafe server.o.onTick.append(callback) else { throw .noMemory }
    return 0
  }
}

@_cdecl("apus_server_on_access")
public func apusServerOnAccess(
  _ handle: UInt64, _ function: apus_access_fn?, _ context: UnsafeMutableRawPointer?,
  _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback<AccessFunction>(function, context, drop)
  return unsafe register(handle, callback) { server throws(Failure) in
    if unsafe server.o.onAccess.isSet { throw Failure(.state, "there is an access log already") }
    unsafe server.o.onAccess = unsafe callback
    return 0
  }
}
