// The header that a proxy may put in front of a connection's first byte, to tell whom
// it stands for: the PROXY protocol of HAProxy, version 1 (a line of text) and 2
// (binary). Without a socket or a clock: the bytes from the start, again with more
// behind them as long as it takes.

enum ProxyHeader {
  /// Of version 1, with its CRLF (§2.1 of the protocol's text).
  static var longestLine: Int { 107 }
  /// Of version 2, behind its first sixteen bytes: an address and what is told beside.
  static var longestRest: Int { 4096 }

  enum Step: Equatable {
    /// Nothing can be said without more bytes.
    case more
    /// What comes does not begin like one.
    case none
    case malformed
    /// It takes so many bytes.
    case header(Source, count: Int)
  }

  /// Whom the proxy stands for.
  enum Source: Equatable {
    /// Itself, as for a check of its own; or it does not know.
    case itself
    case address(NumericAddress, port: Int32)
    /// The other end of a Unix socket.
    case local
  }

  static func parse(_ bytes: Bytes) -> Step {
    if begins(bytes, with: "PROXY ") { return bytes.count < 6 ? .more : line(bytes) }
    if begins(bytes, with: "\r\n\r\n\0\r\nQUIT\n") {
      return bytes.count < 16 ? .more : binary(bytes)
    }
    return .none
  }

  /// As far as there are bytes.
  private static func begins(_ bytes: Bytes, with text: StaticString) -> Bool {
    let text = Text(text)
    let count = min(bytes.count, text.count)
    return bytes.extracting(first: count).equals(text.bytes.extracting(first: count))
  }

  // ---- version 1

  private static func line(_ bytes: Bytes) -> Step {
    let view = bytes.extracting(first: min(bytes.count, longestLine))
    guard let feed = view.first(10) else {
      return bytes.count >= longestLine ? .malformed : .more
    }
    guard feed > 6, view[feed &- 1] == 13 else { return .malformed }
    let text = view.extracting(6..<(feed &- 1))
    let count = feed &+ 1
    // §2.1: behind UNKNOWN anything may stand.
    if text.equals("UNKNOWN") { return .header(.itself, count: count) }
    if text.count > 7, text.extracting(first: 8).equals("UNKNOWN ") {
      return text.first(13) == nil ? .header(.itself, count: count) : .malformed
    }
    guard let source = source(text) else { return .malformed }
    return .header(source, count: count)
  }

  /// Five words with one space between: family, two addresses, two ports.
  private static func source(_ text: Bytes) -> Source? {
    guard text.count > 5, text.extracting(first: 3).equals("TCP"), text[4] == 32 else { return nil }
    guard text[3] == UInt8(ascii: "4") || text[3] == UInt8(ascii: "6") else { return nil }
    let isIPv4 = text[3] == UInt8(ascii: "4")
    guard let first = text.first(32, from: 5), let second = text.first(32, from: first &+ 1),
      let third = text.first(32, from: second &+ 1),
      let address = address(text.extracting(5..<first), isIPv4),
      self.address(text.extracting((first &+ 1)..<second), isIPv4) != nil,
      let port = port(text.extracting((second &+ 1)..<third)),
      self.port(text.extracting((third &+ 1)..<text.count)) != nil
    else { return nil }
    return .address(address, port: port)
  }

  private static func address(_ text: Bytes, _ isIPv4: Bool) -> NumericAddress? {
    guard text.count > 0, text[0] != UInt8(ascii: "["),
      (text.first(UInt8(ascii: ":")) == nil) == isIPv4
    else { return nil }
    return NumericAddress(text)
  }

  /// §2.1: without zeros in front.
  private static func port(_ text: Bytes) -> Int32? {
    guard text.count > 0, text.count <= 5, text.count == 1 || text[0] != 48 else { return nil }
    var number: Int32 = 0
    for index in 0..<text.count {
      guard text[index].isDigit else { return nil }
      number = number &* 10 &+ Int32(text[index] &- 48)
    }
    return number <= 65_535 ? number : nil
  }

  // ---- version 2

  /// §2.2: version and command, family and protocol, and how much follows.
  private static func binary(_ bytes: Bytes) -> Step {
    let length = Int(bytes[14]) << 8 | Int(bytes[15])
    guard bytes[12] == 0x20 || bytes[12] == 0x21, length <= longestRest else { return .malformed }
    // With the command LOCAL the family means nothing.
    let family = bytes[12] == 0x20 ? 0x00 : bytes[13]
    let needed: Int
    switch family {
    case 0x00: needed = 0
    case 0x11: needed = 12
    case 0x21: needed = 36
    case 0x31: needed = 216
    // Datagrams among them: what comes here is none.
    default: return .malformed
    }
    let count = 16 &+ length
    guard length >= needed else { return .malformed }
    if bytes.count < count { return .more }
    // What stands behind the addresses is for others.
    if family == 0x00 { return .header(.itself, count: count) }
    if family == 0x31 { return .header(.local, count: count) }
    let width = family == 0x11 ? 4 : 16
    let place = 16 &+ width &* 2
    guard let address = NumericAddress(bytes: bytes.extracting(16..<(16 &+ width))) else {
      return .malformed
    }
    let port = Int32(bytes[place]) << 8 | Int32(bytes[place &+ 1])
    return .header(.address(address, port: port), count: count)
  }
}
