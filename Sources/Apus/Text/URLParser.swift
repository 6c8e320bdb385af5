// Takes the text of a URL apart and writes it anew, part by part: WHATWG URL §4.4 for the
// schemes of the web, which are all that is taken. For these it says where RFC 3986 is
// silent: a backslash is a slash, slashes too many or too few before the host do not
// count, a dot segment may be percent-encoded.

enum URLParser {
  /// The range without the controls and spaces at both ends, and nothing inside that the
  /// mode does not take.
  static func check(_ text: Bytes, _ mode: WebURL.Mode) throws(Failure) -> Range<Int> {
    guard text.count <= WebURL.longest else { throw Failure(.tooLarge, "the URL is too long") }
    var start = 0
    var end = text.count
    while start < end, text[start] <= 32 { start &+= 1 }
    while end > start, text[end &- 1] <= 32 { end &-= 1 }
    for index in start..<end {
      let byte = text[index]
      if byte < 32 || byte == 127 {
        throw Failure(.argument, "the URL holds a control character")
      }
      if mode == .lenient { continue }
      if byte == 32 {
        throw Failure(.argument, "the URL holds a space: write it as %20")
      }
      if byte == UInt8(ascii: "%"), Percent.triplet(text.extracting(0..<end), at: index) == nil {
        throw Failure(.argument, "the URL has a % without two hexadecimal digits behind it")
      }
    }
    return start..<end
  }

  static func parse(_ input: Bytes, into url: inout WebURL) throws(Failure) {
    guard let colon = endOfScheme(input) else {
      throw Failure(.argument, "the URL has no scheme")
    }
    url.parts.scheme = try scheme(input.extracting(0..<colon))
    try takeAuthority(input, from: endOfSlashes(input, colon &+ 1), into: &url)
  }

  /// RFC 3986 §5.2.2.
  static func parse(_ input: Bytes, at base: borrowing WebURL, into url: inout WebURL)
    throws(Failure)
  {
    var index = 0
    url.parts.scheme = base.scheme
    if let colon = endOfScheme(input) {
      index = colon &+ 1
      url.parts.scheme = try scheme(input.extracting(0..<colon))
      let isNetwork = isSlash(input, index) && isSlash(input, index &+ 1)
      // A scheme without slashes, if it is that of the base, says nothing.
      if url.scheme != base.scheme || isNetwork {
        return try takeAuthority(input, from: endOfSlashes(input, index), into: &url)
      }
    }
    if isSlash(input, index), isSlash(input, index &+ 1) {
      return try takeAuthority(input, from: endOfSlashes(input, index), into: &url)
    }
    url.parts = base.parts
    url.parts.fragment = 0..<0
    url.parts.hasFragment = false
    let bytes = base.text.bytes
    url.text.append(bytes.extracting(0..<base.parts.path.lowerBound))
    if url.text.failed { throw .noMemory }
    if isSlash(input, index) {
      takePath(input, from: index &+ 1, into: &url)
    } else if index < input.count, input[index] != 63, input[index] != 35 {
      // RFC 3986 §5.2.3: all of the base's path but its last segment.
      var end = base.parts.path.upperBound
      while end > base.parts.path.lowerBound, bytes[end &- 1] != 47 { end &-= 1 }
      url.text.append(bytes.extracting(base.parts.path.lowerBound..<(end &- 1)))
      takePath(input, from: index, into: &url)
    } else {
      let keepsQuery = index == input.count || input[index] == 35
      url.text.append(
        bytes.extracting(keepsQuery ? base.parts.target : base.parts.path))
      takeFragment(input, from: takeQuery(input, from: index, into: &url), into: &url)
    }
  }

  // ---- the scheme

  /// RFC 3986 §3.1: where the colon stands.
  private static func endOfScheme(_ input: Bytes) -> Int? {
    guard input.count > 0, input[0].isLetter else { return nil }
    for index in 1..<input.count {
      switch input[index] {
      case UInt8(ascii: ":"): return index
      case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."): break
      default: guard input[index].isLetter || input[index].isDigit else { return nil }
      }
    }
    return nil
  }

  private static func scheme(_ name: Bytes) throws(Failure) -> URLParts.Scheme {
    if name.equalsLowercase("https") { return .https }
    if name.equalsLowercase("http") { return .http }
    if name.equalsLowercase("wss") { return .wss }
    if name.equalsLowercase("ws") { return .ws }
    throw Failure(.unsupported, "the URL's scheme is none of http, https, ws and wss")
  }

  private static func isSlash(_ input: Bytes, _ index: Int) -> Bool {
    index < input.count && isSlash(input[index])
  }

  private static func isSlash(_ byte: UInt8) -> Bool { byte == 47 || byte == 92 }

  private static func endOfSlashes(_ input: Bytes, _ start: Int) -> Int {
    var index = start
    while isSlash(input, index) { index &+= 1 }
    return index
  }

  // ---- the authority, RFC 3986 §3.2

  private static func takeAuthority(_ input: Bytes, from start: Int, into url: inout WebURL)
    throws(Failure)
  {
    url.text.append(url.scheme.name)
    url.text.append("://")
    var end = start
    var host = start
    while end < input.count, !isSlash(input[end]), input[end] != 63, input[end] != 35 {
      end &+= 1
      if input[end &- 1] == UInt8(ascii: "@") { host = end }
    }
    if host > start { takeCredentials(input.extracting(start..<(host &- 1)), into: &url) }
    var hostEnd = host
    var isInBrackets = false
    while hostEnd < end, input[hostEnd] != UInt8(ascii: ":") || isInBrackets {
      if input[hostEnd] == UInt8(ascii: "[") { isInBrackets = true }
      if input[hostEnd] == UInt8(ascii: "]") { isInBrackets = false }
      hostEnd &+= 1
    }
    guard hostEnd > host else { throw Failure(.argument, "the URL has no host") }
    let place = url.text.count
    try URLHost.append(input.extracting(host..<hostEnd), to: &url.text)
    if url.text.failed { throw .noMemory }
    let isAddress = input[host] == UInt8(ascii: "[")
    url.parts.host = place..<url.text.count
    url.parts.hostName =
      isAddress ? (place &+ 1)..<(url.text.count &- 1) : place..<url.text.count
    url.parts.port = url.scheme.port
    if hostEnd < end { try takePort(input.extracting((hostEnd &+ 1)..<end), into: &url) }
    url.parts.authority = place..<url.text.count
    takePath(input, from: isSlash(input, end) ? end &+ 1 : end, into: &url)
  }

  /// User name and password; a user that is empty is none.
  private static func takeCredentials(_ text: Bytes, into url: inout WebURL) {
    let colon = text.first(UInt8(ascii: ":")) ?? text.count
    let start = url.text.count
    Percent.encode(text.extracting(0..<colon), .urlUser, to: &url.text)
    url.parts.username = start..<url.text.count
    if colon &+ 1 < text.count {
      url.text.append(":")
      let place = url.text.count
      Percent.encode(text.extracting((colon &+ 1)..<text.count), .urlUser, to: &url.text)
      url.parts.password = place..<url.text.count
    }
    if url.text.count > start { url.text.append("@") }
  }

  /// RFC 3986 §3.2.3; the usual one is left out.
  private static func takePort(_ digits: Bytes, into url: inout WebURL) throws(Failure) {
    if digits.isEmpty { return }
    var number = 0
    for index in 0..<digits.count {
      guard digits[index].isDigit else { throw Failure(.argument, "the URL's port is no number") }
      number = min(number &* 10 &+ Int(digits[index] &- 48), 65_536)
    }
    guard number > 0, number < 65_536 else {
      throw Failure(.argument, "the URL's port is not from 1 to 65535")
    }
    url.parts.port = UInt16(truncatingIfNeeded: number)
    if url.parts.port != url.scheme.port {
      url.text.append(":")
      url.text.append(decimal: Int64(number))
    }
  }

  // ---- path, query and fragment

  /// Segment by segment behind the authority, or behind a part of the base's path that
  /// ends without its last slash. RFC 3986 §5.2.4: "." and ".." go.
  private static func takePath(_ input: Bytes, from start: Int, into url: inout WebURL) {
    let place = url.parts.authority.upperBound
    var index = start
    while true {
      var end = index
      while end < input.count, !isSlash(input[end]), input[end] != 63, input[end] != 35 {
        end &+= 1
      }
      let segment = input.extracting(index..<end)
      let isLast = !isSlash(input, end)
      switch dots(segment) {
      case 1: if isLast { url.text.append("/") }
      case 2:
        dropSegment(of: &url.text, from: place)
        if isLast { url.text.append("/") }
      default:
        url.text.append("/")
        Percent.encode(segment, .urlPath, to: &url.text)
      }
      index = end &+ 1
      if !isLast { continue }
      url.parts.path = place..<url.text.count
      takeFragment(input, from: takeQuery(input, from: end, into: &url), into: &url)
      return
    }
  }

  /// 1 for ".", 2 for "..", also if percent-encoded; else 0.
  private static func dots(_ segment: Bytes) -> Int {
    guard segment.count <= 6 else { return 0 }
    var index = 0
    var count = 0
    while index < segment.count {
      if segment[index] == UInt8(ascii: ".") {
        index &+= 1
      } else if Percent.triplet(segment, at: index) == UInt8(ascii: "."), segment[index] == 37 {
        index &+= 3
      } else {
        return 0
      }
      count &+= 1
    }
    return count <= 2 ? count : 0
  }

  private static func dropSegment(of text: inout ByteBuffer, from place: Int) {
    var end = text.count
    while end > place, text.bytes[end &- 1] != 47 { end &-= 1 }
    text.truncate(to: max(end &- 1, place))
  }

  /// The query, if one starts at an index; gives where it ends.
  private static func takeQuery(_ input: Bytes, from start: Int, into url: inout WebURL) -> Int {
    guard start < input.count, input[start] == UInt8(ascii: "?") else {
      // That of the base stays where the reference has no path.
      if url.text.count <= url.parts.path.upperBound {
        url.parts.query = url.text.count..<url.text.count
        url.parts.hasQuery = false
      }
      return start
    }
    let end = input.first(UInt8(ascii: "#"), from: start) ?? input.count
    url.text.append("?")
    let place = url.text.count
    Percent.encode(input.extracting((start &+ 1)..<end), .urlQuery, to: &url.text)
    url.parts.query = place..<url.text.count
    url.parts.hasQuery = true
    return end
  }

  private static func takeFragment(_ input: Bytes, from start: Int, into url: inout WebURL) {
    guard start < input.count, input[start] == UInt8(ascii: "#") else { return }
    url.text.append("#")
    let place = url.text.count
    Percent.encode(input.extracting((start &+ 1)..<input.count), .urlFragment, to: &url.text)
    url.parts.fragment = place..<url.text.count
    url.parts.hasFragment = true
  }
}
