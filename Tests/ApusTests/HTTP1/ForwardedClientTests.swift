// What proxies tell of a client, by Vectors/forwarded.txt.

import Testing

@testable import Apus

struct ForwardedVector: CustomTestStringConvertible, Sendable {
  struct Mistake: Error { let text: String }

  let title: String
  var fields: [Character: [UInt8]] = [:]
  var expected = ""

  var testDescription: String { title }

  static let all: [ForwardedVector] = (try? load()) ?? []

  static func load() throws -> [ForwardedVector] {
    var vectors: [ForwardedVector] = []
    for line in try SourceFiles.text("Vectors/forwarded.txt").split(separator: "\n") {
      if line.hasPrefix("## ") {
        vectors.append(ForwardedVector(title: String(line.dropFirst(3))))
        continue
      }
      if line.hasPrefix("#") { continue }
      guard let kind = line.first, !vectors.isEmpty else { throw Mistake(text: String(line)) }
      let last = vectors.count - 1
      switch kind {
      case "=": vectors[last].expected = String(line.dropFirst(2))
      case "F", "A", "P", "H": vectors[last].fields[kind] = try Escapes.decode(line.dropFirst(2))
      default: throw Mistake(text: String(line))
      }
    }
    return vectors
  }
}

private func text(_ node: ForwardedNode?) -> String {
  switch node {
  case nil: "-"
  case .hidden: "hidden"
  case .address(let address, let port): "\(numeric(address)):\(port)"
  }
}

func numeric(_ address: NumericAddress) -> String {
  var text = [CChar](repeating: 0, count: 48)
  _ = Peer(address, port: 0).write(to: &text)
  return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

private func text(_ client: borrowing ForwardedClient) -> String {
  let scheme = client.isSecure.map { $0 ? "https" : "http" } ?? "-"
  let host = client.authority.isEmpty ? "-" : string(client.authority)
  return "\(text(client.node)) \(scheme) \(host)" + (client.isMalformed ? " !" : "")
}

private let trusted = ["10.0.0.0/8", "::1", "fd00::/8"].compactMap { with($0) { Network($0) } }

private func trusts(_ address: NumericAddress) -> Bool {
  trusted.contains { $0.contains(address) }
}

@Suite struct ForwardedClientTests {
  private func read(_ fields: [Character: [UInt8]], _ memory: GuardedMemory) -> String {
    let (own, none) = (fields["F"], [UInt8]())
    if let own {
      return memory.with(own) { text(ForwardedClient(forwarded: $0, trusts: trusts)) }
    }
    let (schemes, hosts) = (fields["P"] ?? none, fields["H"] ?? none)
    return memory.with(fields["A"] ?? none) { addresses in
      text(
        ForwardedClient(
          addresses: addresses, schemes: schemes.span, hosts: hosts.span, trusts: trusts))
    }
  }

  @Test func canBeRead() throws {
    #expect(try ForwardedVector.load().count >= 69)
    #expect(trusted.count == 3)
  }

  @Test(arguments: ForwardedVector.all)
  func isReadFromItsEnd(_ vector: ForwardedVector) {
    let memory = GuardedMemory(capacity: 4096)
    #expect(read(vector.fields, memory) == vector.expected)
  }

  /// Whatever a client puts in front: what a proxy has put behind it counts.
  @Test func aClientsWordChangesNothing() {
    var random = Random(seed: Random.seed)
    let memory = GuardedMemory(capacity: 4096)
    let pieces = Array("\",;=\\ \t:[]_for10.proto\u{1}".utf8) + [0x80, 0xFF]
    for _ in 0..<5000 {
      let forged = (0..<Int.random(in: 0...30, using: &random)).map { _ in
        pieces.randomElement(using: &random) ?? 0
      }
      let ends = ["192.0.2.9", "192.0.2.9, 10.0.0.1"]
      let behind = forged + Array((", " + (ends.randomElement(using: &random) ?? "")).utf8)
      #expect(
        read(["A": behind], memory) == "192.0.2.9:0 - -",
        "\(Escapes.encode(behind)) \(Random.note)")
      let list = ", for=\"192.0.2.9:81\";proto=https, for=10.0.0.1"
      let forwarded = forged + Array(list.utf8)
      #expect(
        read(["F": forwarded], memory) == "192.0.2.9:81 https -",
        "\(Escapes.encode(forwarded)) \(Random.note)")
      // Alone it may be anything, and must do no harm.
      _ = read(["F": forged], memory)
      _ = read(["A": forged, "P": forged, "H": forged], memory)
    }
  }
}
