// MessageSender: the frames that it writes, which must not be sent, and that a
// MessageReceiver takes them all.

import Testing

@testable import Apus

@Suite struct MessageSenderTests {
  private let key = MaskKey(0x37, 0xFA, 0x21, 0x3D)

  private func append(
    _ sender: inout MessageSender, _ opcode: UInt8, _ text: String, isFinal: Bool = true,
    isCompressed: Bool = false, to buffer: inout ByteBuffer
  ) -> MessageSender.Problem? {
    let bytes = Array(text.utf8)
    return sender.append(
      opcode: opcode, isFinal: isFinal, isCompressed: isCompressed, bytes.span, key: key,
      to: &buffer)
  }

  private func problem(
    _ sender: inout MessageSender, _ opcode: UInt8, _ bytes: [UInt8], isFinal: Bool = true,
    isCompressed: Bool = false
  ) -> MessageSender.Problem? {
    var buffer = ByteBuffer()
    let before = sender.isInMessage
    let problem = sender.append(
      opcode: opcode, isFinal: isFinal, isCompressed: isCompressed, bytes.span, key: key,
      to: &buffer)
    if problem != nil {
      #expect(buffer.isEmpty == true)
      #expect(sender.isInMessage == before)
    }
    return problem
  }

  /// RFC 6455 §5.7, and what Python's websockets writes for the same.
  @Test func bytes() {
    var server = MessageSender(role: .server)
    var client = MessageSender(role: .client)
    var buffer = ByteBuffer()
    #expect(append(&server, Opcode.text, "Hello", to: &buffer) == nil)
    #expect(array(buffer.bytes) == [0x81, 5] + Array("Hello".utf8))
    buffer.clear()
    #expect(append(&client, Opcode.text, "Hello", to: &buffer) == nil)
    let masked: [UInt8] = [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]
    #expect(array(buffer.bytes) == masked)
    buffer.clear()
    #expect(append(&server, Opcode.binary, "x", isCompressed: true, to: &buffer) == nil)
    #expect(array(buffer.bytes) == [0xC2, 1, 120])
    buffer.clear()
    #expect(append(&server, Opcode.pong, "", to: &buffer) == nil)
    #expect(array(buffer.bytes) == [0x8A, 0])
  }

  @Test func closes() {
    var sender = MessageSender(role: .server)
    var buffer = ByteBuffer()
    let reason = Array("bye".utf8)
    #expect(sender.appendClose(code: 1005, reason: Span(), to: &buffer) == .closePayload)
    #expect(sender.appendClose(code: nil, reason: reason.span, to: &buffer) == .closePayload)
    let long = [UInt8](repeating: 97, count: 124)
    #expect(sender.appendClose(code: 1000, reason: long.span, to: &buffer) == .closePayload)
    #expect(buffer.isEmpty == true)
    #expect(sender.isClosed == false)
    #expect(sender.appendClose(code: 1000, reason: reason.span, to: &buffer) == nil)
    #expect(array(buffer.bytes) == [0x88, 5, 3, 0xE8] + reason)
    #expect(sender.isClosed == true)
    for opcode in [Opcode.text, Opcode.binary, Opcode.ping, Opcode.pong, Opcode.close] {
      #expect(problem(&sender, opcode, []) == .closed)
    }
    #expect(sender.appendClose(code: 1000, reason: Span(), to: &buffer) == .closed)
    var other = MessageSender(role: .server)
    buffer.clear()
    #expect(other.appendClose(code: nil, reason: Span(), to: &buffer) == nil)
    #expect(array(buffer.bytes) == [0x88, 0])
  }

  @Test func sequences() {
    var sender = MessageSender(role: .server)
    #expect(problem(&sender, Opcode.continuation, [97]) == .opcode)
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15, 16, 128, 255] as [UInt8] {
      #expect(problem(&sender, opcode, []) == .opcode)
    }
    #expect(problem(&sender, Opcode.text, [97], isFinal: false) == nil)
    #expect(sender.isInMessage == true)
    #expect(problem(&sender, Opcode.text, [97]) == .opcode)
    #expect(problem(&sender, Opcode.binary, [97]) == .opcode)
    #expect(problem(&sender, Opcode.ping, [97]) == nil)
    #expect(problem(&sender, Opcode.continuation, [97], isCompressed: true) == .opcode)
    #expect(problem(&sender, Opcode.continuation, [97], isFinal: false) == nil)
    #expect(problem(&sender, Opcode.continuation, [97]) == nil)
    #expect(sender.isInMessage == false)
    #expect(problem(&sender, Opcode.continuation, [97]) == .opcode)
  }

  @Test func controlFrames() {
    var sender = MessageSender(role: .client)
    let most = [UInt8](repeating: 0xFF, count: 125)
    #expect(problem(&sender, Opcode.ping, most) == nil)
    #expect(problem(&sender, Opcode.ping, most + [1]) == .control)
    #expect(problem(&sender, Opcode.pong, [], isFinal: false) == .control)
    #expect(problem(&sender, Opcode.pong, [], isCompressed: true) == .control)
    #expect(problem(&sender, Opcode.close, [3]) == .closePayload)
    #expect(problem(&sender, Opcode.close, [3, 0xED]) == .closePayload)
    #expect(problem(&sender, Opcode.close, [3, 0xE8, 0xFF]) == .closePayload)
    #expect(problem(&sender, Opcode.close, [3, 0xE8]) == nil)
  }

  @Test func textIsUTF8() {
    var sender = MessageSender(role: .server)
    #expect(problem(&sender, Opcode.text, [0xC3]) == .text)
    #expect(problem(&sender, Opcode.text, [0xFF], isFinal: false) == .text)
    #expect(problem(&sender, Opcode.binary, [0xFF]) == nil)
    #expect(problem(&sender, Opcode.text, [0xC3], isFinal: false) == nil)
    #expect(problem(&sender, Opcode.continuation, [0x28]) == .text)
    #expect(problem(&sender, Opcode.continuation, []) == .text)
    #expect(problem(&sender, Opcode.ping, [0xFF]) == nil)
    #expect(problem(&sender, Opcode.continuation, [0xA9]) == nil)
    #expect(problem(&sender, Opcode.text, [0xFF], isCompressed: true) == nil)
  }

  @Test func aClientNeedsKeys() {
    var sender = MessageSender(role: .client)
    var buffer = ByteBuffer()
    #expect(sender.append(opcode: Opcode.text, Span(), to: &buffer) == .key)
    #expect(sender.append(message: Span(), opcode: Opcode.text, to: &buffer) == .key)
    #expect(sender.appendClose(code: 1000, reason: Span(), to: &buffer) == .key)
    #expect(buffer.isEmpty == true)
    #expect(sender.isClosed == false)
  }

  @Test func fragments() {
    let bytes = Array("κόσμε".utf8)
    for (size, frames) in [(0, 1), (3, 4), (1, 10), (9, 2), (10, 1), (11, 1), (.max, 1)] {
      var sender = MessageSender(role: .server)
      var buffer = ByteBuffer()
      #expect(
        sender.append(message: bytes.span, opcode: Opcode.text, inFramesOf: size, to: &buffer)
          == nil)
      #expect(buffer.count == bytes.count + 2 * frames)
      #expect(sender.isInMessage == false)
    }
    var sender = MessageSender(role: .server)
    var buffer = ByteBuffer()
    buffer.append("before")
    let wrong = bytes + [0xFF]
    #expect(
      sender.append(message: wrong.span, opcode: Opcode.text, inFramesOf: 4, to: &buffer) == .text)
    #expect(string(buffer) == "before")
    #expect(sender.isInMessage == false)
    #expect(sender.append(message: bytes.span, opcode: Opcode.ping, to: &buffer) == .opcode)
    #expect(sender.append(message: Span(), opcode: Opcode.text, inFramesOf: 3, to: &buffer) == nil)
    #expect(Array(array(buffer.bytes).dropFirst(6)) == [0x81, 0])
  }

  /// Messages of all sizes, of both roles, in frames of all sizes: what is received
  /// is what was sent.
  @Test(arguments: [Role.client, .server])
  func isReceived(_ role: Role) {
    var random = Random(seed: Random.seed)
    let other: Role = role == .client ? .server : .client
    let memory = GuardedMemory(capacity: 300_000)
    for _ in 0..<60 {
      var sender = MessageSender(role: role)
      var buffer = ByteBuffer()
      var expected: [[UInt8]] = []
      for _ in 0..<4 {
        let count = [5, 125, 126, 1000, 65_536].randomElement(using: &random) ?? 0
        let message = (0..<Int.random(in: 1...count, using: &random)).map { _ in
          UInt8.random(in: 1...255, using: &random)
        }
        let size = Int.random(in: 0...2 * message.count, using: &random)
        let most = size > 0 && message.count / size > 1000 ? 0 : size
        let problem = sender.append(
          message: message.span, opcode: Opcode.binary, inFramesOf: most, to: &buffer
        ) { MaskKey(word: UInt32.random(in: 0 ... .max, using: &random)) }
        #expect(problem == nil)
        expected.append(Array("binary: ".utf8) + message)
      }
      let bytes = array(buffer.bytes)
      let setting = ReceiverRun.Setting(role: other)
      let cut = Int.random(in: 0...bytes.count, using: &random)
      let run = ReceiverRun.run(bytes, endingAt: [cut, bytes.count], setting, memory: memory)
      #expect(run.log == expected, "\(run.reason), \(Random.note)")
    }
  }

  /// The whole way: compressed, framed, received, inflated.
  @Test(arguments: [true, false])
  func isReceivedCompressed(_ keepsContext: Bool) {
    var deflater = makeDeflater(bits: 15, keepsContext: keepsContext)
    var sender = MessageSender(role: .server)
    var buffer = ByteBuffer()
    var expected: [[UInt8]] = []
    for index in 0..<20 {
      let message = repetitive(index * index * 40, seed: UInt64(index))
      let bytes = deflated(&deflater, message)
      let problem = sender.append(
        message: bytes.span, opcode: Opcode.binary, isCompressed: true, inFramesOf: index * 50,
        to: &buffer)
      #expect(problem == nil)
      expected.append(Array((message.isEmpty ? "binary" : "binary: ").utf8) + message)
    }
    var setting = ReceiverRun.Setting(role: .client, allowsCompression: true)
    setting.keepsContext = keepsContext
    let bytes = array(buffer.bytes)
    let memory = GuardedMemory(capacity: bytes.count)
    for ends in [[bytes.count], Array(stride(from: 100, to: bytes.count, by: 100)) + [bytes.count]]
    {
      let run = ReceiverRun.run(bytes, endingAt: ends, setting, memory: memory)
      #expect(run.log == expected, "\(run.reason)")
    }
  }
}
