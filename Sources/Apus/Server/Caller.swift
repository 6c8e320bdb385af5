// What a channel has that makes its connections itself, and what its worker does for
// it. How they are made is the client's matter: it is called by functions.

import Synchronization

@safe struct Caller: ~Copyable {
  typealias Call = @convention(c) (UnsafeMutableRawPointer) -> Void

  /// The client's own.
  nonisolated(unsafe) let object: UnsafeMutableRawPointer
  nonisolated(unsafe) private let end: Call
  // These take the channel, on its loop's thread: there is news of other threads, its
  // connection is dead, its worker stops.
  nonisolated(unsafe) let settle: Call
  nonisolated(unsafe) let lost: Call
  nonisolated(unsafe) let stop: Call

  // ---- behind the channel's lock
  /// What is to be sent once it is open.
  var outbox = Outbox()
  /// It was the peer that began to close, and the host has not closed since.
  var isPeerFirst = false

  // ---- the loop's
  /// The worker on whose list it is.
  var worker: Ref<Worker>? = nil
  var next: Ref<Channel>? = nil
  var previous: Ref<Channel>? = nil

  init(
    object: UnsafeMutableRawPointer, end: Call, settle: Call, lost: Call, stop: Call
  ) {
    unsafe self.object = unsafe object
    unsafe self.end = unsafe end
    unsafe self.settle = unsafe settle
    unsafe self.lost = unsafe lost
    unsafe self.stop = unsafe stop
  }

  deinit { unsafe end(object) }
}

extension Ref where Object == Channel {
  /// The worker that it tells its news by. The loop's thread.
  var home: Ref<Worker>? { o.connection?.o.worker ?? o.caller?.o.worker }
}

extension Ref where Object == Worker {
  /// The loop has heard of it.
  func add(caller channel: Ref<Channel>) {
    guard let caller = channel.o.caller, caller.o.worker == nil else { return }
    caller.o.worker = self
    caller.o.next = o.firstCaller
    o.firstCaller?.o.caller?.o.previous = channel
    o.firstCaller = channel
  }

  func remove(caller channel: Ref<Channel>) {
    guard let caller = channel.o.caller, caller.o.worker == self else { return }
    if let previous = caller.o.previous {
      previous.o.caller?.o.next = caller.o.next
    } else {
      o.firstCaller = caller.o.next
    }
    caller.o.next?.o.caller?.o.previous = caller.o.previous
    caller.o.next = nil
    caller.o.previous = nil
    caller.o.worker = nil
  }

  func stopCallers() {
    var channel = o.firstCaller
    while let current = channel, let caller = current.o.caller {
      channel = caller.o.next
      unsafe caller.o.stop(current.opaque)
    }
  }

  /// A connection of this side's making, with a stream that is not started yet.
  func adopt(
    _ descriptor: Int32, _ peer: Peer, for channel: Ref<Channel>, _ handler: Ref<StreamHandler>
  ) throws(Failure) -> Ref<Connection> {
    let system = o.loop.o.system
    let id = o.server.o.nextConnection.wrappingAdd(1, ordering: .relaxed).newValue
    let connection = Ref<Connection>(
      make: Connection(
        worker: self, id: id, descriptor: descriptor, peer: peer, since: o.loop.o.now))
    let timer = Ref<Timer>(make: Timer())
    guard let connection, let timer else {
      connection?.free()
      timer?.free()
      unsafe system.end(system.context, descriptor, 1)
      throw .noMemory
    }
    // The timer is the stream's from here on, also where that gets no memory.
    guard
      let stream = unsafe Ref<Stream>(
        make: Stream(
          descriptor: descriptor, loop: o.loop, handler: handler, owner: connection.opaque,
          timer: timer))
    else {
      connection.free()
      unsafe system.end(system.context, descriptor, 1)
      throw .noMemory
    }
    connection.o.isOutgoing = true
    connection.o.isSwitched = true
    connection.o.channel = channel
    add(connection, stream)
    return connection
  }
}
