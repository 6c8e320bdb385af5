// Section 14 of the header: responses.

import CApus
import Synchronization

@inline(never)
private func pinned(_ handle: UInt64) throws(Failure) -> (Ref<Response>, Ref<Slot>) {
  guard case .held(let object, let slot) = Slots.pin(Handle(bits: handle), .response) else {
    throw .deadHandle
  }
  return unsafe (Ref<Response>(opaque: object), slot)
}

@inline(__always)
private func withResponse<Result>(
  _ handle: UInt64, _ body: (Ref<Response>) throws(Failure) -> Result
) throws(Failure) -> Result {
  let (response, slot) = try pinned(handle)
  defer { Slots.unpin(slot) }
  return try body(response)
}

private func number(_ handle: UInt64, _ body: (Ref<Response>) throws(Failure) -> Int32) -> Int32 {
  boundary { () throws(Failure) in
    try withResponse(handle) { response throws(Failure) in try body(response) }
  }
}

private func long(_ handle: UInt64, _ body: (Ref<Response>) throws(Failure) -> Int64) -> Int64 {
  boundaryOfLong { () throws(Failure) in
    try withResponse(handle) { response throws(Failure) in try body(response) }
  }
}

private func text(_ handle: UInt64, _ body: (Ref<Response>) throws(Failure) -> Text)
  -> UnsafePointer<CChar>?
{
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withResponse(handle) { response throws(Failure) in
      unsafe try body(response).characters
    }
  }
}

extension Ref where Object == Response {
  fileprivate func checkWhole() throws(Failure) {
    guard o.isWhole.load(ordering: .acquiring) else {
      throw Failure(.state, "the response is not complete")
    }
  }
}

@_cdecl("apus_response_keep")
public func apusResponseKeep(_ handle: UInt64) -> Int32 {
  number(handle) { response throws(Failure) in
    response.o.isKept.store(true, ordering: .releasing)
    return 0
  }
}

@_cdecl("apus_response_destroy")
public func apusResponseDestroy(_ handle: UInt64) -> Int32 {
  boundary(failing: 0) { () throws(Failure) in
    try withResponse(handle) { response throws(Failure) in
      guard response.end() else { throw .deadHandle }
      return 1
    }
  }
}

@_cdecl("apus_response_is_alive")
public func apusResponseIsAlive(_ handle: UInt64) -> Int32 {
  Slots.isAlive(Handle(bits: handle), .response) && !Process.isForked ? 1 : 0
}

@_cdecl("apus_response_version")
public func apusResponseVersion(_ handle: UInt64) -> Int32 {
  number(handle) { response throws(Failure) in response.o.version }
}

@_cdecl("apus_response_status")
public func apusResponseStatus(_ handle: UInt64) -> Int32 {
  number(handle) { response throws(Failure) in response.o.status }
}

@_cdecl("apus_response_reason")
public func apusResponseReason(_ handle: UInt64) -> UnsafePointer<CChar>? {
  unsafe text(handle) { response throws(Failure) in response.reason }
}

// ---- fields

@_cdecl("apus_response_header")
public func apusResponseHeader(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ length: UnsafeMutablePointer<Int>?
) -> UnsafePointer<CChar>? {
  unsafe field(handle, name, length, trailer: false)
}

@_cdecl("apus_response_trailer")
public func apusResponseTrailer(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ length: UnsafeMutablePointer<Int>?
) -> UnsafePointer<CChar>? {
  unsafe field(handle, name, length, trailer: true)
}

private func field(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ length: UnsafeMutablePointer<Int>?,
  trailer: Bool
) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withResponse(handle) { response throws(Failure) in
      let name = try unsafe text(name)
      if trailer { try response.checkWhole() }
      guard let value = response.field(name.bytes, trailer: trailer) else {
        throw Failure(.notFound, "the response has no such field")
      }
      return unsafe value.give(length)
    }
  }
}

@_cdecl("apus_response_header_count")
public func apusResponseHeaderCount(_ handle: UInt64) -> Int32 {
  number(handle) { response throws(Failure) in
    Int32(truncatingIfNeeded: response.o.fields.count)
  }
}

@_cdecl("apus_response_trailer_count")
public func apusResponseTrailerCount(_ handle: UInt64) -> Int32 {
  number(handle) { response throws(Failure) in
    try response.checkWhole()
    return Int32(truncatingIfNeeded: response.o.trailers.count)
  }
}

private func field(
  _ handle: UInt64, _ index: Int32, trailer: Bool,
  _ name: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ value: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ length: UnsafeMutablePointer<Int>?
) -> Int32 {
  number(handle) { response throws(Failure) in
    if trailer { try response.checkWhole() }
    guard let pair = response.field(Int(index), trailer: trailer) else {
      throw Failure(.notFound, "the response has no field of that index")
    }
    return unsafe pair.give(name, value, length)
  }
}

@_cdecl("apus_response_header_at")
public func apusResponseHeaderAt(
  _ handle: UInt64, _ index: Int32, _ name: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ value: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ length: UnsafeMutablePointer<Int>?
) -> Int32 {
  unsafe field(handle, index, trailer: false, name, value, length)
}

@_cdecl("apus_response_trailer_at")
public func apusResponseTrailerAt(
  _ handle: UInt64, _ index: Int32, _ name: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ value: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ length: UnsafeMutablePointer<Int>?
) -> Int32 {
  unsafe field(handle, index, trailer: true, name, value, length)
}

// ---- the body, and how it all went

@_cdecl("apus_response_body")
public func apusResponseBody(_ handle: UInt64, _ length: UnsafeMutablePointer<Int>?)
  -> UnsafePointer<CChar>?
{
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withResponse(handle) { response throws(Failure) in
      try response.checkWhole()
      guard let start = unsafe response.o.body.pointer else {
        return unsafe Text("").give(length)
      }
      return unsafe Text(start: start, count: response.o.body.count).give(length)
    }
  }
}

@_cdecl("apus_response_content_length")
public func apusResponseContentLength(_ handle: UInt64) -> Int64 {
  long(handle) { response throws(Failure) in
    if response.o.contentLength < 0 {
      throw Failure(.notFound, "the response has no Content-Length")
    }
    return response.o.contentLength
  }
}

@_cdecl("apus_response_body_bytes")
public func apusResponseBodyBytes(_ handle: UInt64) -> Int64 {
  long(handle) { response throws(Failure) in
    try response.checkWhole()
    return response.o.bodyBytes
  }
}

@_cdecl("apus_response_url")
public func apusResponseURL(_ handle: UInt64) -> UnsafePointer<CChar>? {
  unsafe text(handle) { response throws(Failure) in
    guard let start = unsafe response.o.url.pointer else { return Text("") }
    return unsafe Text(start: start, count: response.o.url.count)
  }
}

@_cdecl("apus_response_redirects")
public func apusResponseRedirects(_ handle: UInt64) -> Int32 {
  number(handle) { response throws(Failure) in response.o.redirects }
}

@_cdecl("apus_response_address")
public func apusResponseAddress(
  _ handle: UInt64, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
  number(handle) { response throws(Failure) in
    guard let buffer = unsafe buffer, capacity >= 48 else {
      throw Failure(.argument, "the buffer must have room for 48 bytes")
    }
    return unsafe response.o.peer.write(to: buffer)
  }
}

@_cdecl("apus_response_time_us")
public func apusResponseTimeUs(_ handle: UInt64, _ which: Int32) -> Int64 {
  long(handle) { response throws(Failure) in
    try check(which, in: 0...4)
    try response.checkWhole()
    let times = response.o.times
    let time =
      switch which {
      case 0: times.total
      case 1: times.resolved
      case 2: times.connected
      case 3: times.secured
      default: times.firstByte
      }
    if time < 0 { throw Failure(.notFound, "that did not happen") }
    return time
  }
}
