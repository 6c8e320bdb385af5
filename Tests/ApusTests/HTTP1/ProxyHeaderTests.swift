// Headers of the PROXY protocol, by Vectors/proxy.txt, cut off at every byte.

import Testing

@testable import Apus

struct ProxyVector: CustomTestStringConvertible, Sendable {
  struct Mistake: Error { let text: String }

  let title: String
  var bytes: [UInt8] = []
  var expected = ""

  var testDescription: String { title }

  static let all: [ProxyVector] = (try? load()) ?? []

  static func load() throws -> [ProxyVector] {
    var vectors: [ProxyVector] = []
    for line in try SourceFiles.text("Vectors/proxy.txt").split(separator: "\n") {
      if line.hasPrefix("## ") {
        vectors.append(ProxyVector(title: String(line.dropFirst(3))))
        continue
      }
      if line.hasPrefix("#") { continue }
      guard !vectors.isEmpty else { throw Mistake(text: String(line)) }
      let last = vectors.count - 1
      switch line.first {
      case "<": vectors[last].bytes = try Escapes.decode(line.dropFirst(2))
      case "=": vectors[last].expected = String(line.dropFirst(2))
      default: throw Mistake(text: String(line))
      }
    }
    return vectors
  }
}

private func text(_ step: ProxyHeader.Step) -> (String, count: Int?) {
  switch step {
  case .more: ("more", nil)
  case .none: ("none", nil)
  case .malformed: ("malformed", nil)
  case .header(.itself, let count): ("itself", count)
  case .header(.local, let count): ("local", count)
  case .header(.address(let address, let port), let count): ("\(numeric(address)):\(port)", count)
  }
}

@Suite struct ProxyHeaderTests {
  @Test func canBeRead() throws { #expect(try ProxyVector.load().count >= 60) }

  @Test(arguments: ProxyVector.all)
  func isReadAtAnyLength(_ vector: ProxyVector) {
    let memory = GuardedMemory(capacity: 8192)
    let (whole, count) = memory.with(vector.bytes) { text(ProxyHeader.parse($0)) }
    #expect(whole == vector.expected)
    if let count { #expect(count == vector.bytes.count) }
    if whole == "more" { return }
    // What comes behind it changes nothing, save its own count.
    let longer = memory.with(vector.bytes + [80, 82, 79]) { text(ProxyHeader.parse($0)) }
    #expect(longer.0 == whole)
    #expect(longer.count == count)
    // Once it is clear what it is, it stays so; before, nothing is said.
    var isDecided = false
    for length in 0..<vector.bytes.count {
      let step = memory.with(vector.bytes[..<length]) { text(ProxyHeader.parse($0)).0 }
      if count != nil {
        #expect(step == "more", "\(length)")
      } else {
        #expect(isDecided ? step == whole : step == whole || step == "more", "\(length)")
        isDecided = isDecided || step == whole
      }
    }
  }

  /// Bytes changed at random do no harm, and a longer look changes no decision.
  @Test func isDecidedOnce() {
    var random = Random(seed: Random.seed)
    let memory = GuardedMemory(capacity: 8192)
    let vectors = ProxyVector.all.filter { (1..<400).contains($0.bytes.count) }
    for _ in 0..<4000 {
      guard var bytes = vectors.randomElement(using: &random)?.bytes else { return }
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(
          in: 0...255, using: &random)
      }
      let whole = memory.with(bytes) { ProxyHeader.parse($0) }
      var decided: ProxyHeader.Step? = nil
      for length in 0...bytes.count {
        let step = memory.with(bytes[..<length]) { ProxyHeader.parse($0) }
        if let decided {
          #expect(step == decided, "\(Escapes.encode(bytes)) at \(length) \(Random.note)")
        } else if step != .more {
          decided = step
        }
      }
      #expect(decided ?? .more == whole)
    }
  }
}
