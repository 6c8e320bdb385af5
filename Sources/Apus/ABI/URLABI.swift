// Section 13 of the header: URLs, percent-encoding and queries as text.

import CApus

/// Copies text into the host's room, whole, with a NUL.
func give(
  _ text: borrowing ByteBuffer, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int
) throws(Failure) -> Int {
  if text.failed { throw .noMemory }
  let target = try unsafe room(UnsafeMutableRawPointer(buffer), capacity, for: text.count &+ 1)
  unsafe target.copy(text.bytes)
  unsafe target[text.count] = 0
  return text.count
}

private func web(_ characters: UnsafePointer<CChar>?) throws(Failure) -> WebURL {
  let text = try unsafe text(characters)
  return try WebURL(text.bytes)
}

private func percentSet(_ number: Int32) throws(Failure) -> PercentSet {
  switch Int(number) {
  case APUS_PERCENT_COMPONENT: return .component
  case APUS_PERCENT_PATH: return .path
  case APUS_PERCENT_QUERY: return .query
  case APUS_PERCENT_FORM: return .form
  default: throw Failure(.argument, "there is no such way of percent-encoding")
  }
}

// ---- URLs

@_cdecl("apus_url_part")
public func apusURLPart(
  _ url: UnsafePointer<CChar>?, _ part: Int32, _ buffer: UnsafeMutablePointer<CChar>?,
  _ capacity: Int
) -> Int32 {
  boundary { () throws(Failure) in
    try check(part, in: Int32(APUS_URL_WHOLE)...Int32(APUS_URL_TARGET))
    let url = try unsafe web(url)
    var text = ByteBuffer()
    try append(url, part, to: &text)
    return Int32(truncatingIfNeeded: try unsafe give(text, buffer, capacity))
  }
}

private func append(_ url: borrowing WebURL, _ part: Int32, to text: inout ByteBuffer)
  throws(Failure)
{
  let parts = url.parts
  let range: Range<Int>
  var isThere = true
  switch Int(part) {
  case APUS_URL_SCHEME: return text.append(url.scheme.name)
  case APUS_URL_ORIGIN: return url.appendOrigin(to: &text)
  case APUS_URL_PORT: return text.append(decimal: Int64(parts.port))
  case APUS_URL_USERNAME, APUS_URL_PASSWORD:
    guard parts.hasCredentials else { throw Failure(.notFound, "the URL has no user name") }
    if Int(part) == APUS_URL_USERNAME { return url.appendUsername(to: &text) }
    return url.appendPassword(to: &text)
  case APUS_URL_HOST: range = parts.hostName
  case APUS_URL_AUTHORITY: range = parts.authority
  case APUS_URL_PATH: range = parts.path
  case APUS_URL_TARGET: range = parts.target
  case APUS_URL_QUERY: (range, isThere) = (parts.query, parts.hasQuery)
  case APUS_URL_FRAGMENT: (range, isThere) = (parts.fragment, parts.hasFragment)
  default: range = 0..<url.text.count
  }
  guard isThere else { throw Failure(.notFound, "the URL has no such part") }
  text.append(url.bytes.extracting(range))
}

@_cdecl("apus_url_port")
public func apusURLPort(_ url: UnsafePointer<CChar>?) -> Int32 {
  boundary { () throws(Failure) in
    let url = try unsafe web(url)
    return Int32(url.parts.port)
  }
}

@_cdecl("apus_url_resolve")
public func apusURLResolve(
  _ base: UnsafePointer<CChar>?, _ reference: UnsafePointer<CChar>?,
  _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
  boundary { () throws(Failure) in
    let reference = try unsafe text(reference)
    let base = try unsafe web(base)
    let url = try WebURL(reference.bytes, at: base, .lenient)
    return Int32(truncatingIfNeeded: try unsafe give(url.text, buffer, capacity))
  }
}

@_cdecl("apus_url_same_origin")
public func apusURLSameOrigin(_ url: UnsafePointer<CChar>?, _ other: UnsafePointer<CChar>?)
  -> Int32
{
  boundary { () throws(Failure) in
    let url = try unsafe web(url)
    let other = try unsafe web(other)
    return url.hasOrigin(of: other) ? 1 : 0
  }
}

// ---- percent-encoding

@_cdecl("apus_percent_encode")
public func apusPercentEncode(
  _ data: UnsafeRawPointer?, _ length: Int, _ set: Int32,
  _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int64 {
  boundaryOfLong { () throws(Failure) in
    let set = try percentSet(set)
    let input = try unsafe bytes(data, length)
    var text = ByteBuffer()
    Percent.encode(input.bytes, set, to: &text)
    return Int64(try unsafe give(text, buffer, capacity))
  }
}

@_cdecl("apus_percent_decode")
public func apusPercentDecode(
  _ data: UnsafeRawPointer?, _ length: Int, _ set: Int32,
  _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int64 {
  boundaryOfLong { () throws(Failure) in
    let set = try percentSet(set)
    let input = try unsafe bytes(data, length)
    var text = ByteBuffer()
    if set == .form {
      Percent.decode(form: input.bytes, to: &text)
    } else if !Percent.decode(input.bytes, to: &text) {
      throw Failure(.argument, "a % has no two hexadecimal digits behind it")
    }
    return Int64(try unsafe give(text, buffer, capacity))
  }
}

@_cdecl("apus_query_append")
public func apusQueryAppend(
  _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ name: UnsafePointer<CChar>?,
  _ data: UnsafeRawPointer?, _ length: Int
) -> Int64 {
  boundaryOfLong { () throws(Failure) in
    let name = try unsafe text(name)
    let value = try unsafe bytes(data, length)
    let target = try unsafe room(UnsafeMutableRawPointer(buffer), capacity, for: 1)
    let held = unsafe Span(_unsafeStart: target, count: capacity)
    guard let count = held.first(0) else {
      throw Failure(.argument, "the buffer holds no text that ends with a NUL")
    }
    var text = ByteBuffer()
    let last = count > 0 ? held[count &- 1] : UInt8(ascii: "&")
    if last != UInt8(ascii: "&"), last != UInt8(ascii: "?") { text.append("&") }
    Percent.encode(name.bytes, .form, to: &text)
    text.append("=")
    Percent.encode(value.bytes, .form, to: &text)
    let place = unsafe UnsafeMutableRawPointer(target + count)
    let added = try unsafe give(
      text, place.assumingMemoryBound(to: CChar.self), capacity &- count)
    return Int64(count &+ added)
  }
}
