// The values of fields: cookies, ranges, dates, and what the handshake of a WebSocket and
// the choice of a coding read.

/// The cookies of a request: written again as they were found, they are the same.
func fuzzCookies(_ bytes: [UInt8]) {
  let found = pairs(bytes)
  var text: [UInt8] = []
  for pair in found {
    // One without "=" is a value alone; with an empty name it cannot be told from that.
    text += (text.isEmpty ? [] : [59, 32]) + pair.0 + [61] + pair.1
  }
  let again = pairs(text)
  if found.map(\.0) != again.map(\.0) || found.map(\.1) != again.map(\.1) {
    fatalError("other cookies when written again: \(text)")
  }
  fuzzCookieLine(bytes)
}

private func pairs(_ bytes: [UInt8]) -> [([UInt8], [UInt8])] {
  span(bytes) { field in
    var found: [([UInt8], [UInt8])] = []
    var cookies = CookiePairs()
    while let place = cookies.next(in: field) {
      found.append((copy(field.extracting(place.name)), copy(field.extracting(place.value))))
      if found.count > bytes.count { fatalError("more cookies than bytes") }
    }
    return found
  }
}

/// A cookie that is written is read as it was meant.
private func fuzzCookieLine(_ bytes: [UInt8]) {
  let texts = parts(bytes, 3)
  let (name, value) = (texts[0], texts[1])
  let number = texts[2].reduce(Int64(0)) { ($0 << 8 | Int64($1)) & 0xFF_FFFF_FFFF }
  var attributes = CookieAttributes()
  attributes.maxAge = number % 100_000
  attributes.expires = number % (CookieLine.latest + 1)
  attributes.flags = CookieFlags(rawValue: Int32(number & 127) & ~8)
  attributes.path = Text("/a/b")
  var line = ByteBuffer()
  do throws(Failure) {
    try CookieLine.append(
      name: name.span, value: value.span, attributes, to: &line)
  } catch {
    return
  }
  guard let cookie = SetCookie(line.bytes) else { fatalError("a cookie that is none") }
  let flags = attributes.flags
  let site: SameSite =
    flags.contains(.sameSiteNone)
    ? .none
    : flags.contains(.sameSiteLax) ? .lax : flags.contains(.sameSiteStrict) ? .strict : .unset
  if copy(line.bytes.extracting(cookie.name)) != texts[0]
    || copy(line.bytes.extracting(cookie.value)) != texts[1]
    || copy(line.bytes.extracting(cookie.path ?? 0..<0)) != Array("/a/b".utf8)
    || cookie.maxAge != attributes.maxAge || cookie.isSecure != flags.contains(.secure)
    || cookie.isHTTPOnly != flags.contains(.httpOnly) || cookie.sameSite != site
  {
    fatalError("another cookie: \(texts)")
  }
  // The calendar of cookies begins with 1601, and that of the library with 0.
  if cookie.expires != attributes.expires { fatalError("another time: \(attributes.expires)") }
}

/// The length is that of the bytes.
func fuzzRanges(_ bytes: [UInt8]) {
  let length = Int64(bytes.last ?? 0)
  let found = ranges(bytes, length)
  if found.count > ByteRanges.most { fatalError("more ranges than may be") }
  var sum: Int64 = 0
  for (number, range) in found.enumerated() {
    if range.isEmpty || range.lowerBound < 0 || range.upperBound > length {
      fatalError("a range that is none: \(range)")
    }
    for other in found[..<number] where other.overlaps(range) { fatalError("bytes twice") }
    sum += range.upperBound - range.lowerBound
  }
  if sum > length { fatalError("more than there is") }
  guard !found.isEmpty else { return }
  let text =
    "bytes=" + found.map { "\($0.lowerBound)-\($0.upperBound - 1)" }.joined(separator: ", ")
  if ranges(Array(text.utf8), length) != found { fatalError("other ranges: \(text)") }
}

private func ranges(_ bytes: [UInt8], _ length: Int64) -> [Range<Int64>] {
  span(bytes) { value in
    let ranges = ByteRanges(value, of: length)
    var found: [Range<Int64>] = []
    for index in 0..<ranges.list.count { found.append(ranges.list[index]) }
    if (ranges.outcome == .some) == found.isEmpty { fatalError("ranges, and none") }
    return found
  }
}

/// A date that was read, and one that the bytes are, is written and read again.
func fuzzDates(_ bytes: [UInt8]) {
  let first = span(bytes) { HTTPDate.parse($0) }
  if let first { checkDate(first) }
  if let other = span(bytes, { CookieDate.parse($0) }) { checkDate(other) }
  let number = bytes.prefix(8).reduce(Int64(0)) { $0 << 8 | Int64($1) }
  // From 1601 to 9999.
  checkDate(-11_644_473_600 + Int64(number.magnitude % 265_046_774_400))
  var short = ByteBuffer()
  HTTPDate.appendShort(number, to: &short)
  HTTPDate.appendLog(number, to: &short)
  // The year of the first has as many digits as it needs.
  if short.count < 39 || short.count > 42 { fatalError("no date for people: \(number)") }
}

private func checkDate(_ time: Int64) {
  var buffer = ByteBuffer()
  HTTPDate.append(time, to: &buffer)
  if buffer.count != HTTPDate.length || HTTPDate.parse(buffer.bytes) != time
    || CookieDate.parse(buffer.bytes) != time
  {
    fatalError("another date: \(time)")
  }
}

/// The fields of a handshake, and of choices, whoever wrote them.
func fuzzHandshake(_ bytes: [UInt8]) {
  span(bytes) { value in
    var handshake = ServerHandshake(
      isGet: true, version: 11, hasBody: false, deflate: DeflateSettings())
    for name in [
      "upgrade", "connection", "sec-websocket-key", "sec-websocket-version",
      "sec-websocket-protocol", "sec-websocket-extensions",
    ] {
      handshake.take(Array(name.utf8).span, value)
    }
    if let chosen = handshake.deflate { check(chosen) }
    if let reply = DeflateOffer().accepted(value), reply.serverMaxWindowBits < 8 {
      fatalError("a window that is none")
    }
    let accepted = AcceptEncoding(value)
    _ = accepted.takesGzip || accepted.takesBrotli
    let tag = Text("\"a\"")
    let isThere = EntityTag.isIn(value, tag.bytes, weakly: false)
    if isThere, !EntityTag.isIn(value, tag.bytes, weakly: true) { fatalError("strong, not weak") }
    if case .multipart(let range) = FormType(value), range.isEmpty || range.count > 70 {
      fatalError("a boundary that is none")
    }
    var decoded = ByteBuffer()
    if Base64.decode(value, to: &decoded) {
      var again = ByteBuffer()
      Base64.append(decoded.bytes, to: &again)
      var twice = ByteBuffer()
      if !Base64.decode(again.bytes, to: &twice) || copy(twice.bytes) != copy(decoded.bytes) {
        fatalError("other bytes in Base64")
      }
    }
    var credentials = ByteBuffer()
    _ = Authorization.basic(value, to: &credentials)
    _ = Authorization.bearer(value)
  }
}

/// What was agreed on, written as a server does, is taken as the same by a client.
private func check(_ parameters: DeflateParameters) {
  if parameters.serverMaxWindowBits < 8 || parameters.serverMaxWindowBits > 15
    || parameters.clientMaxWindowBits < 8 || parameters.clientMaxWindowBits > 15
  {
    fatalError("a window that is none")
  }
  var buffer = ByteBuffer()
  parameters.append(to: &buffer)
  guard let again = DeflateOffer().accepted(buffer.bytes) else { fatalError("not taken") }
  if again.serverMaxWindowBits != parameters.serverMaxWindowBits
    || again.serverNoContextTakeover != parameters.serverNoContextTakeover
    || again.clientNoContextTakeover != parameters.clientNoContextTakeover
    || parameters.namesClientBits && again.clientMaxWindowBits != parameters.clientMaxWindowBits
  {
    fatalError("another window: \(parameters), \(again)")
  }
}
