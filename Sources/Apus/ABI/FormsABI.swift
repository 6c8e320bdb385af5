// Section 17 of the header: forms, and what is uploaded with them.

import CApus

// ---- routes and options

@_cdecl("apus_server_route_form")
public func apusServerRouteForm(
  _ handle: UInt64, _ method: Int32, _ pattern: UnsafePointer<CChar>?,
  _ function: apus_handler_fn?, _ context: UnsafeMutableRawPointer?, _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback<HandlerFunction>(function, context, drop)
  let result = set(handle) { server throws(Failure) in
    guard method == Router.anyMethod || Method.name(method) != nil else {
      throw Failure(.argument, "no method has this number")
    }
    let pattern = try unsafe text(pattern)
    var route = unsafe Route(
      method: method, methodName: ByteBuffer(), handler: callback, isStreamed: false)
    route.isForm = true
    let number = try server.o.router.add(route, pattern: pattern.bytes)
    server.o.options.limits.form = server.o.options.forms.whole
    return number
  }
  if result < 0 { unsafe callback.end() }
  return result
}

private func set(_ handle: UInt64, _ body: (Ref<Server>) throws(Failure) -> Int32) -> Int32 {
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      try server.whileIdle { () throws(Failure) in try body(server) }
    }
  }
}

/// A number of bytes; -1: no limit.
private func limit(_ bytes: Int64) throws(Failure) -> Int64 {
  try check(bytes, in: -1...(1 << 53))
  return bytes < 0 ? FormOptions.unlimited : bytes
}

@_cdecl("apus_server_set_max_form")
public func apusServerSetMaxForm(_ handle: UInt64, _ bytes: Int64) -> Int32 {
  set(handle) { server throws(Failure) in
    server.o.options.forms.whole = try limit(bytes)
    // Nothing is admitted by it where there is no route for forms.
    if server.o.options.limits.form >= 0 {
      server.o.options.limits.form = server.o.options.forms.whole
    }
    return 0
  }
}

@_cdecl("apus_server_set_max_part")
public func apusServerSetMaxPart(_ handle: UInt64, _ bytes: Int64) -> Int32 {
  set(handle) { server throws(Failure) in
    server.o.options.forms.part = try limit(bytes)
    return 0
  }
}

@_cdecl("apus_server_set_max_parts")
public func apusServerSetMaxParts(_ handle: UInt64, _ count: Int32) -> Int32 {
  set(handle) { server throws(Failure) in
    try check(count, in: 1...100_000)
    server.o.options.forms.parts = count
    return 0
  }
}

@_cdecl("apus_server_set_form_memory")
public func apusServerSetFormMemory(_ handle: UInt64, _ bytes: Int64) -> Int32 {
  set(handle) { server throws(Failure) in
    try check(bytes, in: 0...(1 << 40))
    server.o.options.forms.memory = bytes
    return 0
  }
}

@_cdecl("apus_server_set_upload_folder")
public func apusServerSetUploadFolder(_ handle: UInt64, _ path: UnsafePointer<CChar>?) -> Int32 {
  set(handle) { server throws(Failure) in
    let path = unsafe path == nil ? Text("") : try text(path)
    guard path.count < 4096 else { throw Failure(.argument, "a path is not that long") }
    server.o.uploads.clear()
    server.o.uploads.append(path.bytes)
    guard server.o.uploads.terminate(), !server.o.uploads.failed else { throw .noMemory }
    return 0
  }
}

// ---- reading

@_cdecl("apus_request_form_count")
public func apusRequestFormCount(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in
      Int32(truncatingIfNeeded: try exchange.form().o.parts.count)
    }
  }
}

@_cdecl("apus_request_form_find")
public func apusRequestFormFind(_ handle: UInt64, _ name: UnsafePointer<CChar>?, _ after: Int32)
  -> Int32
{
  boundary { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in
      let name = try unsafe text(name)
      let form = try exchange.form()
      guard after >= -1, let index = form.o.find(name.bytes, after: Int(after)) else {
        throw Failure(.notFound, "there is nothing of this name")
      }
      return Int32(truncatingIfNeeded: index)
    }
  }
}

@_cdecl("apus_request_form_field")
public func apusRequestFormField(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ length: UnsafeMutablePointer<Int>?
) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withRequest(handle) { exchange throws(Failure) in
      let name = try unsafe text(name)
      let form = try exchange.form()
      guard let index = form.o.find(name.bytes, after: -1) else {
        throw Failure(.notFound, "there is nothing of this name")
      }
      return unsafe try data(of: form.o.parts[index]).give(length)
    }
  }
}

private func data(of part: FormPart) throws(Failure) -> Text {
  if part.isOnDisk { throw Failure(.tooLarge, "the part is not in memory") }
  return part.data
}

/// Text of the part at an index.
private func partText(
  _ handle: UInt64, _ index: Int32, _ length: UnsafeMutablePointer<Int>?,
  _ body: (Ref<Form>, FormPart) throws(Failure) -> Text
) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withRequest(handle) { exchange throws(Failure) in
      let (form, part) = try exchange.part(at: index)
      return unsafe try body(form, part).give(length)
    }
  }
}

@_cdecl("apus_request_part_name")
public func apusRequestPartName(
  _ handle: UInt64, _ index: Int32, _ length: UnsafeMutablePointer<Int>?
) -> UnsafePointer<CChar>? {
  unsafe partText(handle, index, length) { _, part throws(Failure) in part.name }
}

@_cdecl("apus_request_part_file_name")
public func apusRequestPartFileName(
  _ handle: UInt64, _ index: Int32, _ length: UnsafeMutablePointer<Int>?
) -> UnsafePointer<CChar>? {
  unsafe partText(handle, index, length) { _, part throws(Failure) in
    if !part.isFile { throw Failure(.notFound, "the part is no file") }
    return part.fileName
  }
}

@_cdecl("apus_request_part_type")
public func apusRequestPartType(
  _ handle: UInt64, _ index: Int32, _ length: UnsafeMutablePointer<Int>?
) -> UnsafePointer<CChar>? {
  unsafe partText(handle, index, length) { _, part throws(Failure) in part.type }
}

@_cdecl("apus_request_part_header")
public func apusRequestPartHeader(
  _ handle: UInt64, _ index: Int32, _ name: UnsafePointer<CChar>?,
  _ length: UnsafeMutablePointer<Int>?
) -> UnsafePointer<CChar>? {
  unsafe partText(handle, index, length) { form, part throws(Failure) in
    let name = try unsafe text(name)
    guard let value = form.o.field(name.bytes, of: part) else {
      throw Failure(.notFound, "there is nothing of this name")
    }
    return value
  }
}

@_cdecl("apus_request_part_data")
public func apusRequestPartData(
  _ handle: UInt64, _ index: Int32, _ length: UnsafeMutablePointer<Int>?
) -> UnsafeRawPointer? {
  unsafe UnsafeRawPointer(
    partText(handle, index, length) { _, part throws(Failure) in try data(of: part) })
}

@_cdecl("apus_request_part_length")
public func apusRequestPartLength(_ handle: UInt64, _ index: Int32) -> Int64 {
  boundaryOfLong { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in
      try exchange.part(at: index).1.length
    }
  }
}

@_cdecl("apus_request_part_read")
public func apusRequestPartRead(
  _ handle: UInt64, _ index: Int32, _ offset: Int64, _ buffer: UnsafeMutableRawPointer?,
  _ capacity: Int
) -> Int64 {
  boundaryOfLong { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in
      guard let buffer = unsafe buffer else {
        throw Failure(.argument, "the buffer must not be NULL")
      }
      let space = unsafe buffer.assumingMemoryBound(to: UInt8.self)
      return Int64(unsafe try exchange.read(part: index, at: offset, to: space, capacity))
    }
  }
}

@_cdecl("apus_request_part_save")
public func apusRequestPartSave(
  _ handle: UInt64, _ index: Int32, _ folder: UnsafePointer<CChar>?,
  _ name: UnsafePointer<CChar>?, _ replace: Int32
) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withRequest(handle) { exchange throws(Failure) in
      let folder = try unsafe text(folder)
      try check(replace, in: 0...1)
      let name: Text? = unsafe name == nil ? nil : try text(name)
      return unsafe try exchange.save(
        part: index, in: folder, as: name, replacing: replace == 1
      ).characters
    }
  }
}
