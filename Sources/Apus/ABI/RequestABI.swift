// Section 6 of the header: what the client sent.

import CApus

@_cdecl("apus_request_is_alive")
public func apusRequestIsAlive(_ handle: UInt64) -> Int32 {
  let alive: Int32 = boundary(failing: -1) { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in
      exchange.o.hasLeft ? 0 : 1
    }
  }
  // Another thread's own: it is there, and that is all that may be looked at.
  if alive < 0, ThreadContext.error == Code.thread.rawValue {
    return Slots.isAlive(Handle(bits: handle), .request) ? 1 : 0
  }
  return max(alive, 0)
}

@_cdecl("apus_request_defer")
public func apusRequestDefer(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in
      guard handle == ThreadContext.request else {
        throw Failure(.state, "the request is deferred already")
      }
      try exchange.checkUnreplied()
      if exchange.o.isDeferred { throw Failure(.state, "the request is deferred already") }
      exchange.keep()
      return 0
    }
  }
}

@_cdecl("apus_request_destroy")
public func apusRequestDestroy(_ handle: UInt64) -> Int32 {
  let result = boundary { () throws(Failure) in
    let isOwn = handle != 0 && handle == ThreadContext.request
    let ended: Bool = try withRequest(handle) { exchange throws(Failure) in
      // It may have ended since it was pinned, and the request have another by now.
      guard exchange.o.handle.bits == handle else { throw .deadHandle }
      if isOwn, !exchange.o.isDeferred {
        throw Failure(.state, "the request is its handler's: reply to it")
      }
      guard exchange.o.worker != nil else {
        return Slots.end(exchange.o.slot, exchange.o.handle).ended
      }
      // A writer or a ticket is to answer; a ticket that is given up has.
      let isOpen = exchange.o.writer.handle.bits == 0 && exchange.o.upgrade == nil
      if !exchange.o.isReplied, isOpen {
        exchange.completeUnanswered()
      }
      return exchange.endDeferredLocked()
    }
    return ended ? 1 : 0
  }
  return result < 0 && result != Code.state.rawValue ? 0 : result
}

@_cdecl("apus_request_parse")
public func apusRequestParse(
  _ data: UnsafeRawPointer?, _ length: Int, _ consumed: UnsafeMutablePointer<Int>?
) -> UInt64 {
  boundary(failing: 0) { () throws(Failure) in
    Process.prepare()
    let input = try unsafe bytes(data, length)
    let (exchange, count) = try ParsedRequest.parse(input.bytes)
    unsafe consumed?.pointee = count
    return exchange.o.handle.bits
  }
}

@_cdecl("apus_request_method")
public func apusRequestMethod(_ handle: UInt64) -> Int32 {
  boundary(failing: .min) { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in exchange.o.head.method }
  }
}

@_cdecl("apus_request_method_name")
public func apusRequestMethodName(_ handle: UInt64) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withRequest(handle) { exchange throws(Failure) in
      unsafe (exchange.methodName).characters
    }
  }
}

@_cdecl("apus_request_target")
public func apusRequestTarget(_ handle: UInt64) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withRequest(handle) { exchange throws(Failure) in
      unsafe (exchange.part(exchange.o.head.target) ?? Text("")).characters
    }
  }
}

@_cdecl("apus_request_path")
public func apusRequestPath(_ handle: UInt64) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withRequest(handle) { exchange throws(Failure) in
      unsafe (exchange.o.path).characters
    }
  }
}

@_cdecl("apus_request_query")
public func apusRequestQuery(_ handle: UInt64) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withRequest(handle) { exchange throws(Failure) in
      unsafe (exchange.query).characters
    }
  }
}

@_cdecl("apus_request_version")
public func apusRequestVersion(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in exchange.o.head.version }
  }
}

@_cdecl("apus_request_scheme")
public func apusRequestScheme(_ handle: UInt64) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withRequest(handle) { exchange throws(Failure) in
      unsafe Text(exchange.isSecure ? "https" : "http").characters
    }
  }
}

@_cdecl("apus_request_host")
public func apusRequestHost(_ handle: UInt64) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withRequest(handle) { exchange throws(Failure) in
      unsafe (exchange.hostAndPort().host).characters
    }
  }
}

@_cdecl("apus_request_port")
public func apusRequestPort(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in exchange.hostAndPort().port }
  }
}

@_cdecl("apus_request_header")
public func apusRequestHeader(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ length: UnsafeMutablePointer<Int>?
) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withRequest(handle) { exchange throws(Failure) in
      let name = try unsafe text(name)
      guard let value = exchange.field(name.bytes) else {
        throw Failure(.notFound, "there is nothing of this name")
      }
      return unsafe value.give(length)
    }
  }
}

@_cdecl("apus_request_header_count")
public func apusRequestHeaderCount(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in
      return Int32(truncatingIfNeeded: exchange.o.head.fields.count)
    }
  }
}

@_cdecl("apus_request_header_at")
public func apusRequestHeaderAt(
  _ handle: UInt64, _ index: Int32, _ name: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ value: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ length: UnsafeMutablePointer<Int>?
) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in
      guard let pair = exchange.field(at: Int(index)) else {
        throw Failure(.notFound, "there is nothing at this index")
      }
      return unsafe pair.give(name, value, length)
    }
  }
}

@_cdecl("apus_request_trailer")
public func apusRequestTrailer(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ length: UnsafeMutablePointer<Int>?
) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withRequest(handle) { exchange throws(Failure) in
      let name = try unsafe text(name)
      guard let value = exchange.trailer(name.bytes) else {
        throw Failure(.notFound, "there is nothing of this name")
      }
      return unsafe value.give(length)
    }
  }
}

@_cdecl("apus_request_trailer_count")
public func apusRequestTrailerCount(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in
      return Int32(truncatingIfNeeded: exchange.o.trailers.count)
    }
  }
}

@_cdecl("apus_request_trailer_at")
public func apusRequestTrailerAt(
  _ handle: UInt64, _ index: Int32, _ name: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ value: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ length: UnsafeMutablePointer<Int>?
) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in
      guard let pair = exchange.trailer(at: Int(index)) else {
        throw Failure(.notFound, "there is nothing at this index")
      }
      return unsafe pair.give(name, value, length)
    }
  }
}

@_cdecl("apus_request_param")
public func apusRequestParam(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ length: UnsafeMutablePointer<Int>?
) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withRequest(handle) { exchange throws(Failure) in
      let name = try unsafe text(name)
      try exchange.readParameters()
      guard let value = exchange.parameter(name.bytes) else {
        throw Failure(.notFound, "there is nothing of this name")
      }
      return unsafe value.give(length)
    }
  }
}

@_cdecl("apus_request_param_count")
public func apusRequestParamCount(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in
      try exchange.readParameters()
      return Int32(truncatingIfNeeded: exchange.o.parameters.count)
    }
  }
}

@_cdecl("apus_request_param_at")
public func apusRequestParamAt(
  _ handle: UInt64, _ index: Int32, _ name: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ value: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ length: UnsafeMutablePointer<Int>?
) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in
      try exchange.readParameters()
      guard let pair = exchange.parameter(at: Int(index)) else {
        throw Failure(.notFound, "there is nothing at this index")
      }
      return unsafe pair.give(name, value, length)
    }
  }
}

@_cdecl("apus_request_query_param")
public func apusRequestQueryParam(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ length: UnsafeMutablePointer<Int>?
) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withRequest(handle) { exchange throws(Failure) in
      let name = try unsafe text(name)
      try exchange.readQueries()
      guard let value = exchange.queryParameter(name.bytes) else {
        throw Failure(.notFound, "there is nothing of this name")
      }
      return unsafe value.give(length)
    }
  }
}

@_cdecl("apus_request_query_param_count")
public func apusRequestQueryParamCount(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in
      try exchange.readQueries()
      return Int32(truncatingIfNeeded: exchange.o.queries.count)
    }
  }
}

@_cdecl("apus_request_query_param_at")
public func apusRequestQueryParamAt(
  _ handle: UInt64, _ index: Int32, _ name: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ value: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ length: UnsafeMutablePointer<Int>?
) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in
      try exchange.readQueries()
      guard let pair = exchange.queryParameter(at: Int(index)) else {
        throw Failure(.notFound, "there is nothing at this index")
      }
      return unsafe pair.give(name, value, length)
    }
  }
}

@_cdecl("apus_request_body")
public func apusRequestBody(_ handle: UInt64, _ length: UnsafeMutablePointer<Int>?)
  -> UnsafeRawPointer?
{
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withRequest(handle) { exchange throws(Failure) in
      try exchange.checkBodyIsKept()
      guard exchange.o.body.terminate(), let start = unsafe exchange.o.body.pointer else {
        throw .noMemory
      }
      unsafe length?.pointee = exchange.o.body.count
      return UnsafeRawPointer(start)
    }
  }
}

@_cdecl("apus_request_body_length")
public func apusRequestBodyLength(_ handle: UInt64) -> Int64 {
  boundary(failing: .min) { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in exchange.bodyLength }
  }
}

@_cdecl("apus_request_client_ip")
public func apusRequestClientIP(_ handle: UInt64) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withRequest(handle) { exchange throws(Failure) in
      unsafe try exchange.client().address.characters
    }
  }
}

@_cdecl("apus_request_client_port")
public func apusRequestClientPort(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in try exchange.client().port }
  }
}

@_cdecl("apus_request_descriptor")
public func apusRequestDescriptor(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in try exchange.descriptor() }
  }
}

@_cdecl("apus_request_connection")
public func apusRequestConnection(_ handle: UInt64) -> UInt64 {
  boundary(failing: 0) { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in exchange.o.connection?.o.id ?? 0 }
  }
}

@_cdecl("apus_request_server")
public func apusRequestServer(_ handle: UInt64) -> UInt64 {
  boundary(failing: 0) { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in
      exchange.o.worker?.o.server.o.handle.bits ?? 0
    }
  }
}

@_cdecl("apus_request_elapsed_us")
public func apusRequestElapsedUs(_ handle: UInt64) -> Int64 {
  let value: Int64 = boundary(failing: -1) { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in
      max(0, Clock.now &- exchange.o.receivedAt)
    }
  }
  return value < 0 ? Int64(ThreadContext.error) : value
}

@_cdecl("apus_request_on_body")
public func apusRequestOnBody(
  _ handle: UInt64, _ function: apus_body_fn?, _ context: UnsafeMutableRawPointer?,
  _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback<BodyFunction>(function, context, drop)
  let result = boundary { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in
      guard unsafe callback.isSet else { throw Failure(.argument, "the function must not be NULL") }
      guard handle == ThreadContext.request else {
        throw Failure(.state, "only inside the request's handler")
      }
      unsafe try exchange.streamBody(to: callback)
      return 0
    }
  }
  if result < 0 { unsafe callback.end() }
  return result
}
