// Section 12 of the header: channels that make their connections themselves.

import CApus

@_cdecl("apus_channel_make")
public func apusChannelMake(_ host: UInt64) -> UInt64 {
  boundary(failing: 0) { () throws(Failure) in
    try withHost(host) { server throws(Failure) in
      try Ref<ChannelClient>.make(on: server).bits
    }
  }
}

@_cdecl("apus_channel_adopt")
public func apusChannelAdopt(
  _ host: UInt64, _ descriptor: Int32, _ role: Int32, _ path: UnsafePointer<CChar>?
) -> UInt64 {
  boundary(failing: 0) { () throws(Failure) in
    try withHost(host) { server throws(Failure) in
      guard let role = Role(rawValue: role) else {
        throw Failure(.argument, "no such role")
      }
      let path = unsafe path.map { unsafe Text(characters: $0) } ?? Text("")
      return try server.adopt(descriptor, as: role, path: path.bytes).bits
    }
  }
}

/// The client's part of a channel, and no lock.
private func withCaller<Result>(
  _ handle: UInt64, _ body: (Ref<ChannelClient>) throws(Failure) -> Result
) throws(Failure) -> Result {
  try withChannel(handle) { channel throws(Failure) in
    guard let client = channel.asClient else {
      throw Failure(.state, "the channel's connection was made elsewhere")
    }
    return try body(client)
  }
}

/// An option, while the channel is closed.
private func set(_ handle: UInt64, _ body: (Ref<ChannelClient>) throws(Failure) -> Void) -> Int32 {
  boundary { () throws(Failure) in
    try withCaller(handle) { client throws(Failure) in
      try client.change { () throws(Failure) in try body(client) }
      return 0
    }
  }
}

/// Puts a text in the place of another.
private func replace(_ buffer: inout ByteBuffer, _ text: Text) throws(Failure) {
  var new = ByteBuffer()
  new.append(text.bytes)
  if new.failed { throw .noMemory }
  swap(&new, &buffer)
}

@_cdecl("apus_channel_add_header")
public func apusChannelAddHeader(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?
) -> Int32 {
  set(handle) { client throws(Failure) in
    let name = try unsafe text(name)
    let value = try unsafe text(value)
    try client.addField(name.bytes, value.bytes)
  }
}

@_cdecl("apus_channel_set_protocols")
public func apusChannelSetProtocols(_ handle: UInt64, _ protocols: UnsafePointer<CChar>?) -> Int32 {
  set(handle) { client throws(Failure) in
    let given = try unsafe text(protocols)
    var list = ProtocolList()
    guard given.count == 0 || (list.take(given.bytes) && list.isValid) else {
      throw Failure(.argument, "subprotocols are different tokens with commas between")
    }
    try replace(&client.o.protocols, given)
  }
}

@_cdecl("apus_channel_set_origin")
public func apusChannelSetOrigin(_ handle: UInt64, _ origin: UnsafePointer<CChar>?) -> Int32 {
  set(handle) { client throws(Failure) in
    let given = try unsafe text(origin)
    guard given.bytes.isFieldValue else {
      throw Failure(.argument, "the origin holds a control character")
    }
    try replace(&client.o.origin, given)
  }
}

@_cdecl("apus_channel_set_max_message")
public func apusChannelSetMaxMessage(_ handle: UInt64, _ bytes: Int64) -> Int32 {
  set(handle) { client throws(Failure) in
    try check(bytes, in: 1...(1 << 40))
    client.o.messages.message = Int(bytes)
  }
}

@_cdecl("apus_channel_set_max_fragments")
public func apusChannelSetMaxFragments(_ handle: UInt64, _ frames: Int32) -> Int32 {
  set(handle) { client throws(Failure) in
    try check(frames, in: 1...1_000_000)
    client.o.messages.frames = Int(frames)
  }
}

@_cdecl("apus_channel_set_max_controls")
public func apusChannelSetMaxControls(_ handle: UInt64, _ perSecond: Int32) -> Int32 {
  set(handle) { client throws(Failure) in
    try check(perSecond, in: 1...1_000_000)
    client.o.messages.controls = Int(perSecond)
  }
}

@_cdecl("apus_channel_set_deflate")
public func apusChannelSetDeflate(_ handle: UInt64, _ on: Int32) -> Int32 {
  set(handle) { client throws(Failure) in
    try check(on, in: 0...1)
    client.o.deflates = on == 1
  }
}

@_cdecl("apus_channel_set_frames")
public func apusChannelSetFrames(_ handle: UInt64, _ on: Int32) -> Int32 {
  set(handle) { client throws(Failure) in
    try check(on, in: 0...1)
    client.o.givesFrames = on == 1
  }
}

@_cdecl("apus_channel_set_connect_timeout")
public func apusChannelSetConnectTimeout(_ handle: UInt64, _ milliseconds: Int32) -> Int32 {
  set(handle) { client throws(Failure) in
    try check(milliseconds, in: 0...86_400_000)
    client.o.connectTimeout = Int64(milliseconds)
  }
}

@_cdecl("apus_channel_set_reconnect")
public func apusChannelSetReconnect(
  _ handle: UInt64, _ attempts: Int32, _ least: Int32, _ most: Int32
) -> Int32 {
  set(handle) { client throws(Failure) in
    try check(attempts, in: -1...Int32.max)
    try check(least, in: 1...86_400_000)
    try check(most, in: least...max(least, 86_400_000))
    client.o.backoff.attempts = attempts
    client.o.backoff.least = Int64(least)
    client.o.backoff.most = Int64(most)
  }
}

@_cdecl("apus_channel_set_queue_policy")
public func apusChannelSetQueuePolicy(_ handle: UInt64, _ policy: Int32, _ bytes: Int64) -> Int32 {
  set(handle) { client throws(Failure) in
    guard let policy = Outbox.Policy(rawValue: policy) else {
      throw Failure(.argument, "no such policy")
    }
    try check(bytes, in: (policy == .refuse ? 0 : 1)...(1 << 40))
    client.o.channel.o.caller?.o.outbox.policy = policy
    client.o.channel.o.caller?.o.outbox.limit = bytes
  }
}

// ---- its life

@_cdecl("apus_channel_open")
public func apusChannelOpen(_ handle: UInt64, _ url: UnsafePointer<CChar>?) -> Int32 {
  boundary { () throws(Failure) in
    try withCaller(handle) { client throws(Failure) in
      try client.open(unsafe text(url))
      return 0
    }
  }
}

@_cdecl("apus_channel_wait_open")
public func apusChannelWaitOpen(_ handle: UInt64, _ timeout: Int32) -> Int32 {
  boundary { () throws(Failure) in
    guard timeout >= -1 else { throw Failure(.argument, "a time limit is -1 or more") }
    return try withCaller(handle) { client throws(Failure) in
      try client.waitUntilOpen(timeout: timeout) ? 1 : 0
    }
  }
}

@_cdecl("apus_channel_reset")
public func apusChannelReset(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withCaller(handle) { client throws(Failure) in
      client.o.channel.locked { client.reset() }
      return 0
    }
  }
}

@_cdecl("apus_channel_status")
public func apusChannelStatus(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withCaller(handle) { client throws(Failure) in
      client.o.channel.locked { client.o.status }
    }
  }
}

@_cdecl("apus_channel_dropped")
public func apusChannelDropped(_ handle: UInt64) -> Int64 {
  let value: Int64 = boundary(failing: -1) { () throws(Failure) in
    try withCaller(handle) { client throws(Failure) in
      client.o.channel.locked { client.o.channel.o.caller?.o.outbox.dropped ?? 0 }
    }
  }
  return value == -1 ? Int64(ThreadContext.error) : value
}
