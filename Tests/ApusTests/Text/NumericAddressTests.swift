// IP addresses as numbers, against the C library's reading of the same text.

import Glibc
import Testing

@testable import Apus

private func bytes(_ text: String) -> [UInt8]? {
  with(text) { text in
    guard let address = NumericAddress(text) else { return nil }
    var buffer = ByteBuffer()
    address.append(to: &buffer)
    return array(buffer.bytes)
  }
}

/// What inet_pton makes of it; an IPv4 address inside an IPv6 one as four bytes.
private func libc(_ text: String) -> [UInt8]? {
  var room = [UInt8](repeating: 0, count: 16)
  if inet_pton(AF_INET, text, &room) == 1 { return Array(room[..<4]) }
  guard inet_pton(AF_INET6, text, &room) == 1 else { return nil }
  let isMapped = room[..<12].elementsEqual([UInt8](repeating: 0, count: 10) + [255, 255])
  return isMapped ? Array(room[12...]) : room
}

@Suite struct NumericAddressTests {
  @Test(arguments: [
    "0.0.0.0", "127.0.0.1", "255.255.255.255", "1.2.3.4", "::", "::1", "1::", "fe80::1:2",
    "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::8", "2001:DB8::ff", "::1.2.3.4",
    "::ffff:1.2.3.4", "::ffff:102:304", "64:ff9b::1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "1:2::5:6:7:8",
    "::fffe:1.2.3.4", "0:0:0:0:0:ffff:0:0", "1:2:3:4::1.2.3.4", "a::b:1.2.3.4",
    "", "1", "1.2.3", "1.2.3.", "1.2.3.4.", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.00",
    "1.2.3.1000", "1..2.3", ".1.2.3", "1.2.3.4 ", " 1.2.3.4", "0x1.2.3.4", "a.b.c.d", ":", ":::",
    "1::2::3", "1:2:3:4:5:6:7:8:9", "12345::", "::g", "::1.2.3", "1.2.3.4:80", "[1.2.3.4]",
    "fe80::1%eth0", "::1/128", "-1.2.3.4", "localhost",
  ])
  func agreesWithTheLibrary(_ text: String) { #expect(bytes(text) == libc(text)) }

  @Test func takesBrackets() {
    #expect(bytes("[::1]") == libc("::1"))
    for text in ["[]", "[", "[::1", "::1]", "[[::1]]", "[a]"] { #expect(bytes(text) == nil) }
  }

  @Test func agreesOnChance() {
    var random = Random(seed: Random.seed)
    let memory = GuardedMemory(capacity: 4096)
    let pieces = ["0", "1", "ff", "abcd", ":", ":", "::", ".", "255", "12345", "g", "[", "]"]
    for _ in 0..<20_000 {
      let text = (0..<Int.random(in: 1...16, using: &random)).map { _ in
        pieces.randomElement(using: &random) ?? ""
      }.joined()
      if text.contains("[") {
        _ = memory.with(Array(text.utf8)) { NumericAddress($0) != nil }
      } else {
        #expect(bytes(text) == libc(text), "\(text) \(Random.note)")
      }
    }
  }

  @Test(arguments: [
    ("10.1.2.3", "10.0.0.0", 8, true), ("11.1.2.3", "10.0.0.0", 8, false),
    ("10.0.0.1", "10.0.0.0", 31, true), ("10.0.0.2", "10.0.0.0", 31, false),
    ("10.0.0.1", "10.0.0.1", 32, true), ("10.0.0.0", "10.0.0.1", 32, false),
    ("1.2.3.4", "200.0.0.0", 0, true), ("1.2.3.4", "1.2.3.4", 33, false),
    ("1.2.3.4", "1.2.3.4", -1, false), ("::1", "::", 0, true), ("::1", "0.0.0.0", 0, false),
    ("2001:db8::1", "2001:db8::", 32, true), ("2001:db9::1", "2001:db8::", 32, false),
    ("1::2", "1::3", 127, true), ("1::2", "1::3", 128, false), ("1::2", "1::2", 128, true),
    ("1:0:0:1::", "1::", 63, true), ("1:0:0:1::", "1::", 64, false),
    ("1::8000:0:0:0", "1::", 64, true),
    ("1::8000:0:0:0", "1::", 65, false), ("::1", "::1", 129, false),
    ("::ffff:10.0.0.1", "10.0.0.0", 8, true),
  ])
  func knowsNetworks(_ text: String, _ network: String, _ bits: Int, _ expected: Bool) throws {
    let address = with(text) { NumericAddress($0) }
    let other = try #require(with(network) { NumericAddress($0) })
    #expect(address?.isIn(other, bits: bits) == expected)
  }
}
