// Section 16 of the header: sources of events.

import CApus

func withSource<Result>(
  _ handle: UInt64, _ body: (Ref<Source>) throws(Failure) -> Result
) throws(Failure) -> Result {
  guard case .held(let object, let slot) = Slots.pin(Handle(bits: handle), .source) else {
    throw .deadHandle
  }
  defer { Slots.unpin(slot) }
  return try body(unsafe Ref<Source>(opaque: object))
}

private func call(_ handle: UInt64, _ body: (Ref<Source>) throws(Failure) -> Int32) -> Int32 {
  boundary { () throws(Failure) in
    try withSource(handle) { source throws(Failure) in try body(source) }
  }
}

private func change(_ handle: UInt64, _ body: (Ref<Source>) throws(Failure) -> Void) -> Int32 {
  call(handle) { source throws(Failure) in
    try source.change { () throws(Failure) in try body(source) }
    return 0
  }
}

@_cdecl("apus_source_make")
public func apusSourceMake(_ client: UInt64, _ url: UnsafePointer<CChar>?) -> UInt64 {
  boundary(failing: 0) { () throws(Failure) in
    try withHost(client) { server throws(Failure) in
      let url = try unsafe text(url)
      return try Ref<Source>.make(on: server, url: url.bytes).publish()
    }
  }
}

@_cdecl("apus_source_destroy")
public func apusSourceDestroy(_ handle: UInt64) -> Int32 {
  boundary(failing: 0) { () throws(Failure) in
    try withSource(handle) { source throws(Failure) in
      guard source.end(Handle(bits: handle)) else { throw .deadHandle }
      return 1
    }
  }
}

@_cdecl("apus_source_is_alive")
public func apusSourceIsAlive(_ handle: UInt64) -> Int32 {
  Slots.isAlive(Handle(bits: handle), .source) && !Process.isForked ? 1 : 0
}

@_cdecl("apus_source_set_header")
public func apusSourceSetHeader(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?
) -> Int32 {
  change(handle) { source throws(Failure) in
    let name = try unsafe text(name)
    let given = unsafe value.map { unsafe Text(characters: $0) }
    try source.o.fetch.change { () throws(Failure) in
      try source.o.fetch.o.fields.set(name.bytes, given?.bytes)
    }
  }
}

@_cdecl("apus_source_set_last_event_id")
public func apusSourceSetLastEventID(_ handle: UInt64, _ id: UnsafePointer<CChar>?) -> Int32 {
  change(handle) { source throws(Failure) in
    let id = try unsafe text(id)
    guard id.bytes.isFieldValue, id.count <= 4096 else {
      throw Failure(.argument, "an id has at most 4096 bytes and no control characters")
    }
    source.o.lastID.clear()
    source.o.lastID.append(id.bytes)
    if source.o.lastID.failed { throw .noMemory }
  }
}

@_cdecl("apus_source_set_retry")
public func apusSourceSetRetry(
  _ handle: UInt64, _ milliseconds: Int32, _ most: Int32, _ attempts: Int32
) -> Int32 {
  change(handle) { source throws(Failure) in
    try check(most, in: 1...86_400_000)
    try check(milliseconds, in: 0...most)
    guard attempts >= -1 else { throw Failure(.argument, "a number is -1 or more") }
    source.o.retry = SourceRetry(
      time: Int64(milliseconds), most: Int64(most), attempts: attempts)
  }
}

@_cdecl("apus_source_set_idle_timeout")
public func apusSourceSetIdleTimeout(_ handle: UInt64, _ milliseconds: Int32) -> Int32 {
  change(handle) { source throws(Failure) in
    try check(milliseconds, in: 0...86_400_000)
    try source.o.fetch.change { () throws(Failure) in
      source.o.fetch.o.options.idleTimeout = Int64(milliseconds)
    }
  }
}

@_cdecl("apus_source_set_max_event")
public func apusSourceSetMaxEvent(_ handle: UInt64, _ bytes: Int64) -> Int32 {
  change(handle) { source throws(Failure) in
    try check(bytes, in: 1...(1 << 40))
    source.o.limits.line = Int(bytes)
    source.o.limits.data = Int(bytes)
  }
}

// ---- callbacks

/// Sets a callback before the first opening; its context ends where this fails, as does
/// that of the one before.
private func register<Function>(
  _ handle: UInt64, _ callback: Callback<Function>,
  _ body: (Ref<Source>, Callback<Function>) -> Callback<Function>
) -> Int32 {
  var old = callback
  let result = call(handle) { source throws(Failure) in
    try source.locked { () throws(Failure) in
      if source.o.hasRun { throw Failure(.state, "the source was opened") }
      old = body(source, callback)
    }
    return 0
  }
  old.end()
  return result
}

@_cdecl("apus_source_on_open")
public func apusSourceOnOpen(
  _ handle: UInt64, _ function: apus_source_fn?, _ context: UnsafeMutableRawPointer?,
  _ drop: apus_drop_fn?
) -> Int32 {
  unsafe register(handle, Callback(function, context, drop)) { source, callback in
    let old = unsafe source.o.onOpen
    unsafe source.o.onOpen = unsafe callback
    return unsafe old
  }
}

@_cdecl("apus_source_on_event")
public func apusSourceOnEvent(
  _ handle: UInt64, _ function: apus_source_event_fn?, _ context: UnsafeMutableRawPointer?,
  _ drop: apus_drop_fn?
) -> Int32 {
  unsafe register(handle, Callback(function, context, drop)) { source, callback in
    let old = unsafe source.o.onEvent
    unsafe source.o.onEvent = unsafe callback
    return unsafe old
  }
}

@_cdecl("apus_source_on_error")
public func apusSourceOnError(
  _ handle: UInt64, _ function: apus_source_error_fn?, _ context: UnsafeMutableRawPointer?,
  _ drop: apus_drop_fn?
) -> Int32 {
  unsafe register(handle, Callback(function, context, drop)) { source, callback in
    let old = unsafe source.o.onError
    unsafe source.o.onError = unsafe callback
    return unsafe old
  }
}

@_cdecl("apus_source_set_events")
public func apusSourceSetEvents(_ handle: UInt64, _ on: Int32) -> Int32 {
  change(handle) { source throws(Failure) in
    try check(on, in: 0...1)
    try source.setEvents(on == 1)
  }
}

// ---- its run

@_cdecl("apus_source_open")
public func apusSourceOpen(_ handle: UInt64) -> Int32 {
  call(handle) { source throws(Failure) in
    try source.open()
    return 0
  }
}

@_cdecl("apus_source_close")
public func apusSourceClose(_ handle: UInt64) -> Int32 {
  call(handle) { source throws(Failure) in
    source.close()
    return 0
  }
}

@_cdecl("apus_source_cancel")
public func apusSourceCancel(_ handle: UInt64) -> Int32 {
  call(handle) { source throws(Failure) in
    source.cancel()
    return 0
  }
}

@_cdecl("apus_source_state")
public func apusSourceState(_ handle: UInt64) -> Int32 {
  call(handle) { source throws(Failure) in source.locked { source.o.state.rawValue } }
}

@_cdecl("apus_source_last_event_id")
public func apusSourceLastEventID(
  _ handle: UInt64, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
  call(handle) { source throws(Failure) in
    guard let buffer = unsafe buffer, capacity > 0 else {
      throw Failure(.argument, "there is no room for an id")
    }
    return source.locked {
      let count = source.o.lastID.count
      let kept = min(count, capacity &- 1)
      let id = source.o.lastID.bytes
      for index in 0..<kept { unsafe buffer[index] = CChar(bitPattern: id[index]) }
      unsafe buffer[kept] = 0
      return Int32(truncatingIfNeeded: min(count, Int(Int32.max)))
    }
  }
}

@_cdecl("apus_source_next")
public func apusSourceNext(
  _ handle: UInt64, _ timeout: Int32, _ type: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ id: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ data: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ length: UnsafeMutablePointer<Int>?
) -> Int32 {
  call(handle) { source throws(Failure) in
    guard timeout >= -1 else { throw Failure(.argument, "a time limit is -1 or more") }
    let hasCome = try source.next(timeout: timeout) { letter in
      unsafe type?.pointee = unsafe letter.o.type.characters
      unsafe id?.pointee = unsafe letter.o.id.characters
      unsafe data?.pointee = unsafe letter.o.data.characters
      unsafe length?.pointee = letter.o.dataCount
    }
    return hasCome ? 1 : 0
  }
}
