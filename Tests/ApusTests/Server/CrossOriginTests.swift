// What pages of other origins are told.

import Testing

@testable import Apus

@Suite struct CrossOriginTests {
  /// A policy by its options; nil where one of them is refused.
  private func fields(
    _ options: (inout CrossOrigin) throws -> Void, origin: String?, isAllowed: Bool? = nil,
    set own: String? = nil
  ) throws -> [String] {
    var policy = CrossOrigin()
    try options(&policy)
    var reply = ReplyHead()
    if let own {
      let name = Text("access-control-allow-origin")
      with(own) { _ = reply.set(name.bytes, $0, replacing: true) }
    }
    guard let origin else {
      policy.addFields(for: nil, isAllowed: false, to: &reply)
      return lines(reply)
    }
    with(origin + "\0") { text in
      text.withUnsafeBufferPointer { buffer in
        guard let start = buffer.baseAddress else { return }
        let text = Text(start: start, count: buffer.count - 1)
        let decided = isAllowed ?? policy.allows(text.bytes) ?? false
        policy.addFields(for: text, isAllowed: decided, to: &reply)
      }
    }
    return lines(reply)
  }

  private func lines(_ reply: borrowing ReplyHead) -> [String] {
    string(reply.fields).split(separator: "\r\n").map(String.init)
  }

  private func set(
    _ text: String, _ body: (Span<UInt8>) throws(Failure) -> Void
  ) throws(Failure) {
    let bytes = Array(text.utf8)
    try body(bytes.span)
  }

  /// Browsers leave the port of a scheme out.
  @Test(arguments: [
    ("https://a.example", true), ("https://a.example:443", true), ("HTTPS://A.EXAMPLE", true),
    ("http://b", true), ("http://b:80", true), ("http://c:8080", true), ("https://d", true),
    ("http://e:443", true), ("null", true), ("http://a.example", false), ("https://b", false),
    ("http://c", false), ("http://e", false), ("https://e", false), ("https://a.example:80", false),
  ])
  func usualPort(_ origin: String, _ isAllowed: Bool) throws {
    var policy = CrossOrigin()
    let list = "https://a.example:443, http://b:80,http://c:8080, https://d:, http://e:443, null"
    try set(list) { text throws(Failure) in try policy.setOrigins(text) }
    let bytes = Array(origin.utf8)
    #expect(policy.allows(bytes.span) == isAllowed)
  }

  @Test func isOffByItself() throws {
    #expect(try fields({ _ in }, origin: "http://a") == [])
    #expect(try fields({ try $0.setCredentials(true) }, origin: "http://a") == [])
  }

  @Test func allowsAll() throws {
    let all = ["Access-Control-Allow-Origin: *"]
    let options: (inout CrossOrigin) throws -> Void = { policy in
      try set("*") { text throws(Failure) in try policy.setOrigins(text) }
    }
    #expect(try fields(options, origin: "http://a") == all)
    #expect(try fields(options, origin: nil) == all)
    // The handler has said so itself.
    let own = "access-control-allow-origin: http://b"
    #expect(try fields(options, origin: "http://a", set: "http://b") == [own])
  }

  @Test func allowsAList() throws {
    let options: (inout CrossOrigin) throws -> Void = { policy in
      try set("http://a, https://b:81 ,null") { text throws(Failure) in
        try policy.setOrigins(text)
      }
      try set("X-A, X-B") { text throws(Failure) in try policy.setExposed(text) }
      try policy.setCredentials(true)
    }
    func allowed(_ origin: String) -> [String] {
      [
        "Vary: Origin", "Access-Control-Allow-Origin: \(origin)",
        "Access-Control-Allow-Credentials: true", "Access-Control-Expose-Headers: X-A, X-B",
      ]
    }
    for origin in ["http://a", "http://a:80", "https://b:81", "null"] {
      #expect(try fields(options, origin: origin) == allowed(origin))
    }
    for origin in ["http://b:81", "https://a", "http://a:81", "http://a.", "https://b", "*", ""] {
      #expect(try fields(options, origin: origin) == ["Vary: Origin"], "\(origin)")
    }
    #expect(try fields(options, origin: nil) == ["Vary: Origin"])
    let own = "access-control-allow-origin: *"
    #expect(try fields(options, origin: "http://a", set: "*") == [own, "Vary: Origin"])
  }

  @Test func neverAllowsAllWithCredentials() {
    var policy = CrossOrigin()
    #expect(throws: Failure.self) {
      try policy.setCredentials(true)
      try set("*") { text throws(Failure) in try policy.setOrigins(text) }
    }
    let origins = policy.origins
    #expect(origins == .none)
    var other = CrossOrigin()
    #expect(throws: Failure.self) {
      try set("*") { text throws(Failure) in try other.setOrigins(text) }
      try other.setCredentials(true)
    }
    let credentials = other.credentials
    #expect(!credentials)
    var third = CrossOrigin()
    #expect(throws: Failure.self) {
      try set("*") { text throws(Failure) in try third.setExposed(text) }
      try third.setCredentials(true)
    }
  }

  private func answer(
    _ method: String, _ headers: String, _ options: (inout CrossOrigin) throws -> Void
  ) throws -> [String] {
    var policy = CrossOrigin()
    try options(&policy)
    var reply = ReplyHead()
    with(method) { method in
      with(headers) { policy.addAnswer(method: method, headers: $0, to: &reply) }
    }
    return lines(reply)
  }

  @Test func answersQuestions() throws {
    let usual = "Access-Control-Allow-Methods: GET, HEAD, POST"
    let age = "Access-Control-Max-Age: 600"
    #expect(try answer("PUT", "x-a", { _ in }) == [usual, age])
    #expect(try answer("PUT", "", { $0.maxAge = -1 }) == [usual])
    #expect(try answer("PUT", "", { $0.maxAge = 0 }) == [usual, "Access-Control-Max-Age: 0"])
    let named: (inout CrossOrigin) throws -> Void = { policy in
      try set("PUT,X") { text throws(Failure) in try policy.setMethods(text) }
      try set("x-a, authorization") { text throws(Failure) in try policy.setHeaders(text) }
    }
    #expect(
      try answer("DELETE", "x-b", named) == [
        "Access-Control-Allow-Methods: PUT,X",
        "Access-Control-Allow-Headers: x-a, authorization", age,
      ])
    let any: (inout CrossOrigin) throws -> Void = { policy in
      try set("*") { text throws(Failure) in try policy.setMethods(text) }
      try set("*") { text throws(Failure) in try policy.setHeaders(text) }
    }
    #expect(
      try answer("X-Y", "x-a,authorization", any) == [
        "Access-Control-Allow-Methods: X-Y", "Access-Control-Allow-Headers: x-a,authorization",
        age,
      ])
    // What is no list of tokens is not sent back.
    #expect(try answer("A B", "x a", any) == [age])
    #expect(try answer("", "", any) == [age])
  }

  @Test(arguments: ["a b", "a,b c", "a;b", "\u{E4}", "a, \"b\""])
  func refusesWhatAreNoTokens(_ text: String) {
    var policy = CrossOrigin()
    #expect(throws: Failure.self) {
      try set(text) { text throws(Failure) in try policy.setMethods(text) }
    }
    #expect(throws: Failure.self) {
      try set(String(repeating: "a", count: 513)) { text throws(Failure) in
        try policy.setHeaders(text)
      }
    }
  }

  @Test(arguments: ["a", "http://", "http://a/", "http://a, b", "*, http://a", "http://a b"])
  func refusesWhatIsNoOrigin(_ text: String) {
    var policy = CrossOrigin()
    #expect(throws: Failure.self) {
      try set(text) { text throws(Failure) in try policy.setOrigins(text) }
    }
    let isOn = policy.isOn
    #expect(!isOn)
  }
}
