// One attempt of a channel to be open: a connection, the handshake; and the wait before
// the next one. All of it on the loop's thread.

import Synchronization

extension Ref where Object == ChannelClient {
  private var worker: Ref<Worker>? { o.channel.o.caller?.o.worker }

  // ---- time

  private func setTimer(_ microseconds: Int64) {
    guard let loop = worker?.o.loop else { return }
    loop.o.timers.set(o.timer, to: loop.o.now &+ microseconds)
  }

  private func stopTimer() {
    o.timer.o.deadline = 0
    worker?.o.loop.o.timers.remove(o.timer)
  }

  func expired() {
    switch o.stage {
    case .waiting: begin()
    case .dialing, .tunnelling, .asking:
      failed(Failure(.timeout, "the connection was not open in time"))
    case .idle, .open: break
    }
  }

  // ---- the beginning

  func begin() {
    let channel = o.channel
    channel.o.lock.lock()
    guard channel.isCurrent, channel.o.state == .connecting, let address = o.address else {
      return channel.o.lock.unlock()
    }
    o.host.clear()
    o.host.append(o.url.bytes.extracting(address.hostName))
    o.usesTLS = o.isSecure
    o.port = address.port
    o.status = 0
    let timeout = o.connectTimeout
    channel.o.lock.unlock()
    guard let worker, !worker.o.isDraining else { return finish() }
    if !o.usesTLS, wantsTLS(for: o.host.bytes) {
      o.usesTLS = true
      if o.port == 80 { o.port = 443 }
    }
    if timeout > 0 { setTimer(timeout &* 1000) }
    o.proxyAnswers = 0
    dial(on: worker.o.loop)
  }

  /// Makes a connection to the server, its proxy, or the Unix socket. The time limit is
  /// that of the handshake, too.
  private func dial(on loop: Ref<Loop>) {
    o.stage = .dialing
    var path = ByteBuffer()
    do throws(Failure) {
      let client = try o.channel.o.server.httpClient()
      try client.locked { () throws(Failure) in path.append(client.o.unixPath.bytes) }
      if o.host.failed || !path.terminate() { throw .noMemory }
      if path.isEmpty {
        // RFC 6455 §4.1: through a proxy by CONNECT.
        try client.findRoute(to: o.host.bytes, port: o.port, isPlain: false, &o.route)
      } else {
        o.route = ProxyRoute()
      }
      o.dialer = try unsafe Ref<Dialer>.start(
        on: loop, unixPath: path, by: o.route, host: o.host.bytes, port: o.port, timeout: 0,
        owner: o.channel.opaque, done: dialed)
    } catch {
      failed(error)
    }
  }

  /// The dialer has come to its end.
  fileprivate func connected(_ dialer: Ref<Dialer>) {
    guard o.dialer == dialer else { return }
    o.dialer = nil
    if let failure = dialer.o.failure { return failed(failure) }
    guard let worker, let handler = ChannelClient.handler else { return failed(.noMemory) }
    let channel = o.channel
    let descriptor = dialer.o.takeDescriptor()
    do throws(Failure) {
      let connection = try worker.adopt(descriptor, dialer.o.peer, for: channel, handler)
      channel.retain()
      o.attempt = connection
      guard connection.o.stream.start() else {
        throw Failure(.io, "the connection cannot be watched")
      }
    } catch {
      return failed(error)
    }
    if o.route.isTunnel { startTunnel() } else { goOn() }
  }

  /// The way to the server stands.
  func goOn() {
    if o.usesTLS { startTLS() } else { ask() }
  }

  /// With the time limit of the attempt.
  private func startTLS() {
    guard let connection = o.attempt else { return }
    do throws(Failure) {
      let tls = try o.channel.o.server.httpClient().tlsClient()
      let session = try tls.makeSession(host: o.host.bytes, port: o.port)
      connection.o.stream.secure(by: session)
    } catch {
      failed(error)
    }
  }

  /// The connection has failed before it was open.
  func broken(_ number: Int32) {
    failed(
      o.attempt?.o.stream.o.tlsFailure
        ?? Failure(.closed, "the connection broke in the handshake", number: number))
  }

  // ---- the handshake

  /// RFC 6455 §4.1.
  func ask() {
    let channel = o.channel
    guard let connection = o.attempt, let output = connection.o.stream.writing() else {
      return failed(.noMemory)
    }
    connection.o.stream.o.loop.addDirty(connection.o.stream)
    o.stage = .asking
    o.key.clear()
    o.accept.clear()
    o.offered.clear()
    guard HandshakeKey.appendNew(to: &o.key),
      HandshakeKey.appendAccept(key: o.key.bytes, to: &o.accept)
    else { return failed(Failure(.io, "no random numbers for a key")) }
    channel.o.lock.lock()
    defer { channel.o.lock.unlock() }
    // With another run its mail is on its way.
    guard channel.isCurrent, let address = o.address else { return }
    o.offered.append(o.protocols.bytes)
    o.offer = o.deflates ? DeflateOffer() : nil
    append(address, to: &output.o)
  }

  private func append(_ address: URLParts, to output: inout ByteBuffer) {
    output.append("GET ")
    output.append(o.url.bytes.extracting(address.target))
    output.append(" HTTP/1.1\r\nHost: ")
    output.append(o.url.bytes.extracting(address.authority))
    output.append("\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ")
    output.append(o.key.bytes)
    output.append("\r\nSec-WebSocket-Version: 13\r\n")
    if !o.offered.isEmpty {
      output.append("Sec-WebSocket-Protocol: ")
      output.append(o.offered.bytes)
      output.append("\r\n")
    }
    if let offer = o.offer {
      output.append("Sec-WebSocket-Extensions: ")
      offer.append(to: &output)
      output.append("\r\n")
    }
    if !o.origin.isEmpty {
      output.append("Origin: ")
      output.append(o.origin.bytes)
      output.append("\r\n")
    }
    output.append(o.fields.bytes)
    output.append("\r\n")
  }

  /// Takes the response, or nothing as long as it is not whole.
  func takeResponse(_ bytes: Bytes) -> Int {
    var list = ProtocolList()
    if !o.offered.isEmpty { _ = list.take(o.offered.bytes) }
    var status: Int32 = 0
    do throws(Failure) {
      let opening = try ResponseHandshake.check(
        bytes, accept: o.accept.bytes, protocols: list, deflate: o.offer, status: &status)
      note(status)
      guard let opening else { return 0 }
      opened(opening)
      return opening.count
    } catch {
      note(status)
      // A server that is busy may not be so later; one that means it will mean it again.
      let isPassing = status >= 500 || status == 408 || status == 425 || status == 429
      failed(error, isFinal: !isPassing)
      return bytes.count
    }
  }

  private func note(_ status: Int32) {
    o.channel.o.lock.lock()
    if o.channel.isCurrent { o.status = status }
    o.channel.o.lock.unlock()
  }

  /// The connection is the channel's from here on.
  private func opened(_ opening: ResponseHandshake.Opening) {
    let channel = o.channel
    guard let connection = o.attempt else { return }
    stopTimer()
    channel.o.inflater?.free()
    channel.o.inflater = nil
    channel.o.isDeaf = false
    channel.o.isAnswerDue = false
    channel.o.lastPing = 0
    channel.o.closeDeadline = 0
    channel.o.closeCode = CloseCode.abnormal
    channel.o.closeReason.clear()
    channel.o.lock.lock()
    guard channel.isCurrent, channel.o.state == .connecting else {
      return channel.o.lock.unlock()
    }
    channel.o.caller?.o.isPeerFirst = false
    channel.o.receiver = MessageReceiver(
      role: .client, allowsCompression: opening.deflate != nil, limits: o.messages)
    channel.o.receiver.givesFrames = o.givesFrames
    channel.o.deflater?.free()
    channel.o.deflater = nil
    channel.o.deflate = opening.deflate
    channel.o.mustForget = false
    channel.o.sender = MessageSender(role: .client)
    channel.o.id = connection.o.id
    notes(opening)
    channel.o.state = .open
    o.backoff.failures = 0
    sendKept()
    wakeWaiting()
    channel.o.lock.unlock()
    o.attempt = nil
    o.stage = .open
    channel.attach(to: connection)
    channel.tell(.opened)
    channel.give(.isOpen)
    if connection.o.isDead { return }
    connection.o.stream.deliver()
    channel.armTimer()
  }

  private func notes(_ opening: ResponseHandshake.Opening) {
    let channel = o.channel
    var path = ByteBuffer()
    let old = channel.path
    path.append(old.bytes)
    var list = ProtocolList()
    if !o.offered.isEmpty { _ = list.take(o.offered.bytes) }
    _ = channel.note(
      path: path.bytes, subprotocol: list[Int(opening.subprotocol)], key: o.key.bytes)
  }

  /// What was to be sent once the channel is open. The caller holds the lock.
  private func sendKept() {
    let channel = o.channel
    let highWater = channel.o.highWater
    channel.o.highWater = .max
    while let kept = channel.o.caller?.o.outbox.take() {
      let letter = kept.o.letter
      let bytes = unsafe Text(start: letter.text, count: letter.o.count)
      do throws(Failure) {
        try channel.send(bytes.bytes, opcode: letter.o.opcode, inFramesOf: kept.o.size)
      } catch {
        // No memory, or no chance: the channel is of no use.
        channel.breakOff()
      }
      kept.free()
    }
    channel.o.highWater = highWater
  }

  // ---- failure

  /// Ends the attempt, if one is under way, and the wait for one.
  func endAttempt() {
    stopTimer()
    o.stage = .idle
    o.dialer?.cancel()
    o.dialer = nil
    dropConnection()
  }

  private func dropConnection() {
    o.tunnel?.free()
    o.tunnel = nil
    let attempt = o.attempt
    o.attempt = nil
    attempt?.die(reset: true)
  }

  /// Dials the proxy once more.
  func dialAgain() {
    dropConnection()
    guard let worker, !worker.o.isDraining else { return finish() }
    dial(on: worker.o.loop)
  }

  /// Whether it may be tried again. The caller holds the channel's lock.
  var mayTryAgain: Bool {
    o.backoff.mayTry && !o.channel.o.isAbandoned && !(worker?.o.isDraining ?? true)
  }

  func failed(_ failure: Failure, isFinal: Bool = false) {
    let channel = o.channel
    endAttempt()
    channel.o.lock.lock()
    let isCurrent = channel.isCurrent && channel.o.state == .connecting
    if isCurrent {
      o.failure = failure.code
      o.problem = failure
    }
    let again = !isFinal && mayTryAgain
    channel.o.lock.unlock()
    guard isCurrent else { return }
    channel.tellError(failure)
    if again { waitToRetry() } else { finish() }
  }

  /// Before the next attempt.
  func waitToRetry() {
    var random = ByteBuffer()
    _ = Crypto.appendRandom(2, to: &random)
    let chance = random.count == 2 ? Int64(random.bytes[0]) << 8 | Int64(random.bytes[1]) : 0
    o.channel.o.lock.lock()
    let delay = o.backoff.next(chance: chance)
    o.channel.o.lock.unlock()
    o.stage = .waiting
    setTimer(delay)
  }
}

private func dialed(_ object: UnsafeMutableRawPointer, _ dialer: UnsafeMutableRawPointer) {
  let channel = unsafe Ref<Channel>(opaque: object)
  channel.retain()
  unsafe channel.asClient?.connected(Ref<Dialer>(opaque: dialer))
  channel.release()
}
