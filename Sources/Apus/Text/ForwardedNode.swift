// Whom a proxy names as the one that it had a request from: RFC 7239 §6, and, with
// a port or without, what X-Forwarded-For has.

enum ForwardedNode: Equatable {
  /// The port is 0 where none was told.
  case address(NumericAddress, port: Int32)
  /// "unknown", or an identifier that tells the proxies alone who it is.
  case hidden

  /// Nil for what is none. `isStrict`: as the RFC has it, an IPv6 address has brackets.
  init?(_ text: Bytes, isStrict: Bool = false) {
    if text.equalsLowercase("unknown") {
      self = .hidden
      return
    }
    if let address = NumericAddress(text) {
      let isBare = text[0] != UInt8(ascii: "[") && text.first(UInt8(ascii: ":")) != nil
      if isStrict, isBare { return nil }
      self = .address(address, port: 0)
      return
    }
    var colon = text.count &- 1
    while colon > 0, text[colon] != UInt8(ascii: ":") { colon &-= 1 }
    let hasPort = colon > 0
    let name = text.extracting(0..<(hasPort ? colon : text.count))
    var port: Int32 = 0
    if hasPort {
      let own = ForwardedNode.port(text.extracting((colon &+ 1)..<text.count))
      guard let own else { return nil }
      port = own
    }
    if name.equalsLowercase("unknown") || ForwardedNode.isObfuscated(name) {
      self = .hidden
      return
    }
    // A port may stand behind brackets, or behind an IPv4 address.
    guard name.count > 0, name[0] == UInt8(ascii: "[") || name.first(UInt8(ascii: ":")) == nil,
      let address = NumericAddress(name)
    else { return nil }
    self = .address(address, port: port)
  }

  /// §6.3: an underscore and more; nothing that could be taken for an address.
  private static func isObfuscated(_ text: Bytes) -> Bool {
    guard text.count > 1, text[0] == UInt8(ascii: "_") else { return false }
    for index in 1..<text.count {
      let byte = text[index]
      let isMark = byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
      guard byte.isDigit || byte.isLetter || isMark || byte == UInt8(ascii: "-") else {
        return false
      }
    }
    return true
  }

  /// §6: one to five digits, or an identifier, which counts as none.
  private static func port(_ text: Bytes) -> Int32? {
    if isObfuscated(text) { return 0 }
    guard text.count > 0, text.count <= 5 else { return nil }
    var number: Int32 = 0
    for index in 0..<text.count {
      guard text[index].isDigit else { return nil }
      number = number &* 10 &+ Int32(text[index] &- 48)
    }
    return number <= 65_535 ? number : nil
  }
}
