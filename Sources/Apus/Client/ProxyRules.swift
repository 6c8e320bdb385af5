// Which hosts are reached without a proxy, by a list as in NO_PROXY: names, which stand
// for what is below them too, addresses, networks, and "*", each with a port or without,
// between commas or spaces.

enum ProxyRules {
  /// Whether a list has a host; case is ignored, as is one dot at the end of the name.
  static func exempts(_ list: Bytes, host: Bytes, port: UInt16) -> Bool {
    let name = host.extracting(0..<ProxyRules.end(host))
    let address = NumericAddress(name)
    var index = 0
    while index < list.count {
      if isSeparator(list[index]) {
        index &+= 1
        continue
      }
      let start = index
      while index < list.count, !isSeparator(list[index]) { index &+= 1 }
      if matches(list.extracting(start..<index), name, address, port) { return true }
    }
    return false
  }

  private static func isSeparator(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: ",") || byte == 32 || (byte >= 9 && byte <= 13)
  }

  /// Where a name ends without its last dot.
  private static func end(_ name: Bytes) -> Int {
    name.count > 1 && name[name.count &- 1] == UInt8(ascii: ".") ? name.count &- 1 : name.count
  }

  private static func matches(
    _ entry: Bytes, _ name: Bytes, _ address: NumericAddress?, _ port: UInt16
  ) -> Bool {
    if entry.equals("*") { return true }
    if let slash = entry.first(UInt8(ascii: "/")) {
      guard let address, let network = NumericAddress(entry.extracting(0..<slash)),
        let bits = number(entry.extracting((slash &+ 1)..<entry.count))
      else { return false }
      return address.isIn(network, bits: bits)
    }
    if let own = NumericAddress(entry) { return own == address }
    var end = entry.count
    // What is no address and has one colon ends in a port.
    if let bracket = entry.first(UInt8(ascii: "]")), bracket &+ 1 < entry.count {
      end = bracket &+ 1
    } else if let colon = entry.first(UInt8(ascii: ":")) {
      end = colon
    }
    if end < entry.count {
      guard entry[end] == UInt8(ascii: ":"),
        number(entry.extracting((end &+ 1)..<entry.count)) == Int(port)
      else { return false }
      if let own = NumericAddress(entry.extracting(0..<end)) { return own == address }
    }
    return address == nil && isBelow(name, entry.extracting(0..<end))
  }

  /// Whether a name is another or below it. "." or "*." may stand before that.
  private static func isBelow(_ name: Bytes, _ entry: Bytes) -> Bool {
    var start = 0
    if entry.count > 1, entry[0] == UInt8(ascii: "*"), entry[1] == UInt8(ascii: ".") { start = 1 }
    if start < entry.count, entry[start] == UInt8(ascii: ".") { start &+= 1 }
    let suffix = entry.extracting(start..<max(start, end(entry)))
    let more = name.count &- suffix.count
    guard suffix.count > 0, more >= 0,
      name.extracting(more..<name.count).equalsIgnoringCase(suffix)
    else { return false }
    return more == 0 || name[more &- 1] == UInt8(ascii: ".")
  }

  private static func number(_ text: Bytes) -> Int? {
    guard text.count > 0, text.count <= 5 else { return nil }
    var number = 0
    for index in 0..<text.count {
      guard text[index].isDigit else { return nil }
      number = number &* 10 &+ Int(text[index] &- 48)
    }
    return number
  }
}
