// A vector: frames that a peer sends, and the log of what a MessageReceiver makes
// of them. How they are written: Vectors/README.md. The frames are put together
// here, byte by byte, and not by the library.

import Testing

@testable import Apus

struct FrameVector: CustomTestStringConvertible, Sendable {
  let file: String
  let title: String
  var roles: [Role] = [.server, .client]
  var limits = MessageReceiver.Limits()
  var allowsCompression = false
  var keepsContext = true
  var givesFrames = false
  var lines: [Substring] = []
  var log: [[UInt8]] = []

  var testDescription: String { "\(file): \(title)" }

  struct Mistake: Error { let text: String }

  static let folder = "Vectors/WebSocket/"

  /// All vectors, or nothing if one can't be read; `FrameVectorTests` says why.
  static let all: [FrameVector] = (try? load()) ?? []

  static func load() throws -> [FrameVector] {
    try SourceFiles.names(in: folder, ending: ".md").filter { $0.hasPrefix("frames-") }
      .flatMap { try parse($0, SourceFiles.text(folder + $0)) }
  }

  private static func parse(_ file: String, _ text: String) throws -> [FrameVector] {
    var vectors: [FrameVector] = []
    var block: Substring? = nil
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("```") {
        block = block == nil ? line.dropFirst(3) : nil
      } else if block == nil, line.hasPrefix("## ") {
        vectors.append(FrameVector(file: file, title: String(line.dropFirst(3))))
      } else if block == nil, line.hasPrefix("Limits: ") {
        try vectors[vectors.count - 1].takeLimits(line.dropFirst(8))
      } else if block == nil, line.hasPrefix("Set: ") {
        try vectors[vectors.count - 1].takeSettings(line.dropFirst(5))
      } else if block == "frames" {
        vectors[vectors.count - 1].lines.append(line)
      } else if block == "log" {
        vectors[vectors.count - 1].log.append(try Escapes.decode(line))
      }
    }
    for vector in vectors {
      guard !vector.lines.isEmpty, !vector.log.isEmpty else {
        throw Mistake(text: "\(file), \(vector.title): no frames or no log")
      }
      for role in vector.roles { _ = try vector.bytes(to: role) }
    }
    return vectors
  }

  /// "message 10, frames 3, controls 2."
  private mutating func takeLimits(_ text: Substring) throws {
    for part in text.filter({ $0 != "." }).split(separator: ",") {
      let words = part.split(separator: " ")
      guard words.count == 2, let number = Int(words[1]) else {
        throw Mistake(text: "limits of \(title)")
      }
      switch words[0] {
      case "message": limits.message = number
      case "frames": limits.frames = number
      case "controls": limits.controls = number
      default: throw Mistake(text: "unknown limit in \(title): \(part)")
      }
    }
  }

  /// "compression, no context takeover, frames, server only."
  private mutating func takeSettings(_ text: Substring) throws {
    for part in text.filter({ $0 != "." }).split(separator: ",") {
      switch part.drop(while: { $0 == " " }) {
      case "compression": allowsCompression = true
      case "no context takeover": keepsContext = false
      case "frames": givesFrames = true
      case "server only": roles = [.server]
      case "client only": roles = [.client]
      default: throw Mistake(text: "unknown setting in \(title): \(part)")
      }
    }
  }

  func setting(_ role: Role) -> ReceiverRun.Setting {
    ReceiverRun.Setting(
      role: role, limits: limits, allowsCompression: allowsCompression,
      keepsContext: keepsContext, givesFrames: givesFrames)
  }

  /// What is sent to somebody of this role.
  func bytes(to role: Role) throws -> [UInt8] {
    try lines.flatMap { try FrameVector.frame($0, isMasked: role == .server) }
  }

  /// "text unfinished rsv1: payload", or "bytes: what is sent as it stands".
  private static func frame(_ line: Substring, isMasked: Bool) throws -> [UInt8] {
    let colon = line.firstIndex(of: ":")
    let words = line[..<(colon ?? line.endIndex)].split(separator: " ")
    let rest = colon.map { line[line.index(after: $0)...].drop(while: { $0 == " " }) } ?? ""
    var payload = try Escapes.decode(rest)
    if words == ["bytes"] { return payload }
    var first: UInt8 = 0x80
    var isMasked = isMasked
    var opcode: UInt8?
    var declared: UInt64?
    var size = 0
    var iterator = words.makeIterator()
    func number() throws -> UInt64 {
      guard let word = iterator.next(), let number = UInt64(word) else {
        throw Mistake(text: "a number is due: \(line)")
      }
      return number
    }
    while let word = iterator.next() {
      switch word {
      case "continuation": opcode = 0
      case "text": opcode = 1
      case "binary": opcode = 2
      case "ping": opcode = 9
      case "pong": opcode = 10
      case "opcode": opcode = UInt8(truncatingIfNeeded: try number())
      case "close":
        opcode = 8
        if words.count > 1, let code = UInt16(words[1]) {
          payload = [UInt8(code >> 8), UInt8(code & 255)] + payload
          _ = iterator.next()
        }
      case "unfinished": first &= 0x7F
      case "rsv1": first |= 0x40
      case "rsv2": first |= 0x20
      case "rsv3": first |= 0x10
      case "unmasked": isMasked = false
      case "masked": isMasked = true
      case "length": declared = try number()
      case "size": size = Int(try number())
      default: throw Mistake(text: "unknown word in \(line)")
      }
    }
    guard let opcode else { throw Mistake(text: "no opcode: \(line)") }
    return header(first | opcode, declared ?? UInt64(payload.count), size, isMasked)
      + (isMasked ? payload.enumerated().map { $1 ^ key[$0 % 4] } : payload)
  }

  /// The key of RFC 6455 §5.7.
  static let key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]

  /// `size`: how many bytes the length takes; 0: as many as it needs.
  private static func header(
    _ first: UInt8, _ length: UInt64, _ size: Int, _ isMasked: Bool
  ) -> [UInt8] {
    let size = size > 0 ? size : length < 126 ? 1 : length < 65_536 ? 2 : 8
    let mask: UInt8 = isMasked ? 0x80 : 0
    var bytes = [first, mask | (size == 1 ? UInt8(length) : size == 2 ? 126 : 127)]
    if size > 1 {
      for index in (0..<size).reversed() {
        bytes.append(UInt8(truncatingIfNeeded: length >> (8 * UInt64(index))))
      }
    }
    return bytes + (isMasked ? key : [])
  }
}
