// The head of a request as the parser found it: where each part stands, counted
// from the first byte of the request line. Nothing is copied; whoever keeps the
// bytes can look everything up.

/// Where a field line's parts stand.
struct Field {
  var nameStart: UInt32
  var nameCount: UInt32
  var valueStart: UInt32
  var valueCount: UInt32

  var name: Range<Int> { Int(nameStart)..<(Int(nameStart) &+ Int(nameCount)) }
  var value: Range<Int> { Int(valueStart)..<(Int(valueStart) &+ Int(valueCount)) }

  init(name: Range<Int>, value: Range<Int>) {
    nameStart = UInt32(truncatingIfNeeded: name.lowerBound)
    nameCount = UInt32(truncatingIfNeeded: name.count)
    valueStart = UInt32(truncatingIfNeeded: value.lowerBound)
    valueCount = UInt32(truncatingIfNeeded: value.count)
  }
}

/// RFC 9112 §3.2: the four forms of a request target.
enum TargetForm: UInt8 {
  case origin, absolute, authority, asterisk
}

struct RequestHead: ~Copyable {
  var method: Int32 = -1
  var methodCount = 0
  var target = 0..<0
  var form = TargetForm.origin
  /// Where the path and query stand; empty for authority and asterisk form.
  var path = 0..<0
  var query = 0..<0
  var hasQuery = false
  /// Whether the path holds percent-encoding.
  var isEncoded = false
  /// 10 or 11.
  var version: Int32 = 11
  /// The authority of an absolute target, or of the Host field.
  var authority = 0..<0
  var hasHost = false
  /// -1: no Content-Length.
  var contentLength: Int64 = -1
  var coding = Coding.none
  var marks: Marks = []
  var connectionKeepAlive = false
  /// Upgrade names websocket; Connection names upgrade (RFC 9110 §7.8).
  var namesWebSocket = false
  var connectionUpgrade = false
  var expectsContinue = false
  var expectsOther = false
  /// All of the head, with the empty line.
  var count = 0
  var fields = List<Field>()

  /// What most requests do not have.
  struct Marks: OptionSet {
    let rawValue: UInt8
    /// Connection names close.
    static var close: Marks { Marks(rawValue: 1) }
    static var origin: Marks { Marks(rawValue: 2) }
    /// Access-Control-Request-Method is there.
    static var asksForMethod: Marks { Marks(rawValue: 4) }
  }

  /// RFC 9112 §6.1, over all Transfer-Encoding fields together.
  enum Coding: UInt8 {
    case none, chunked, unknown
  }

  /// RFC 9112 §9.3.
  var persists: Bool {
    if marks.contains(.close) { return false }
    return version >= 11 || connectionKeepAlive
  }

  /// Whether nothing about it asks for a closer look.
  var isUsual: Bool { version >= 11 && marks.isEmpty }

  /// Whether a page asks before its request (Fetch, CORS protocol).
  var isPreflight: Bool {
    method == Method.options && marks.isSuperset(of: [.origin, .asksForMethod])
  }

  /// Whether what stands behind this request may be no HTTP.
  var wantsUpgrade: Bool { namesWebSocket && connectionUpgrade && version >= 11 }

  var hasBody: Bool { coding == .chunked || contentLength > 0 }

  mutating func reset() {
    method = -1
    methodCount = 0
    target = 0..<0
    form = .origin
    path = 0..<0
    query = 0..<0
    hasQuery = false
    isEncoded = false
    version = 11
    authority = 0..<0
    hasHost = false
    contentLength = -1
    coding = .none
    marks = []
    connectionKeepAlive = false
    namesWebSocket = false
    connectionUpgrade = false
    expectsContinue = false
    expectsOther = false
    count = 0
    fields.removeAll()
  }
}
