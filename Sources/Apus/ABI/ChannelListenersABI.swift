// Section 10 of the header: what a channel tells, and what is received of it.

import CApus

// ---- listeners

private func listen<Function>(
  _ handle: UInt64, _ callback: Callback<Function>, isMessage: Bool = false,
  _ add: (Ref<ChannelListeners>) -> Bool
) -> Int32 {
  let result = boundary { () throws(Failure) in
    try withChannel(handle) { channel throws(Failure) in
      guard callback.isSet else { throw Failure(.argument, "the function must not be NULL") }
      try channel.locked { () throws(Failure) in
        guard let listeners = channel.listening(), add(listeners) else { throw .noMemory }
        channel.listenersChanged(hears: isMessage)
      }
      return 0
    }
  }
  if result < 0 { callback.end() }
  return result
}

@_cdecl("apus_channel_on_open")
public func apusChannelOnOpen(
  _ handle: UInt64, _ function: apus_channel_fn?, _ context: UnsafeMutableRawPointer?,
  _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback<ChannelFunction>(function, context, drop)
  return unsafe listen(handle, callback) { unsafe $0.o.onOpened.append(callback) }
}

@_cdecl("apus_channel_on_message")
public func apusChannelOnMessage(
  _ handle: UInt64, _ function: apus_message_fn?, _ context: UnsafeMutableRawPointer?,
  _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback<MessageFunction>(function, context, drop)
  return unsafe listen(handle, callback, isMessage: true) {
    unsafe $0.o.onMessage.append(callback)
  }
}

@_cdecl("apus_channel_on_pong")
public func apusChannelOnPong(
  _ handle: UInt64, _ function: apus_message_fn?, _ context: UnsafeMutableRawPointer?,
  _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback<MessageFunction>(function, context, drop)
  return unsafe listen(handle, callback) { unsafe $0.o.onPong.append(callback) }
}

@_cdecl("apus_channel_on_close")
public func apusChannelOnClose(
  _ handle: UInt64, _ function: apus_closed_fn?, _ context: UnsafeMutableRawPointer?,
  _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback<ClosedFunction>(function, context, drop)
  return unsafe listen(handle, callback) { unsafe $0.o.onClose.append(callback) }
}

@_cdecl("apus_channel_on_error")
public func apusChannelOnError(
  _ handle: UInt64, _ function: apus_channel_error_fn?, _ context: UnsafeMutableRawPointer?,
  _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback<ClosedFunction>(function, context, drop)
  return unsafe listen(handle, callback) { unsafe $0.o.onError.append(callback) }
}

@_cdecl("apus_channel_on_drain")
public func apusChannelOnDrain(
  _ handle: UInt64, _ function: apus_channel_fn?, _ context: UnsafeMutableRawPointer?,
  _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback<ChannelFunction>(function, context, drop)
  return unsafe listen(handle, callback) { unsafe $0.o.onDrain.append(callback) }
}

// ---- receiving

@_cdecl("apus_channel_recv")
public func apusChannelRecv(
  _ handle: UInt64, _ message: UnsafeMutablePointer<apus_message>?, _ timeout: Int32
) -> Int32 {
  boundary { () throws(Failure) in
    try withChannel(handle) { channel throws(Failure) in
      guard let message = unsafe message else {
        throw Failure(.argument, "the message must not be NULL")
      }
      guard timeout >= -1 else { throw Failure(.argument, "a time limit is -1 or more") }
      let hasCome = try channel.receive(timeout: timeout) { letter in
        unsafe message.pointee.opcode = Int32(letter.o.opcode)
        unsafe message.pointee.final = letter.o.isFinal ? 1 : 0
        unsafe message.pointee.data = unsafe UnsafeRawPointer(letter.text)
        unsafe message.pointee.length = letter.o.count
      }
      return hasCome ? 1 : 0
    }
  }
}

@_cdecl("apus_channel_cancel")
public func apusChannelCancel(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withChannel(handle) { channel throws(Failure) in
      channel.cancel()
      return 0
    }
  }
}
