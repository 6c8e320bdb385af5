// A URL of the web: http, https, ws or wss, in the one form that WHATWG URL gives it,
// which is also one of RFC 3986. The text is whole, and its parts are ranges of it.

/// Where the parts of a URL stand in its text.
struct URLParts {
  enum Scheme: UInt8 {
    case http, https, ws, wss

    var name: StaticString {
      switch self {
      case .http: "http"
      case .https: "https"
      case .ws: "ws"
      case .wss: "wss"
      }
    }

    var isSecure: Bool { self == .https || self == .wss }
    var isWebSocket: Bool { self == .ws || self == .wss }
    var port: UInt16 { isSecure ? 443 : 80 }
  }

  var scheme = Scheme.http
  /// In their percent-encoding; empty where there is none.
  var username = 0..<0
  var password = 0..<0
  /// With the brackets of an IPv6 address, and without.
  var host = 0..<0
  var hostName = 0..<0
  /// The host with its port, unless that is the scheme's: what a Host field says.
  var authority = 0..<0
  var port: UInt16 = 80
  /// At least "/".
  var path = 0..<0
  /// Without its "?", and the fragment without its "#".
  var query = 0..<0
  var fragment = 0..<0
  var hasQuery = false
  var hasFragment = false

  /// The request target in origin form, RFC 9112 §3.2.1: path and query.
  var target: Range<Int> { path.lowerBound..<max(path.upperBound, query.upperBound) }

  /// All but the fragment.
  var withoutFragment: Range<Int> { 0..<target.upperBound }

  var hasCredentials: Bool { !username.isEmpty || !password.isEmpty }
}

struct WebURL: ~Copyable {
  var text = ByteBuffer()
  var parts = URLParts()

  /// Bytes of a text that is taken.
  static var longest: Int { 64 * 1024 }

  /// How text is taken that is not as it should be.
  enum Mode {
    /// From a program: a space inside, or a "%" without digits, is a mistake.
    case strict
    /// From a peer: taken as browsers take it.
    case lenient
  }

  /// A URL that needs no base.
  init(_ text: Bytes, _ mode: Mode = .strict) throws(Failure) {
    let input = text.extracting(try URLParser.check(text, mode))
    try URLParser.parse(input, into: &self)
    if self.text.failed { throw .noMemory }
  }

  /// A reference as it is understood at a base, RFC 3986 §5.
  init(_ reference: Bytes, at base: borrowing WebURL, _ mode: Mode = .strict) throws(Failure) {
    let input = reference.extracting(try URLParser.check(reference, mode))
    try URLParser.parse(input, at: base, into: &self)
    if text.failed { throw .noMemory }
  }

  /// The same again.
  init(copying other: borrowing WebURL) throws(Failure) {
    text.append(other.text.bytes)
    parts = other.parts
    if text.failed { throw .noMemory }
  }

  var bytes: Bytes {
    @_lifetime(borrow self) get { text.bytes }
  }

  var scheme: URLParts.Scheme { parts.scheme }

  /// RFC 6454 §5: the same scheme, host and port.
  func hasOrigin(of other: borrowing WebURL) -> Bool {
    guard scheme == other.scheme, parts.port == other.parts.port else { return false }
    let host = text.bytes.extracting(parts.host)
    let otherHost = other.text.bytes.extracting(other.parts.host)
    return host.equals(otherHost)
  }

  /// Appends the user name, and the password, as they were before they were encoded.
  func appendUsername(to buffer: inout ByteBuffer) {
    Percent.decodeLeniently(text.bytes.extracting(parts.username), to: &buffer)
  }

  func appendPassword(to buffer: inout ByteBuffer) {
    Percent.decodeLeniently(text.bytes.extracting(parts.password), to: &buffer)
  }

  /// Appends scheme, host and port: the origin, RFC 6454 §6.2.
  func appendOrigin(to buffer: inout ByteBuffer) {
    buffer.append(scheme.name)
    buffer.append("://")
    buffer.append(text.bytes.extracting(parts.authority))
  }

  /// Appends the URL as another may see it (RFC 9110 §10.1.3): without its credentials
  /// and its fragment.
  func appendPublic(to buffer: inout ByteBuffer) {
    appendOrigin(to: &buffer)
    buffer.append(text.bytes.extracting(parts.target))
  }
}
