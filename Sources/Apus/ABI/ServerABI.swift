// Section 4 of the header: a server's listeners, its running and its counters.

import CApus

private func listen(
  _ handle: UInt64, _ make: (Listener.Options) throws(Failure) -> Ref<Listener>
) -> Int32 {
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      if !server.isInCallback { server.reapIfStopped() }
      return try server.whileIdle { () throws(Failure) in
        guard server.o.listeners.count < 64 else {
          throw Failure(.full, "a server has at most 64 listeners")
        }
        let listener = try make(server.o.options.listener)
        guard server.o.listeners.append(listener) else {
          listener.free()
          throw .noMemory
        }
        return Int32(truncatingIfNeeded: server.o.listeners.count &- 1)
      }
    }
  }
}

@_cdecl("apus_server_listen")
public func apusServerListen(_ handle: UInt64, _ host: UnsafePointer<CChar>?, _ port: Int32)
  -> Int32
{
  listen(handle) { options throws(Failure) in
    try check(port, in: 0...65_535)
    return try unsafe Listener.tcp(host, port: port, options)
  }
}

@_cdecl("apus_server_listen_tls")
public func apusServerListenTLS(_ handle: UInt64, _ host: UnsafePointer<CChar>?, _ port: Int32)
  -> Int32
{
  let result = boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      try server.checkHasCertificate()
      return 0
    }
  }
  if result < 0 { return result }
  return listen(handle) { options throws(Failure) in
    try check(port, in: 0...65_535)
    let listener = try unsafe Listener.tcp(host, port: port, options)
    listener.o.isSecure = true
    return listener
  }
}

@_cdecl("apus_server_set_listener_tls")
public func apusServerSetListenerTLS(_ handle: UInt64, _ listener: Int32, _ on: Int32) -> Int32 {
  boundary { () throws(Failure) in
    try check(on, in: 0...1)
    return try withServer(handle) { server throws(Failure) in
      if on == 1 { try server.checkHasCertificate() }
      return try server.whileIdle { () throws(Failure) in
        guard listener >= 0, Int(listener) < server.o.listeners.count else {
          throw Failure(.notFound, "no listener has this index")
        }
        server.o.listeners[Int(listener)].o.isSecure = on == 1
        return 0
      }
    }
  }
}

extension Ref where Object == Server {
  fileprivate func checkHasCertificate() throws(Failure) {
    if try tlsServer().isEmpty {
      throw Failure(.state, "a certificate comes before a listener for TLS")
    }
  }
}

@_cdecl("apus_server_listen_unix")
public func apusServerListenUnix(_ handle: UInt64, _ path: UnsafePointer<CChar>?) -> Int32 {
  listen(handle) { options throws(Failure) in
    try unsafe Listener.unix(text(path).characters, options)
  }
}

@_cdecl("apus_server_adopt_listener")
public func apusServerAdoptListener(_ handle: UInt64, _ descriptor: Int32) -> Int32 {
  listen(handle) { options throws(Failure) in try Listener.adopt(descriptor, options) }
}

@_cdecl("apus_server_adopt_connection")
public func apusServerAdoptConnection(_ handle: UInt64, _ descriptor: Int32) -> Int32 {
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      try server.adopt(descriptor)
      return 0
    }
  }
}

@_cdecl("apus_server_port")
public func apusServerPort(_ handle: UInt64, _ index: Int32) -> Int32 {
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      server.o.lock.lock()
      defer { server.o.lock.unlock() }
      guard index >= 0, Int(index) < server.o.listeners.count else {
        throw Failure(.notFound, "no listener has this index")
      }
      return server.o.listeners[Int(index)].o.port
    }
  }
}

@_cdecl("apus_server_start")
public func apusServerStart(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      try server.start()
      return 0
    }
  }
}

@_cdecl("apus_server_serve")
public func apusServerServe(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      try server.serve()
      return 0
    }
  }
}

@_cdecl("apus_server_stop")
public func apusServerStop(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      try server.stop()
      return 0
    }
  }
}

@_cdecl("apus_server_is_running")
public func apusServerIsRunning(_ handle: UInt64) -> Int32 {
  boundary(failing: 0) { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      if !server.isInCallback { server.reapIfStopped(isTaken: true) }
      return server.isRunning ? 1 : 0
    }
  }
}

@_cdecl("apus_server_is_accepting")
public func apusServerIsAccepting(_ handle: UInt64) -> Int32 {
  boundary(failing: 0) { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in server.isAccepting ? 1 : 0 }
  }
}

@_cdecl("apus_server_tick")
public func apusServerTick(_ handle: UInt64, _ timeout: Int32) -> Int32 {
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      guard timeout >= -1 else { throw Failure(.argument, "a time limit is -1 or more") }
      let count = try server.whileTicking { () throws(Failure) in server.tick(timeout: timeout) }
      server.reapIfStopped(isTaken: server.isPulledElsewhere)
      return count
    }
  }
}

@_cdecl("apus_server_next")
public func apusServerNext(
  _ handle: UInt64, _ event: UnsafeMutablePointer<apus_event>?, _ timeout: Int32
) -> Int32 {
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      guard let event = unsafe event else { throw Failure(.argument, "no place for the event") }
      return try unsafe next(of: server, timeout, event)
    }
  }
}

/// The next event of a server or a client.
func next(of server: Ref<Server>, _ timeout: Int32, _ event: UnsafeMutablePointer<apus_event>)
  throws(Failure) -> Int32
{
  guard timeout >= -1 else { throw Failure(.argument, "a time limit is -1 or more") }
  let pulled = try server.whileTicking { () throws(Failure) in
    guard server.canBePulled else {
      throw Failure(.state, "with worker dispatch there is nothing to take")
    }
    return server.next(timeout: timeout)
  }
  server.reapIfStopped(isTaken: true)
  guard let pulled else { return 0 }
  var value = apus_event()
  value.kind = pulled.kind.rawValue
  value.route = pulled.route
  value.handle = pulled.handle
  value.connection = pulled.connection
  unsafe event.pointee = value
  return 1
}

@_cdecl("apus_server_event_fd")
public func apusServerEventFD(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      guard let descriptor = server.eventDescriptor else {
        throw Failure(.state, "the server does not run")
      }
      return descriptor
    }
  }
}

@_cdecl("apus_server_wake")
public func apusServerWake(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      guard server.isRunning else { throw Failure(.state, "the server does not run") }
      server.wake()
      return 0
    }
  }
}

@_cdecl("apus_server_counter")
public func apusServerCounter(_ handle: UInt64, _ number: Int32) -> Int64 {
  let value: Int64 = boundary(failing: -1) { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      guard let counter = Counter(rawValue: number) else {
        throw Failure(.argument, "there is no such counter")
      }
      return server.counter(counter)
    }
  }
  return value == -1 ? Int64(ThreadContext.error) : value
}
