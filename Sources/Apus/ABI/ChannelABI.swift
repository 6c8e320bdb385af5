// Section 10 of the header: WebSocket channels.

import CApus
import Synchronization

@inline(__always)
func withChannel<Result>(
  _ handle: UInt64, _ body: (Ref<Channel>) throws(Failure) -> Result
) throws(Failure) -> Result {
  let access = try ChannelAccess(handle)
  defer { if let slot = access.slot { Slots.unpin(slot) } }
  return try body(access.channel)
}

/// A channel in use by a call. In its own callback there is nothing to look up.
private struct ChannelAccess {
  let channel: Ref<Channel>
  /// Where a pin must be given back.
  let slot: Ref<Slot>?

  @inline(__always)
  init(_ handle: UInt64) throws(Failure) {
    if handle >> 48 == UInt64(Kind.channel.rawValue),
      let object = unsafe ThreadContext.exchange(of: handle)
    {
      let channel = unsafe Ref<Channel>(opaque: object)
      if Slots.isAlive(Handle(bits: handle), in: channel.o.slot) {
        self.init(channel, nil)
        return
      }
    }
    self = try ChannelAccess.find(handle)
  }

  private init(_ channel: Ref<Channel>, _ slot: Ref<Slot>?) {
    self.channel = channel
    self.slot = slot
  }

  @inline(never)
  private static func find(_ handle: UInt64) throws(Failure) -> ChannelAccess {
    guard case .held(let object, let slot) = Slots.pin(Handle(bits: handle), .channel) else {
      throw .deadHandle
    }
    return ChannelAccess(unsafe Ref<Channel>(opaque: object), slot)
  }
}

/// With the channel's lock, for functions that only tell whether it worked.
@inline(__always)
private func change(_ handle: UInt64, _ body: (Ref<Channel>) throws(Failure) -> Void) -> Int32 {
  boundary { () throws(Failure) in
    try withChannel(handle) { channel throws(Failure) in
      try channel.locked { () throws(Failure) in try body(channel) }
      return 0
    }
  }
}

@_cdecl("apus_channel_destroy")
public func apusChannelDestroy(_ handle: UInt64) -> Int32 {
  boundary(failing: 0) { () throws(Failure) in
    switch Slots.pin(Handle(bits: handle), .channel) {
    case .held(let object, let slot):
      defer { Slots.unpin(slot) }
      let channel = unsafe Ref<Channel>(opaque: object)
      guard channel.end(Handle(bits: handle)) else { throw .deadHandle }
      channel.locked { channel.breakOff() }
      channel.cancel()
      return 1
    default: throw .deadHandle
    }
  }
}

@_cdecl("apus_channel_is_alive")
public func apusChannelIsAlive(_ handle: UInt64) -> Int32 {
  Slots.isAlive(Handle(bits: handle), .channel) && !Process.isForked ? 1 : 0
}

@_cdecl("apus_channel_keep")
public func apusChannelKeep(_ handle: UInt64) -> Int32 {
  change(handle) { channel throws(Failure) in channel.o.isKept = true }
}

// ---- what it is

@_cdecl("apus_channel_state")
public func apusChannelState(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withChannel(handle) { channel throws(Failure) in
      channel.locked { Int32(channel.o.state.rawValue) }
    }
  }
}

@_cdecl("apus_channel_is_connected")
public func apusChannelIsConnected(_ handle: UInt64) -> Int32 {
  boundary(failing: 0) { () throws(Failure) in
    try withChannel(handle) { channel throws(Failure) in
      channel.locked { channel.o.state == .open ? 1 : 0 }
    }
  }
}

@_cdecl("apus_channel_role")
public func apusChannelRole(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withChannel(handle) { channel throws(Failure) in channel.o.role.rawValue }
  }
}

@_cdecl("apus_channel_id")
public func apusChannelId(_ handle: UInt64) -> UInt64 {
  boundary(failing: 0) { () throws(Failure) in
    try withChannel(handle) { channel throws(Failure) in
      channel.locked { channel.o.id }
    }
  }
}

@_cdecl("apus_channel_server")
public func apusChannelServer(_ handle: UInt64) -> UInt64 {
  boundary(failing: 0) { () throws(Failure) in
    try withChannel(handle) { channel throws(Failure) in channel.o.server.o.handle.bits }
  }
}

private func fact(_ handle: UInt64, _ text: (Ref<Channel>) -> Text) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withChannel(handle) { channel throws(Failure) in
      unsafe channel.locked { text(channel) }.characters
    }
  }
}

@_cdecl("apus_channel_path")
public func apusChannelPath(_ handle: UInt64) -> UnsafePointer<CChar>? {
  unsafe fact(handle) { $0.path }
}

@_cdecl("apus_channel_protocol")
public func apusChannelProtocol(_ handle: UInt64) -> UnsafePointer<CChar>? {
  unsafe fact(handle) { $0.subprotocol }
}

@_cdecl("apus_channel_key")
public func apusChannelKey(_ handle: UInt64) -> UnsafePointer<CChar>? {
  unsafe fact(handle) { $0.key }
}

@_cdecl("apus_channel_last_pong_ms")
public func apusChannelLastPongMs(_ handle: UInt64) -> Int64 {
  boundary(failing: Int64.min) { () throws(Failure) in
    try withChannel(handle) { channel throws(Failure) in
      channel.locked {
        channel.o.lastPong == 0 ? -1 : max(0, Clock.now &- channel.o.lastPong) / 1000
      }
    }
  }
}

// ---- sending

@_cdecl("apus_channel_send_text")
public func apusChannelSendText(_ handle: UInt64, _ data: UnsafeRawPointer?, _ length: Int)
  -> Int32
{
  change(handle) { channel throws(Failure) in
    try channel.send(unsafe bytes(data, length).bytes, opcode: Opcode.text)
  }
}

@_cdecl("apus_channel_send_binary")
public func apusChannelSendBinary(_ handle: UInt64, _ data: UnsafeRawPointer?, _ length: Int)
  -> Int32
{
  change(handle) { channel throws(Failure) in
    try channel.send(unsafe bytes(data, length).bytes, opcode: Opcode.binary)
  }
}

@_cdecl("apus_channel_send")
public func apusChannelSend(
  _ handle: UInt64, _ opcode: Int32, _ final: Int32, _ data: UnsafeRawPointer?, _ length: Int
) -> Int32 {
  change(handle) { channel throws(Failure) in
    try check(opcode, in: 0...15)
    try check(final, in: 0...1)
    guard UInt8(truncatingIfNeeded: opcode) != Opcode.close else {
      throw Failure(.argument, "a Close is sent by apus_channel_close")
    }
    try channel.send(
      unsafe bytes(data, length).bytes, opcode: UInt8(truncatingIfNeeded: opcode),
      isFinal: final == 1)
  }
}

@_cdecl("apus_channel_send_fragments")
public func apusChannelSendFragments(
  _ handle: UInt64, _ opcode: Int32, _ data: UnsafeRawPointer?, _ length: Int, _ size: Int
) -> Int32 {
  change(handle) { channel throws(Failure) in
    guard opcode == 1 || opcode == 2 else {
      throw Failure(.argument, "a message is text or binary")
    }
    guard size > 0 else { throw Failure(.argument, "a fragment holds a byte at least") }
    try channel.send(
      unsafe bytes(data, length).bytes, opcode: UInt8(truncatingIfNeeded: opcode),
      inFramesOf: size)
  }
}

@_cdecl("apus_channel_ping")
public func apusChannelPing(_ handle: UInt64, _ data: UnsafeRawPointer?, _ length: Int) -> Int32 {
  change(handle) { channel throws(Failure) in
    try channel.send(unsafe bytes(data, length).bytes, opcode: Opcode.ping)
  }
}

@_cdecl("apus_channel_pong")
public func apusChannelPong(_ handle: UInt64, _ data: UnsafeRawPointer?, _ length: Int) -> Int32 {
  change(handle) { channel throws(Failure) in
    try channel.send(unsafe bytes(data, length).bytes, opcode: Opcode.pong)
  }
}

@_cdecl("apus_channel_close")
public func apusChannelClose(
  _ handle: UInt64, _ code: Int32, _ reason: UnsafeRawPointer?, _ length: Int
) -> Int32 {
  change(handle) { channel throws(Failure) in
    let reason = try unsafe bytes(reason, length)
    guard code == 0 || CloseCode.isOnWire(UInt16(clamping: code)) else {
      throw Failure(.argument, "that close code must not be sent")
    }
    // Nothing is open yet, or any more: there is nobody to tell.
    if channel.o.state == .connecting, let client = channel.asClient { return client.reset() }
    try channel.closeForGood(
      code: code == 0 ? nil : UInt16(clamping: code), reason: reason.bytes)
  }
}

@_cdecl("apus_channel_buffered")
public func apusChannelBuffered(_ handle: UInt64) -> Int64 {
  boundaryOfLong { () throws(Failure) in
    try withChannel(handle) { channel throws(Failure) in channel.locked { channel.buffered } }
  }
}

@_cdecl("apus_channel_set_high_water")
public func apusChannelSetHighWater(_ handle: UInt64, _ bytes: Int64) -> Int32 {
  change(handle) { channel throws(Failure) in
    try check(bytes, in: 1...(1 << 40))
    channel.o.highWater = bytes
  }
}

@_cdecl("apus_channel_set_events")
public func apusChannelSetEvents(_ handle: UInt64, _ on: Int32) -> Int32 {
  boundary { () throws(Failure) in
    try withChannel(handle) { channel throws(Failure) in
      try check(on, in: 0...1)
      if !channel.setEvents(on == 1) { throw .noMemory }
      return 0
    }
  }
}

@_cdecl("apus_channel_set_close_when_full")
public func apusChannelSetCloseWhenFull(_ handle: UInt64, _ on: Int32) -> Int32 {
  change(handle) { channel throws(Failure) in
    try check(on, in: 0...1)
    channel.o.closesWhenFull = on == 1
  }
}

@_cdecl("apus_channel_set_ping")
public func apusChannelSetPing(_ handle: UInt64, _ interval: Int32, _ deadline: Int32) -> Int32 {
  change(handle) { channel throws(Failure) in
    try check(interval, in: 0...86_400_000)
    try check(deadline, in: 0...86_400_000)
    channel.setPing(interval: Int64(interval), deadline: Int64(deadline))
  }
}

// ---- topics

@_cdecl("apus_channel_subscribe")
public func apusChannelSubscribe(_ handle: UInt64, _ topic: UnsafePointer<CChar>?) -> Int32 {
  change(handle) { channel throws(Failure) in
    try channel.ask(for: unsafe text(topic).bytes, joins: true)
  }
}

@_cdecl("apus_channel_unsubscribe")
public func apusChannelUnsubscribe(_ handle: UInt64, _ topic: UnsafePointer<CChar>?) -> Int32 {
  change(handle) { channel throws(Failure) in
    try channel.ask(for: unsafe text(topic).bytes, joins: false)
  }
}
