// Section 14 of the header: requests in one line.

import CApus
import Synchronization

/// One request by a client of its own, on the caller's thread.
private func request(
  _ method: Text, _ url: UnsafePointer<CChar>?, _ headers: UnsafePointer<CChar>?,
  _ setBody: (Ref<Fetch>) throws(Failure) -> Void
) -> UInt64 {
  boundary(failing: 0) { () throws(Failure) in
    Process.prepare()
    let url = try unsafe text(url)
    let lines = unsafe headers.map { unsafe Text(characters: $0) } ?? Text("")
    let client = try Ref<Server>.make(.client)
    client.o.options.workers = 0
    defer { _ = apusClientDestroy(client.o.handle.bits) }
    return try withClient(client.o.handle.bits) { client throws(Failure) in
      let fetch = try Ref<Fetch>.make(on: client)
      do throws(Failure) {
        try fetch.set(method: method.bytes)
        try fetch.set(url: url.bytes)
        try fetch.o.fields.add(given: lines.bytes)
        try setBody(fetch)
      } catch {
        fetch.release()
        throw error
      }
      let handle = Handle(bits: try fetch.open())
      return try withFetch(handle.bits) { fetch throws(Failure) in
        defer { _ = fetch.end(handle) }
        _ = try fetch.send()
        guard let response = fetch.o.response else { throw .noMemory }
        response.o.isKept.store(true, ordering: .releasing)
        return response.o.handle.bits
      }
    }
  }
}

private func request(
  _ method: Text, _ url: UnsafePointer<CChar>?, _ headers: UnsafePointer<CChar>?,
  _ data: UnsafeRawPointer?, _ length: Int
) -> UInt64 {
  unsafe request(method, url, headers) { fetch throws(Failure) in
    let body = try unsafe bytes(data, length)
    if unsafe data != nil { try fetch.o.body.add(body.bytes) }
  }
}

private typealias Texts = UnsafePointer<UnsafePointer<CChar>?>

/// Pairs of texts up to a NULL, or none.
private func pairs(_ texts: Texts?, _ body: (Text, Text) throws(Failure) -> Void) throws(Failure) {
  guard var next = unsafe texts else { return }
  while let first = unsafe next[0] {
    guard let second = unsafe next[1] else {
      throw Failure(.argument, "a name stands without its value")
    }
    try unsafe body(Text(characters: first), Text(characters: second))
    unsafe next += 2
  }
}

@_cdecl("apus_post_form")
public func apusPostForm(
  _ url: UnsafePointer<CChar>?, _ headers: UnsafePointer<CChar>?,
  _ fields: UnsafePointer<UnsafePointer<CChar>?>?, _ files: UnsafePointer<UnsafePointer<CChar>?>?
) -> UInt64 {
  unsafe request(Text("POST"), url, headers) { fetch throws(Failure) in
    try unsafe pairs(fields) { (name, value) throws(Failure) in
      try fetch.o.form.add(field: name.bytes, value.bytes)
    }
    try unsafe pairs(files) { (name, path) throws(Failure) in
      try fetch.o.form.add(file: path, name: name.bytes, fileName: nil, type: Bytes())
    }
  }
}

@_cdecl("apus_http")
public func apusHTTP(
  _ method: UnsafePointer<CChar>?, _ url: UnsafePointer<CChar>?,
  _ headers: UnsafePointer<CChar>?, _ data: UnsafeRawPointer?, _ length: Int
) -> UInt64 {
  boundary(failing: 0) { () throws(Failure) in
    let method = try unsafe text(method)
    return unsafe request(method, url, headers, data, length)
  }
}

@_cdecl("apus_get")
public func apusGet(_ url: UnsafePointer<CChar>?, _ headers: UnsafePointer<CChar>?)
  -> UInt64
{
  unsafe request(Text("GET"), url, headers, nil, 0)
}

@_cdecl("apus_head")
public func apusHead(_ url: UnsafePointer<CChar>?, _ headers: UnsafePointer<CChar>?)
  -> UInt64
{
  unsafe request(Text("HEAD"), url, headers, nil, 0)
}

@_cdecl("apus_delete")
public func apusDelete(_ url: UnsafePointer<CChar>?, _ headers: UnsafePointer<CChar>?)
  -> UInt64
{
  unsafe request(Text("DELETE"), url, headers, nil, 0)
}

@_cdecl("apus_post")
public func apusPost(
  _ url: UnsafePointer<CChar>?, _ headers: UnsafePointer<CChar>?, _ data: UnsafeRawPointer?,
  _ length: Int
) -> UInt64 {
  unsafe request(Text("POST"), url, headers, data, length)
}

@_cdecl("apus_put")
public func apusPut(
  _ url: UnsafePointer<CChar>?, _ headers: UnsafePointer<CChar>?, _ data: UnsafeRawPointer?,
  _ length: Int
) -> UInt64 {
  unsafe request(Text("PUT"), url, headers, data, length)
}

@_cdecl("apus_patch")
public func apusPatch(
  _ url: UnsafePointer<CChar>?, _ headers: UnsafePointer<CChar>?, _ data: UnsafeRawPointer?,
  _ length: Int
) -> UInt64 {
  unsafe request(Text("PATCH"), url, headers, data, length)
}
