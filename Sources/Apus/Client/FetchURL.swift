// What the host gives a fetch: a method, a URL, a query, fields.

extension WebURL {
  init() {
    text = ByteBuffer()
    parts = URLParts()
  }

  /// One that a fetch can have.
  static func fetchable(_ text: Bytes) throws(Failure) -> WebURL {
    let url = try WebURL(text)
    try url.checkFetchable()
    return url
  }

  func checkFetchable() throws(Failure) {
    if scheme.isWebSocket {
      throw Failure(.argument, "the URL is one of a WebSocket, which is no fetch's")
    }
  }

  /// The host without the brackets of an IPv6 address.
  var host: Bytes {
    @_lifetime(borrow self) get { bytes.extracting(parts.hostName) }
  }

  /// Without the query.
  var path: Bytes {
    @_lifetime(borrow self) get { bytes.extracting(parts.path) }
  }

  var port: UInt16 { parts.port }
  var isSecure: Bool { scheme.isSecure }

  /// Adds to the query. The fragment goes.
  mutating func append(query: Bytes) throws(Failure) {
    var longer = ByteBuffer()
    longer.append(bytes.extracting(parts.withoutFragment))
    longer.append(parts.hasQuery ? "&" : "?")
    longer.append(query)
    if longer.failed { throw .noMemory }
    self = try WebURL(longer.bytes)
  }
}

extension Ref where Object == Fetch {
  func set(method: Bytes) throws(Failure) {
    guard method.isToken else { throw Failure(.argument, "a method is a token of RFC 9110") }
    if method.equals("CONNECT") { throw Failure(.argument, "CONNECT is not for fetches") }
    try replace(&o.method, method)
  }

  func set(url: Bytes) throws(Failure) {
    // One that is relative is looked at when it runs, where there is a base.
    if o.base.isEmpty { _ = try WebURL.fetchable(url) }
    try replace(&o.url, url)
  }

  private func replace(_ buffer: inout ByteBuffer, _ text: Bytes) throws(Failure) {
    var new = ByteBuffer()
    new.append(text)
    if new.failed { throw .noMemory }
    swap(&new, &buffer)
  }

  func add(query name: Bytes, _ value: Bytes) throws(Failure) {
    var longer = ByteBuffer()
    longer.append(o.query.bytes)
    FormEncoding.append(name: name, value: value, to: &longer)
    if longer.failed { throw .noMemory }
    guard longer.count <= WebURL.longest else {
      throw Failure(.tooLarge, "the query is longer than 64 KiB")
    }
    swap(&longer, &o.query)
  }
}

extension FieldLines {
  /// Lines of "Name: value" with "\n" or "\r\n" between.
  mutating func add(given text: Bytes) throws(Failure) {
    var start = 0
    while start < text.count {
      let end = text.first(10, from: start) ?? text.count
      var lineEnd = end
      if lineEnd > start, text[lineEnd &- 1] == 13 { lineEnd &-= 1 }
      if lineEnd > start {
        guard let colon = text.extracting(start..<lineEnd).first(UInt8(ascii: ":")) else {
          throw Failure(.argument, "a line of the headers has no colon")
        }
        let value = text.trimmed((start &+ colon &+ 1)..<lineEnd)
        try add(text.extracting(start..<(start &+ colon)), text.extracting(value))
      }
      start = end &+ 1
    }
  }
}

extension FetchBody {
  mutating func set(type: Bytes) throws(Failure) {
    contentType.append(type)
    if contentType.failed { throw .noMemory }
  }
}

extension Method {
  /// RFC 9110 §9.2.2.
  static func isIdempotent(_ name: Bytes) -> Bool {
    switch number(name) {
    case get, head, put, delete, options, 7: true
    default: false
    }
  }
}
