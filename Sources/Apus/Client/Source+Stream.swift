// The stream of a source as its fetch brings it, and when it is connected anew. The
// loop's thread.

import Synchronization

extension Ref where Object == Source {
  /// The answer's head is in, and no redirection: nil, or why it is no stream of events.
  /// WHATWG HTML §9.2.3: another status or type is not tried again.
  func begin(status: Int32, type: Bytes) -> Failure? {
    o.status = status
    o.isStream = false
    var failure: Failure? = nil
    if status == 204 {
      failure = Failure(.closed, "the server has no more events: 204")
    } else if status != 200 {
      failure = Failure(.protocolBroken, "the answer's status is not 200")
    } else if !Ref.isEventStream(type) {
      failure = Failure(.protocolBroken, "the answer is no text/event-stream")
    }
    if let failure {
      o.isFatal = true
      return failure
    }
    o.isStream = true
    o.openedAt = Clock.now
    o.lock.lock()
    if o.state == .connecting { o.state = .open }
    o.lock.unlock()
    tellOpen()
    return nil
  }

  private static func isEventStream(_ type: Bytes) -> Bool {
    let end = type.first(UInt8(ascii: ";")) ?? type.count
    let essence = type.trimmed(0..<end)
    return type.extracting(essence).equalsLowercase("text/event-stream")
  }

  /// A piece of the stream. What is told may close the source, which the fetch sees.
  func take(_ bytes: Bytes) -> Failure? {
    var index = 0
    do throws(Failure) {
      while true {
        switch try o.parser.next(bytes, at: &index) {
        case .more: return nil
        case .retry(let time): locked { o.retry.time = time }
        case .event: try eventCame()
        }
      }
    } catch {
      o.isFatal = true
      return error
    }
  }

  private func eventCame() throws(Failure) {
    locked { o.retry.failures = 0 }
    let letter = EventLetter.make(
      type: o.parser.type.bytes, id: o.parser.lastID.bytes, data: o.parser.data.bytes)
    guard let letter else { throw .noMemory }
    let weight = letter.o.weight
    tell(letter)
    o.fetch.untold(weight)
  }

  /// An attempt or a stream has ended: the microseconds until the next one; nil: there is
  /// none.
  func again(_ problem: Failure?) -> Int64? {
    if o.isFatal || !Ref.mayPass(problem) { return nil }
    let failure = problem ?? Failure(.closed, "the stream has ended")
    var random = ByteBuffer()
    _ = Crypto.appendRandom(2, to: &random)
    let chance = random.count == 2 ? Int64(random.bytes[0]) << 8 | Int64(random.bytes[1]) : 0
    // One that ends at once, and had nothing to say, is as good as none.
    let isSound = o.isStream && Clock.now &- o.openedAt >= Source.shortest
    o.lock.lock()
    if isSound { o.retry.failures = 0 }
    let mayTry = o.retry.mayTry && o.state != .closed
    let delay = mayTry ? o.retry.next(chance: chance) : 0
    if mayTry { o.state = .connecting }
    o.lock.unlock()
    guard mayTry else { return nil }
    let status = o.isStream ? 200 : o.status
    tellError(failure, status: status, again: Int32(truncatingIfNeeded: delay))
    prepareNext()
    return delay &* 1000
  }

  /// What another attempt may mend.
  private static func mayPass(_ problem: Failure?) -> Bool {
    switch problem?.code {
    case nil, .io, .timeout, .closed, .notFound, .protocolBroken, .full, .descriptors: true
    default: false
    }
  }

  /// The next request says what has come.
  func prepareNext() {
    o.parser.restart()
    o.isStream = false
    o.status = 0
    o.lock.lock()
    if !o.parser.lastID.bytes.equals(o.lastID.bytes) {
      o.lastID.clear()
      o.lastID.append(o.parser.lastID.bytes)
    }
    o.lock.unlock()
    let name = Text("Last-Event-ID")
    o.fetch.locked {
      do throws(Failure) {
        let id = o.parser.lastID.bytes
        try o.fetch.o.fields.set(name.bytes, id.isEmpty ? nil : id)
      } catch {
        // With control characters, or too long: no field can say it.
        try? o.fetch.o.fields.set(name.bytes, nil)
      }
    }
  }

  /// The fetch is done, and comes to nothing more.
  func over(_ problem: Failure?, on worker: Ref<Worker>) {
    let failure = problem ?? Failure(.closed, "the stream has ended")
    o.home = worker
    o.lock.lock()
    let isOwn = o.state == .closed
    o.state = .closed
    if !isOwn { o.failure = failure }
    o.lock.unlock()
    if !isOwn {
      let status = o.isStream ? 200 : o.status
      tellError(failure, status: status, again: -1)
    }
    o.home = nil
    // From here on another thread may open it anew.
    o.lock.lock()
    o.isRunning = false
    o.condition?.o.wakeAll()
    // The host may have closed it meanwhile.
    o.isCloseDue = o.state == .closed && o.failure != nil
    _ = listWaiting()
    o.lock.unlock()
    o.server.lookAgain()
    // The run's.
    release()
  }
}

extension Ref where Object == Fetch {
  // ---- of a fetch that brings events

  /// The head of what is no redirection.
  func eventsBegin(_ source: Ref<Source>, _ bytes: Bytes) {
    let name = Text("content-type")
    let field = o.run.head.field(name.bytes, in: bytes)
    let type = field.map { $0.value } ?? 0..<0
    if let failure = source.begin(status: o.run.head.status, type: bytes.extracting(type)) {
      return finish(failure)
    }
    if let failure = prepareForBody(bytes) { finish(failure) }
  }

  /// An event was handed to the host, or waits for it.
  func untold(_ weight: Int64) {
    o.lock.lock()
    o.untold &+= weight
    let isMuch = o.untold > Fetch.mostUntold
    o.lock.unlock()
    if isMuch { o.run.link?.o.stream.pause(true) }
  }

  /// What is over begins anew after a while, with the first request. False: it stays over.
  func beginAgain(after problem: Failure?, _ source: Ref<Source>, _ worker: Ref<Worker>) -> Bool {
    let isCancelled = locked { o.isCancelled }
    if isCancelled || worker.pool()?.o.isStopping ?? true { return false }
    guard let delay = source.again(problem) else { return false }
    var run = FetchRun()
    o.lock.lock()
    defer { o.lock.unlock() }
    do throws(Failure) {
      var target = try prepare()
      swap(&run.target, &target)
      try prepareCredentials(&run)
    } catch {
      return false
    }
    run.method.append(o.method.bytes)
    run.started = Clock.now
    run.active = worker.o.loop.o.now
    run.stage = .delaying
    run.resume = run.active &+ max(1, delay)
    o.run = run
    setTimer()
    return true
  }
}
