// The response as it comes, and what it leads to. The loop's thread.

import Synchronization

extension Ref where Object == Fetch {
  private static var limits: ResponseLimits { ResponseLimits() }

  /// What the connection has brought; returns how much was taken.
  func received(_ bytes: Bytes) -> Int {
    guard let link = o.run.link else { return bytes.count }
    if o.run.stage == .tunnelling { return tunnelReceived(bytes, on: link) }
    guard o.run.stage == .exchanging else { return bytes.count }
    let loop = link.o.pool.o.worker.o.loop
    if o.run.times.firstByte < 0 { o.run.times.firstByte = Clock.now &- o.run.started }
    // A head that trickles is no sign of life.
    if o.run.isHeadIn { o.run.active = loop.o.now }
    // A timer that is set anew whenever something comes is never due while it does.
    if o.run.deadline > 0, loop.o.now >= o.run.deadline {
      expired()
      return bytes.count
    }
    var index = 0
    // What is called may end this, and even begin another run. An end without bytes of its
    // own comes at once, also where reading pauses: nothing would bring it later.
    while !link.o.isEnded, link.o.fetch == self,
      !link.o.stream.o.isPaused || index == bytes.count, !o.run.isDecoding
    {
      switch link.o.machine.next(bytes, at: &index, head: &o.run.head, limits: Self.limits) {
      case .more:
        if o.run.isHeadIn || index > 0 { setTimer() }
        return index
      case .interim:
        o.run.active = loop.o.now
        // The response is still to begin.
        o.run.times.firstByte = -1
        if o.run.head.status == 100 { mayContinue() }
      case .head(let range): headCame(bytes.extracting(range), on: link)
      case .body(let range): bodyCame(bytes.extracting(range))
      case .trailer(let field):
        trailerCame(bytes.extracting(field.name), bytes.extracting(field.value))
      case .end:
        // RFC 9112 §9.2: what follows belongs to nothing.
        let isAll = index == bytes.count && (bytes.count > 0 || !link.o.stream.o.hasInput)
        ended(link, isClean: isAll)
        return bytes.count
      case .failed(let failure): finish(failure)
      }
    }
    return link.o.isEnded || link.o.fetch != self ? bytes.count : index
  }

  private func mayContinue() {
    guard o.run.waitsToSend else { return }
    o.run.waitsToSend = false
    o.run.resume = 0
    sendBody()
  }

  // ---- the head

  private func headCame(_ bytes: Bytes, on link: Ref<Link>) {
    o.run.isHeadIn = true
    // It may have come together with an interim one.
    if o.run.times.firstByte < 0 { o.run.times.firstByte = Clock.now &- o.run.started }
    o.run.active = link.o.pool.o.worker.o.loop.o.now
    // Who answers so early does not want the body.
    o.run.resume = 0
    o.run.isWithheld = o.run.waitsToSend
    o.run.waitsToSend = false
    if o.options.usesCookies {
      let now = link.o.pool.o.worker.o.loop.o.wallSeconds
      o.client.takeCookies(bytes, o.run.head, of: o.run.target, now: now)
    }
    noteStrictTransport(bytes, now: link.o.pool.o.worker.o.loop.o.wallSeconds)
    decide(bytes)
    guard isServed(by: link) else { return }
    if o.run.plan == .follow {
      // Where nothing comes behind it, what nobody is to have is not waited for.
      if !o.run.head.persists || !o.options.keepsAlive { followNow(link) }
      return
    }
    if let source = o.events { eventsBegin(source, bytes) } else { give(bytes, link) }
  }

  private func give(_ bytes: Bytes, _ link: Ref<Link>) {
    guard let response = Ref<Response>.make() else { return finish(.noMemory) }
    response.o.version = o.run.head.version
    response.o.status = o.run.head.status
    response.o.contentLength = o.run.head.contentLength
    response.o.redirects = o.run.redirects
    response.o.peer = link.o.peer
    response.o.times = o.run.times
    o.run.target.appendPublic(to: &response.o.url)
    let isTaken =
      response.take(o.run.head, of: bytes)
      && response.o.url.terminate()
    response.open()
    o.run.response = response
    o.lock.lock()
    o.response = response
    o.lock.unlock()
    guard isTaken else { return finish(.noMemory) }
    if let failure = prepareForBody(bytes) { return finish(failure) }
    if isTooLong { return finish(Self.tooLong) }
    tellResponse(response)
  }

  /// What the body goes through: decoding, a file.
  func prepareForBody(_ bytes: Bytes) -> Failure? {
    let status = o.run.head.status
    do throws(Failure) {
      // What never has a body leaves the file as it is.
      if !o.output.isEmpty, status / 100 == 2, o.run.head.framing != .none {
        o.run.file = Ref<FileWriter>(make: try FileWriter(o.output.bytes))
        if o.run.file == nil { return .noMemory }
      }
      // A range of what is encoded cannot be decoded.
      guard o.options.decodes, o.run.head.framing != .none, status != 206 else { return nil }
      let name = Text("content-encoding")
      var decoder = ContentDecoder()
      var number = 0
      while let field = o.run.head.field(name.bytes, number: number, in: bytes) {
        try decoder.add(bytes.extracting(field.value))
        number &+= 1
      }
      // A stream of events also goes through one that does nothing: piece by piece.
      if decoder.isIdentity, o.events == nil { return nil }
      o.run.decoder = Ref<ContentDecoder>(make: decoder)
      return o.run.decoder == nil ? .noMemory : nil
    } catch {
      return error
    }
  }

  private static var tooLong: Failure {
    Failure(.tooLarge, "the response's body is longer than its limit")
  }

  /// Whether the head says already that there is more than the host will have.
  private var isTooLong: Bool {
    guard o.run.head.framing == .length, o.run.file == nil, o.run.decoder == nil,
      unsafe !o.onBody.isSet
    else { return false }
    return o.run.head.contentLength > o.options.maxBody
  }

  // ---- the body

  private func bodyCame(_ bytes: Bytes) {
    guard o.run.plan == .give else { return drop(bytes.count) }
    guard let decoder = o.run.decoder else { return piece(bytes) }
    decode(decoder, bytes)
  }

  /// The rest of a response that nobody is to have does not come, or is not worth it.
  func followNow(_ link: Ref<Link>) {
    leave(link, isReusable: false)
    goOn()
  }

  /// Whether the response is known to be one that nobody is to have.
  var isFollowing: Bool { o.run.isHeadIn && o.run.plan == .follow }

  /// Of a response that nobody is to have.
  private func drop(_ count: Int) {
    o.run.dropped &+= Int64(count)
    guard o.run.dropped > FetchRun.mostDropped, let link = o.run.link else { return }
    // A new connection costs less than the rest.
    followNow(link)
  }

  private func decode(_ decoder: Ref<ContentDecoder>, _ bytes: Bytes) {
    guard let link = o.run.link else { return }
    var index = 0
    var buffer = ByteBuffer()
    while true {
      buffer.truncate(to: 0)
      do throws(Failure) {
        guard try decoder.o.next(bytes, at: &index, to: &buffer) else { return }
      } catch {
        return finish(error)
      }
      piece(buffer.bytes)
      if !isServed(by: link) { return }
      // A little input may be a lot of content: it waits like what is not read.
      if link.o.stream.o.isPaused {
        o.run.isDecoding = true
        o.run.undecoded.append(bytes.extracting(index..<bytes.count))
        if o.run.undecoded.failed { finish(.noMemory) }
        return
      }
    }
  }

  /// Reading goes on. False: it has paused anew.
  func resumeDecoding() -> Bool {
    guard o.run.isDecoding, let decoder = o.run.decoder, let link = o.run.link else { return true }
    var rest = ByteBuffer()
    swap(&rest, &o.run.undecoded)
    o.run.isDecoding = false
    decode(decoder, rest.bytes)
    if !isServed(by: link) || o.run.isDecoding { return false }
    // The end of the response may have come with it.
    _ = received(Bytes())
    return isServed(by: link)
  }

  /// A piece of what the host is to have.
  private func piece(_ bytes: Bytes) {
    if let source = o.events {
      if let failure = source.take(bytes) { finish(failure) }
      return
    }
    guard let response = o.run.response else { return }
    response.o.bodyBytes &+= Int64(bytes.count)
    if let file = o.run.file {
      do throws(Failure) { try file.o.write(bytes) } catch { finish(error) }
      return
    }
    if unsafe o.onBody.isSet { return tellBody(bytes) }
    if response.o.bodyBytes > o.options.maxBody {
      return finish(Self.tooLong)
    }
    let expected = o.run.decoder == nil ? max(response.o.contentLength, 0) : 0
    if response.o.body.isEmpty, expected > 0, expected <= o.options.maxBody {
      // The length is a claim: memory follows what came.
      _ = response.o.body.reserve(Int(min(expected, 1 << 20)) &+ 1)
    }
    response.o.body.append(bytes)
    if response.o.body.failed { finish(.noMemory) }
  }

  private func trailerCame(_ name: Bytes, _ value: Bytes) {
    guard o.run.plan == .give, let response = o.run.response else { return }
    if !response.o.trailers.append(name: name, value: value) { finish(.noMemory) }
  }

  // ---- its end

  private func ended(_ link: Ref<Link>, isClean: Bool) {
    if let decoder = o.run.decoder, o.run.plan == .give {
      do throws(Failure) { try decoder.o.finish() } catch { return finish(error) }
    }
    let response = o.run.response
    if o.run.plan == .give, let response, !response.o.body.terminate() {
      return finish(.noMemory)
    }
    leave(link, isReusable: isClean && o.run.head.persists)
    if o.run.plan == .follow { return goOn() }
    finish(nil)
  }

  /// Lets go of the connection, for the next one or for good.
  func leave(_ link: Ref<Link>, isReusable: Bool) {
    o.run.link = nil
    o.run.origin = nil
    // A request that was cut short cannot be followed by another one.
    if isReusable, o.run.isBodySent, o.options.keepsAlive {
      link.rest()
    } else {
      link.end(reset: !o.run.isBodySent)
    }
  }

  /// The server sends no more.
  func inputEnded() {
    guard let link = o.run.link else { return }
    if o.run.stage == .tunnelling {
      return tunnelEnded(link)
    }
    if o.run.stage == .securing {
      return notReady(
        link, Failure(.closed, "the server closed the connection in the TLS handshake"))
    }
    guard o.run.stage == .exchanging else { return }
    if isFollowing { return followNow(link) }
    switch link.o.machine.finish() {
    case .nothing:
      lost(link, Failure(.closed, "the server closed the connection before it answered"))
    case .complete where link.o.stream.o.isTruncated:
      // RFC 8446 §6.1: anybody on the way may have cut it.
      finish(Failure(.closed, "the connection ended without notice: the body may be cut"))
    case .complete: ended(link, isClean: false)
    case .failed(let failure): finish(failure)
    }
  }

  /// The connection is broken.
  func broken(_ number: Int32) {
    guard let link = o.run.link else { return }
    if o.run.stage == .tunnelling {
      return notReady(
        link, Failure(.closed, "the connection to the proxy broke", number: number))
    }
    if o.run.stage == .securing { return unsecured(link, number) }
    guard o.run.stage == .exchanging else { return }
    if isFollowing { return followNow(link) }
    let failure = link.o.stream.o.tlsFailure
    if let failure, failure.code != .closed { return finish(failure) }
    if link.o.machine.isAtStart {
      return lost(link, Failure(.closed, "the connection broke before the answer", number: number))
    }
    finish(Failure(.closed, "the connection broke inside the response", number: number))
  }

  /// Nothing of an answer came: over another connection, if that is safe. A connection
  /// that had been idle may have been closed as the request was under way (RFC 9112
  /// §9.3.1).
  private func lost(_ link: Ref<Link>, _ failure: Failure) {
    if link.o.uses > 0, mayRepeat {
      leave(link, isReusable: false)
      o.run.wantsFresh = true
      return goOn()
    }
    guard mayRepeat, o.run.retries < o.options.retries else { return finish(failure) }
    leave(link, isReusable: false)
    _ = retry()
  }

  /// Whether it may be sent a second time though the first one may have had its effect.
  var mayRepeat: Bool { Method.isIdempotent(o.run.method.bytes) && canSendAgain }

  var canSendAgain: Bool { !o.run.sendsBody || o.body.canRepeat }
}
