// What proxies in front tell of a client: by Forwarded (RFC 7239), or by
// X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host, which have no standard.
// Either is read from its end: each hop that is trusted is passed, and the first one
// that is not is the client. What stands further left the client may have written
// itself, so that it is not even looked at.

struct ForwardedClient: ~Copyable {
  /// Nil: nothing was told, or nothing that could be used.
  private(set) var node: ForwardedNode? = nil
  /// Whether it came by https; nil as above.
  private(set) var isSecure: Bool? = nil
  /// The host and port that it asked for; empty as above.
  private(set) var authority = ByteBuffer()
  /// Something was malformed, and left aside.
  private(set) var isMalformed = false

  // ---- RFC 7239

  init(forwarded list: Bytes, trusts: (NumericAddress) -> Bool) {
    var elements = BackwardList(list, hasQuotes: true)
    while let range = elements.next(in: list) {
      var element = ForwardedElement()
      guard element.read(list.extracting(range)) else {
        forget()
        return
      }
      node = element.node
      isSecure = element.isSecure
      authority.truncate(to: 0)
      authority.append(element.host.bytes)
      guard case .address(let address, _) = element.node, trusts(address) else { return }
    }
  }

  /// A whole that is malformed tells nothing.
  private mutating func forget() {
    node = nil
    isSecure = nil
    authority.clear()
    isMalformed = true
  }

  // ---- X-Forwarded

  /// Each of these stands for itself: a proxy may set one of them and let another
  /// pass as the client has sent it, which must not unmake the one.
  init(
    addresses: Bytes, schemes: Bytes, hosts: Bytes, trusts: (NumericAddress) -> Bool
  ) {
    let place = takeAddresses(addresses, trusts: trusts)
    if let range = ForwardedClient.element(of: schemes, at: place) {
      isSecure = ForwardedElement.isSecure(schemes.extracting(range))
      if isSecure == nil { isMalformed = true }
    }
    if let range = ForwardedClient.element(of: hosts, at: place) {
      if HostPort(hosts.extracting(range)) != nil {
        authority.append(hosts.extracting(range))
      } else {
        isMalformed = true
      }
    }
  }

  /// Gives the client's place, counted from the last.
  private mutating func takeAddresses(_ list: Bytes, trusts: (NumericAddress) -> Bool) -> Int {
    var elements = BackwardList(list, hasQuotes: false)
    var place = -1
    while let range = elements.next(in: list) {
      guard let next = ForwardedNode(list.extracting(range)) else {
        node = nil
        isMalformed = true
        return 0
      }
      node = next
      place &+= 1
      guard case .address(let address, _) = next, trusts(address) else { break }
    }
    return max(place, 0)
  }

  /// The element that goes with the client: that at its place, as each trusted hop has
  /// added one, or the first where fewer have. What stands further left the client may have
  /// written; how many addresses do must not matter.
  private static func element(of list: Bytes, at place: Int) -> Range<Int>? {
    let last = max(0, BackwardList.count(list, hasQuotes: false) &- 1)
    return BackwardList.element(min(place, last), of: list)
  }
}

/// One element of Forwarded (RFC 7239 §4).
struct ForwardedElement: ~Copyable {
  private(set) var node: ForwardedNode? = nil
  private(set) var isSecure: Bool? = nil
  private(set) var host = ByteBuffer()
  private var hasHost = false
  private var hasBy = false

  /// False where it is malformed, or without memory.
  mutating func read(_ text: Bytes) -> Bool {
    var index = 0
    while index < text.count {
      // An empty pair between two semicolons is none.
      if text[index] == UInt8(ascii: ";") {
        index &+= 1
        continue
      }
      let nameEnd = text.firstOutsideToken(from: index)
      guard nameEnd > index, nameEnd < text.count, text[nameEnd] == UInt8(ascii: "=") else {
        return false
      }
      var value = ByteBuffer()
      guard let end = ForwardedElement.value(text, from: nameEnd &+ 1, to: &value),
        !value.failed, take(text.extracting(index..<nameEnd), value.bytes)
      else { return false }
      index = end
      if index < text.count {
        guard text[index] == UInt8(ascii: ";") else { return false }
        index &+= 1
      }
    }
    return !host.failed
  }

  /// §4: each parameter at most once. Others than these four mean nothing here.
  private mutating func take(_ name: Bytes, _ value: Bytes) -> Bool {
    if name.equalsLowercase("for") {
      guard node == nil else { return false }
      node = ForwardedNode(value, isStrict: true)
      return node != nil
    }
    if name.equalsLowercase("by") {
      defer { hasBy = true }
      return !hasBy && ForwardedNode(value, isStrict: true) != nil
    }
    if name.equalsLowercase("proto") {
      guard isSecure == nil else { return false }
      isSecure = ForwardedElement.isSecure(value)
      return isSecure != nil
    }
    if name.equalsLowercase("host") {
      guard !hasHost, HostPort(value) != nil else { return false }
      hasHost = true
      host.append(value)
    }
    return true
  }

  /// A token or a quoted string (RFC 9110 §5.6.4); gives where it ends.
  private static func value(_ text: Bytes, from start: Int, to value: inout ByteBuffer) -> Int? {
    guard start < text.count else { return nil }
    guard text[start] == UInt8(ascii: "\"") else {
      let end = text.firstOutsideToken(from: start)
      value.append(text.extracting(start..<end))
      return end > start ? end : nil
    }
    var index = start &+ 1
    while index < text.count, text[index] != UInt8(ascii: "\"") {
      if text[index] == UInt8(ascii: "\\") { index &+= 1 }
      guard index < text.count else { return nil }
      value.append(text[index])
      index &+= 1
    }
    return index < text.count ? index &+ 1 : nil
  }

  /// Whether a scheme is a secure one; some proxies tell that of a WebSocket.
  static func isSecure(_ scheme: Bytes) -> Bool? {
    if scheme.equalsLowercase("https") || scheme.equalsLowercase("wss") { return true }
    if scheme.equalsLowercase("http") || scheme.equalsLowercase("ws") { return false }
    return nil
  }
}
