// Method: names and numbers, both ways.

import Testing

@testable import Apus

@Suite struct MethodTests {
  /// Frozen: the numbers are the interface's.
  static let names = [
    "DELETE", "GET", "HEAD", "POST", "PUT", "CONNECT", "OPTIONS", "TRACE", "COPY", "LOCK",
    "MKCOL", "MOVE", "PROPFIND", "PROPPATCH", "SEARCH", "UNLOCK", "BIND", "REBIND", "UNBIND",
    "ACL", "REPORT", "MKACTIVITY", "CHECKOUT", "MERGE", "M-SEARCH", "NOTIFY", "SUBSCRIBE",
    "UNSUBSCRIBE", "PATCH", "PURGE", "MKCALENDAR", "LINK", "UNLINK", "SOURCE",
  ]

  @Test func thereAreThirtyFour() {
    #expect(Method.count == 34)
    #expect(MethodTests.names.count == 34)
    #expect(Method.name(34) == nil)
    #expect(Method.name(-1) == nil)
    #expect(Method.name(.max) == nil)
    #expect(Method.name(.min) == nil)
  }

  @Test func namesAndNumbersAgree() {
    for (number, name) in MethodTests.names.enumerated() {
      #expect(Method.name(Int32(number))?.text == name)
      #expect(with(name) { Method.number($0) } == Int32(number))
    }
  }

  @Test func constants() {
    let constants: [(Int32, String)] = [
      (Method.delete, "DELETE"), (Method.get, "GET"), (Method.head, "HEAD"),
      (Method.post, "POST"), (Method.put, "PUT"), (Method.connect, "CONNECT"),
      (Method.options, "OPTIONS"), (Method.patch, "PATCH"),
    ]
    for (number, name) in constants { #expect(Method.name(number)?.text == name) }
  }

  @Test(arguments: ["", "get", "Get", "GETT", "GE", "GEX", "G ET", "PRI", "QUERY", "GET "])
  func othersAreOther(_ name: String) {
    #expect(with(name) { Method.number($0) } == Method.other)
  }
}
