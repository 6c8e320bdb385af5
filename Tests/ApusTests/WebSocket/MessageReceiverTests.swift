// What a vector can't say of MessageReceiver: what it keeps, when it copies, its
// default limits, and its questions.

import Testing

@testable import Apus

@Suite struct MessageReceiverTests {
  /// An unmasked frame, as a client receives it.
  private func frame(_ first: UInt8, _ payload: [UInt8]) -> [UInt8] {
    let count = payload.count
    let length: [UInt8] =
      count < 126
      ? [UInt8(count)]
      : count < 65_536
        ? [126, UInt8(count >> 8), UInt8(count & 255)]
        : [127] + (0..<8).reversed().map { UInt8(truncatingIfNeeded: count >> ($0 * 8)) }
    return [first] + length + payload
  }

  private func next(
    _ machine: inout MessageReceiver, _ bytes: [UInt8], at index: inout Int
  ) -> MessageReceiver.Step {
    var bytes = bytes
    var span = bytes.mutableSpan
    return machine.next(&span, at: &index)
  }

  private func next(_ machine: inout MessageReceiver, _ bytes: [UInt8]) -> MessageReceiver.Step {
    var index = 0
    return next(&machine, bytes, at: &index)
  }

  @Test func defaultLimits() {
    let limits = MessageReceiver.Limits()
    #expect(limits.message == 16 * 1024 * 1024)
    #expect(limits.frames == 1024)
    #expect(limits.controls == 1000)
  }

  @Test func aWholeMessageIsNotCopied() {
    var machine = MessageReceiver(role: .client)
    let bytes = frame(0x82, [UInt8](repeating: 5, count: 70_000)) + frame(0x81, [97])
    var index = 0
    guard case .message(Opcode.binary, 10..<70_010) = next(&machine, bytes, at: &index),
      case .message(Opcode.text, let range) = next(&machine, bytes, at: &index),
      range == 70_012..<70_013, case .more = next(&machine, bytes, at: &index)
    else {
      Issue.record("it was not told where it stands")
      return
    }
    #expect(index == bytes.count)
    #expect(machine.memory == 0)
    #expect(machine.gathered.count == 0)
  }

  /// A header may promise what it likes: memory is for what has come.
  @Test func memoryGrowsWithWhatArrives() {
    var limits = MessageReceiver.Limits()
    limits.message = 1 << 40
    var machine = MessageReceiver(role: .client, limits: limits)
    var start = frame(0x82, [])
    start = [0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0]
    guard case .more = next(&machine, start) else {
      Issue.record("not taken")
      return
    }
    #expect(machine.memory <= 256)
    let piece = [UInt8](repeating: 7, count: 1000)
    for count in 1...300 {
      guard case .more = next(&machine, piece) else {
        Issue.record("not taken")
        return
      }
      #expect(machine.memory <= max(256, count * 2000))
    }
    #expect(machine.isInMessage == true)
  }

  /// At the limit it does not take twice as much.
  @Test func memoryEndsAtTheLimit() {
    var limits = MessageReceiver.Limits()
    limits.message = 100_000
    var machine = MessageReceiver(role: .client, limits: limits)
    let bytes = frame(0x82, [UInt8](repeating: 7, count: 100_000))
    var index = 0
    for end in stride(from: 1000, to: bytes.count, by: 1000) {
      guard case .more = next(&machine, Array(bytes[..<end]), at: &index) else {
        Issue.record("not taken")
        return
      }
    }
    guard case .assembled(Opcode.binary) = next(&machine, bytes, at: &index) else {
      Issue.record("not assembled")
      return
    }
    #expect(machine.gathered.count == 100_000)
    #expect(machine.terminate() == true)
    #expect(machine.memory <= 100_001)
    guard case .more = next(&machine, bytes, at: &index) else {
      Issue.record("more than there is")
      return
    }
    #expect(machine.gathered.count == 0)
    #expect(machine.memory == 0)
  }

  @Test func aLittleMemoryIsKept() {
    var machine = MessageReceiver(role: .client)
    for count in [10, 3000, 5000] {
      let bytes = frame(0x02, [UInt8](repeating: 7, count: count)) + frame(0x80, [])
      var index = 0
      guard case .assembled(Opcode.binary) = next(&machine, bytes, at: &index) else {
        Issue.record("not assembled")
        return
      }
      #expect(machine.gathered.count == count)
      machine.release()
      machine.release()
      #expect(machine.gathered.count == 0)
      #expect(machine.memory <= MessageReceiver.kept)
      #expect((machine.memory > 0) == (count < 5000))
    }
  }

  /// What is being gathered stays when there is nothing to let go of.
  @Test func releaseKeepsWhatIsNotWhole() {
    var machine = MessageReceiver(role: .client)
    guard case .more = next(&machine, frame(0x01, [97, 98])) else { return }
    machine.release()
    guard case .assembled = next(&machine, frame(0x80, [99])) else {
      Issue.record("not assembled")
      return
    }
    #expect(string(machine.gathered) == "abc")
  }

  /// The default number of frames: an attack by empty ones (1008).
  @Test func theDefaultLimitOfFrames() {
    for (count, isRefused) in [(1024, false), (1025, true)] {
      var machine = MessageReceiver(role: .client)
      var bytes = frame(0x02, [1])
      for _ in 2..<count { bytes += frame(0x00, []) }
      bytes += frame(0x80, [2])
      switch next(&machine, bytes) {
      case .assembled: #expect(isRefused == false)
      case .refused(let violation): #expect(isRefused && violation.code == 1008)
      default: Issue.record("neither")
      }
    }
  }

  @Test func controlsAreCountedUntilTheyAreReset() {
    var machine = MessageReceiver(role: .client)
    for _ in 0..<3 {
      machine.resetControls()
      for _ in 0..<1000 {
        guard case .pong(2..<3) = next(&machine, frame(0x8A, [120])) else {
          Issue.record("no pong")
          return
        }
      }
    }
    guard case .refused(let violation) = next(&machine, frame(0x89, [])) else {
      Issue.record("not refused")
      return
    }
    #expect(violation.code == 1008)
  }

  @Test func knowsWhereItStands() {
    var machine = MessageReceiver(role: .client)
    #expect([machine.isInMessage, machine.isOver] == [false, false])
    _ = next(&machine, [0x02, 2, 1])
    #expect([machine.isInMessage, machine.isOver] == [true, false])
    _ = next(&machine, [2])
    #expect([machine.isInMessage, machine.isOver] == [true, false])
    _ = next(&machine, frame(0x80, [3]))
    #expect([machine.isInMessage, machine.isOver] == [false, false])
    _ = next(&machine, frame(0x88, []))
    #expect([machine.isInMessage, machine.isOver] == [false, true])
  }

  /// No limit is that high, but a host may set it so: nothing overflows.
  @Test func theHighestLimits() {
    var limits = MessageReceiver.Limits()
    limits.message = .max
    limits.frames = .max
    limits.controls = .max
    #expect(limits.compressed == .max)
    var machine = MessageReceiver(role: .client, allowsCompression: true, limits: limits)
    let highest = [127, 0x7F] + [UInt8](repeating: 0xFF, count: 7)
    guard case .more = next(&machine, [0x02] + highest + [1, 2, 3]) else {
      Issue.record("refused")
      return
    }
    #expect(machine.memory <= 256)
    #expect(machine.terminate() == true)
    machine = MessageReceiver(role: .client, limits: limits)
    guard case .more = next(&machine, frame(0x02, [1])),
      case .refused(let violation) = next(&machine, [0x80] + highest)
    else {
      Issue.record("not refused")
      return
    }
    #expect(violation.code == 1009)
  }

  @Test func framesOrMessagesFromTheNextMessageOn() {
    var machine = MessageReceiver(role: .client)
    guard case .more = next(&machine, frame(0x01, [97])) else { return }
    machine.givesFrames = true
    guard case .assembled(Opcode.text) = next(&machine, frame(0x80, [98])) else {
      Issue.record("no message")
      return
    }
    guard case .frame(Opcode.text, false, _) = next(&machine, frame(0x01, [97])) else {
      Issue.record("no frame")
      return
    }
    machine.givesFrames = false
    guard case .frame(Opcode.continuation, true, _) = next(&machine, frame(0x80, [98])),
      case .message(Opcode.text, _) = next(&machine, frame(0x81, [97]))
    else {
      Issue.record("no frame, or no message")
      return
    }
  }

  /// What a message goes wrong with: the hook's answers.
  @Test func whatInflatingMayAnswer() {
    for (answer, code) in [
      (MessageReceiver.Inflated.malformed, 1007), (.tooLong, 1009), (.noMemory, 1011),
    ] as [(MessageReceiver.Inflated, UInt16)] {
      var machine = MessageReceiver(role: .client, allowsCompression: true)
      var bytes = frame(0xC2, [1, 2])
      var span = bytes.mutableSpan
      var index = 0
      let step = machine.next(&span, at: &index) { _, _, _, _ in answer }
      guard case .refused(let violation) = step else {
        Issue.record("not refused")
        return
      }
      #expect(violation.code == code)
    }
  }

  @Test func whatInflatingIsAsked() {
    var limits = MessageReceiver.Limits()
    limits.message = 100
    var machine = MessageReceiver(role: .client, allowsCompression: true, limits: limits)
    var bytes = frame(0x42, [1, 2]) + frame(0x00, []) + frame(0x80, [3])
    var asked: [[Int]] = []
    var span = bytes.mutableSpan
    var index = 0
    _ = machine.next(&span, at: &index) { piece, isEnd, buffer, room in
      asked.append([piece.count, isEnd ? 1 : 0, room])
      buffer.append("1234567")
      return .done
    }
    #expect(asked == [[2, 0, 100], [0, 0, 93], [1, 1, 86]])
    #expect(machine.gathered.count == 21)
  }
}
