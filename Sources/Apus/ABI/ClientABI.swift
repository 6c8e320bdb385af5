// Section 12 of the header: clients, which are servers without listeners and routes.

import CApus

@_cdecl("apus_client_make")
public func apusClientMake() -> UInt64 {
  boundary(failing: 0) { () throws(Failure) in
    Process.prepare()
    let client = try Ref<Server>.make(.client)
    client.o.options.workers = 1
    return client.o.handle.bits
  }
}

@_cdecl("apus_client_destroy")
public func apusClientDestroy(_ handle: UInt64) -> Int32 {
  boundary(failing: 0) { () throws(Failure) in
    try withClient(handle) { client throws(Failure) in
      guard Slots.end(client.o.slot, client.o.handle).ended else { throw .deadHandle }
      client.destroy()
      return 1
    }
  }
}

@_cdecl("apus_client_is_alive")
public func apusClientIsAlive(_ handle: UInt64) -> Int32 {
  Slots.isAlive(Handle(bits: handle), .client) && !Process.isForked ? 1 : 0
}

private func set(_ handle: UInt64, _ body: (Ref<Server>) throws(Failure) -> Void) -> Int32 {
  boundary { () throws(Failure) in
    try withClient(handle) { client throws(Failure) in
      try client.whileIdle { () throws(Failure) in try body(client) }
      return 0
    }
  }
}

@_cdecl("apus_client_set_workers")
public func apusClientSetWorkers(_ handle: UInt64, _ workers: Int32) -> Int32 {
  set(handle) { client throws(Failure) in
    try check(workers, in: -1...256)
    client.o.options.workers = workers
  }
}

@_cdecl("apus_client_set_dispatch")
public func apusClientSetDispatch(_ handle: UInt64, _ dispatch: Int32) -> Int32 {
  set(handle) { client throws(Failure) in
    try check(dispatch, in: 0...1)
    client.o.options.dispatch = Dispatch(rawValue: dispatch) ?? .tick
  }
}

@_cdecl("apus_client_set_channel_high_water")
public func apusClientSetChannelHighWater(_ handle: UInt64, _ bytes: Int64) -> Int32 {
  set(handle) { client throws(Failure) in
    try check(bytes, in: 1...(1 << 40))
    client.o.options.channelHighWater = bytes
  }
}

@_cdecl("apus_client_set_channel_inbox")
public func apusClientSetChannelInbox(_ handle: UInt64, _ bytes: Int64) -> Int32 {
  set(handle) { client throws(Failure) in
    try check(bytes, in: 1...(1 << 40))
    client.o.options.channelInbox = bytes
  }
}

@_cdecl("apus_client_set_channel_close_timeout")
public func apusClientSetChannelCloseTimeout(_ handle: UInt64, _ milliseconds: Int32) -> Int32 {
  set(handle) { client throws(Failure) in
    try check(milliseconds, in: 1...86_400_000)
    client.o.options.channelCloseTimeout = Int64(milliseconds)
  }
}

@_cdecl("apus_client_tick")
public func apusClientTick(_ handle: UInt64, _ timeout: Int32) -> Int32 {
  boundary { () throws(Failure) in
    try withClient(handle) { client throws(Failure) in
      guard timeout >= -1 else { throw Failure(.argument, "a time limit is -1 or more") }
      try client.startIfIdle()
      return try client.whileTicking { () throws(Failure) in client.tick(timeout: timeout) }
    }
  }
}

@_cdecl("apus_client_next")
public func apusClientNext(
  _ handle: UInt64, _ event: UnsafeMutablePointer<apus_event>?, _ timeout: Int32
) -> Int32 {
  boundary { () throws(Failure) in
    try withClient(handle) { client throws(Failure) in
      guard let event = unsafe event else { throw Failure(.argument, "no place for the event") }
      try client.startIfIdle()
      return try unsafe next(of: client, timeout, event)
    }
  }
}

@_cdecl("apus_client_event_fd")
public func apusClientEventFD(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withClient(handle) { client throws(Failure) in
      try client.startIfIdle()
      guard let descriptor = client.eventDescriptor else {
        throw Failure(.state, "the client does not run")
      }
      return descriptor
    }
  }
}

@_cdecl("apus_client_wake")
public func apusClientWake(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withClient(handle) { client throws(Failure) in
      try client.startIfIdle()
      client.wake()
      return 0
    }
  }
}
