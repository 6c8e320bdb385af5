// The URL of a WebSocket, RFC 6455 §3: "ws:" or "wss:", a host and port, a path and a
// query. What its grammar does not allow is refused, as are user names and fragments.

struct WebSocketURL {
  let isSecure: Bool
  /// Where the host stands, without the brackets of an IPv6 address, and whether it had
  /// them.
  let host: Range<Int>
  let isBracketed: Bool
  /// Where the host stands with what belongs to it in a Host field.
  let authority: Range<Int>
  let port: UInt16
  /// Where path and query stand; the path may be missing.
  let target: Range<Int>

  static var longest: Int { 8192 }

  init?(_ text: Bytes) {
    guard text.count <= WebSocketURL.longest, let colon = text.first(UInt8(ascii: ":")),
      text.count >= colon &+ 4, text[colon &+ 1] == UInt8(ascii: "/"),
      text[colon &+ 2] == UInt8(ascii: "/")
    else { return nil }
    let scheme = text.extracting(0..<colon)
    isSecure = scheme.equalsLowercase("wss")
    guard isSecure || scheme.equalsLowercase("ws") else { return nil }
    let start = colon &+ 3
    var end = start
    while end < text.count, text[end] != UInt8(ascii: "/"), text[end] != UInt8(ascii: "?") {
      end &+= 1
    }
    guard let parts = HostPort(text.extracting(start..<end)) else { return nil }
    let usual: Int32 = isSecure ? 443 : 80
    let number = parts.port < 0 ? usual : parts.port
    guard number > 0 else { return nil }
    port = UInt16(truncatingIfNeeded: number)
    isBracketed = text[start] == UInt8(ascii: "[")
    let hostEnd = start &+ parts.host.upperBound
    host = isBracketed ? (start &+ 1)..<(hostEnd &- 1) : start..<hostEnd
    authority = start..<hostEnd
    guard WebSocketURL.isTarget(text.extracting(end..<text.count)) else { return nil }
    target = end..<text.count
  }

  /// RFC 3986 §3.3 and §3.4: pchar, and the slashes and question marks between.
  private static func isTarget(_ text: Bytes) -> Bool {
    var index = 0
    while index < text.count {
      let byte = text[index]
      if byte == UInt8(ascii: "%") {
        guard text.count &- index >= 3, text[index &+ 1].hexValue != nil,
          text[index &+ 2].hexValue != nil
        else { return false }
        index &+= 3
        continue
      }
      guard byte.isUnreserved || isOther(byte) else { return false }
      index &+= 1
    }
    return true
  }

  private static func isOther(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x21, 0x24, 0x26...0x2C, 0x2F, 0x3A, 0x3B, 0x3D, 0x3F, 0x40: true
    default: false
    }
  }

  /// Appends what stands in the request line, RFC 9112 §3.2.1.
  func appendTarget(of text: Bytes, to buffer: inout ByteBuffer) {
    let own = text.extracting(target)
    if own.count == 0 || own[0] != UInt8(ascii: "/") { buffer.append("/") }
    buffer.append(own)
  }

  /// Appends the value of the Host field: the port where it is not the usual one.
  func appendHost(of text: Bytes, to buffer: inout ByteBuffer) {
    buffer.append(text.extracting(authority))
    if port != (isSecure ? 443 : 80) {
      buffer.append(":")
      buffer.append(decimal: Int64(port))
    }
  }
}
