// What a fetch tells the host, and asks it for: on the loop's thread, or by events on
// the thread that ticks.

import Synchronization

@safe struct FetchNote: ~Copyable {
  enum Kind {
    case response
    case body
    case complete
    /// More of the request's body is wanted.
    case source
  }

  /// It must stand first.
  let event: GuestEvent
  let fetch: Ref<Fetch>
  let kind: Kind
  let response: Ref<Response>?
  var code: Int32 = 0
  var piece = ByteBuffer()

  init(_ kind: Kind, of fetch: Ref<Fetch>, _ response: Ref<Response>?) {
    event = unsafe GuestEvent(run: {
      unsafe Ref<FetchNote>(opaque: $0).run(isHeard: $1)
    })
    self.fetch = fetch
    self.kind = kind
    self.response = response
    fetch.retain()
    fetch.locked { fetch.o.telling &+= 1 }
    response?.retain()
  }

  /// What a piece counts for: a thousand small ones are a lot.
  var weight: Int64 { Int64(piece.count) &+ 512 }

  deinit {
    response?.release()
    fetch.doneTelling()
    fetch.release()
  }
}

extension Ref where Object == FetchNote {
  /// The thread that ticks.
  fileprivate func run(isHeard: Bool) {
    let fetch = o.fetch
    switch o.kind {
    case .response: if isHeard, let response = o.response { fetch.callResponse(response) }
    case .complete: if isHeard { fetch.callComplete(o.response, o.code) }
    case .body:
      if isHeard { fetch.callBody(o.piece.bytes) }
      fetch.told(o.weight)
    case .source: if isHeard { fetch.callSource() }
    }
    free()
  }
}

extension Ref where Object == Fetch {
  // ---- the loop's thread

  private var isQueued: Bool { o.server.o.isQueued }

  private func queue(_ note: Ref<FetchNote>?, _ worker: Ref<Worker>) -> Bool {
    guard let note else { return false }
    if unsafe worker.o.batch.append(Event(kind: .guest, object: note.opaque)) {
      // What is told from a mail's end must not wait for another event.
      worker.o.loop.o.isPressed = true
      return true
    }
    note.free()
    return false
  }

  func tellResponse(_ response: Ref<Response>) {
    guard unsafe o.onResponse.isSet else { return }
    guard isQueued, let worker = o.worker else { return callResponse(response) }
    if !queue(Ref<FetchNote>(make: FetchNote(.response, of: self, response)), worker) {
      finish(.noMemory)
    }
  }

  func tellBody(_ bytes: Bytes) {
    guard isQueued, let worker = o.worker else { return callBody(bytes) }
    var note = FetchNote(.body, of: self, nil)
    note.piece.append(bytes)
    if note.piece.failed { return finish(.noMemory) }
    let weight = note.weight
    guard queue(Ref<FetchNote>(make: note), worker) else { return finish(.noMemory) }
    o.lock.lock()
    o.untold &+= weight
    let isMuch = o.untold > Fetch.mostUntold
    o.lock.unlock()
    if isMuch { o.run.link?.o.stream.pause(true) }
  }

  /// Once, and the last thing that is told.
  func tellComplete(_ worker: Ref<Worker>, _ response: Ref<Response>?, _ failure: Failure?) {
    let code = failure?.code.rawValue ?? 0
    guard isQueued else { return callComplete(response, code) }
    var note = FetchNote(.complete, of: self, response)
    note.code = code
    // It must not be lost.
    if !queue(Ref<FetchNote>(make: note), worker) { callComplete(response, code) }
  }

  /// Asks for more of the request's body. True: there is some already.
  func ask() -> Bool {
    o.lock.lock()
    let isAsking = o.isAsking
    o.isAsking = true
    o.lock.unlock()
    if isAsking { return false }
    guard isQueued, let worker = o.worker else {
      callSource()
      o.lock.lock()
      defer { o.lock.unlock() }
      return !o.given.isEmpty || o.isGivenWhole
    }
    if !queue(Ref<FetchNote>(make: FetchNote(.source, of: self, nil)), worker) {
      finish(.noMemory)
    }
    return false
  }

  // ---- on the thread that calls the host

  private var isWanted: Bool {
    !o.server.o.isDying.load(ordering: .relaxed) && Slots.isAlive(o.handle, .fetch)
  }

  fileprivate func callResponse(_ response: Ref<Response>) {
    guard isWanted else { return }
    let callback = unsafe locked { unsafe o.onResponse }
    o.server.insideGuest {
      unsafe callback.function?(callback.context, o.handle.bits, response.o.handle.bits)
    }
  }

  fileprivate func callBody(_ bytes: Bytes) {
    guard isWanted else { return }
    let callback = unsafe locked { unsafe o.onBody }
    unsafe bytes.withUnsafeBufferPointer { buffer in
      let start = unsafe UnsafeRawPointer(buffer.baseAddress)
      o.server.insideGuest {
        unsafe callback.function?(callback.context, o.handle.bits, start, buffer.count)
      }
    }
  }

  fileprivate func callComplete(_ response: Ref<Response>?, _ code: Int32) {
    guard isWanted else { return }
    let callback = unsafe locked { unsafe o.onComplete }
    o.server.insideGuest {
      unsafe callback.function?(
        callback.context, o.handle.bits, response?.o.handle.bits ?? 0, code)
    }
  }

  /// Bytes of the body have been told: there may be room for more.
  func told(_ weight: Int64) {
    o.lock.lock()
    o.untold &-= weight
    if o.untold <= Fetch.mostUntold / 2 { notifyLoop() }
    o.lock.unlock()
  }

  private static var sourceSize: Int { 64 * 1024 }

  /// Has the host fill a buffer with its request's body.
  fileprivate func callSource() {
    var given = ByteBuffer()
    var count: Int64 = -1
    // The body may have been given up since (RFC 9110 §15.4.4).
    if locked({ !o.isAsking }) { return }
    if isWanted, let space = unsafe given.space(Self.sourceSize) {
      let callback = unsafe locked { unsafe o.source }
      o.server.insideGuest {
        count =
          unsafe callback.function?(
            callback.context, o.handle.bits, UnsafeMutableRawPointer(space), Self.sourceSize)
          ?? -1
      }
    }
    o.lock.lock()
    defer { o.lock.unlock() }
    let isAsking = o.isAsking
    o.isAsking = false
    guard isAsking, o.state == .running else { return }
    if count < 0 || count > Int64(Self.sourceSize) {
      o.isRefused = true
    } else if count == 0 {
      o.isGivenWhole = true
    } else {
      given.filled(Int(count))
      if o.given.isEmpty { swap(&o.given, &given) } else { o.given.append(given.bytes) }
    }
    notifyLoop()
  }
}

// ---- for who takes events by himself

extension Ref where Object == Fetch {
  /// Has its ends told, or not. The caller holds the lock.
  func setEvents(_ on: Bool) throws(Failure) {
    try unsafe o.teller.set(on, opaque) {
      unsafe Ref<Fetch>(opaque: $0).tellNews(isHeard: $1)
    }
  }

  /// Nobody hears of it any more. The handle has a reference still.
  func silence() {
    if locked({ o.server.silence(&o.teller) }) { release() }
  }

  /// It has ended, and its callbacks come first. The caller holds the lock, and a reference.
  func listEnd() {
    o.isEndDue = true
    if o.telling == 0 { _ = listIfDue() }
  }

  /// True where it was listed. The same holds.
  func listIfDue() -> Bool {
    o.isEndDue && o.server.list(o.teller, keeping: o.references)
  }

  private func tellNews(isHeard: Bool) {
    let isDue = locked {
      let isDue = o.isEndDue && o.teller.isOn
      o.isEndDue = false
      return isDue
    }
    if isHeard, isDue { o.server.pull(.fetch, o.handle, .fetch) }
    release()
  }
}
