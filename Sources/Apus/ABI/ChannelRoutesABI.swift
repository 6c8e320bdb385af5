// Section 10 of the header: what a server's channels have in common.

import CApus
import Synchronization

/// What a route for WebSockets has; it is there while the server is idle.
private func channels(_ server: Ref<Server>, _ route: Int32) throws(Failure) -> Ref<ChannelRoute> {
  guard route >= 0, Int(route) < server.o.router.routes.count,
    let channels = server.o.router.routes[Int(route)].o.channels
  else { throw Failure(.argument, "no route for WebSockets has this number") }
  return channels
}

/// Registers a listener of a route; its context is dropped if that fails.
private func listen<Function>(
  _ handle: UInt64, _ route: Int32, _ callback: Callback<Function>,
  _ add: (Ref<ChannelRoute>) -> Bool
) -> Int32 {
  let result = boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      try server.whileIdle { () throws(Failure) in
        guard callback.isSet else { throw Failure(.argument, "the function must not be NULL") }
        guard add(try channels(server, route)) else { throw .noMemory }
        return 0
      }
    }
  }
  if result < 0 { callback.end() }
  return result
}

@_cdecl("apus_server_on_message")
public func apusServerOnMessage(
  _ handle: UInt64, _ route: Int32, _ function: apus_message_fn?,
  _ context: UnsafeMutableRawPointer?, _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback<MessageFunction>(function, context, drop)
  return unsafe listen(handle, route, callback) {
    unsafe $0.o.listeners.onMessage.append(callback)
  }
}

@_cdecl("apus_server_on_close")
public func apusServerOnClose(
  _ handle: UInt64, _ route: Int32, _ function: apus_closed_fn?,
  _ context: UnsafeMutableRawPointer?, _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback<ClosedFunction>(function, context, drop)
  return unsafe listen(handle, route, callback) { unsafe $0.o.listeners.onClose.append(callback) }
}

@_cdecl("apus_server_set_protocols")
public func apusServerSetProtocols(
  _ handle: UInt64, _ route: Int32, _ protocols: UnsafePointer<CChar>?
) -> Int32 {
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      try server.whileIdle { () throws(Failure) in
        let list = try unsafe text(protocols)
        let channels = try channels(server, route)
        var new = ProtocolList()
        guard list.count == 0 || (new.take(list.bytes) && new.isValid) else {
          throw Failure(.argument, "subprotocols are different tokens with commas between")
        }
        swap(&new, &channels.o.protocols)
        return 0
      }
    }
  }
}

@_cdecl("apus_server_set_origin_policy")
public func apusServerSetOriginPolicy(
  _ handle: UInt64, _ policy: Int32, _ origins: UnsafePointer<CChar>?
) -> Int32 {
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      try server.whileIdle { () throws(Failure) in
        guard let policy = OriginPolicy(rawValue: policy) else {
          throw Failure(.argument, "no such origin policy")
        }
        if policy == .list {
          let list = try unsafe text(origins)
          guard server.o.origins.set(list.bytes) else {
            throw Failure(.argument, "an origin is a scheme, a host and perhaps a port")
          }
        }
        server.o.options.originPolicy = policy
        return 0
      }
    }
  }
}

private func set(
  _ handle: UInt64, _ value: Int64, in range: ClosedRange<Int64>,
  _ change: (inout ServerOptions, Int64) -> Void
) -> Int32 {
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      try server.whileIdle { () throws(Failure) in
        try check(value, in: range)
        change(&server.o.options, value)
        return 0
      }
    }
  }
}

@_cdecl("apus_server_set_max_message")
public func apusServerSetMaxMessage(_ handle: UInt64, _ bytes: Int64) -> Int32 {
  set(handle, bytes, in: 1...(1 << 40)) { $0.messages.message = Int($1) }
}

@_cdecl("apus_server_set_max_fragments")
public func apusServerSetMaxFragments(_ handle: UInt64, _ frames: Int32) -> Int32 {
  set(handle, Int64(frames), in: 1...1_000_000) { $0.messages.frames = Int($1) }
}

@_cdecl("apus_server_set_max_controls")
public func apusServerSetMaxControls(_ handle: UInt64, _ perSecond: Int32) -> Int32 {
  set(handle, Int64(perSecond), in: 1...1_000_000) { $0.messages.controls = Int($1) }
}

@_cdecl("apus_server_set_channel_high_water")
public func apusServerSetChannelHighWater(_ handle: UInt64, _ bytes: Int64) -> Int32 {
  set(handle, bytes, in: 1...(1 << 40)) { $0.channelHighWater = $1 }
}

@_cdecl("apus_server_set_channel_inbox")
public func apusServerSetChannelInbox(_ handle: UInt64, _ bytes: Int64) -> Int32 {
  set(handle, bytes, in: 1...(1 << 40)) { $0.channelInbox = $1 }
}

@_cdecl("apus_server_set_channel_close_timeout")
public func apusServerSetChannelCloseTimeout(_ handle: UInt64, _ milliseconds: Int32) -> Int32 {
  set(handle, Int64(milliseconds), in: 1...86_400_000) { $0.channelCloseTimeout = $1 }
}

@_cdecl("apus_server_set_ping_interval")
public func apusServerSetPingInterval(_ handle: UInt64, _ milliseconds: Int32) -> Int32 {
  set(handle, Int64(milliseconds), in: 0...86_400_000) { $0.pingInterval = $1 }
}

@_cdecl("apus_server_set_deflate")
public func apusServerSetDeflate(_ handle: UInt64, _ on: Int32) -> Int32 {
  set(handle, Int64(on), in: 0...1) { $0.deflates = $1 == 1 }
}

@_cdecl("apus_server_set_upgrade_timeout")
public func apusServerSetUpgradeTimeout(_ handle: UInt64, _ milliseconds: Int32) -> Int32 {
  set(handle, Int64(milliseconds), in: 0...86_400_000) { $0.upgradeTimeout = $1 }
}

@_cdecl("apus_server_channel_count")
public func apusServerChannelCount(_ handle: UInt64) -> Int64 {
  boundaryOfLong { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      server.o.channels.load(ordering: .relaxed)
    }
  }
}

@_cdecl("apus_server_next_channel")
public func apusServerNextChannel(_ handle: UInt64, _ previous: UInt64) -> UInt64 {
  boundary(failing: 0) { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      var index = previous == 0 ? 0 : Handle(bits: previous).index &+ 1
      while let found = Slots.next(.channel, from: index) {
        if case .held(let object, let slot) = Slots.pin(found, .channel) {
          let isOwn = unsafe Ref<Channel>(opaque: object).o.server == server
          Slots.unpin(slot)
          if isOwn { return found.bits }
        }
        index = found.index &+ 1
      }
      return 0
    }
  }
}

@_cdecl("apus_server_publish")
public func apusServerPublish(
  _ handle: UInt64, _ topic: UnsafePointer<CChar>?, _ opcode: Int32, _ data: UnsafeRawPointer?,
  _ length: Int, _ except: UInt64
) -> Int32 {
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      let name = try unsafe text(topic)
      guard name.count > 0, name.count <= Topics.longestName else {
        throw Failure(.argument, "a topic's name has 1 to 255 bytes")
      }
      guard opcode == 1 || opcode == 2 else {
        throw Failure(.argument, "a message is text or binary")
      }
      try server.publish(
        unsafe bytes(data, length).bytes, opcode: UInt8(truncatingIfNeeded: opcode),
        to: name.bytes, except: except)
      return 0
    }
  }
}

@_cdecl("apus_server_subscriber_count")
public func apusServerSubscriberCount(_ handle: UInt64, _ topic: UnsafePointer<CChar>?) -> Int64 {
  boundaryOfLong { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      let name = try unsafe text(topic)
      guard let topic = server.o.topics.use(name.bytes, makes: false) else { return 0 }
      let count = topic.o.count.load(ordering: .relaxed)
      server.o.topics.leave(topic)
      return count
    }
  }
}
