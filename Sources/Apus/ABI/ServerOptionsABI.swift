// Section 4 of the header: a server's making and its options.

import CApus

@_cdecl("apus_server_make")
public func apusServerMake() -> UInt64 {
  boundary(failing: 0) { () throws(Failure) in
    Process.prepare()
    return try Ref<Server>.make().o.handle.bits
  }
}

@_cdecl("apus_server_destroy")
public func apusServerDestroy(_ handle: UInt64) -> Int32 {
  boundary(failing: 0) { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      guard Slots.end(server.o.slot, server.o.handle).ended else { throw .deadHandle }
      server.destroy()
      return 1
    }
  }
}

@_cdecl("apus_server_is_alive")
public func apusServerIsAlive(_ handle: UInt64) -> Int32 {
  Slots.isAlive(Handle(bits: handle), .server) && !Process.isForked ? 1 : 0
}

// ---- options

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

private func set<Number: Comparable>(
  _ handle: UInt64, _ number: Number, in range: ClosedRange<Number>,
  _ body: (Ref<Server>) -> Void
) -> Int32 {
  set(handle) { server throws(Failure) in
    try check(number, in: range)
    body(server)
  }
}

@_cdecl("apus_server_set_workers")
public func apusServerSetWorkers(_ handle: UInt64, _ workers: Int32) -> Int32 {
  set(handle, workers, in: -1...256) { $0.o.options.workers = workers }
}

@_cdecl("apus_server_set_dispatch")
public func apusServerSetDispatch(_ handle: UInt64, _ dispatch: Int32) -> Int32 {
  set(handle, dispatch, in: 0...1) { $0.o.options.dispatch = Dispatch(rawValue: dispatch) ?? .tick }
}

@_cdecl("apus_server_set_reuse_address")
public func apusServerSetReuseAddress(_ handle: UInt64, _ on: Int32) -> Int32 {
  set(handle, on, in: 0...1) { $0.o.options.listener.reuseAddress = on == 1 }
}

@_cdecl("apus_server_set_reuse_port")
public func apusServerSetReusePort(_ handle: UInt64, _ on: Int32) -> Int32 {
  set(handle, on, in: 0...1) { $0.o.options.listener.reusePort = on == 1 }
}

@_cdecl("apus_server_set_dual_stack")
public func apusServerSetDualStack(_ handle: UInt64, _ on: Int32) -> Int32 {
  set(handle, on, in: 0...1) { $0.o.options.listener.dualStack = on == 1 }
}

@_cdecl("apus_server_set_backlog")
public func apusServerSetBacklog(_ handle: UInt64, _ connections: Int32) -> Int32 {
  set(handle, connections, in: 1...65_535) { $0.o.options.listener.backlog = connections }
}

@_cdecl("apus_server_set_server_name")
public func apusServerSetServerName(_ handle: UInt64, _ name: UnsafePointer<CChar>?) -> Int32 {
  set(handle) { server throws(Failure) in
    let name = unsafe name == nil ? Text("") : try text(name)
    guard name.bytes.isFieldValue, name.count <= 256 else {
      throw Failure(.argument, "not a field value of at most 256 bytes")
    }
    server.o.serverLine.clear()
    if name.count == 0 { return }
    server.o.serverLine.append("Server: ")
    server.o.serverLine.append(name.bytes)
    server.o.serverLine.append("\r\n")
    if server.o.serverLine.failed { throw .noMemory }
  }
}

@_cdecl("apus_server_set_max_connections")
public func apusServerSetMaxConnections(_ handle: UInt64, _ count: Int32) -> Int32 {
  set(handle, count, in: 1...16_000_000) { $0.o.options.maxConnections = Int64(count) }
}

@_cdecl("apus_server_set_max_body")
public func apusServerSetMaxBody(_ handle: UInt64, _ bytes: Int64) -> Int32 {
  set(handle, bytes, in: 0...(1 << 53)) { $0.o.options.limits.body = bytes }
}

@_cdecl("apus_server_set_max_head")
public func apusServerSetMaxHead(_ handle: UInt64, _ bytes: Int32) -> Int32 {
  set(handle, bytes, in: 256...1_048_576) { $0.o.options.limits.head = Int(bytes) }
}

@_cdecl("apus_server_set_max_request_line")
public func apusServerSetMaxRequestLine(_ handle: UInt64, _ bytes: Int32) -> Int32 {
  set(handle, bytes, in: 64...1_048_576) { $0.o.options.limits.requestLine = Int(bytes) }
}

@_cdecl("apus_server_set_max_fields")
public func apusServerSetMaxFields(_ handle: UInt64, _ count: Int32) -> Int32 {
  set(handle, count, in: 1...1000) { $0.o.options.limits.fields = Int(count) }
}

@_cdecl("apus_server_set_max_pipelined")
public func apusServerSetMaxPipelined(_ handle: UInt64, _ count: Int32) -> Int32 {
  set(handle, count, in: 1...1024) { $0.o.options.maxPipelined = count }
}

@_cdecl("apus_server_set_max_pending")
public func apusServerSetMaxPending(_ handle: UInt64, _ events: Int32) -> Int32 {
  set(handle, events, in: 1...16_000_000) { $0.o.options.maxPending = Int64(events) }
}

@_cdecl("apus_server_set_max_pending_bytes")
public func apusServerSetMaxPendingBytes(_ handle: UInt64, _ bytes: Int64) -> Int32 {
  set(handle, bytes, in: 0...(1 << 53)) { $0.o.options.maxPendingBytes = bytes }
}

@_cdecl("apus_server_set_high_water")
public func apusServerSetHighWater(_ handle: UInt64, _ bytes: Int64) -> Int32 {
  set(handle, bytes, in: 1024...(1 << 53)) { $0.o.options.highWater = bytes }
}

@_cdecl("apus_server_set_descriptor_reserve")
public func apusServerSetDescriptorReserve(_ handle: UInt64, _ count: Int32) -> Int32 {
  set(handle, count, in: 0...1_000_000) { $0.o.options.descriptorReserve = Int64(count) }
}

@_cdecl("apus_server_set_header_timeout")
public func apusServerSetHeaderTimeout(_ handle: UInt64, _ milliseconds: Int32) -> Int32 {
  set(handle, milliseconds, in: 0...86_400_000) { $0.o.options.headerTimeout = Int64(milliseconds) }
}

@_cdecl("apus_server_set_body_timeout")
public func apusServerSetBodyTimeout(_ handle: UInt64, _ milliseconds: Int32) -> Int32 {
  set(handle, milliseconds, in: 0...86_400_000) { $0.o.options.bodyTimeout = Int64(milliseconds) }
}

@_cdecl("apus_server_set_body_rate")
public func apusServerSetBodyRate(_ handle: UInt64, _ bytes: Int32, _ grace: Int32) -> Int32 {
  set(handle) { server throws(Failure) in
    try check(bytes, in: 0...1_000_000_000)
    try check(grace, in: 1...86_400_000)
    server.o.options.bodyRate = Int64(bytes)
    server.o.options.bodyGrace = Int64(grace)
  }
}

@_cdecl("apus_server_set_write_timeout")
public func apusServerSetWriteTimeout(_ handle: UInt64, _ milliseconds: Int32) -> Int32 {
  set(handle, milliseconds, in: 0...86_400_000) { $0.o.options.writeTimeout = Int64(milliseconds) }
}

@_cdecl("apus_server_set_keep_alive_timeout")
public func apusServerSetKeepAliveTimeout(_ handle: UInt64, _ milliseconds: Int32) -> Int32 {
  set(handle, milliseconds, in: 0...86_400_000) {
    $0.o.options.keepAliveTimeout = Int64(milliseconds)
  }
}

@_cdecl("apus_server_set_drain_timeout")
public func apusServerSetDrainTimeout(_ handle: UInt64, _ milliseconds: Int32) -> Int32 {
  set(handle, milliseconds, in: 0...86_400_000) { $0.o.options.drainTimeout = Int64(milliseconds) }
}
