// Section 14 of the header: fetches.

import CApus

@inline(never)
private func pinned(_ handle: UInt64) throws(Failure) -> (Ref<Fetch>, Ref<Slot>) {
  guard case .held(let object, let slot) = Slots.pin(Handle(bits: handle), .fetch) else {
    throw .deadHandle
  }
  return unsafe (Ref<Fetch>(opaque: object), slot)
}

@inline(__always)
func withFetch<Result>(
  _ handle: UInt64, _ body: (Ref<Fetch>) throws(Failure) -> Result
) throws(Failure) -> Result {
  let (fetch, slot) = try pinned(handle)
  defer { Slots.unpin(slot) }
  return try body(fetch)
}

@_cdecl("apus_fetch_make")
public func apusFetchMake(
  _ client: UInt64, _ method: UnsafePointer<CChar>?, _ url: UnsafePointer<CChar>?
) -> UInt64 {
  boundary(failing: 0) { () throws(Failure) in
    try withHost(client) { server throws(Failure) in
      let method = try unsafe text(method)
      let url = try unsafe text(url)
      let fetch = try Ref<Fetch>.make(on: server)
      do throws(Failure) {
        try fetch.set(method: method.bytes)
        try fetch.set(url: url.bytes)
      } catch {
        fetch.release()
        throw error
      }
      return try fetch.open()
    }
  }
}

@_cdecl("apus_fetch_destroy")
public func apusFetchDestroy(_ handle: UInt64) -> Int32 {
  boundary(failing: 0) { () throws(Failure) in
    try withFetch(handle) { fetch throws(Failure) in
      guard fetch.end(Handle(bits: handle)) else { throw .deadHandle }
      return 1
    }
  }
}

@_cdecl("apus_fetch_is_alive")
public func apusFetchIsAlive(_ handle: UInt64) -> Int32 {
  Slots.isAlive(Handle(bits: handle), .fetch) && !Process.isForked ? 1 : 0
}

private func change(_ handle: UInt64, _ body: (Ref<Fetch>) throws(Failure) -> Void) -> Int32 {
  boundary { () throws(Failure) in
    try withFetch(handle) { fetch throws(Failure) in
      try fetch.change { () throws(Failure) in try body(fetch) }
      return 0
    }
  }
}

@_cdecl("apus_fetch_set_method")
public func apusFetchSetMethod(_ handle: UInt64, _ method: UnsafePointer<CChar>?) -> Int32 {
  change(handle) { fetch throws(Failure) in
    let method = try unsafe text(method)
    try fetch.set(method: method.bytes)
  }
}

@_cdecl("apus_fetch_set_url")
public func apusFetchSetURL(_ handle: UInt64, _ url: UnsafePointer<CChar>?) -> Int32 {
  change(handle) { fetch throws(Failure) in
    let url = try unsafe text(url)
    try fetch.set(url: url.bytes)
  }
}

@_cdecl("apus_fetch_add_header")
public func apusFetchAddHeader(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?
) -> Int32 {
  change(handle) { fetch throws(Failure) in
    let name = try unsafe text(name)
    let value = try unsafe text(value)
    try fetch.o.fields.add(name.bytes, value.bytes)
  }
}

@_cdecl("apus_fetch_set_header")
public func apusFetchSetHeader(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?
) -> Int32 {
  change(handle) { fetch throws(Failure) in
    let name = try unsafe text(name)
    let given = unsafe value.map { unsafe Text(characters: $0) }
    try fetch.o.fields.set(name.bytes, given?.bytes)
  }
}

@_cdecl("apus_fetch_add_query")
public func apusFetchAddQuery(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?
) -> Int32 {
  change(handle) { fetch throws(Failure) in
    let name = try unsafe text(name)
    let value = try unsafe text(value)
    try fetch.add(query: name.bytes, value.bytes)
  }
}

// ---- the body

private func type(_ characters: UnsafePointer<CChar>?) throws(Failure) -> Text {
  guard let characters = unsafe characters else { return Text("") }
  let text = unsafe Text(characters: characters)
  guard text.bytes.isFieldValue else {
    throw Failure(.argument, "the content type holds a control character")
  }
  return text
}

@_cdecl("apus_fetch_set_body")
public func apusFetchSetBody(
  _ handle: UInt64, _ data: UnsafeRawPointer?, _ length: Int, _ contentType: UnsafePointer<CChar>?
) -> Int32 {
  change(handle) { fetch throws(Failure) in
    let data = try unsafe bytes(data, length)
    var body = FetchBody()
    try body.add(data.bytes)
    try body.set(type: unsafe type(contentType).bytes)
    fetch.o.form.clear()
    swap(&body, &fetch.o.body)
  }
}

@_cdecl("apus_fetch_set_body_file")
public func apusFetchSetBodyFile(
  _ handle: UInt64, _ path: UnsafePointer<CChar>?, _ contentType: UnsafePointer<CChar>?
) -> Int32 {
  change(handle) { fetch throws(Failure) in
    var body = FetchBody()
    try body.add(file: unsafe text(path))
    try body.set(type: unsafe type(contentType).bytes)
    fetch.o.form.clear()
    swap(&body, &fetch.o.body)
  }
}

@_cdecl("apus_fetch_set_body_source")
public func apusFetchSetBodySource(
  _ handle: UInt64, _ length: Int64, _ contentType: UnsafePointer<CChar>?,
  _ function: (
    @convention(c) (UnsafeMutableRawPointer?, UInt64, UnsafeMutableRawPointer?, Int) -> Int64
  )?,
  _ context: UnsafeMutableRawPointer?, _ drop: (@convention(c) (UnsafeMutableRawPointer?) -> Void)?
) -> Int32 {
  unsafe register(handle, Callback(function, context, drop)) { fetch, callback throws(Failure) in
    guard unsafe callback.isSet else { throw Failure(.argument, "the function must not be NULL") }
    guard length >= -1 else { throw Failure(.argument, "a length is -1 or more") }
    var body = FetchBody()
    body.ask(length)
    try body.set(type: unsafe type(contentType).bytes)
    fetch.o.form.clear()
    swap(&body, &fetch.o.body)
    let old = unsafe fetch.o.source
    unsafe fetch.o.source = unsafe callback
    return unsafe old
  }
}

// ---- forms

@_cdecl("apus_fetch_add_field")
public func apusFetchAddField(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?
) -> Int32 {
  change(handle) { fetch throws(Failure) in
    let name = try unsafe text(name)
    let value = try unsafe text(value)
    try fetch.o.form.add(field: name.bytes, value.bytes)
  }
}

@_cdecl("apus_fetch_add_file")
public func apusFetchAddFile(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ path: UnsafePointer<CChar>?,
  _ fileName: UnsafePointer<CChar>?, _ contentType: UnsafePointer<CChar>?
) -> Int32 {
  change(handle) { fetch throws(Failure) in
    let name = try unsafe text(name)
    let path = try unsafe text(path)
    let given = unsafe fileName.map { unsafe Text(characters: $0) }
    let type = try unsafe type(contentType)
    try fetch.o.form.add(file: path, name: name.bytes, fileName: given?.bytes, type: type.bytes)
  }
}

@_cdecl("apus_fetch_add_part")
public func apusFetchAddPart(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ data: UnsafeRawPointer?, _ length: Int,
  _ fileName: UnsafePointer<CChar>?, _ contentType: UnsafePointer<CChar>?
) -> Int32 {
  change(handle) { fetch throws(Failure) in
    let name = try unsafe text(name)
    let data = try unsafe bytes(data, length)
    let given = unsafe fileName.map { unsafe Text(characters: $0) }
    let type = try unsafe type(contentType)
    try fetch.o.form.add(
      part: name.bytes, data.bytes, fileName: given?.bytes, type: type.bytes)
  }
}

// ---- callbacks

/// Sets a callback, whose context ends where this fails, as does that of the one before.
private func register<Function>(
  _ handle: UInt64, _ callback: Callback<Function>,
  _ body: (Ref<Fetch>, Callback<Function>) throws(Failure) -> Callback<Function>
) -> Int32 {
  var old = callback
  let result = boundary { () throws(Failure) in
    try withFetch(handle) { fetch throws(Failure) in
      try fetch.change { () throws(Failure) in
        old = try body(fetch, callback)
        if fetch.park(old) { old = .none }
      }
      return 0
    }
  }
  old.end()
  return result
}

@_cdecl("apus_fetch_on_response")
public func apusFetchOnResponse(
  _ handle: UInt64,
  _ function: (@convention(c) (UnsafeMutableRawPointer?, UInt64, UInt64) -> Void)?,
  _ context: UnsafeMutableRawPointer?,
  _ drop: (@convention(c) (UnsafeMutableRawPointer?) -> Void)?
) -> Int32 {
  unsafe register(handle, Callback(function, context, drop)) { fetch, callback throws(Failure) in
    let old = unsafe fetch.o.onResponse
    unsafe fetch.o.onResponse = unsafe callback
    return unsafe old
  }
}

@_cdecl("apus_fetch_on_body")
public func apusFetchOnBody(
  _ handle: UInt64,
  _ function: (@convention(c) (UnsafeMutableRawPointer?, UInt64, UnsafeRawPointer?, Int) -> Void)?,
  _ context: UnsafeMutableRawPointer?,
  _ drop: (@convention(c) (UnsafeMutableRawPointer?) -> Void)?
) -> Int32 {
  unsafe register(handle, Callback(function, context, drop)) { fetch, callback throws(Failure) in
    let old = unsafe fetch.o.onBody
    unsafe fetch.o.onBody = unsafe callback
    return unsafe old
  }
}

@_cdecl("apus_fetch_on_complete")
public func apusFetchOnComplete(
  _ handle: UInt64,
  _ function: (@convention(c) (UnsafeMutableRawPointer?, UInt64, UInt64, Int32) -> Void)?,
  _ context: UnsafeMutableRawPointer?,
  _ drop: (@convention(c) (UnsafeMutableRawPointer?) -> Void)?
) -> Int32 {
  unsafe register(handle, Callback(function, context, drop)) { fetch, callback throws(Failure) in
    let old = unsafe fetch.o.onComplete
    unsafe fetch.o.onComplete = unsafe callback
    return unsafe old
  }
}

@_cdecl("apus_fetch_set_events")
public func apusFetchSetEvents(_ handle: UInt64, _ on: Int32) -> Int32 {
  change(handle) { fetch throws(Failure) in
    try check(on, in: 0...1)
    try fetch.setEvents(on == 1)
  }
}

// ---- its run

private func run(_ handle: UInt64, _ body: (Ref<Fetch>) throws(Failure) -> Int32) -> Int32 {
  boundary { () throws(Failure) in
    try withFetch(handle) { fetch throws(Failure) in try body(fetch) }
  }
}

@_cdecl("apus_fetch_start")
public func apusFetchStart(_ handle: UInt64) -> Int32 {
  run(handle) { fetch throws(Failure) in
    try fetch.start()
    return 0
  }
}

@_cdecl("apus_fetch_wait")
public func apusFetchWait(_ handle: UInt64, _ timeout: Int32) -> Int32 {
  run(handle) { fetch throws(Failure) in
    guard timeout >= -1 else { throw Failure(.argument, "a time limit is -1 or more") }
    return try fetch.wait(timeout: timeout) ? 1 : 0
  }
}

@_cdecl("apus_fetch_send")
public func apusFetchSend(_ handle: UInt64) -> UInt64 {
  boundary(failing: 0) { () throws(Failure) in
    try withFetch(handle) { fetch throws(Failure) in try fetch.send() }
  }
}

@_cdecl("apus_fetch_cancel")
public func apusFetchCancel(_ handle: UInt64) -> Int32 {
  run(handle) { fetch throws(Failure) in
    fetch.cancel()
    return 0
  }
}

@_cdecl("apus_fetch_pause")
public func apusFetchPause(_ handle: UInt64) -> Int32 {
  run(handle) { fetch throws(Failure) in
    try fetch.pause(true)
    return 0
  }
}

@_cdecl("apus_fetch_resume")
public func apusFetchResume(_ handle: UInt64) -> Int32 {
  run(handle) { fetch throws(Failure) in
    try fetch.pause(false)
    return 0
  }
}

@_cdecl("apus_fetch_state")
public func apusFetchState(_ handle: UInt64) -> Int32 {
  run(handle) { fetch throws(Failure) in fetch.locked { Int32(fetch.o.state.rawValue) } }
}

@_cdecl("apus_fetch_result")
public func apusFetchResult(_ handle: UInt64) -> Int32 {
  run(handle) { fetch throws(Failure) in
    _ = try fetch.result()
    return 0
  }
}

@_cdecl("apus_fetch_response")
public func apusFetchResponse(_ handle: UInt64) -> UInt64 {
  boundary(failing: 0) { () throws(Failure) in
    try withFetch(handle) { fetch throws(Failure) in
      let handle = fetch.locked { fetch.o.response?.o.handle.bits ?? 0 }
      if handle == 0 { throw Failure(.notFound, "no response has come") }
      return handle
    }
  }
}
