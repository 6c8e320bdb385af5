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
    elements = ListElements()
    while let range = elements.next(in: list) {
      if !new.isEmpty { new.append(UInt8(ascii: ",")) }
      let origin = list.extracting(range)
      new.append(origin.extracting(0..<OriginList.length(origin)))
    }
    if new.failed { return false }
    swap(&new, &text)
    return true
  }

  /// RFC 6454 §5: equal in scheme, host and port.
  func contains(_ origin: Bytes) -> Bool {
    let origin = origin.extracting(0..<OriginList.length(origin))
    var elements = ListElements()
    let list = text.bytes
    while let range = elements.next(in: list) {
      if list.extracting(range).equalsIgnoringCase(origin) { return true }
    }
    return false
  }

  /// As browsers write it, RFC 6454 §6.2: up to the port, where that is its scheme's.
  private static func length(_ origin: Bytes) -> Int {
    guard let colon = origin.first(UInt8(ascii: ":")), origin.count > colon &+ 3,
      let place = HostPort(origin.extracting((colon &+ 3)..<origin.count))
    else { return origin.count }
    let scheme = origin.extracting(0..<colon)
    let isUsual =
      place.port < 0 || (place.port == 443 && scheme.equalsLowercase("https"))
      || (place.port == 80 && scheme.equalsLowercase("http"))
    return isUsual ? colon &+ 3 &+ place.host.upperBound : origin.count
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
