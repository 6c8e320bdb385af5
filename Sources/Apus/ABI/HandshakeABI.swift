// Section 11 of the header, the second half: the opening handshake, read from a
// request or from the bytes of a response.

import CApus

/// Copies text into the host's room, whole, with a NUL.
private func give(
  _ text: borrowing ByteBuffer, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int
) throws(Failure) -> Int32 {
  let target = try unsafe room(UnsafeMutableRawPointer(buffer), capacity, for: text.count &+ 1)
  unsafe target.copy(text.bytes)
  unsafe target[text.count] = 0
  return Int32(truncatingIfNeeded: text.count)
}

private func accept(_ key: UnsafePointer<CChar>?) throws(Failure) -> ByteBuffer {
  let key = try unsafe text(key)
  guard HandshakeKey.isValid(key.bytes) else {
    throw Failure(.argument, "a key is 16 bytes in Base64")
  }
  var accept = ByteBuffer()
  guard HandshakeKey.appendAccept(key: key.bytes, to: &accept) else {
    throw noChance(accept.failed)
  }
  return accept
}

// ---- a server's side

@_cdecl("apus_handshake_is_upgrade")
public func apusHandshakeIsUpgrade(_ request: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(request) { exchange throws(Failure) in exchange.asksForWebSocket ? 1 : 0 }
  }
}

@_cdecl("apus_handshake_check")
public func apusHandshakeCheck(_ request: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(request) { exchange throws(Failure) in
      let handshake = exchange.handshake()
      guard let problem = handshake.problem() else { return 0 }
      return finding(problem.status, .protocolBroken, problem.reason)
    }
  }
}

@_cdecl("apus_handshake_check_origin")
public func apusHandshakeCheckOrigin(
  _ request: UInt64, _ policy: Int32, _ origins: UnsafePointer<CChar>?
) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(request) { exchange throws(Failure) in
      guard let policy = OriginPolicy(rawValue: policy) else {
        throw Failure(.argument, "no such origin policy")
      }
      var list = OriginList()
      if policy == .list {
        guard list.set(try unsafe text(origins).bytes) else {
          throw Failure(.argument, "an origin is a scheme, a host and perhaps a port")
        }
      }
      if exchange.isOriginAllowed(policy, list) { return 0 }
      return finding(
        403, .permission, "This page's origin may not open a WebSocket here.")
    }
  }
}

@_cdecl("apus_handshake_version")
public func apusHandshakeVersion(_ request: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(request) { exchange throws(Failure) in try exchange.handshakeVersion() }
  }
}

@_cdecl("apus_handshake_key")
public func apusHandshakeKey(_ request: UInt64) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withRequest(request) { exchange throws(Failure) in
      unsafe try exchange.handshakeKey().characters
    }
  }
}

@_cdecl("apus_handshake_protocol_count")
public func apusHandshakeProtocolCount(_ request: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(request) { exchange throws(Failure) in
      Int32(truncatingIfNeeded: try exchange.offeredProtocols().count)
    }
  }
}

@_cdecl("apus_handshake_protocol_at")
public func apusHandshakeProtocolAt(
  _ request: UInt64, _ index: Int32, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
  boundary { () throws(Failure) in
    try withRequest(request) { exchange throws(Failure) in
      guard let buffer = unsafe buffer, capacity > 0 else {
        throw Failure(.argument, "there is no room for the name")
      }
      var name = ByteBuffer()
      try exchange.appendOfferedProtocol(at: Int(index), to: &name)
      let kept = min(name.count, capacity &- 1)
      let target = unsafe UnsafeMutableRawPointer(buffer).assumingMemoryBound(to: UInt8.self)
      unsafe target.copy(name.bytes.extracting(first: kept))
      unsafe target[kept] = 0
      return Int32(truncatingIfNeeded: name.count)
    }
  }
}

@_cdecl("apus_handshake_accept")
public func apusHandshakeAccept(
  _ key: UnsafePointer<CChar>?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
  boundary { () throws(Failure) in
    let value = try unsafe accept(key)
    return try unsafe give(value, buffer, capacity)
  }
}

// ---- a client's side

@_cdecl("apus_handshake_make_key")
public func apusHandshakeMakeKey(_ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int) -> Int32 {
  boundary { () throws(Failure) in
    var key = ByteBuffer()
    guard HandshakeKey.appendNew(to: &key) else { throw noChance(key.failed) }
    return try unsafe give(key, buffer, capacity)
  }
}

@_cdecl("apus_handshake_check_response")
public func apusHandshakeCheckResponse(
  _ data: UnsafeRawPointer?, _ length: Int, _ key: UnsafePointer<CChar>?,
  _ protocols: UnsafePointer<CChar>?, _ chosen: UnsafeMutablePointer<Int32>?
) -> Int32 {
  boundary { () throws(Failure) in
    let input = try unsafe bytes(data, length)
    let expected = try unsafe accept(key)
    var offered = ProtocolList()
    let list = unsafe protocols.map { unsafe Text(characters: $0) } ?? Text("")
    if list.count > 0 {
      guard offered.take(list.bytes), offered.isValid else {
        throw Failure(.argument, "subprotocols are different tokens with commas between")
      }
    }
    var status: Int32 = 0
    let opening = try ResponseHandshake.check(
      input.bytes, accept: expected.bytes, protocols: offered, deflate: nil, status: &status)
    guard let opening else { return 0 }
    unsafe chosen?.pointee = opening.subprotocol
    return Int32(truncatingIfNeeded: opening.count)
  }
}
