// Listening sockets: made, bound and accepted from.

import CSystem

@safe struct Listener: ~Copyable {
  fileprivate(set) var descriptor: Int32
  let port: Int32
  /// Whether a proxy says in front of a connection whom it stands for.
  var proxyMode = ProxyMode.off
  /// Its connections speak TLS.
  var isSecure = false
  /// The file of a Unix socket, from the root, NUL-terminated; removed with the listener, if
  /// it still is that.
  fileprivate var path: ByteBuffer
  fileprivate var file = sys_file_id()

  fileprivate init(descriptor: Int32, port: Int32, path: consuming ByteBuffer) {
    self.descriptor = descriptor
    self.port = port
    self.path = path
    guard let start = unsafe self.path.pointer, !self.path.isEmpty else { return }
    // Where it is no socket any more, there is nothing to be removed later.
    let name = unsafe UnsafeRawPointer(start).assumingMemoryBound(to: CChar.self)
    if unsafe sys_socket_file(name, &file) == 0 { self.path.clear() }
  }

  deinit {
    removeFile()
    if descriptor >= 0 { _ = sys_close(descriptor) }
  }

  /// While it listens, so that the name is not another's yet.
  fileprivate func removeFile() {
    if let start = unsafe path.pointer, !path.isEmpty {
      unsafe sys_remove_socket(
        UnsafeRawPointer(start).assumingMemoryBound(to: CChar.self), file)
    }
  }

  /// The numbers are the header's.
  enum ProxyMode: Int32 {
    case off = 0
    case required = 1
    /// Where a proxy that is trusted connects, it may.
    case optional = 2
  }

  struct Options {
    var reuseAddress = true
    var reusePort = false
    var dualStack = true
    var backlog: Int32 = 1024
  }

  /// `host` is an address, "localhost", "*" or nil for every address.
  static func tcp(_ host: UnsafePointer<CChar>?, port: Int32, _ options: Options) throws(Failure)
    -> Ref<Listener>
  {
    var address = sys_address()
    let number = UInt16(truncatingIfNeeded: port)
    var isEverywhere = true
    if let host = unsafe host {
      let text = unsafe Text(
        start: UnsafeRawPointer(host).assumingMemoryBound(to: UInt8.self),
        count: strlen(host))
      isEverywhere = text.bytes.equals("*")
      if text.bytes.equals("localhost") {
        _ = unsafe sys_address_parse(&address, "127.0.0.1", number)
      } else if !isEverywhere, unsafe sys_address_parse(&address, host, number) != 0 {
        throw Failure(.argument, "the host is not an IPv4 or IPv6 address, \"localhost\" or \"*\"")
      }
    }
    guard isEverywhere else { return try bound(address, options, path: ByteBuffer()) }
    // Both families where the kernel has IPv6, else IPv4.
    _ = unsafe sys_address_parse(&address, options.dualStack ? "::" : "0.0.0.0", number)
    do throws(Failure) {
      return try bound(address, options, path: ByteBuffer())
    } catch {
      guard options.dualStack, error.code == .address else { throw error }
      _ = unsafe sys_address_parse(&address, "0.0.0.0", number)
      return try bound(address, options, path: ByteBuffer())
    }
  }

  static func unix(_ path: UnsafePointer<CChar>, _ options: Options) throws(Failure)
    -> Ref<Listener>
  {
    var address = sys_address()
    guard unsafe sys_address_unix(&address, path) == 0 else {
      throw Failure(.argument, "the path of a Unix socket is empty or too long")
    }
    let text = unsafe Text(characters: path)
    var kept = ByteBuffer()
    if text.bytes[0] != UInt8(ascii: "/") { try appendFolder(to: &kept) }
    kept.append(text.bytes)
    guard kept.terminate() else { throw .noMemory }
    unsafe try removeStale(path, address)
    return try bound(address, options, path: kept)
  }

  /// The host may go elsewhere before the file is removed.
  private static func appendFolder(to path: inout ByteBuffer) throws(Failure) {
    let result = unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) {
      buffer -> Int32 in
      guard let start = buffer.baseAddress else { return 0 &- ENOMEM }
      let result = unsafe sys_current_folder(start, buffer.count)
      if result == 0 { path.append(unsafe Text(characters: UnsafePointer(start)).bytes) }
      return result
    }
    if result < 0 { throw .system("the folder of a relative path cannot be told", 0 &- result) }
    path.append(UInt8(ascii: "/"))
  }

  /// A socket file that nobody listens on is in the way; one that somebody does
  /// is left to the bind, which says so.
  private static func removeStale(_ path: UnsafePointer<CChar>, _ address: sys_address)
    throws(Failure)
  {
    var file = sys_file_id()
    guard unsafe sys_socket_file(path, &file) != 0 else { return }
    let probe = sys_socket(SYS_FAMILY_UNIX)
    if probe < 0 { throw .system("no socket", sys_errno()) }
    var address = address
    let result = unsafe sys_connect(probe, &address)
    let number = sys_errno()
    _ = sys_close(probe)
    if result < 0, number == ECONNREFUSED { unsafe sys_remove_socket(path, file) }
  }

  private static func bound(_ address: sys_address, _ options: Options, path: consuming ByteBuffer)
    throws(Failure) -> Ref<Listener>
  {
    var address = address
    let family = unsafe sys_address_family(&address)
    let descriptor = sys_socket(family)
    if descriptor < 0 { throw .system("no socket", sys_errno()) }
    if family != SYS_FAMILY_UNIX {
      if options.reuseAddress { _ = sys_set_option(descriptor, SYS_LEVEL_SOCKET, SO_REUSEADDR, 1) }
      if options.reusePort { _ = sys_set_option(descriptor, SYS_LEVEL_SOCKET, SO_REUSEPORT, 1) }
      if family == SYS_FAMILY_IPV6 {
        _ = sys_set_option(
          descriptor, SYS_LEVEL_IPV6, IPV6_V6ONLY, options.dualStack ? 0 : 1)
      }
    }
    if unsafe sys_bind(descriptor, &address) < 0 {
      let number = sys_errno()
      _ = sys_close(descriptor)
      throw .system("the address cannot be bound", number)
    }
    if sys_listen(descriptor, options.backlog) < 0 {
      let number = sys_errno()
      _ = sys_close(descriptor)
      throw .system("the socket cannot listen", number)
    }
    return try kept(descriptor, path: path)
  }

  /// Takes over a socket that is bound, and listens from here on if it did not.
  static func adopt(_ descriptor: Int32, _ options: Options) throws(Failure) -> Ref<Listener> {
    let listens = descriptor >= 0 ? sys_is_listener(descriptor) : -1
    guard listens == 1 || (listens == 0 && sys_is_bound(descriptor) == 1) else {
      throw Failure(.argument, "the descriptor is not a stream socket that is bound")
    }
    guard sys_make_nonblocking(descriptor) == 0,
      listens == 1 || sys_listen(descriptor, options.backlog) == 0
    else { throw .system("the descriptor cannot be used", sys_errno()) }
    var address = sys_address()
    _ = unsafe sys_own_address(descriptor, &address)
    guard
      let listener = Ref(
        make: Listener(descriptor: descriptor, port: port(of: address), path: ByteBuffer()))
    else { throw .noMemory }
    return listener
  }

  private static func kept(_ descriptor: Int32, path: consuming ByteBuffer) throws(Failure)
    -> Ref<Listener>
  {
    var address = sys_address()
    _ = unsafe sys_own_address(descriptor, &address)
    guard
      let listener = Ref(
        make: Listener(descriptor: descriptor, port: port(of: address), path: path))
    else { throw .noMemory }  // the listener has closed it
    return listener
  }

  private static func port(of address: sys_address) -> Int32 {
    var address = address
    return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 48) { text in
      guard let base = text.baseAddress else { return 0 }
      return unsafe sys_address_text(&address, base)
    }
  }
}

/// What came of an attempt to accept.
enum Accepted {
  case connection(Int32, Peer)
  /// One that was gone before it was taken; there may be more.
  case aborted
  case none
  /// No descriptors or no memory: it still waits.
  case exhausted
}

extension Ref where Object == Listener {
  func accept(_ system: System) -> Accepted {
    var peer = Peer()
    let descriptor = unsafe system.accept(system.context, o.descriptor, &peer.address)
    if descriptor >= 0 { return .connection(descriptor, peer) }
    switch 0 &- descriptor {
    case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .exhausted
    case ECONNABORTED, EINTR, EPROTO, EPERM: return .aborted
    default: return .none
    }
  }

  /// Stops listening; the port is remembered.
  func close() {
    o.removeFile()
    o.path.clear()
    if o.descriptor >= 0 { _ = sys_close(o.descriptor) }
    o.descriptor = -1
  }
}

/// The other end of a connection, as text and number.
struct Peer {
  var address = sys_address()

  /// Of a quarter of the size, for many.
  struct Kept {
    private let address: sys_kept_address

    init(_ peer: Peer) {
      var copy = peer.address
      address = unsafe sys_address_keep(&copy)
    }

    var peer: Peer { Peer(address: sys_address_kept(address)) }
  }

  /// Writes the address into at least 48 bytes; returns the port.
  func write(to text: UnsafeMutablePointer<CChar>) -> Int32 {
    var copy = address
    return unsafe sys_address_text(&copy, text)
  }
}
