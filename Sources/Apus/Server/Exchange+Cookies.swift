// Cookies of a request, and those that its reply sets.
//
// A signed cookie's value is VALUE "." TIME "." SIGNATURE: when it was made, in seconds
// since 1970, and the HMAC-SHA-256, in Base64 for URLs, of NAME "=" VALUE "." TIME. A name
// has no "=", so that no two cookies have the same text to sign.

extension Ref where Object == Exchange {
  /// Reads the Cookie fields, the first time.
  func readCookies() throws(Failure) {
    if o.hasCookies { return }
    o.hasExtras = true
    // Memory may have run out the last time.
    o.cookies.removeAll()
    let name = Text("cookie")
    for index in 0..<o.head.fields.count {
      guard let pair = field(at: index), pair.name.bytes.equalsIgnoringCase(name.bytes) else {
        continue
      }
      let field = pair.value.bytes
      var pairs = CookiePairs()
      while o.cookies.count < CookiePairs.most, let place = pairs.next(in: field) {
        guard let name = o.arena.copy(field.extracting(place.name)),
          let value = o.arena.copy(field.extracting(place.value)),
          o.cookies.append(Pair(name: name, value: value))
        else { throw .noMemory }
      }
    }
    o.hasCookies = true
  }

  /// The first cookie of a name.
  func cookie(_ name: Bytes) -> Text? {
    for index in 0..<o.cookies.count where o.cookies[index].name.bytes.equals(name) {
      return o.cookies[index].value
    }
    return nil
  }

  func cookie(at index: Int) -> Pair? {
    index >= 0 && index < o.cookies.count ? o.cookies[index] : nil
  }

  /// The value of the first cookie of a name whose signature is right: another site of the
  /// same domain may have set one in front of it.
  func signedCookie(_ name: Bytes, maxAge: Int64) throws(Failure) -> Text {
    guard let server = o.worker?.o.server else {
      throw Failure(.state, "the server has no key for cookies")
    }
    return try withSettings(of: server) { () throws(Failure) in
      try signedCookie(name, maxAge: maxAge, keys: server.o.cookieKeys)
    }
  }

  private func signedCookie(
    _ name: Bytes, maxAge: Int64, keys: borrowing List<Ref<ByteBuffer>>
  ) throws(Failure) -> Text {
    if keys.isEmpty { throw Failure(.state, "the server has no key for cookies") }
    try readCookies()
    var failure = Failure(.notFound, "there is no cookie of this name")
    for index in 0..<o.cookies.count where o.cookies[index].name.bytes.equals(name) {
      let text = o.cookies[index].value.bytes
      guard let signed = CookieSigner.open(text, name: name, keys: keys) else {
        if failure.code == .notFound {
          failure = Failure(.protocolBroken, "the cookie's signature is wrong")
        }
        continue
      }
      if maxAge >= 0, Clock.wallSeconds &- signed.time > maxAge {
        failure = Failure(.timeout, "the cookie is too old")
        continue
      }
      guard let value = o.arena.copy(text.extracting(signed.value)) else { throw .noMemory }
      return value
    }
    throw failure
  }

  /// Adds Set-Cookie to the reply.
  func setCookie(name: Bytes, value: Bytes, _ attributes: CookieAttributes) throws(Failure) {
    var line = ByteBuffer()
    if attributes.flags.contains(.signed) {
      guard let server = o.worker?.o.server, !server.o.cookieKeys.isEmpty else {
        throw Failure(.state, "the server has no key for cookies")
      }
      var signed = ByteBuffer()
      let worked = CookieSigner.append(
        value, name: name, key: server.o.cookieKeys[0], time: Clock.wallSeconds, to: &signed)
      guard worked else { throw .noMemory }
      if value.first(34) != nil {
        throw Failure(.argument, "a signed cookie's value has no quotes")
      }
      try CookieLine.append(name: name, value: signed.bytes, attributes, to: &line)
    } else {
      try CookieLine.append(name: name, value: value, attributes, to: &line)
    }
    let field = Text("Set-Cookie")
    try setField(field.bytes, line.bytes, replacing: false)
  }
}

enum CookieSigner {
  /// Bytes of a key.
  static var shortestKey: Int { 16 }
  static var longestKey: Int { 1024 }
  static var mostKeys: Int { 16 }

  /// Appends a signed value; false without memory.
  static func append(
    _ value: Bytes, name: Bytes, key: Ref<ByteBuffer>, time: Int64, to buffer: inout ByteBuffer
  ) -> Bool {
    var text = ByteBuffer()
    text.append(value)
    text.append(".")
    text.append(decimal: max(time, 0))
    buffer.append(text.bytes)
    buffer.append(".")
    return appendSignature(of: text.bytes, name: name, key: key, to: &buffer) && !buffer.failed
  }

  private static func appendSignature(
    of text: Bytes, name: Bytes, key: Ref<ByteBuffer>, to buffer: inout ByteBuffer
  ) -> Bool {
    var input = ByteBuffer()
    input.append(name)
    input.append("=")
    input.append(text)
    var digest = ByteBuffer()
    guard !input.failed, Crypto.appendHMAC(of: input.bytes, key: key.o.bytes, to: &digest) else {
      return false
    }
    var encoded = ByteBuffer()
    Base64.append(digest.bytes, to: &encoded)
    for index in 0..<encoded.count {
      switch encoded.bytes[index] {
      case UInt8(ascii: "+"): buffer.append("-")
      case UInt8(ascii: "/"): buffer.append("_")
      case UInt8(ascii: "="): continue
      case let byte: buffer.append(byte)
      }
    }
    return !encoded.failed
  }

  /// Where the value stands and when it was made; nil where no key has signed it.
  static func open(_ text: Bytes, name: Bytes, keys: borrowing List<Ref<ByteBuffer>>)
    -> (value: Range<Int>, time: Int64)?
  {
    guard let last = lastDot(text, before: text.count), let first = lastDot(text, before: last),
      let time = number(text.extracting((first &+ 1)..<last))
    else { return nil }
    for index in 0..<keys.count {
      var signature = ByteBuffer()
      let isMade = appendSignature(
        of: text.extracting(0..<last), name: name, key: keys[index], to: &signature)
      if isMade, Crypto.areEqual(signature.bytes, text.extracting((last &+ 1)..<text.count)) {
        return (0..<first, time)
      }
    }
    return nil
  }

  private static func lastDot(_ text: Bytes, before end: Int) -> Int? {
    var index = end &- 1
    while index >= 0, text[index] != UInt8(ascii: ".") { index &-= 1 }
    return index >= 0 ? index : nil
  }

  private static func number(_ text: Bytes) -> Int64? {
    guard text.count > 0, text.count <= 12 else { return nil }
    var number: Int64 = 0
    for index in 0..<text.count {
      guard text[index].isDigit else { return nil }
      number = number &* 10 &+ Int64(text[index] &- 48)
    }
    return number
  }
}
