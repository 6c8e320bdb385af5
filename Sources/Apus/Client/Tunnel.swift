// The way through a proxy to a server, by CONNECT (RFC 9110 §9.3.6) or SOCKS 5 (RFC 1928),
// for requests and channels alike. Bytes in, bytes out: whose connection it is sends and
// receives them.

struct Tunnel: ~Copyable {
  enum Step {
    /// More is to come from the proxy.
    case more
    /// What comes from here on is the server's.
    case open
    /// The proxy wants to be asked once more, over another connection.
    case again
  }

  private let client: Ref<HTTPClient>
  private let route: Ref<ProxyRoute>
  /// Host and port, RFC 9112 §3.2.3: always with the port.
  private let authority: ByteBuffer
  private let socks: Ref<Socks5>?
  private var machine = ResponseMachine()
  private var head = ResponseHead()
  /// The proxy has refused, and is to be asked once more behind its response.
  private var isRefused = false
  private var dropped = 0
  /// How often the proxy's challenges were answered.
  private(set) var answers: Int

  /// What is read of a refusal, so that its connection can be used again.
  private static var mostDropped: Int { 64 * 1024 }

  /// The route is copied. A host is without brackets.
  init(
    _ client: Ref<HTTPClient>, by route: borrowing ProxyRoute, to host: Bytes, port: UInt16,
    answers: Int
  ) throws(Failure) {
    var copy = ProxyRoute()
    copy.kind = route.kind
    copy.proxy = route.proxy
    copy.text.append(route.text.bytes)
    var authority = ByteBuffer()
    let isBracketed = host.first(UInt8(ascii: ":")) != nil
    if isBracketed { authority.append("[") }
    authority.append(host)
    if isBracketed { authority.append("]") }
    authority.append(":")
    authority.append(decimal: Int64(port))
    if copy.text.failed || authority.failed { throw .noMemory }
    var socks: Ref<Socks5>? = nil
    if route.kind == .socks {
      socks = try Ref<Socks5>(make: Tunnel.makeSocks(route, host, port))
      if socks == nil { throw .noMemory }
    }
    guard let kept = Ref<ProxyRoute>(make: copy) else {
      socks?.free()
      throw .noMemory
    }
    self.client = client
    self.route = kept
    self.authority = authority
    self.socks = socks
    self.answers = answers
  }

  deinit {
    route.free()
    socks?.free()
  }

  private static func makeSocks(_ route: borrowing ProxyRoute, _ host: Bytes, _ port: UInt16)
    throws(Failure) -> Socks5
  {
    var user = ByteBuffer()
    var password = ByteBuffer()
    if let proxy = route.proxy, let name = proxy.user {
      ProxyURL.appendDecoded(name, of: route.text.bytes, to: &user)
      ProxyURL.appendDecoded(proxy.password, of: route.text.bytes, to: &password)
    }
    return try Socks5(host: host, port: port, user: user.bytes, password: password.bytes)
  }

  /// Appends what is sent first.
  mutating func start(to output: inout ByteBuffer) throws(Failure) {
    if let socks { return socks.o.start(to: &output) }
    let method = Text("CONNECT")
    output.append("CONNECT ")
    output.append(authority.bytes)
    output.append(" HTTP/1.1\r\nHost: ")
    output.append(authority.bytes)
    output.append("\r\n")
    try client.appendProxyAuthorization(
      for: route.o, method: method.bytes, target: authority.bytes, to: &output)
    output.append("\r\n")
    isRefused = false
    dropped = 0
    head.reset()
    machine.nextResponse(to: RequestFacts(isConnect: true))
  }

  /// Takes bytes of the proxy's, and appends what is to be sent back.
  mutating func take(_ bytes: Bytes, at index: inout Int, to output: inout ByteBuffer)
    throws(Failure) -> Step
  {
    if let socks {
      index &+= try socks.o.take(bytes.extracting(index..<bytes.count), to: &output)
      if !socks.o.isOpen { return .more }
    } else {
      let step = try takeResponse(bytes, at: &index, to: &output)
      if step != .open { return step }
    }
    // The server cannot have said anything yet.
    if index < bytes.count {
      throw Failure(.protocolBroken, "there are bytes behind the proxy's answer")
    }
    return .open
  }

  private mutating func takeResponse(
    _ bytes: Bytes, at index: inout Int, to output: inout ByteBuffer
  ) throws(Failure) -> Step {
    while true {
      switch machine.next(bytes, at: &index, head: &head, limits: ResponseLimits()) {
      case .more: return .more
      case .failed(let failure): throw failure
      case .head(let range):
        if head.status / 100 == 2 { continue }
        if head.status != 407 { throw Tunnel.refusal(head.status) }
        let head = bytes.extracting(range)
        isRefused = client.takesProxyChallenge(self.head, head, for: route.o, &answers)
        if !isRefused { throw Failure(.permission, "the proxy wants a name and password") }
      case .body(let range):
        dropped &+= range.count
        if dropped > Tunnel.mostDropped { return .again }
      case .end:
        if !isRefused { return .open }
        if !head.persists || index < bytes.count { return .again }
        try start(to: &output)
        return .more
      case .interim, .trailer: break
      }
    }
  }

  /// What another attempt may mend is APUS_E_IO or APUS_E_TIMEOUT (RFC 9110 §15).
  private static func refusal(_ status: Int32) -> Failure {
    switch status {
    case 504: Failure(.timeout, "the proxy did not reach the server in time")
    case 408, 425, 429: Failure(.io, "the proxy does not make the connection now")
    case 400..<500: Failure(.permission, "the proxy refuses to make the connection")
    default: Failure(.io, "the proxy does not make the connection")
    }
  }

  /// The proxy sends no more: whether it may be asked once more.
  var mayGoOn: Bool { isRefused }
}
