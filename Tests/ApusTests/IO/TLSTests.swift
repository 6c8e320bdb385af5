// What of TLS needs no peer: settings, keys of tickets, passwords and pins.

import Testing

@testable import Apus

private func code(_ body: () throws -> Void) -> Code? {
  do { try body() } catch { return (error as? Failure)?.code }
  return nil
}

@Suite struct TLSSettingsTests {
  @Test func refusesNonsenseAndStaysAsItWas() throws {
    let made = Ref<TLSServer>.makeServer()
    let server = try #require(made)
    defer { server.free() }
    for text in ["NONE", "TLS_NO_SUCH", ":"] {
      var list = try TLSSettings.list(Array(text.utf8).span)
      #expect(code { try server.change { swap(&list, &server.o.settings.groups) } } == .argument)
      #expect(string(server.o.settings.groups) == "X25519:P-256:P-384")
      #expect(string(list) == text)
    }
    var right = try TLSSettings.list(Array("P-384".utf8).span)
    try server.change { swap(&right, &server.o.settings.groups) }
    #expect(string(server.o.settings.groups) == "P-384")
  }

  @Test func listsHaveALimit() {
    let most = Array(repeating: UInt8(ascii: "x"), count: TLSSettings.longestList)
    #expect(code { _ = try TLSSettings.list(most.span) } == nil)
    #expect(code { _ = try TLSSettings.list((most + [1]).span) } == .argument)
    #expect(code { _ = try TLSSettings.list([UInt8]().span) } == .argument)
  }
}

@Suite struct TLSTicketsTests {
  @Test func takesKeysOfTheHost() {
    var tickets = TLSTickets()
    for count in [0, 79, 81, 320] {
      let keys = [UInt8](repeating: 1, count: count)
      #expect(code { try tickets.set(keys.span) } == .argument)
    }
    for count in [80, 160, 240] {
      let keys = [UInt8](repeating: 1, count: count)
      #expect(code { try tickets.set(keys.span) } == nil)
    }
    #expect(tickets.period == 0)
  }

  @Test func sessionsLastAsLongAsTheirKeys() {
    var tickets = TLSTickets()
    #expect(tickets.sessionLifetime == 86_400)
    tickets.period = 10
    #expect(tickets.sessionLifetime == 20)
    tickets.period = 604_800
    #expect(tickets.sessionLifetime == 604_800)
  }
}

@Suite struct TLSClientTests {
  @Test func pinsAreChecked() throws {
    let made = Ref<TLSClient>.makeClient()
    let client = try #require(made)
    defer { client.free() }
    let host = Array("a.test".utf8)
    let good = "sha256//" + String(repeating: "A", count: 43) + "="
    for text in ["", "sha256//", good + "=", "sha256//" + String(repeating: "*", count: 44)] {
      #expect(code { try client.pin(host.span, Array(text.utf8).span) } == .argument)
    }
    #expect(code { try client.pin([UInt8]().span, Array(good.utf8).span) } == .argument)
    for _ in 0..<TLSClient.mostPins { try client.pin(host.span, Array(good.utf8).span) }
    #expect(code { try client.pin(host.span, Array(good.utf8).span) } == .full)
  }

  /// A pin for a host that no connection would have by that name is refused.
  @Test func pinsAreForHostsInAnyForm() throws {
    let made = Ref<TLSClient>.makeClient()
    let client = try #require(made)
    defer { client.free() }
    let pin = Array(("sha256//" + String(repeating: "A", count: 43) + "=").utf8)
    for (text, kept) in [
      ("a.test", "a.test"), ("A.Test.", "a.test"), ("[::1]", "::1"), ("0:0::1", "::1"),
      ("127.1", "127.0.0.1"), ("[0:0:0:0:0:0:0:1]", "::1"),
    ] {
      try client.pin(Array(text.utf8).span, pin.span)
      let last = client.o.pins[client.o.pins.count - 1].o.bytes
      #expect(string(last.extracting(44..<last.count)) == kept, "\(text)")
    }
    let count = client.o.pins.count
    for text in ["a.test:443", "b\u{FC}cher.de", "[::1", "a b", "https://a.test", "1.2.3.4.5"] {
      #expect(code { try client.pin(Array(text.utf8).span, pin.span) } == .argument, "\(text)")
    }
    #expect(client.o.pins.count == count)
  }

  @Test func makesSessionsForNamesAndAddresses() throws {
    let made = Ref<TLSClient>.makeClient()
    let client = try #require(made)
    defer { client.free() }
    for host in ["a.test", "a.test.", "127.0.0.1", "::1"] {
      let session = try client.makeSession(host: Array(host.utf8).span, port: 443)
      #expect(session.o.check != nil)
      session.free()
    }
  }

  @Test func trustsNoNonsense() throws {
    let made = Ref<TLSClient>.makeClient()
    let client = try #require(made)
    defer { client.free() }
    for text in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
      #expect(code { try client.checkTrust(Array(text.utf8).span) } == .tls)
    }
  }
}
