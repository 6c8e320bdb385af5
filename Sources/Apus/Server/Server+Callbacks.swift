// Calling the host. Each call notes, for its time, whose callback runs on this
// thread; no lock is held, and no access to an object across it.

import Synchronization

extension Ref where Object == Server {
  /// Runs a callback of this server's.
  @inline(__always)
  func inside(_ exchange: Ref<Exchange>?, _ body: () -> Void) {
    if !o.hasThreads || o.isQueued { o.callbacks &+= 1 }
    unsafe ThreadContext.inside(
      opaque, request: exchange?.o.handle.bits ?? 0, exchange: exchange?.opaque, body)
  }

  /// Ends a context: what the host does in there counts as done in a callback.
  func drop<Function>(_ callback: Callback<Function>) {
    unsafe ThreadContext.inside(opaque) { callback.end() }
  }

  private var isOver: Bool { o.isDying.load(ordering: .relaxed) }

  /// A request: the listeners, then its route's handler or what stands for it.
  @inline(__always)
  func run(_ exchange: Ref<Exchange>) {
    if isOver { return }
    if exchange.o.isHeard || hear(exchange) { handle(exchange) }
  }

  /// A request that the listeners have let through.
  @inline(__always)
  func handle(_ exchange: Ref<Exchange>) {
    if let route = exchange.o.route {
      if let channels = route.o.channels { return exchange.openChannel(channels) }
      let handler = unsafe route.o.handler
      if let function = unsafe handler.function {
        inside(exchange) { unsafe function(handler.context, exchange.o.handle.bits) }
      } else if route.o.mount != nil {
        exchange.leaveToFolder()
      } else if unsafe route.o.events.isSet {
        unsafe openEvents(exchange, route.o.events)
      }
      return
    }
    answer(exchange)
  }

  /// The on_receive listeners; true when the request is still to be handled.
  @inline(__always)
  func hear(_ exchange: Ref<Exchange>) -> Bool {
    unsafe o.onReceive.isEmpty || tellReceived(exchange)
  }

  @inline(never)
  private func tellReceived(_ exchange: Ref<Exchange>) -> Bool {
    var index = 0
    while unsafe index < o.onReceive.count {
      let listener = unsafe o.onReceive[index]
      inside(exchange) { unsafe listener.function?(listener.context, exchange.o.handle.bits) }
      if exchange.o.isShared || exchange.o.isReplied || isOver { return false }
      index &+= 1
    }
    // What a listener has not found is not what the handler has not.
    exchange.o.isFileMissing = false
    return true
  }

  /// What is answered without a handler: OPTIONS, 405 and 404.
  @inline(never)
  func answer(_ exchange: Ref<Exchange>) {
    let isOptions = exchange.o.head.method == Method.options
    let isServerWide = exchange.o.head.form == .asterisk
    guard exchange.o.destination == .otherMethod || (isOptions && isServerWide) else {
      return exchange.completeOrBreak(exchange.o.head.method == Method.connect ? 501 : 404)
    }
    var allow = ByteBuffer()
    let path = exchange.rawPath
    o.router.appendAllow(path.bytes, to: &allow)
    let name = Text("Allow")
    _ = exchange.o.reply.set(name.bytes, allow.bytes, replacing: true)
    exchange.completeOrBreak(isOptions ? 204 : 405)
  }

  func call(
    _ callback: Callback<BodyFunction>, _ exchange: Ref<Exchange>, _ piece: Bytes, last: Int32
  ) {
    if isOver { return }
    let handle = exchange.o.bodyHandle
    guard Slots.isAlive(handle, .request) else { return }
    unsafe piece.withUnsafeBufferPointer { buffer in
      let start = unsafe UnsafeRawPointer(buffer.baseAddress)
      inside(nil) {
        unsafe callback.function?(callback.context, handle.bits, start, buffer.count, last)
      }
    }
  }

  func call(_ place: WriterState.Place, _ exchange: Ref<Exchange>) {
    let handle = exchange.o.writer.handle
    let callback = unsafe exchange.takeCallback(place)
    if !isOver, Slots.isAlive(handle, .writer) {
      inside(nil) { unsafe callback.function?(callback.context, handle.bits) }
    }
    unsafe drop(exchange.callbackEnded())
  }

  /// A channel of a route is open: the listeners, while its request is there. It is
  /// pulled where nobody listens.
  func tellOpened(_ exchange: Ref<Exchange>, _ channel: Ref<Channel>) {
    guard let route = exchange.o.route?.o.channels else { return }
    var index = 0
    while unsafe index < route.o.listeners.onOpen.count, !isOver {
      let listener = unsafe route.o.listeners.onOpen[index]
      inside(exchange) {
        unsafe listener.function?(
          listener.context, channel.o.handle.bits, exchange.o.handle.bits)
      }
      index &+= 1
    }
    if o.isPulling, index == 0, !isOver {
      channel.locked { channel.o.isKept = true }
      o.pulled = Pulled(channel, .channel)
    }
    channel.openingTold()
  }

  func tellReplied(_ exchange: Ref<Exchange>) {
    var index = 0
    while unsafe index < o.onReply.count, !isOver {
      let listener = unsafe o.onReply[index]
      inside(exchange) {
        unsafe listener.function?(
          listener.context, exchange.o.handle.bits, exchange.o.reply.status,
          UInt64(bitPattern: exchange.o.bodyBytes))
      }
      index &+= 1
    }
    if unsafe o.onAccess.isSet, !isOver { logAccess(exchange) }
  }

  private func logAccess(_ exchange: Ref<Exchange>) {
    var line = ByteBuffer()
    AccessLine.append(exchange, to: &line)
    guard line.terminate(), let start = unsafe line.pointer else { return }
    let callback = unsafe o.onAccess
    let count = line.count
    inside(exchange) {
      unsafe callback.function?(
        callback.context, o.handle.bits,
        UnsafeRawPointer(start).assumingMemoryBound(to: CChar.self), count)
    }
  }

  /// A connection's news; ends the note.
  func tell(_ kind: Event.Kind, _ note: Ref<Note>) {
    unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 48) { text in
      guard let peer = text.baseAddress else { return }
      let port = unsafe note.o.peer.write(to: peer)
      switch kind {
      case .connected: unsafe tell(o.onConnect.count, note, peer, port) { unsafe o.onConnect[$0] }
      case .disconnected:
        unsafe tell(o.onDisconnect.count, note, peer, port) { unsafe o.onDisconnect[$0] }
      default:
        var index = 0
        while unsafe index < o.onError.count, !isOver {
          let listener = unsafe o.onError[index]
          let failure = note.o.failure ?? .noMemory
          inside(nil) {
            // The sentence, since none comes with the call.
            ThreadContext.note(failure)
            unsafe listener.function?(
              listener.context, o.handle.bits, note.o.connection, failure.code.rawValue,
              note.o.status, peer)
          }
          index &+= 1
        }
      }
    }
    note.free()
  }

  private func tell(
    _ count: Int, _ note: Ref<Note>, _ peer: UnsafePointer<CChar>, _ port: Int32,
    _ listener: (Int) -> Callback<ConnectionFunction>
  ) {
    var index = 0
    while index < count, !isOver {
      let listener = unsafe listener(index)
      inside(nil) {
        unsafe listener.function?(listener.context, o.handle.bits, note.o.connection, peer, port)
      }
      index &+= 1
    }
  }

  func tellTick() {
    var index = 0
    while unsafe index < o.onTick.count, !isOver {
      let listener = unsafe o.onTick[index]
      inside(nil) { unsafe listener.function?(listener.context, o.handle.bits) }
      index &+= 1
    }
  }
}

/// A line of the Combined Log Format for a finished request.
enum AccessLine {
  static func append(_ exchange: Ref<Exchange>, to line: inout ByteBuffer) {
    if let peer = exchange.locked({ exchange.clientPeer }) {
      unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 48) { text in
        guard let base = text.baseAddress else { return }
        _ = unsafe peer.write(to: base)
        unsafe line.append(Text(characters: base).bytes)
      }
    }
    if line.isEmpty { line.append("-") }
    line.append(" - - [")
    HTTPDate.appendLog(Clock.wallSeconds, to: &line)
    line.append("] \"")
    line.append(exchange.methodName.bytes)
    line.append(" ")
    if let target = exchange.part(exchange.o.head.target) { escape(target, to: &line) }
    line.append(exchange.o.head.version < 11 ? " HTTP/1.0\" " : " HTTP/1.1\" ")
    line.append(decimal: Int64(exchange.o.reply.status))
    line.append(" ")
    line.append(decimal: exchange.o.bodyBytes)
    append(field: "referer", of: exchange, to: &line)
    append(field: "user-agent", of: exchange, to: &line)
  }

  private static func append(
    field name: StaticString, of exchange: Ref<Exchange>, to line: inout ByteBuffer
  ) {
    line.append(" \"")
    let text = Text(name)
    if let value = exchange.field(text.bytes) {
      escape(value, to: &line)
    } else {
      line.append("-")
    }
    line.append("\"")
  }

  /// A quote in a field must not end the log's.
  private static func escape(_ text: Text, to line: inout ByteBuffer) {
    let bytes = text.bytes
    for index in 0..<bytes.count {
      if bytes[index] == 34 || bytes[index] == 92 { line.append(92) }
      line.append(bytes[index])
    }
  }
}
