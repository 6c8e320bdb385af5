// Section 7 of the header: replies at once.

import CApus

/// Works on the reply of a request that has none yet.
@inline(__always)
func reply(
  _ handle: UInt64, completes: Bool = true, _ body: (Ref<Exchange>) throws(Failure) -> Void
) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in
      try exchange.checkUnreplied()
      if completes { exchange.o.isFileMissing = false }
      if exchange.o.isShared, exchange.o.hasLeft {
        if completes { exchange.giveUp() }
        throw Failure(.closed, "the client has gone")
      }
      try body(exchange)
      if completes { exchange.afterReply() }
      return 0
    }
  }
}

@_cdecl("apus_reply_set_status")
public func apusReplySetStatus(_ handle: UInt64, _ status: Int32) -> Int32 {
  reply(handle, completes: false) { exchange throws(Failure) in try exchange.setStatus(status) }
}

@_cdecl("apus_reply_set_header")
public func apusReplySetHeader(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?
) -> Int32 {
  reply(handle, completes: false) { exchange throws(Failure) in
    let name = try unsafe text(name)
    let value = try unsafe text(value)
    try exchange.setField(name.bytes, value.bytes, replacing: true)
  }
}

@_cdecl("apus_reply_add_header")
public func apusReplyAddHeader(
  _ handle: UInt64, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?
) -> Int32 {
  reply(handle, completes: false) { exchange throws(Failure) in
    let name = try unsafe text(name)
    let value = try unsafe text(value)
    try exchange.setField(name.bytes, value.bytes, replacing: false)
  }
}

@_cdecl("apus_reply_set_content_type")
public func apusReplySetContentType(_ handle: UInt64, _ type: UnsafePointer<CChar>?) -> Int32 {
  reply(handle, completes: false) { exchange throws(Failure) in
    try unsafe exchange.setType(text(type))
  }
}

@_cdecl("apus_reply_data")
public func apusReplyData(_ handle: UInt64, _ data: UnsafeRawPointer?, _ length: Int) -> Int32 {
  reply(handle) { exchange throws(Failure) in
    let body = try unsafe bytes(data, length)
    try exchange.complete(body.bytes)
  }
}

@_cdecl("apus_reply")
public func apusReply(
  _ handle: UInt64, _ status: Int32, _ type: UnsafePointer<CChar>?, _ data: UnsafeRawPointer?,
  _ length: Int
) -> Int32 {
  reply(handle) { exchange throws(Failure) in
    let body = try unsafe bytes(data, length)
    if status != 0 { try exchange.setStatus(status) }
    if unsafe type != nil { try unsafe exchange.setType(text(type)) }
    try exchange.complete(body.bytes)
  }
}

@inline(__always)
private func replyText(
  _ handle: UInt64, _ status: Int32, _ type: StaticString, _ body: UnsafePointer<CChar>?
) -> Int32 {
  reply(handle) { exchange throws(Failure) in
    let body = try unsafe text(body)
    if status != 0 { try exchange.setStatus(status) }
    try exchange.setType(Text(type))
    try exchange.complete(body.bytes)
  }
}

@_cdecl("apus_reply_text")
public func apusReplyText(_ handle: UInt64, _ status: Int32, _ text: UnsafePointer<CChar>?)
  -> Int32
{
  unsafe replyText(handle, status, "text/plain; charset=utf-8", text)
}

@_cdecl("apus_reply_html")
public func apusReplyHTML(_ handle: UInt64, _ status: Int32, _ html: UnsafePointer<CChar>?)
  -> Int32
{
  unsafe replyText(handle, status, "text/html; charset=utf-8", html)
}

@_cdecl("apus_reply_json")
public func apusReplyJSON(_ handle: UInt64, _ status: Int32, _ json: UnsafePointer<CChar>?)
  -> Int32
{
  unsafe replyText(handle, status, "application/json", json)
}

@_cdecl("apus_reply_redirect")
public func apusReplyRedirect(
  _ handle: UInt64, _ location: UnsafePointer<CChar>?, _ status: Int32
) -> Int32 {
  reply(handle) { exchange throws(Failure) in
    let location = try unsafe text(location)
    guard location.count > 0, location.bytes.firstOutsideTarget(from: 0) == location.count else {
      throw Failure(.argument, "a location is printable ASCII without spaces")
    }
    if status != 0 { try check(status, in: 300...399) }
    let name = Text("Location")
    try exchange.setField(name.bytes, location.bytes, replacing: true)
    try exchange.setStatus(status == 0 ? 302 : status)
    try exchange.complete(Bytes())
  }
}

@_cdecl("apus_reply_status")
public func apusReplyStatus(_ handle: UInt64, _ status: Int32) -> Int32 {
  reply(handle) { exchange throws(Failure) in
    try check(status, in: 200...599)
    try exchange.completeStatus(status)
  }
}

@_cdecl("apus_reply_unauthorized")
public func apusReplyUnauthorized(
  _ handle: UInt64, _ scheme: UnsafePointer<CChar>?, _ realm: UnsafePointer<CChar>?
) -> Int32 {
  reply(handle) { exchange throws(Failure) in
    let scheme = try unsafe text(scheme)
    let realm = try unsafe text(realm)
    guard scheme.bytes.isToken, realm.bytes.isFieldValue else {
      throw Failure(.argument, "a scheme is a token, and a realm is text of a field")
    }
    var challenge = ByteBuffer()
    Authorization.appendChallenge(
      scheme: scheme.bytes, realm: realm.bytes, to: &challenge)
    if challenge.failed { throw .noMemory }
    let name = Text("WWW-Authenticate")
    try exchange.setField(name.bytes, challenge.bytes, replacing: false)
    try exchange.completeStatus(401)
  }
}
