// Hosts that have said, over TLS, that they are to be asked over TLS alone: HTTP Strict
// Transport Security, RFC 6797. It lasts as long as its client.

/// The value of a Strict-Transport-Security field, RFC 6797 §6.1.
struct StrictTransportPolicy {
  /// Seconds.
  private(set) var age: Int64 = -1
  private(set) var isOfSubdomains = false

  /// Nil where it is malformed: then it counts as not there.
  init?(_ value: Bytes) {
    var start = 0
    while start <= value.count {
      let end = value.first(UInt8(ascii: ";"), from: start) ?? value.count
      let directive = value.extracting(value.trimmed(start..<end))
      start = end &+ 1
      if directive.count == 0 { continue }
      let equals = directive.first(UInt8(ascii: "=")) ?? directive.count
      let name = directive.extracting(directive.trimmed(0..<equals))
      if name.equalsLowercase("max-age") {
        // A directive may come once.
        guard age < 0, equals < directive.count else { return nil }
        var place = directive.trimmed((equals &+ 1)..<directive.count)
        if place.count > 2, directive[place.lowerBound] == UInt8(ascii: "\""),
          directive[place.upperBound &- 1] == UInt8(ascii: "\"")
        {
          place = (place.lowerBound &+ 1)..<(place.upperBound &- 1)
        }
        guard let number = StrictTransportPolicy.seconds(directive.extracting(place)) else {
          return nil
        }
        age = number
      } else if name.equalsLowercase("includesubdomains") {
        if isOfSubdomains || equals < directive.count { return nil }
        isOfSubdomains = true
      }
    }
    if age < 0 { return nil }
  }

  /// More than ten years are ten years.
  private static func seconds(_ digits: Bytes) -> Int64? {
    guard digits.count > 0 else { return nil }
    var number: Int64 = 0
    for index in 0..<digits.count {
      guard digits[index].isDigit else { return nil }
      number = min(number &* 10 &+ Int64(digits[index] &- 48), 315_360_000)
    }
    return number
  }
}

/// The hosts that a client knows of.
struct StrictTransportHosts: ~Copyable {
  private struct Entry {
    let host: Ref<ByteBuffer>
    var end: Int64
    var isOfSubdomains: Bool
  }

  private var entries = List<Entry>()

  static var most: Int { 1000 }

  init() {}

  deinit { for index in 0..<entries.count { entries[index].host.free() } }

  var count: Int { entries.count }

  /// A host has said so; it is none of these that goes by an address (§8.1.1).
  mutating func note(_ name: Bytes, _ policy: StrictTransportPolicy, now: Int64) {
    let host = StrictTransportHosts.withoutDot(name)
    if NumericAddress(host) != nil || host.count == 0 { return }
    for index in 0..<entries.count where entries[index].host.o.bytes.equals(host) {
      if policy.age == 0 { return remove(index) }
      entries[index].end = now &+ policy.age
      entries[index].isOfSubdomains = policy.isOfSubdomains
      return
    }
    if policy.age == 0 { return }
    if entries.count >= StrictTransportHosts.most { remove(soonest) }
    guard let kept = Ref<ByteBuffer>(make: ByteBuffer()) else { return }
    kept.o.append(host)
    let entry = Entry(host: kept, end: now &+ policy.age, isOfSubdomains: policy.isOfSubdomains)
    if kept.o.failed || !entries.append(entry) { kept.free() }
  }

  /// "example.com." is the same host.
  @_lifetime(copy name)
  private static func withoutDot(_ name: Bytes) -> Bytes {
    let isRooted = name.count > 1 && name[name.count &- 1] == UInt8(ascii: ".")
    return name.extracting(first: isRooted ? name.count &- 1 : name.count)
  }

  private var soonest: Int {
    var place = 0
    for index in 0..<entries.count where entries[index].end < entries[place].end { place = index }
    return place
  }

  private mutating func remove(_ index: Int) {
    let gone = entries[index]
    if let last = entries.removeLast(), index < entries.count { entries[index] = last }
    gone.host.free()
  }

  /// Whether a host, in small letters, is to be asked over TLS (§8.2).
  func has(_ name: Bytes, now: Int64) -> Bool {
    let host = StrictTransportHosts.withoutDot(name)
    for index in 0..<entries.count where entries[index].end > now {
      let own = entries[index].host.o.bytes
      let more = host.count &- own.count
      guard more >= 0, host.extracting(more..<host.count).equals(own) else { continue }
      if more == 0 { return true }
      if entries[index].isOfSubdomains, host[more &- 1] == UInt8(ascii: ".") { return true }
    }
    return false
  }
}

extension Ref where Object == HTTPClient {
  /// Whether a host, in small letters, has said that it is to be asked over TLS.
  func wantsTLS(for host: Bytes, now: Int64) -> Bool {
    o.lock.lock()
    defer { o.lock.unlock() }
    return o.remembersStrictTransport && o.strictHosts.has(host, now: now)
  }
}

extension Ref where Object == ChannelClient {
  /// Whether "ws:" is to be taken for "wss:", to a host in small letters (RFC 6797 §8.3,
  /// RFC 6455 §3). Over a Unix socket it is not.
  func wantsTLS(for host: Bytes) -> Bool {
    guard let client = try? o.channel.o.server.httpClient() else { return false }
    client.o.lock.lock()
    let isLocal = !client.o.unixPath.isEmpty
    client.o.lock.unlock()
    return !isLocal && client.wantsTLS(for: host, now: Clock.wallSeconds)
  }
}

extension Ref where Object == Fetch {
  /// What the response says of its host, which has shown who it is (§8.1). The loop's
  /// thread.
  func noteStrictTransport(_ bytes: Bytes, now: Int64) {
    let name = Text("strict-transport-security")
    guard o.run.target.isSecure, let check = o.run.link?.o.stream.o.tls?.o.check,
      check.o.checksPeer, check.o.checksHost, let field = o.run.head.field(name.bytes, in: bytes),
      let policy = StrictTransportPolicy(bytes.extracting(field.value))
    else { return }
    let client = o.client
    client.o.lock.lock()
    if client.o.remembersStrictTransport {
      client.o.strictHosts.note(o.run.target.host, policy, now: now)
    }
    client.o.lock.unlock()
  }

  /// Turns "http:" into "https:" where the host wants that (RFC 6797 §8.3).
  func secureTarget(now: Int64) throws(Failure) {
    try secure(&o.run.target, now: now)
  }

  func secure(_ target: inout WebURL, now: Int64) throws(Failure) {
    if target.scheme != .http || !o.unixPath.isEmpty { return }
    if !o.client.wantsTLS(for: target.host, now: now) { return }
    var text = ByteBuffer()
    text.append("https")
    // Behind "http".
    text.append(target.bytes.extracting(4..<target.bytes.count))
    if text.failed { throw .noMemory }
    target = try WebURL(text.bytes, .lenient)
  }
}
