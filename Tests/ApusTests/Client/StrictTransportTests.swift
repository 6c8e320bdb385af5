// HTTP Strict Transport Security: the field, and the hosts that are remembered.

import Testing

@testable import Apus

private func read(_ value: String) -> String {
  with(value) { bytes in
    guard let policy = StrictTransportPolicy(bytes) else { return "none" }
    return "\(policy.age)\(policy.isOfSubdomains ? " all" : "")"
  }
}

@Suite struct StrictTransportPolicyTests {
  @Test(arguments: [
    ("max-age=31536000", "31536000"), ("max-age=15768000 ; includeSubDomains", "15768000 all"),
    ("max-age=\"31536000\"", "31536000"), ("max-age=0", "0"),
    ("MAX-Age=1;IncludeSubDomains", "1 all"),
    ("max-age=0; includeSubDomains", "0 all"), ("; max-age = 5 ;;", "5"),
    ("max-age=5; preload; other=\"x\"", "5"), ("max-age=99999999999999999999", "315360000"),
    ("", "none"), ("includeSubDomains", "none"), ("max-age", "none"), ("max-age=", "none"),
    ("max-age=-1", "none"), ("max-age=1x", "none"), ("max-age=1; max-age=1", "none"),
    ("max-age=1; includeSubDomains; includeSubDomains", "none"), ("max-age=\"\"", "none"),
    ("max-age=1; includeSubDomains=1", "none"),
  ])
  func reads(_ value: String, _ expected: String) { #expect(read(value) == expected) }
}

@Suite struct StrictTransportHostsTests {
  private func note(
    _ hosts: inout StrictTransportHosts, _ host: String, _ value: String, now: Int64 = 0
  ) {
    let name = Array(host.utf8)
    let text = Array(value.utf8)
    if let policy = StrictTransportPolicy(text.span) { hosts.note(name.span, policy, now: now) }
  }

  private func has(_ hosts: borrowing StrictTransportHosts, _ host: String, now: Int64) -> Bool {
    let name = Array(host.utf8)
    return hosts.has(name.span, now: now)
  }

  @Test func remembersForItsTime() {
    var hosts = StrictTransportHosts()
    note(&hosts, "a.test", "max-age=10")
    note(&hosts, "b.test", "max-age=10; includeSubDomains", now: 5)
    let is1 = has(hosts, "a.test", now: 9)
    #expect(is1)
    let is2 = has(hosts, "a.test", now: 10)
    #expect(!is2)
    let is3 = has(hosts, "x.a.test", now: 1)
    #expect(!is3)
    let is4 = has(hosts, "x.y.b.test", now: 14)
    #expect(is4)
    let is5 = has(hosts, "xb.test", now: 6)
    #expect(!is5)
    let is6 = has(hosts, "test", now: 6)
    #expect(!is6)
    note(&hosts, "b.test", "max-age=0", now: 6)
    let is7 = has(hosts, "b.test", now: 6)
    #expect(!is7)
    let left = hosts.count
    #expect(left == 1)
  }

  @Test func knowsHostsWithADotBehind() {
    var hosts = StrictTransportHosts()
    note(&hosts, "a.test", "max-age=10")
    note(&hosts, "b.test.", "max-age=10; includeSubDomains")
    for name in ["a.test.", "a.test", "b.test", "x.b.test."] {
      let isThere = has(hosts, name, now: 1)
      #expect(isThere, "\(name)")
    }
    let isNothing = has(hosts, ".", now: 1)
    #expect(!isNothing)
    note(&hosts, "a.test.", "max-age=0")
    let left = hosts.count
    #expect(left == 1)
  }

  @Test func knowsNoAddresses() {
    var hosts = StrictTransportHosts()
    for host in ["127.0.0.1", "::1", ""] { note(&hosts, host, "max-age=10") }
    let count = hosts.count
    #expect(count == 0)
  }

  @Test func hasALimit() {
    var hosts = StrictTransportHosts()
    for number in 0...StrictTransportHosts.most {
      note(&hosts, "h\(number).test", "max-age=\(100 + number)")
    }
    let count = hosts.count
    #expect(count == StrictTransportHosts.most)
    let is8 = has(hosts, "h0.test", now: 1)
    #expect(!is8)
    let is9 = has(hosts, "h\(StrictTransportHosts.most).test", now: 1)
    #expect(is9)
  }
}
