// The URL of a proxy: "http:", "socks5:" or "socks5h:", a name and a password where it
// wants them, a host and a port. Without a scheme it is "http:".

struct ProxyURL {
  enum Kind {
    case http
    /// SOCKS 5 with the server's address, which the client looks up.
    case socks5
    /// SOCKS 5 with the server's name, which the proxy looks up.
    case socks5ByName
  }

  let kind: Kind
  /// Where the host stands, without the brackets of an IPv6 address.
  let host: Range<Int>
  let port: UInt16
  /// Where name and password stand, percent-encoded; nil: there are none.
  let user: Range<Int>?
  let password: Range<Int>

  static var longest: Int { 8192 }

  init(_ text: Bytes) throws(Failure) {
    let malformed = Failure(.argument, "the proxy's URL is malformed")
    guard text.count <= ProxyURL.longest else { throw malformed }
    var start = 0
    if let colon = text.first(UInt8(ascii: ":")), text.count &- colon > 2,
      text[colon &+ 1] == UInt8(ascii: "/"), text[colon &+ 2] == UInt8(ascii: "/")
    {
      kind = try ProxyURL.kind(text.extracting(0..<colon))
      start = colon &+ 3
    } else {
      kind = .http
    }
    var end = text.first(UInt8(ascii: "/"), from: start) ?? text.count
    // Nothing but one slash may stand behind.
    guard text.count &- end <= 1 else { throw malformed }
    if let at = text.extracting(start..<end).first(UInt8(ascii: "@")) {
      end = start &+ at
      let colon = text.extracting(start..<end).first(UInt8(ascii: ":"))
      let userEnd = colon.map { start &+ $0 } ?? end
      user = start..<userEnd
      password = (colon == nil ? end : userEnd &+ 1)..<end
      guard ProxyURL.isText(text.extracting(start..<end)) else { throw malformed }
      start = end &+ 1
      end = text.first(UInt8(ascii: "/"), from: start) ?? text.count
    } else {
      user = nil
      password = 0..<0
    }
    guard let parts = HostPort(text.extracting(start..<end)) else { throw malformed }
    let usual: Int32 = kind == .http ? 80 : 1080
    let number = parts.port < 0 ? usual : parts.port
    guard number > 0 else { throw malformed }
    port = UInt16(truncatingIfNeeded: number)
    let isBracketed = text[start] == UInt8(ascii: "[")
    let hostEnd = start &+ parts.host.upperBound
    host = isBracketed ? (start &+ 1)..<(hostEnd &- 1) : start..<hostEnd
  }

  private static func kind(_ scheme: Bytes) throws(Failure) -> Kind {
    if scheme.equalsLowercase("http") { return .http }
    if scheme.equalsLowercase("socks5") { return .socks5 }
    if scheme.equalsLowercase("socks5h") { return .socks5ByName }
    throw Failure(.unsupported, "there are no proxies of this scheme")
  }

  /// Whether userinfo is well-formed, and stands for text without control characters.
  private static func isText(_ text: Bytes) -> Bool {
    var decoded = ByteBuffer()
    return text.firstOutsideTarget(from: 0) == text.count
      && Percent.decode(path: text, to: &decoded) && !decoded.failed
      && Credentials.isText(decoded.bytes)
  }

  /// Appends a part of the text without its percent-encoding: `user` or `password`.
  static func appendDecoded(_ range: Range<Int>, of text: Bytes, to buffer: inout ByteBuffer) {
    _ = Percent.decode(path: text.extracting(range), to: &buffer)
  }
}
