// Which pages of other origins may see what this server says, and what they may ask of
// it: the CORS protocol (Fetch, "CORS protocol"). It is off until origins are named.
//
// Credentials are never allowed to any origin at all, so that "*" and credentials are
// not found in one reply.

typealias OriginFunction =
  @convention(c) (UnsafeMutableRawPointer?, UInt64, UnsafePointer<CChar>?) -> Int32

@safe struct CrossOrigin: ~Copyable {
  enum Origins {
    case none, any, list, asked
  }

  private(set) var origins = Origins.none
  private var list = OriginList()
  /// Asked for each origin, on the loop's thread.
  var check = unsafe Callback<OriginFunction>.none
  private var methods = Tokens()
  private var headers = Tokens()
  private var exposed = Tokens()
  private(set) var credentials = false
  /// Seconds; -1: as browsers like.
  var maxAge: Int32 = 600

  init() {
    let usual = Text("GET, HEAD, POST")
    do throws(Failure) { try methods.set(usual.bytes) } catch { methods = Tokens() }
  }

  var isOn: Bool { origins != .none }
  /// Whether a reply to another origin would be another one.
  private var depends: Bool { origins == .list || origins == .asked }

  // ---- setting

  /// A list with commas, "*" or nothing.
  mutating func setOrigins(_ text: Bytes) throws(Failure) {
    if text.count == 0 {
      origins = .none
    } else if text.equals("*") {
      if credentials {
        throw Failure(.argument, "credentials are for origins by name: not for all of them")
      }
      origins = .any
    } else {
      guard list.set(text) else {
        throw Failure(.argument, "an origin is a scheme, a host and perhaps a port")
      }
      origins = .list
    }
  }

  /// Gives the callback that was set before.
  mutating func setCheck(_ callback: Callback<OriginFunction>) -> Callback<OriginFunction> {
    let old = unsafe check
    unsafe check = unsafe callback
    origins = unsafe callback.isSet ? .asked : .none
    return unsafe old
  }

  mutating func setCredentials(_ on: Bool) throws(Failure) {
    if on, origins == .any || exposed.isAny {
      throw Failure(.argument, "credentials are for origins and fields by name: not for all")
    }
    credentials = on
  }

  mutating func setMethods(_ text: Bytes) throws(Failure) { try methods.set(text) }
  mutating func setHeaders(_ text: Bytes) throws(Failure) { try headers.set(text) }
  mutating func setExposed(_ text: Bytes) throws(Failure) {
    if text.equals("*"), credentials {
      throw Failure(.argument, "with credentials \"*\" is a field of that name: name the fields")
    }
    try exposed.set(text)
  }

  // ---- deciding

  /// Nil: the host is to be asked.
  func allows(_ origin: Bytes) -> Bool? {
    switch origins {
    case .none: false
    case .any: true
    case .list: list.contains(origin)
    case .asked: nil
    }
  }

  /// Adds what every reply has, that to a preflight too.
  func addFields(for origin: Text?, isAllowed: Bool, to reply: inout ReplyHead) {
    guard isOn else { return }
    if depends { add("Vary", Text("Origin"), to: &reply) }
    guard origins == .any || isAllowed else { return }
    let name = Text("Access-Control-Allow-Origin")
    // The handler's own word is the last: two of them would be none.
    if reply.has(name.bytes) { return }
    if origins == .any {
      add("Access-Control-Allow-Origin", Text("*"), to: &reply)
    } else if let origin {
      add("Access-Control-Allow-Origin", origin, to: &reply)
      if credentials { add("Access-Control-Allow-Credentials", Text("true"), to: &reply) }
    }
    exposed.add("Access-Control-Expose-Headers", to: &reply)
  }

  /// Adds what answers a preflight; where any method and any field are allowed, those that
  /// were asked for.
  func addAnswer(method: Bytes, headers wanted: Bytes, to reply: inout ReplyHead) {
    if methods.isAny {
      if method.isToken { add("Access-Control-Allow-Methods", method, to: &reply) }
    } else {
      methods.add("Access-Control-Allow-Methods", to: &reply)
    }
    if headers.isAny {
      if wanted.count > 0, Tokens.isList(wanted) {
        add("Access-Control-Allow-Headers", wanted, to: &reply)
      }
    } else {
      headers.add("Access-Control-Allow-Headers", to: &reply)
    }
    guard maxAge >= 0 else { return }
    var age = ByteBuffer()
    age.append(decimal: Int64(maxAge))
    add("Access-Control-Max-Age", age.bytes, to: &reply)
  }

  private func add(_ name: StaticString, _ value: Text, to reply: inout ReplyHead) {
    add(name, value.bytes, to: &reply)
  }

  private func add(_ name: StaticString, _ value: Bytes, to reply: inout ReplyHead) {
    let name = Text(name)
    // What there is no room for is not allowed then.
    _ = reply.set(name.bytes, value, replacing: false, isOwn: true)
  }
}

/// A list of tokens, or "*" for any.
struct Tokens: ~Copyable {
  private var text = ByteBuffer()
  private(set) var isAny = false

  /// The old list stays where this fails.
  mutating func set(_ list: Bytes) throws(Failure) {
    let any = list.equals("*")
    guard any || Tokens.isList(list) else {
      throw Failure(.argument, "not a list of tokens with commas between, or \"*\"")
    }
    guard list.count <= Tokens.longest else { throw Failure(.tooLarge, "more than 512 bytes") }
    var new = ByteBuffer()
    new.append(list)
    if new.failed { throw .noMemory }
    swap(&new, &text)
    isAny = any
  }

  /// Two of them fit into a reply beside all that its host has set.
  static var longest: Int { 512 }

  static func isList(_ list: Bytes) -> Bool {
    var elements = ListElements()
    while let range = elements.next(in: list) {
      if !list.extracting(range).isToken { return false }
    }
    return true
  }

  func add(_ name: StaticString, to reply: inout ReplyHead) {
    if text.isEmpty { return }
    let name = Text(name)
    _ = reply.set(name.bytes, text.bytes, replacing: false, isOwn: true)
  }
}
