// Feeds bytes to a MessageReceiver in pieces, as a connection does, and keeps the
// log of what came of them. What the machine has not taken comes again with more
// behind it, each time flush against memory that must not be touched.

import Glibc

@testable import Apus

struct ReceiverRun {
  struct Setting {
    var role = Role.server
    var limits = MessageReceiver.Limits()
    var allowsCompression = false
    var keepsContext = true
    var givesFrames = false
  }

  private(set) var log: [[UInt8]] = []
  /// Why it was refused; no part of the log.
  private(set) var reason = ""
  /// The most memory that a message took.
  private(set) var memory = 0
  /// How many messages were told where they stand, not gathered.
  private(set) var inPlace = 0
  private var isOver = false

  /// The pieces end at these places, in order; the last is the end of the bytes.
  static func run(
    _ bytes: [UInt8], endingAt ends: [Int], _ setting: Setting, memory: GuardedMemory
  ) -> ReceiverRun {
    var run = ReceiverRun()
    var machine = MessageReceiver(
      role: setting.role, allowsCompression: setting.allowsCompression, limits: setting.limits)
    machine.givesFrames = setting.givesFrames
    var inflater = makeInflater(keepsContext: setting.keepsContext)
    var consumed = 0
    for end in ends where !run.isOver {
      let room = memory.place(end - consumed)
      _ = room.initialize(from: bytes[consumed..<end])
      var span = MutableSpan(_unsafeElements: room)
      let taken = run.feed(&span, &machine, &inflater)
      consumed += taken
      // What it has not taken it has not changed.
      if taken < room.count, let base = room.baseAddress {
        let isIntact = bytes.withUnsafeBytes { original in
          original.baseAddress.map { memcmp($0 + consumed, base + taken, end - consumed) == 0 }
        }
        precondition(isIntact == true, "bytes were changed that were not taken")
      }
    }
    if !run.isOver {
      if consumed < bytes.count { run.add("waits in a frame") }
      if machine.isInMessage { run.add("waits in a message") }
    }
    return run
  }

  /// Gives how many bytes were taken.
  private mutating func feed(
    _ bytes: inout MutableSpan<UInt8>, _ machine: inout MessageReceiver,
    _ inflater: inout Inflater
  ) -> Int {
    var index = 0
    while true {
      let before = index
      let step = machine.next(&bytes, at: &index) { piece, isEnd, buffer, room in
        inflater.inflate(piece, isEnd: isEnd, to: &buffer, room: room).forReceiver
      }
      precondition(index >= before && index <= bytes.count, "the index went astray")
      memory = max(memory, machine.memory)
      switch step {
      case .more:
        return index
      case .message(let opcode, let range):
        inPlace += 1
        add(name(opcode), array(bytes.span.extracting(range)))
      case .assembled(let opcode):
        precondition(machine.terminate(), "no memory for a test")
        add(name(opcode), array(machine.gathered))
      case .frame(let opcode, let isFinal, let range):
        inPlace += 1
        add(name(opcode, isFinal), array(bytes.span.extracting(range)))
      case .assembledFrame(let opcode, let isFinal):
        add(name(opcode, isFinal), array(machine.gathered))
      case .ping(let range): add("ping", array(bytes.span.extracting(range)))
      case .pong(let range): add("pong", array(bytes.span.extracting(range)))
      case .close(let code, let range):
        let text = code.map { "close \($0)" } ?? "close"
        add(text, array(bytes.span.extracting(range)))
        checkEnd(&bytes, &machine, index)
        return index
      case .refused(let violation):
        add("refused \(violation.code)")
        reason = violation.reason.text
        checkEnd(&bytes, &machine, index)
        return index
      }
    }
  }

  /// Nothing more comes of a machine that is over, and it holds nothing.
  private mutating func checkEnd(
    _ bytes: inout MutableSpan<UInt8>, _ machine: inout MessageReceiver, _ index: Int
  ) {
    isOver = true
    var after = index
    guard case .more = machine.next(&bytes, at: &after), after == index, machine.isOver,
      machine.memory == 0
    else { preconditionFailure("it goes on after its end") }
  }

  private mutating func add(_ text: String, _ bytes: [UInt8] = []) {
    log.append(Array((bytes.isEmpty ? text : text + ": ").utf8) + bytes)
  }

  private func name(_ opcode: UInt8) -> String {
    Opcode.name(Int32(opcode)).map { $0.text.lowercased() } ?? "opcode \(opcode)"
  }

  private func name(_ opcode: UInt8, _ isFinal: Bool) -> String {
    "frame " + name(opcode) + (isFinal ? "" : " unfinished")
  }
}

extension Inflater.Outcome {
  /// What WebSocket/ calls the same.
  var forReceiver: MessageReceiver.Inflated {
    switch self {
    case .done: .done
    case .tooLong: .tooLong
    case .malformed: .malformed
    case .noMemory: .noMemory
    }
  }
}
