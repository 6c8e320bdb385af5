// The client's end of a channel: where it connects to and how, and what it is at. The
// channel is one for all connections that are made for it, one after the other.
//
// Any thread asks, by the channel's `run`: each opening and each reset is a new run. The
// loop sees, by mail, that it is at another one, drops what it has, and starts anew. From
// an opening until it is closed for good the channel is bound to a worker: that holds one
// reference. So does each of its connections.

import Synchronization

@safe struct ChannelClient: ~Copyable {
  enum Stage {
    case idle, dialing, tunnelling, asking, open, waiting
  }

  let channel: Ref<Channel>

  // ---- behind the channel's lock: what the host has set
  var url = ByteBuffer()
  var address: URLParts? = nil
  var isSecure = false
  /// Field lines, each with its end.
  var fields = ByteBuffer()
  var origin = ByteBuffer()
  var protocols = ByteBuffer()
  var deflates = true
  var givesFrames = false
  var messages: MessageReceiver.Limits
  /// Milliseconds, as below.
  var connectTimeout: Int64 = 10_000
  var backoff = Backoff()

  // ---- and how it stands
  /// Runs that were reset, whose close is to be told.
  var owed = 0
  /// Why the latest attempt failed, and its response's status.
  var failure = Code.closed
  var problem: Failure? = nil
  var status: Int32 = 0

  // ---- the loop's
  var stage = Stage.idle
  let timer: Ref<Timer>
  var dialer: Ref<Dialer>? = nil
  /// Whom the connection is to be with, and how to get there.
  var host = ByteBuffer()
  var port: UInt16 = 0
  var usesTLS = false
  var route = ProxyRoute()
  var tunnel: Ref<Tunnel>? = nil
  /// How often its proxy's challenges were answered in this attempt.
  var proxyAnswers = 0
  /// The connection until it is open.
  var attempt: Ref<Connection>? = nil
  /// What the request asked for.
  var key = ByteBuffer()
  var accept = ByteBuffer()
  var offered = ByteBuffer()
  var offer: DeflateOffer? = nil

  init(channel: Ref<Channel>, timer: Ref<Timer>, messages: MessageReceiver.Limits) {
    self.channel = channel
    self.timer = timer
    self.messages = messages
  }

  deinit {
    timer.free()
    tunnel?.free()
  }

  /// Bytes of the request's fields.
  static var mostFields: Int { 32 * 1024 }
}

/// When to try again: after a time that doubles with each failure, up to a limit, and
/// is cut by chance, so that not all come back at once.
struct Backoff {
  /// How often, until it has been open again; -1: for ever.
  var attempts: Int32 = 0
  var least: Int64 = 500
  var most: Int64 = 30_000
  /// Since it was last open.
  var failures: Int32 = 0

  var mayTry: Bool { attempts < 0 || failures < attempts }

  /// The next delay in microseconds; `chance` is of 65,536.
  mutating func next(chance: Int64) -> Int64 {
    var delay = least
    var count = failures
    while count > 0, delay < most {
      delay &*= 2
      count &-= 1
    }
    if failures < Int32.max { failures &+= 1 }
    delay = min(delay, most) &* 1000
    return delay / 2 &+ (delay / 2) &* chance / 65_536
  }
}

// How streams and channels call it.

extension Ref where Object == Channel {
  /// What makes its connections, if that is a client.
  var asClient: Ref<ChannelClient>? {
    o.caller.map { unsafe Ref<ChannelClient>(opaque: $0.o.object) }
  }
}

private func attempted(_ owner: UnsafeMutableRawPointer) -> Ref<ChannelClient>? {
  let connection = unsafe Ref<Connection>(opaque: owner)
  guard let client = connection.o.channel?.asClient, client.o.attempt == connection else {
    return nil
  }
  return client
}

private func received(
  _ owner: UnsafeMutableRawPointer, _ start: UnsafeMutablePointer<UInt8>, _ count: Int
) -> Int {
  guard let client = unsafe attempted(owner) else { return count }
  let bytes = unsafe Span(_unsafeStart: start, count: count)
  return client.o.stage == .tunnelling ? client.takeTunnel(bytes) : client.takeResponse(bytes)
}

private func buried(_ owner: UnsafeMutableRawPointer) {
  let connection = unsafe Ref<Connection>(opaque: owner)
  let channel = connection.o.channel
  connection.buried()
  channel?.release()
}

private func withClient(_ object: UnsafeMutableRawPointer, _ body: (Ref<ChannelClient>) -> Void) {
  let channel = unsafe Ref<Channel>(opaque: object)
  guard let client = channel.asClient else { return }
  channel.retain()
  body(client)
  channel.release()
}

extension ChannelClient {
  /// For streams until they are the channel's own, and once they are not any more.
  static let handler = unsafe Ref<StreamHandler>(
    make: StreamHandler(
      received: received,
      inputEnded: { unsafe attempted($0)?.inputEnded() },
      drained: { _ in },
      failed: { unsafe attempted($0)?.broken($1) },
      expired: { _ in },
      buried: buried,
      secured: { unsafe attempted($0)?.ask() }))
}

extension Ref where Object == ChannelClient {
  /// Makes a channel that is closed, with its handle.
  static func make(on server: Ref<Server>) throws(Failure) -> Handle {
    // Another thread may set the client up.
    server.o.lock.lock()
    let messages = server.o.options.messages
    let channel = Ref<Channel>.make(role: .client, server: server, worker: nil, deflate: nil)
    server.o.lock.unlock()
    guard let channel else { throw .noMemory }
    // The handle alone has it so far.
    channel.o.references.store(1, ordering: .relaxed)
    channel.o.isKept = true
    guard ChannelClient.handler != nil, let timer = Ref<Timer>(make: Timer()) else {
      channel.release()
      throw .noMemory
    }
    let client = Ref<ChannelClient>(
      make: ChannelClient(channel: channel, timer: timer, messages: messages))
    // What got no memory has let go of what it was given.
    guard let client else {
      channel.release()
      throw .noMemory
    }
    unsafe timer.o.owner = unsafe channel.opaque
    unsafe timer.o.run = { unsafe withClient($0) { $0.expired() } }
    let caller = unsafe Ref<Caller>(
      make: Caller(
        object: client.opaque, end: { unsafe Ref<ChannelClient>(opaque: $0).free() },
        settle: { unsafe withClient($0) { $0.settle() } },
        lost: { unsafe withClient($0) { $0.lost() } },
        stop: { unsafe withClient($0) { $0.stop() } }))
    guard let caller else {
      channel.release()
      throw .noMemory
    }
    channel.o.caller = caller
    _ = channel.note(path: Span(), subprotocol: Span(), key: Span())
    // Once its handle is live another thread may end it.
    channel.retain()
    defer { channel.release() }
    channel.open(as: .closed)
    let handle = channel.o.handle
    // Destroyed since this call has begun: nobody would end the channel.
    if server.o.isDying.load(ordering: .sequentiallyConsistent) {
      _ = channel.end(handle)
      throw .deadHandle
    }
    return handle
  }

  // ---- what the host sets

  /// While the channel is closed; with its lock.
  func change(_ body: () throws(Failure) -> Void) throws(Failure) {
    let channel = o.channel
    try channel.locked { () throws(Failure) in
      guard channel.o.state == .closed else {
        throw Failure(.state, "the channel is open, or about to be")
      }
      try body()
    }
  }

  func addField(_ name: Bytes, _ value: Bytes) throws(Failure) {
    guard name.isToken, value.isFieldValue else {
      throw Failure(.argument, "the field's name or value is malformed")
    }
    guard !ChannelClient.isReserved(name) else {
      throw Failure(.argument, "that field is the handshake's own")
    }
    guard o.fields.count &+ name.count &+ value.count <= ChannelClient.mostFields else {
      throw Failure(.tooLarge, "the fields are longer than 32 KiB")
    }
    let before = o.fields.count
    o.fields.append(name)
    o.fields.append(": ")
    o.fields.append(value)
    o.fields.append("\r\n")
    if o.fields.failed {
      o.fields.truncate(to: before)
      throw .noMemory
    }
  }
}

extension ChannelClient {
  /// What the handshake sets itself, and what would give its request a body.
  fileprivate static func isReserved(_ name: Bytes) -> Bool {
    if name.equalsLowercase("host") || name.equalsLowercase("upgrade")
      || name.equalsLowercase("connection") || name.equalsLowercase("content-length")
      || name.equalsLowercase("transfer-encoding") || name.equalsLowercase("origin")
    {
      return true
    }
    return name.count >= 14 && name.extracting(0..<14).equalsLowercase("sec-websocket-")
  }
}
