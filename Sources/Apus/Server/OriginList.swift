// Origins that may open WebSockets, as a list in text.

struct OriginList: ~Copyable {
  private var text = ByteBuffer()

  /// Takes a list with commas; false where one is no origin (RFC 6454 §7.1: scheme,
  /// host and port, without a path), or without memory. Then the old list stays.
  mutating func set(_ list: Bytes) -> Bool {
    var elements = ListElements()
    while let range = elements.next(in: list) {
      if !OriginList.isOrigin(list.extracting(range)) { return false }
    }
    var new = ByteBuffer()
    new.append(list)
    if new.failed { return false }
    swap(&new, &text)
    return true
  }

  /// RFC 6454 §5: equal in scheme, host and port. Both are as browsers write them.
  func contains(_ origin: Bytes) -> Bool {
    var elements = ListElements()
    let list = text.bytes
    while let range = elements.next(in: list) {
      if list.extracting(range).equalsIgnoringCase(origin) { return true }
    }
    return false
  }

  private static func isOrigin(_ text: Bytes) -> Bool {
    if text.equals("null") { return true }
    guard let colon = text.first(UInt8(ascii: ":")), colon > 0, text.count > colon &+ 3,
      text[colon &+ 1] == 47, text[colon &+ 2] == 47,
      text.extracting(0..<colon).isToken
    else { return false }
    return HostPort(text.extracting((colon &+ 3)..<text.count)) != nil
  }
}
