// Networks by address and length.

import Testing

@testable import Apus

@Suite struct NetworkTests {
  private func contains(_ network: String, _ address: String) -> Bool? {
    guard let network = with(network, { Network($0) }),
      let address = with(address, { NumericAddress($0) })
    else { return nil }
    return network.contains(address)
  }

  @Test(arguments: [
    ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.1", false),
    ("10.0.0.0/8", "::ffff:10.0.0.1", true), ("10.1.2.3/8", "10.9.9.9", true),
    ("127.0.0.1", "127.0.0.1", true), ("127.0.0.1", "127.0.0.2", false),
    ("127.0.0.1/32", "127.0.0.1", true), ("0.0.0.0/0", "203.0.113.1", true),
    ("0.0.0.0/0", "2001:db8::1", false), ("::/0", "2001:db8::1", true),
    ("::/0", "10.0.0.1", false), ("::1", "::1", true), ("::1/128", "::2", false),
    ("2001:db8::/32", "2001:db8:1::1", true), ("2001:db8::/32", "2001:db9::1", false),
    ("::ffff:10.0.0.0/104", "10.1.1.1", true), ("::ffff:10.0.0.0/104", "11.1.1.1", false),
    ("::ffff:10.0.0.1", "10.0.0.1", true),
  ])
  func knowsItsAddresses(_ network: String, _ address: String, _ expected: Bool) {
    #expect(contains(network, address) == expected)
  }

  @Test(arguments: [
    "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/+8",
    "10.0.0.0/8/8", "10.0.0.0/8 ", " 10.0.0.0/8", "10.0.0/8", "::/129", "::/1000", "[::1]",
    "[::1]/128", "::ffff:10.0.0.0/95", "::ffff:10.0.0.0/129", "localhost", "unix", "a/8",
  ])
  func refusesWhatIsNone(_ text: String) { #expect(with(text) { Network($0) == nil }) }
}
