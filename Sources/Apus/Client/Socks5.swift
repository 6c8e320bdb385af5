// The client's end of SOCKS 5, RFC 1928, with or without a name and password (RFC 1929):
// bytes in, bytes out. It takes no byte of what comes through the tunnel.

struct Socks5: ~Copyable {
  private enum State {
    /// A method's choice is due (RFC 1928 §3).
    case method
    /// What has come of name and password (RFC 1929 §2).
    case status
    /// The start of the reply (RFC 1928 §6): its version and code.
    case code
    /// As far as its address' type and first byte.
    case type
    /// The rest of it.
    case rest
    case open
    case failed
  }

  private var state = State.method
  /// What is there of the message that is due, and how long it is as far as is known.
  private var input = ByteBuffer()
  private var due = 2
  private let hasCredentials: Bool
  /// The messages that may be sent.
  private let credentials: ByteBuffer
  private let request: ByteBuffer

  /// To a server at an address, or at a name that the proxy looks up. An empty user is
  /// none.
  init(host: Bytes, port: UInt16, user: Bytes, password: Bytes) throws(Failure) {
    guard user.count <= 255, password.count <= 255, user.count > 0 || password.count == 0 else {
      throw Failure(.argument, "SOCKS takes names and passwords of up to 255 bytes")
    }
    var credentials = ByteBuffer()
    var request = ByteBuffer()
    if user.count > 0 {
      credentials.append(1)
      credentials.append(UInt8(truncatingIfNeeded: user.count))
      credentials.append(user)
      credentials.append(UInt8(truncatingIfNeeded: password.count))
      credentials.append(password)
    }
    // RFC 1928 §4: version 5, CONNECT, reserved.
    request.append("\u{5}\u{1}\0")
    if let address = NumericAddress(host) {
      request.append(address.isIPv4 ? 1 : 4)
      address.append(to: &request)
    } else {
      guard host.count > 0, host.count <= 255, host.first(0) == nil else {
        throw Failure(.argument, "SOCKS takes names of hosts of 1 to 255 bytes")
      }
      request.append(3)
      request.append(UInt8(truncatingIfNeeded: host.count))
      request.append(host)
    }
    request.append(UInt8(truncatingIfNeeded: port >> 8))
    request.append(UInt8(truncatingIfNeeded: port))
    if credentials.failed || request.failed { throw .noMemory }
    hasCredentials = user.count > 0
    self.credentials = credentials
    self.request = request
  }

  /// Whether the tunnel is there.
  var isOpen: Bool { state == .open }

  /// Appends what is sent first: the methods that can be used.
  func start(to output: inout ByteBuffer) {
    output.append(hasCredentials ? "\u{5}\u{2}\0\u{2}" : "\u{5}\u{1}\0")
  }

  /// Takes bytes of the proxy's and appends what is to be sent back; how many were taken.
  /// Those that were not belong to the tunnel.
  mutating func take(_ bytes: Bytes, to output: inout ByteBuffer) throws(Failure) -> Int {
    if state == .failed { throw Failure(.state, "the proxy has refused") }
    var index = 0
    while state != .open {
      let count = min(due &- input.count, bytes.count &- index)
      input.append(bytes.extracting(index..<(index &+ count)))
      index &+= count
      if input.failed { throw fail(.noMemory) }
      if input.count < due { break }
      try step(to: &output)
    }
    return index
  }

  private func byte(_ index: Int) -> UInt8 {
    let bytes = input.bytes
    return index < bytes.count ? bytes[index] : 0
  }

  /// All that is due has come.
  private mutating func step(to output: inout ByteBuffer) throws(Failure) {
    let code = byte(1)
    switch state {
    case .method:
      guard byte(0) == 5 else { throw fail(Failure(.protocolBroken, "this is no SOCKS 5 proxy")) }
      if code == 2, hasCredentials {
        expect(.status)
        output.append(credentials.bytes)
      } else if code == 0 {
        expect(.code)
        output.append(request.bytes)
      } else if code == 0xFF {
        throw fail(Failure(.permission, Socks5.refusal(hasCredentials)))
      } else {
        throw fail(Failure(.protocolBroken, "the proxy chose a method that was not offered"))
      }
    case .status:
      guard byte(0) == 1 else {
        throw fail(Failure(.protocolBroken, "the proxy broke the protocol of SOCKS"))
      }
      guard code == 0 else {
        throw fail(Failure(.permission, "the proxy refused the name or password"))
      }
      expect(.code)
      output.append(request.bytes)
    case .code:
      // A proxy that refuses may send no more than that.
      guard byte(0) == 5 else {
        throw fail(Failure(.protocolBroken, "the proxy broke the protocol of SOCKS"))
      }
      guard code == 0 else { throw fail(Socks5.failure(code)) }
      state = .type
      due = 5
    case .type:
      switch byte(3) {
      case 1: due = 10
      case 3: due = 7 &+ Int(byte(4))
      case 4: due = 22
      default: throw fail(Failure(.protocolBroken, "the proxy gave an address of no known type"))
      }
      state = .rest
    case .rest:
      expect(.open)
    case .open, .failed: break
    }
    if output.failed { throw fail(.noMemory) }
  }

  private mutating func expect(_ next: State) {
    state = next
    due = 2
    input.clear()
  }

  private mutating func fail(_ failure: Failure) -> Failure {
    state = .failed
    return failure
  }

  private static func refusal(_ hasCredentials: Bool) -> StaticString {
    hasCredentials
      ? "the proxy takes neither a name and password nor nobody's"
      : "the proxy wants a name and password"
  }

  /// RFC 1928 §6.
  private static func failure(_ code: UInt8) -> Failure {
    switch code {
    case 1: Failure(.io, "the proxy failed")
    case 2: Failure(.permission, "the proxy's rules forbid the connection")
    case 3: Failure(.io, "the proxy cannot reach the network")
    case 4: Failure(.io, "the proxy cannot reach the host")
    case 5: Failure(.io, "the host refused the proxy's connection")
    case 6: Failure(.timeout, "the proxy's way to the host is too long")
    case 7: Failure(.unsupported, "the proxy does not make connections")
    case 8: Failure(.unsupported, "the proxy does not know this type of address")
    default: Failure(.protocolBroken, "the proxy failed for a reason that is not known")
    }
  }
}
