// News of a channel, from the thread that has it to the one that ticks.

import Synchronization

/// News of a channel on its way to the thread that ticks, with bytes behind it and a
/// NUL behind those. It holds a reference.
@safe struct ChannelNote {
  enum Kind: UInt8 {
    case message, pong, error, missed, drain, opened, closed
    /// For who takes events by himself: what `Pulled` calls so.
    case hasMessage, isOpen, isClosed, hasRoom
    /// Not for him, but he has come back for the next event.
    case turnIsOver
  }

  let channel: Ref<Channel>
  let kind: Kind
  /// The channel's, when it was made.
  let run: UInt32
  /// An opcode, a result code or a close code; 1: an event that was asked for late.
  let number: Int32
  let count: Int

  fileprivate static func size(_ count: Int) -> Int {
    MemoryLayout<ChannelNote>.stride &+ count &+ 1
  }

  static func make(
    _ channel: Ref<Channel>, _ kind: Kind, number: Int32 = 0, run: UInt32? = nil,
    _ bytes: Bytes = Bytes()
  ) -> Ref<ChannelNote>? {
    let count = bytes.count
    guard let memory = unsafe channel.o.server.o.spare.take(size(count)) else { return nil }
    let typed = unsafe memory.bindMemory(to: ChannelNote.self, capacity: 1)
    unsafe typed.initialize(
      to: ChannelNote(
        channel: channel, kind: kind, run: run ?? channel.o.currentRun, number: number,
        count: count))
    let note = unsafe Ref(typed)
    unsafe note.text.copy(bytes)
    unsafe note.text[count] = 0
    return note
  }

  /// What a message of so many bytes counts for: a thousand small ones are a lot.
  static func weight(_ count: Int) -> Int64 { Int64(count) &+ 1024 }
}

extension Ref where Object == ChannelNote {
  /// Whether no callback would be told of it.
  var isForPull: Bool {
    switch o.kind {
    case .hasMessage, .isOpen, .isClosed, .hasRoom: true
    default: false
    }
  }

  /// The thread that ticks: runs the listeners, or none where nobody is to hear.
  func run(isHeard: Bool) {
    let channel = o.channel
    switch o.kind {
    case .closed where isHeard:
      channel.callClosed(o.number, unsafe Text(start: text, count: o.count))
      channel.closeHeard(of: o.run)
    case .closed:
      channel.closeTold()
    case .message, .pong:
      channel.o.server.o.queue.bytes.wrappingSubtract(Int64(o.count), ordering: .relaxed)
      // A reset since has forgotten it.
      let isHeard = isHeard && o.run == channel.o.run.load(ordering: .relaxed)
      if isHeard, o.kind == .pong { unsafe channel.callPong(text, o.count) }
      if isHeard, o.kind == .message { unsafe channel.callMessage(o.number, text, o.count) }
      channel.noteRun(o.count)
    case .error, .missed:
      if o.kind == .missed { channel.o.isMissOnWay.store(false, ordering: .releasing) }
      if isHeard { unsafe channel.callError(o.number, Text(start: text, count: o.count)) }
    case .drain where isHeard: channel.callDrain()
    case .opened where isHeard: channel.callOpened()
    case .hasMessage: channel.pulled(.message, isHeard: isHeard)
    case .isOpen: channel.pulled(.open, isHeard: isHeard)
    case .hasRoom: channel.pulled(.drain, isHeard: isHeard)
    // It was opened anew since, and that has its own.
    case .isClosed where o.number == 1 && o.run != channel.o.run.load(ordering: .relaxed): break
    case .isClosed: channel.pulled(.close, isHeard: isHeard)
    case .turnIsOver:
      channel.locked {
        channel.o.inbox.endTurn()
        channel.notifyLoop()
      }
    default: break
    }
    giveBack()
    channel.release()
  }

  /// Where its bytes are.
  fileprivate var text: UnsafeMutablePointer<UInt8> {
    unsafe (opaque + MemoryLayout<ChannelNote>.stride).assumingMemoryBound(to: UInt8.self)
  }

  /// The end of its memory; the channel, and with it the server, is still there.
  func giveBack() {
    let server = o.channel.o.server
    unsafe server.o.spare.give(opaque, ChannelNote.size(o.count))
  }
}
