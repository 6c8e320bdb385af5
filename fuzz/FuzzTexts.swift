// What is read whole: URLs, cookies, and what proxies say.

func fuzzURL(_ bytes: [UInt8]) {
  guard let text = written(bytes) else { return }
  // What came out, taken again, is the same: that is what makes it comparable.
  guard let again = written(text), again == text else {
    fatalError("not the same again: \(String(decoding: text, as: UTF8.self).debugDescription)")
  }
}

/// The text of a URL, if the bytes are one.
private func written(_ bytes: [UInt8]) -> [UInt8]? {
  alone(bytes[...]) { room in
    let input = Span(_unsafeElements: UnsafeBufferPointer(room))
    do throws(Failure) {
      let url = try WebURL(input, .lenient)
      let count = url.text.count
      let parts = url.parts
      for range in [parts.username, parts.password, parts.host, parts.path, parts.query] {
        if range.upperBound > count { fatalError("a part stands past the end") }
      }
      return copy(url.text.bytes)
    } catch {
      return nil
    }
  }
}

func fuzzSetCookie(_ bytes: [UInt8]) {
  alone(bytes[...]) { room in
    let input = Span(_unsafeElements: UnsafeBufferPointer(room))
    guard let cookie = SetCookie(input) else { return }
    for range in [cookie.name, cookie.value, cookie.domain, cookie.path ?? 0..<0] {
      _ = copy(input.extracting(range))
    }
    if cookie.name.count + cookie.value.count > SetCookie.longest { fatalError("too long") }
  }
}

private func isTrusted(_ address: NumericAddress) -> Bool {
  address.isIPv4 && address.low >> 24 == 10
}

/// Whatever a client wrote: what a proxy has put behind it is what counts.
func fuzzForwarded(_ bytes: [UInt8]) {
  let behind = Array(", for=\"192.0.2.9:81\";proto=https;host=a, for=10.0.0.1".utf8)
  alone((bytes + behind)[...]) { room in
    let list = Span(_unsafeElements: UnsafeBufferPointer(room))
    let client = ForwardedClient(forwarded: list, trusts: isTrusted)
    guard case .address(let address, let port) = client.node, address.low == 0xC000_0209,
      port == 81, client.isSecure == true, !client.isMalformed
    else { fatalError("another client than the proxy's") }
  }
  alone((bytes + Array(",192.0.2.9,10.0.0.1".utf8))[...]) { room in
    let list = Span(_unsafeElements: UnsafeBufferPointer(room))
    let none = Span<UInt8>()
    let client = ForwardedClient(addresses: list, schemes: none, hosts: none, trusts: isTrusted)
    guard case .address(let address, 0) = client.node, address.low == 0xC000_0209 else {
      fatalError("another client than the proxy's")
    }
  }
  alone(bytes[...]) { room in
    let list = Span(_unsafeElements: UnsafeBufferPointer(room))
    _ = ForwardedClient(forwarded: list, trusts: isTrusted).isMalformed
    let client = ForwardedClient(addresses: list, schemes: list, hosts: list, trusts: isTrusted)
    if !client.authority.isEmpty, HostPort(client.authority.bytes) == nil {
      fatalError("a host that is none")
    }
  }
}

/// Once it is clear what the bytes begin with, more of them change nothing.
func fuzzProxy(_ bytes: [UInt8]) {
  var decided: ProxyHeader.Step? = nil
  let step = max(1, bytes.count / 64)
  for count in stride(from: 0, through: bytes.count, by: step) {
    let now = alone(bytes[..<count]) {
      ProxyHeader.parse(Span(_unsafeElements: UnsafeBufferPointer($0)))
    }
    if case .header(_, let length) = now, length > count { fatalError("longer than the bytes") }
    if let decided, decided != now { fatalError("decided twice: \(decided), then \(now)") }
    if now != .more { decided = now }
  }
}
