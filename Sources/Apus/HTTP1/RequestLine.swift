// The request line, RFC 9112 §3: method SP request-target SP HTTP-version CRLF,
// with exactly one space each time.

enum RequestLine {
  enum Outcome {
    case next(Int)
    case refused(Refusal)
  }

  static var longestMethod: Int { 32 }

  /// Nil: not whole yet, and fine so far.
  @inline(__always)
  static func parse(_ bytes: Bytes, into head: inout RequestHead) -> Outcome? {
    // "GET ", as most requests have it.
    var methodEnd = 3
    if bytes.quad(at: 0) == 0x2054_4547 {
      head.method = Method.get
    } else {
      methodEnd = bytes.firstOutsideToken(from: 0)
      if methodEnd > longestMethod { return .refused(.bad("The method is too long.")) }
      guard methodEnd < bytes.count else { return nil }
      guard methodEnd > 0, bytes[methodEnd] == 32 else {
        return .refused(.bad("A request starts with a method and a space."))
      }
      head.method = Method.number(bytes.extracting(first: methodEnd))
    }
    let targetEnd = bytes.firstOutsideTarget(from: methodEnd &+ 1)
    guard targetEnd < bytes.count else { return nil }
    guard targetEnd > methodEnd &+ 1, bytes[targetEnd] == 32 else {
      return .refused(.bad("A target is printable ASCII with a space behind it."))
    }
    // "HTTP/1.1", as nearly all requests have it.
    if bytes.word(at: targetEnd &+ 1) == 0x312E_312F_5054_5448,
      bytes.isLineEnd(at: targetEnd &+ 9)
    {
      head.version = 11
    } else {
      switch otherEnd(bytes, at: targetEnd &+ 1) {
      case nil: return nil
      case .refused(let refusal): return .refused(refusal)
      case .number(let number): head.version = number
      }
    }
    head.methodCount = methodEnd
    head.target = (methodEnd &+ 1)..<targetEnd
    if let refusal = RequestTarget.take(bytes, into: &head) { return .refused(refusal) }
    return .next(targetEnd &+ 11)
  }

  private enum Version {
    case number(Int32)
    case refused(Refusal)
  }

  /// The version and the end of the line. RFC 9112 §2.3: HTTP-name "/" DIGIT "." DIGIT,
  /// in capitals.
  @inline(never)
  private static func otherEnd(_ bytes: Bytes, at start: Int) -> Version? {
    let name = Text("HTTP/")
    let text = name.bytes
    for offset in 0..<8 {
      let index = start &+ offset
      guard index < bytes.count else { return nil }
      let byte = bytes[index]
      let fits =
        offset < 5 ? byte == text[offset] : offset == 6 ? byte == 46 : byte.isDigit
      if !fits { return .refused(.bad("The version must be HTTP/1.1 or HTTP/1.0.")) }
    }
    guard start &+ 8 < bytes.count else { return nil }
    guard bytes[start &+ 8] == 13 else {
      return .refused(.bad("A request line ends with CR and LF."))
    }
    guard bytes[start &+ 5] == 49 else {
      return .refused(Refusal(status: 505, reason: "This server speaks HTTP/1.1 and 1.0."))
    }
    guard start &+ 9 < bytes.count else { return nil }
    guard bytes[start &+ 9] == 10 else {
      return .refused(.bad("A request line ends with CR and LF."))
    }
    return .number(bytes[start &+ 7] == 48 ? 10 : 11)
  }
}

/// RFC 9112 §3.2: the four forms, and which methods may use them.
enum RequestTarget {
  @inline(__always)
  static func take(_ bytes: Bytes, into head: inout RequestHead) -> Refusal? {
    let target = head.target
    let first = bytes[target.lowerBound]
    if first == UInt8(ascii: "/"), head.method != Method.connect {
      head.form = .origin
      return takePath(bytes, from: target.lowerBound, into: &head)
    }
    return takeOther(bytes, first, into: &head)
  }

  @inline(never)
  private static func takeOther(_ bytes: Bytes, _ first: UInt8, into head: inout RequestHead)
    -> Refusal?
  {
    let target = head.target
    if head.method == Method.connect {
      head.form = .authority
      guard let host = HostPort(bytes.extracting(target)), host.port >= 0 else {
        return .bad("CONNECT takes a host and a port.")
      }
      head.authority = target
      return nil
    }
    if first == UInt8(ascii: "*"), target.count == 1 {
      head.form = .asterisk
      return head.method == Method.options ? nil : .bad("The target * is for OPTIONS only.")
    }
    return takeAbsolute(bytes, into: &head)
  }

  /// RFC 9112 §3.2.2; the schemes of RFC 9110 §4.2 and no userinfo (§4.2.4).
  private static func takeAbsolute(_ bytes: Bytes, into head: inout RequestHead) -> Refusal? {
    let target = head.target
    let text = bytes.extracting(target)
    var scheme = 0
    if text.count > 7, text.extracting(first: 7).equalsLowercase("http://") { scheme = 7 }
    if text.count > 8, text.extracting(first: 8).equalsLowercase("https://") { scheme = 8 }
    guard scheme > 0 else { return .bad("The target is neither a path nor an http URI.") }
    let start = target.lowerBound &+ scheme
    var end = start
    while end < target.upperBound, bytes[end] != 47, bytes[end] != 63, bytes[end] != 35 {
      end &+= 1
    }
    guard HostPort(bytes.extracting(start..<end)) != nil else {
      return .bad("The target's authority is malformed.")
    }
    head.form = .absolute
    head.authority = start..<end
    return takePathBehind(bytes, end, into: &head)
  }

  @inline(never)
  private static func takePathBehind(_ bytes: Bytes, _ start: Int, into head: inout RequestHead)
    -> Refusal?
  {
    takePath(bytes, from: start, into: &head)
  }

  /// The path and the query; a fragment never goes over the wire (RFC 9110 §4.2.5).
  @inline(__always)
  private static func takePath(_ bytes: Bytes, from start: Int, into head: inout RequestHead)
    -> Refusal?
  {
    let end = head.target.upperBound
    let mark = bytes.extracting(first: end).firstTargetMark(from: start)
    if mark < end { return takeMarked(bytes, from: start, mark, into: &head) }
    head.path = start..<end
    return nil
  }

  /// The same for a target with a query or percent-encoding.
  @inline(never)
  private static func takeMarked(
    _ bytes: Bytes, from start: Int, _ first: Int, into head: inout RequestHead
  ) -> Refusal? {
    let end = head.target.upperBound
    var mark = end
    var index = first
    while index < end {
      let byte = bytes[index]
      if byte == UInt8(ascii: "?"), mark == end { mark = index }
      if byte == UInt8(ascii: "#") { return .bad("A target has no fragment.") }
      if byte == UInt8(ascii: "%"), mark == end {
        guard let decoded = Percent.triplet(bytes.extracting(index..<end), at: 0) else {
          return .bad("The path's percent-encoding is malformed.")
        }
        if decoded == 0 { return .bad("The path holds an encoded NUL.") }
        head.isEncoded = true
      }
      index = bytes.extracting(first: end).firstTargetMark(from: index &+ 1)
    }
    head.path = start..<mark
    head.hasQuery = mark < end
    head.query = min(mark &+ 1, end)..<end
    return nil
  }
}
