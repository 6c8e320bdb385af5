// SOCKS 5 at every split: what is sent, what is taken, and how it ends.

import Testing

@testable import Apus

private struct Script {
  var host = "example.com"
  var port: UInt16 = 443
  var user = ""
  var password = ""
  /// What the proxy sends, the tunnel's first bytes behind it.
  var input: [UInt8]
  var tunnel: [UInt8] = Array("hello".utf8)
  /// What the client sends, all of it.
  var output: [UInt8]
  /// Why it ends; nil: the tunnel is there.
  var reason: String?

  func run(_ ends: [Int]) throws {
    let (host, user, password) = (Array(host.utf8), Array(user.utf8), Array(password.utf8))
    var socks = try Socks5(
      host: host.span, port: port, user: user.span, password: password.span)
    var sent = ByteBuffer()
    socks.start(to: &sent)
    let all = input + tunnel
    let memory = GuardedMemory(capacity: 1024)
    var start = 0
    var reason: String?
    for end in ends where reason == nil && !socks.isOpen {
      let piece = Array(all[start..<end])
      do throws(Failure) {
        let taken = try memory.with(piece) { bytes -> Result<Int, Failure> in
          do throws(Failure) {
            return .success(try socks.take(bytes, to: &sent))
          } catch {
            return .failure(error)
          }
        }.get()
        start += taken
        let isAll = socks.isOpen || taken == piece.count
        #expect(isAll)
      } catch {
        reason = error.message.text
      }
    }
    let isOpen = socks.isOpen
    let text = array(sent.bytes)
    #expect(reason == self.reason && isOpen == (self.reason == nil) && text == output)
    if isOpen { #expect(start == input.count) }
    if reason != nil {
      let none: [UInt8] = []
      var code: Code?
      do throws(Failure) { _ = try socks.take(none.span, to: &sent) } catch { code = error.code }
      #expect(code == .state)
    } else {
      let taken = try socks.take(tunnel.span, to: &sent)
      #expect(taken == 0)
    }
  }

  func runAtOnce() throws { try run([input.count + tunnel.count]) }

  func runEverywhere() throws {
    let count = input.count + tunnel.count
    try run([count])
    for place in 0...count { try run([place, count]) }
    try run(Array(1...count))
  }
}

private let connect: [UInt8] =
  [5, 1, 0, 3, 11] + Array("example.com".utf8) + [1, 187]

@Suite struct Socks5Tests {
  @Test func opens() throws {
    for address: [UInt8] in [
      [1, 10, 0, 0, 1], [4] + [UInt8](repeating: 7, count: 16), [3, 0], [3, 3, 97, 98, 99],
      [3, 255] + [UInt8](repeating: 97, count: 255),
    ] {
      try Script(input: [5, 0, 5, 0, 0] + address + [1, 2], output: [5, 1, 0] + connect)
        .runEverywhere()
    }
  }

  @Test func authenticates() throws {
    let login: [UInt8] = [1, 1, 117, 2, 112, 119]
    let reply: [UInt8] = [5, 0, 0, 1, 1, 2, 3, 4, 5, 6]
    var script = Script(
      user: "u", password: "pw", input: [5, 2, 1, 0] + reply,
      output: [5, 2, 0, 2] + login + connect)
    try script.runEverywhere()
    script.input = [5, 0] + reply
    script.output = [5, 2, 0, 2] + connect
    try script.runEverywhere()
    script.input = [5, 2, 1, 1]
    script.output = [5, 2, 0, 2] + login
    script.reason = "the proxy refused the name or password"
    try script.runEverywhere()
    script.input = [5, 2, 5, 0]
    script.reason = "the proxy broke the protocol of SOCKS"
    try script.runEverywhere()
    let long = String(repeating: "x", count: 255)
    let bytes = Array(long.utf8)
    try Script(
      user: long, password: long, input: [5, 2, 1, 0] + reply,
      output: [5, 2, 0, 2, 1, 255] + bytes + [255] + bytes + connect
    ).runAtOnce()
    try Script(
      user: "u", input: [5, 2, 1, 0] + reply, output: [5, 2, 0, 2, 1, 1, 117, 0] + connect
    ).runAtOnce()
  }

  @Test func sendsNumbers() throws {
    let reply: [UInt8] = [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    for (host, address) in [
      ("10.0.0.1", [1, 10, 0, 0, 1]), ("::ffff:10.0.0.1", [1, 10, 0, 0, 1]),
      ("[2001:db8::1]", [4, 0x20, 1, 0xD, 0xB8] + [UInt8](repeating: 0, count: 11) + [1]),
      ("1.2.3", [3, 5, 49, 46, 50, 46, 51]),
    ] as [(String, [UInt8])] {
      try Script(
        host: host, port: 80, input: reply, output: [5, 1, 0, 5, 1, 0] + address + [0, 80]
      ).runEverywhere()
    }
  }

  @Test(
    arguments: [
      ([4, 0], "this is no SOCKS 5 proxy"), ([72, 84], "this is no SOCKS 5 proxy"),
      ([0, 0], "this is no SOCKS 5 proxy"), ([5, 255], "the proxy wants a name and password"),
      ([5, 1], "the proxy chose a method that was not offered"),
      ([5, 2], "the proxy chose a method that was not offered"),
    ] as [([UInt8], String)])
  func refusesTheGreeting(_ input: [UInt8], _ reason: String) throws {
    try Script(input: input, output: [5, 1, 0], reason: reason).runEverywhere()
  }

  /// Each code has a sentence of its own, and needs nothing behind it.
  @Test func tellsWhy() throws {
    var reasons: Set<String> = []
    for code: UInt8 in 1...9 {
      let reason =
        switch code {
        case 1: "the proxy failed"
        case 2: "the proxy's rules forbid the connection"
        case 3: "the proxy cannot reach the network"
        case 4: "the proxy cannot reach the host"
        case 5: "the host refused the proxy's connection"
        case 6: "the proxy's way to the host is too long"
        case 7: "the proxy does not make connections"
        case 8: "the proxy does not know this type of address"
        default: "the proxy failed for a reason that is not known"
        }
      reasons.insert(reason)
      try Script(input: [5, 0, 5, code], output: [5, 1, 0] + connect, reason: reason)
        .runEverywhere()
    }
    #expect(reasons.count == 9)
    for (input, reason) in [
      ([5, 0, 5, 0, 0, 2, 0], "the proxy gave an address of no known type"),
      ([5, 0, 4, 0], "the proxy broke the protocol of SOCKS"),
    ] as [([UInt8], String)] {
      try Script(input: input, output: [5, 1, 0] + connect, reason: reason).runEverywhere()
    }
    try Script(
      user: "u", input: [5, 255], output: [5, 2, 0, 2],
      reason: "the proxy takes neither a name and password nor nobody's"
    ).runEverywhere()
  }

  @Test(arguments: [
    ("", "", ""), ("a\0", "", ""), (String(repeating: "a", count: 256), "", ""),
    ("a", String(repeating: "u", count: 256), ""), ("a", "u", String(repeating: "p", count: 256)),
    ("a", "", "p"),
  ])
  func refusesArguments(_ host: String, _ user: String, _ password: String) {
    let (host, user, password) = (Array(host.utf8), Array(user.utf8), Array(password.utf8))
    var code: Code?
    do throws(Failure) {
      _ = try Socks5(host: host.span, port: 1, user: user.span, password: password.span)
    } catch {
      code = error.code
    }
    #expect(code == .argument)
  }

  @Test func takesChance() throws {
    var random = Random(seed: Random.seed)
    let host = Array("a".utf8)
    for _ in 0..<5000 {
      var socks = try Socks5(host: host.span, port: 1, user: host.span, password: host.span)
      var output = ByteBuffer()
      var bytes: [UInt8] = [5, 2, 1, 0, 5, 0, 0]
      bytes.removeLast(Int.random(in: 0...7, using: &random))
      bytes += (0..<300).map { _ in UInt8.random(in: 0...5, using: &random) }
      var taken = 0
      do throws(Failure) { taken = try socks.take(bytes.span, to: &output) } catch {}
      let isOpen = socks.isOpen
      #expect(taken <= 4 + 7 + 255 && (taken > 0) == isOpen, "\(Random.note)")
    }
  }
}
