// Cookies as lines of text, in the form of Netscape's cookies.txt that curl and others
// read: domain, whether names below it count, path, whether it is secure, when it expires
// (0: with the session), name and value, with tabs between. SameSite has no place in it.

extension CookieJar {
  /// Appends all cookies.
  mutating func exportLines(to buffer: inout ByteBuffer, now: Int64) {
    removeExpired(now)
    buffer.append("# Netscape HTTP Cookie File\n")
    for index in 0..<cookies.count { CookieJar.append(cookies[index], to: &buffer) }
  }

  /// Appends the line of one.
  static func append(_ cookie: Ref<StoredCookie>, to buffer: inout ByteBuffer) {
    let facts = cookie.o.facts
    if facts.isHTTPOnly { buffer.append("#HttpOnly_") }
    if !facts.isHostOnly { buffer.append(".") }
    buffer.append(cookie.o[.domain])
    buffer.append(facts.isHostOnly ? "\tFALSE\t" : "\tTRUE\t")
    buffer.append(cookie.o[.path])
    buffer.append(facts.isSecure ? "\tTRUE\t" : "\tFALSE\t")
    buffer.append(decimal: facts.expires ?? 0)
    buffer.append("\t")
    buffer.append(cookie.o[.name])
    buffer.append("\t")
    buffer.append(cookie.o[.value])
    buffer.append("\n")
  }

  struct Imported {
    var taken = 0
    /// Lines that are no cookies, or may not be.
    var refused = 0
  }

  /// Takes cookies from such lines. Those that have expired are passed over.
  mutating func importLines(_ text: Bytes, now: Int64) -> Imported {
    var imported = Imported()
    var index = 0
    while index < text.count {
      var end = text.first(10, from: index) ?? text.count
      let next = end &+ 1
      if end > index, text[end &- 1] == 13 { end &-= 1 }
      let line = text.extracting(index..<end)
      index = next
      let mark: StaticString = "#HttpOnly_"
      let size = mark.utf8CodeUnitCount
      let isHTTPOnly = line.count >= size && line.extracting(0..<size).equals(mark)
      if line.count == 0 || (line[0] == UInt8(ascii: "#") && !isHTTPOnly) { continue }
      do throws(Failure) {
        try take(
          line: line.extracting((isHTTPOnly ? size : 0)..<line.count), isHTTPOnly: isHTTPOnly, now)
        imported.taken &+= 1
      } catch {
        imported.refused &+= 1
      }
    }
    return imported
  }

  private mutating func take(line: Bytes, isHTTPOnly: Bool, _ now: Int64) throws(Failure) {
    let malformed = Failure(.argument, "the line is no cookie")
    var fields = InlineArray<6, Range<Int>>(repeating: 0..<0)
    var index = 0
    for field in 0..<6 {
      // A line may end behind the name, whose value then is empty.
      guard index <= line.count else { throw malformed }
      guard let tab = line.first(9, from: index) ?? (field == 5 ? line.count : nil) else {
        throw malformed
      }
      fields[field] = index..<tab
      index = tab &+ 1
    }
    var facts = CookieFacts(isHTTPOnly: isHTTPOnly)
    facts.isHostOnly = !(try CookieJar.flag(line.extracting(fields[1])))
    facts.isSecure = try CookieJar.flag(line.extracting(fields[3]))
    guard let expires = CookieJar.number(line.extracting(fields[4])) else { throw malformed }
    if expires > 0 { facts.expires = expires }
    var domain = line.extracting(fields[0])
    if domain.count > 0, domain[0] == UInt8(ascii: ".") {
      domain = domain.extracting(1..<domain.count)
    }
    try add(
      name: line.extracting(fields[5]), value: line.extracting(min(index, line.count)..<line.count),
      domain: domain, path: line.extracting(fields[2]), facts, now: now)
  }

  private static func flag(_ text: Bytes) throws(Failure) -> Bool {
    if text.equalsLowercase("true") { return true }
    if text.equalsLowercase("false") { return false }
    throw Failure(.argument, "the line is no cookie")
  }

  private static func number(_ text: Bytes) -> Int64? {
    guard text.count > 0 else { return nil }
    var number: Int64 = 0
    for index in 0..<text.count {
      guard text[index].isDigit else { return nil }
      number = min(number &* 10 &+ Int64(text[index] &- 48), 1 << 50)
    }
    return number
  }
}
