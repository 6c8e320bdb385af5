// Section 8 of the header: replies in pieces.

import CApus

@_cdecl("apus_writer_make")
public func apusWriterMake(_ handle: UInt64) -> UInt64 {
  boundary(failing: 0) { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in
      try exchange.checkUnreplied()
      try exchange.checkNoTicket()
      if exchange.o.hasLeft {
        throw Failure(.closed, "the client has gone")
      }
      return try exchange.makeWriter().bits
    }
  }
}

@_cdecl("apus_writer_destroy")
public func apusWriterDestroy(_ handle: UInt64) -> Int32 {
  boundary(failing: 0) { () throws(Failure) in
    try withWriterSlot(handle) { exchange, slot throws(Failure) in
      guard exchange.endWriter(slot, Handle(bits: handle)) else { throw .deadHandle }
      exchange.locked { exchange.endKept() }
      return 1
    }
  }
}

@_cdecl("apus_writer_detach")
public func apusWriterDetach(_ handle: UInt64) -> Int32 {
  write(handle) { exchange throws(Failure) in
    exchange.o.writer.isDetached = true
    exchange.notifyLoop()
  }
}

@_cdecl("apus_writer_is_alive")
public func apusWriterIsAlive(_ handle: UInt64) -> Int32 {
  Slots.isAlive(Handle(bits: handle), .writer) && !Process.isForked ? 1 : 0
}

@_cdecl("apus_writer_is_connected")
public func apusWriterIsConnected(_ handle: UInt64) -> Int32 {
  boundary(failing: 0) { () throws(Failure) in
    try withWriter(handle) { exchange throws(Failure) in
      exchange.o.hasLeft || exchange.o.isReplied ? 0 : 1
    }
  }
}

/// A function that only tells whether it worked.
private func write(_ handle: UInt64, _ body: (Ref<Exchange>) throws(Failure) -> Void) -> Int32 {
  boundary { () throws(Failure) in
    try withWriter(handle) { exchange throws(Failure) in
      try body(exchange)
      return 0
    }
  }
}

@_cdecl("apus_writer_set_status")
public func apusWriterSetStatus(_ handle: UInt64, _ status: Int32) -> Int32 {
  write(handle) { exchange throws(Failure) in
    try exchange.checkNotBegun()
    try exchange.setStatus(status)
  }
}

private func setField(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?,
  replacing: Bool
) -> Int32 {
  write(handle) { exchange throws(Failure) in
    let name = try unsafe text(name)
    let value = try unsafe text(value)
    try exchange.checkNotBegun()
    try exchange.setField(name.bytes, value.bytes, replacing: replacing)
  }
}

@_cdecl("apus_writer_set_header")
public func apusWriterSetHeader(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?
) -> Int32 {
  unsafe setField(handle, name, value, replacing: true)
}

@_cdecl("apus_writer_add_header")
public func apusWriterAddHeader(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?
) -> Int32 {
  unsafe setField(handle, name, value, replacing: false)
}

@_cdecl("apus_writer_begin")
public func apusWriterBegin(_ handle: UInt64, _ length: Int64) -> Int32 {
  write(handle) { exchange throws(Failure) in try exchange.begin(length: length) }
}

@_cdecl("apus_writer_write")
public func apusWriterWrite(_ handle: UInt64, _ data: UnsafeRawPointer?, _ length: Int) -> Int32 {
  write(handle) { exchange throws(Failure) in
    let piece = try unsafe bytes(data, length)
    try exchange.write(piece.bytes)
  }
}

@_cdecl("apus_writer_add_trailer")
public func apusWriterAddTrailer(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?
) -> Int32 {
  write(handle) { exchange throws(Failure) in
    let name = try unsafe text(name)
    let value = try unsafe text(value)
    try exchange.addTrailer(name.bytes, value.bytes)
  }
}

@_cdecl("apus_writer_end")
public func apusWriterEnd(_ handle: UInt64) -> Int32 {
  write(handle) { exchange throws(Failure) in
    defer { if exchange.o.isReplied { exchange.endKept() } }
    try exchange.endWriting()
  }
}

@_cdecl("apus_writer_abort")
public func apusWriterAbort(_ handle: UInt64) -> Int32 {
  write(handle) { exchange throws(Failure) in
    try exchange.checkOpen()
    exchange.breakOff()
    exchange.endKept()
  }
}

@_cdecl("apus_writer_buffered")
public func apusWriterBuffered(_ handle: UInt64) -> Int64 {
  let value: Int64 = boundary(failing: -1) { () throws(Failure) in
    try withWriter(handle) { exchange throws(Failure) in
      try exchange.checkPresent()
      return exchange.buffered
    }
  }
  return value < 0 ? Int64(ThreadContext.error) : value
}

@_cdecl("apus_writer_set_high_water")
public func apusWriterSetHighWater(_ handle: UInt64, _ bytes: Int64) -> Int32 {
  write(handle) { exchange throws(Failure) in
    try check(bytes, in: 1...(1 << 53))
    try exchange.checkOpen()
    exchange.o.writer.highWater = bytes
  }
}

/// Registers a writer's callback in place of another; what is not kept is dropped
/// after the lock was given up.
private func register(
  _ handle: UInt64, _ place: WriterState.Place, _ callback: Callback<WriterFunction>
) -> Int32 {
  var unused = unsafe callback
  let result = write(handle) { exchange throws(Failure) in
    try exchange.checkPresent()
    unsafe unused = unsafe exchange.replace(place, with: callback.isSet ? callback : .none)
  }
  unsafe unused.end()
  if result == 0, unsafe !callback.isSet { unsafe callback.end() }
  return result
}

@_cdecl("apus_writer_on_drain")
public func apusWriterOnDrain(
  _ handle: UInt64, _ function: apus_writer_fn?, _ context: UnsafeMutableRawPointer?,
  _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback<WriterFunction>(function, context, drop)
  return unsafe register(handle, .drain, callback)
}

@_cdecl("apus_writer_set_events")
public func apusWriterSetEvents(_ handle: UInt64, _ on: Int32) -> Int32 {
  write(handle) { exchange throws(Failure) in
    try check(on, in: 0...1)
    try exchange.setWriterEvents(on == 1)
  }
}

@_cdecl("apus_writer_on_close")
public func apusWriterOnClose(
  _ handle: UInt64, _ function: apus_writer_fn?, _ context: UnsafeMutableRawPointer?,
  _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback<WriterFunction>(function, context, drop)
  return unsafe register(handle, .close, callback)
}
