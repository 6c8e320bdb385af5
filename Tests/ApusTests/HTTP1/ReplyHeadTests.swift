// ReplyHead: what goes over the wire, and what never does.

import Testing

@testable import Apus

private let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
private let server = "Server: apus\r\n"

/// Sets a field; the problem, if there is one.
@discardableResult
private func set(
  _ head: inout ReplyHead, _ name: String, _ value: String, replacing: Bool = true
) -> ReplyHead.Problem? {
  let name = Array(name.utf8)
  let value = Array(value.utf8)
  return head.set(name.span, value.span, replacing: replacing)
}

private func output(
  _ head: inout ReplyHead, _ framing: ReplyHead.Framing = .none, close: Bool = false,
  isOld: Bool = false
) -> String {
  var buffer = ByteBuffer()
  var opening = ReplyOpening()
  let line = Array(server.utf8)
  opening.update(second: 784_111_777, server: line.span)
  head.write(to: &buffer, opening: &opening, framing: framing, close: close, isOld: isOld)
  return string(buffer)
}

@Suite struct ReplyHeadTests {
  @Test func theSimplestReply() {
    var head = ReplyHead()
    #expect(
      output(&head, .length(0))
        == "HTTP/1.1 200 OK\r\n\(date)\(server)Content-Length: 0\r\n\r\n")
  }

  @Test func framings() {
    var head = ReplyHead()
    let start = "HTTP/1.1 200 OK\r\n\(date)\(server)"
    #expect(output(&head, .none) == start + "\r\n")
    #expect(output(&head, .untilClose, close: true) == start + "Connection: close\r\n\r\n")
    #expect(output(&head, .chunked) == start + "Transfer-Encoding: chunked\r\n\r\n")
    #expect(
      output(&head, .length(.max)) == start + "Content-Length: 9223372036854775807\r\n\r\n")
  }

  @Test func statusLines() {
    var head = ReplyHead()
    head.status = 404
    #expect(output(&head).hasPrefix("HTTP/1.1 404 Not Found\r\n"))
    head.status = 100
    #expect(output(&head).hasPrefix("HTTP/1.1 100 Continue\r\n"))
    // RFC 9112 §4: the space stands there also when the phrase is empty.
    head.status = 299
    #expect(output(&head).hasPrefix("HTTP/1.1 299 \r\n"))
    head.status = 599
    #expect(output(&head).hasPrefix("HTTP/1.1 599 "))
  }

  @Test func persistence() {
    var head = ReplyHead()
    let start = "HTTP/1.1 200 OK\r\n\(date)\(server)Content-Length: 2\r\n"
    #expect(output(&head, .length(2)) == start + "\r\n")
    #expect(output(&head, .length(2), isOld: true) == start + "Connection: keep-alive\r\n\r\n")
    #expect(output(&head, .length(2), close: true) == start + "Connection: close\r\n\r\n")
    let old = output(&head, .length(2), close: true, isOld: true)
    #expect(old == start + "Connection: close\r\n\r\n")
  }

  @Test func fieldsStandInTheirOrder() {
    var head = ReplyHead()
    set(&head, "Content-Type", "text/plain")
    set(&head, "X-One", "1")
    set(&head, "X-Empty", "")
    #expect(
      output(&head, .length(5)) == "HTTP/1.1 200 OK\r\n\(date)\(server)"
        + "Content-Type: text/plain\r\nX-One: 1\r\nX-Empty: \r\nContent-Length: 5\r\n\r\n")
  }

  @Test func itsOwnDateAndServerReplaceOurs() {
    var head = ReplyHead()
    set(&head, "DATE", "Thu, 01 Jan 1970 00:00:00 GMT")
    set(&head, "sErver", "mine")
    #expect(
      output(&head) == "HTTP/1.1 200 OK\r\nDATE: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
        + "sErver: mine\r\n\r\n")
    head.reset()
    #expect(output(&head) == "HTTP/1.1 200 OK\r\n\(date)\(server)\r\n")
  }

  @Test func setReplacesWhateverTheCase() {
    var head = ReplyHead()
    set(&head, "X-A", "1")
    set(&head, "X-AB", "2")
    set(&head, "x-a", "3", replacing: false)
    set(&head, "A", "4")
    #expect(string(head.fields) == "X-A: 1\r\nX-AB: 2\r\nx-a: 3\r\nA: 4\r\n")
    set(&head, "X-a", "5")
    #expect(string(head.fields) == "X-AB: 2\r\nA: 4\r\nX-a: 5\r\n")
    set(&head, "a", "6")
    #expect(string(head.fields) == "X-AB: 2\r\nX-a: 5\r\na: 6\r\n")
  }

  /// A value that looks like a field of that name is none.
  @Test func setReplacesFieldsAndNotValues() {
    var head = ReplyHead()
    set(&head, "X", "Y: 1")
    set(&head, "XY", "1")
    set(&head, "Y", "2")
    set(&head, "Y", "3")
    #expect(string(head.fields) == "X: Y: 1\r\nXY: 1\r\nY: 3\r\n")
  }

  @Test func resetForgetsAll() {
    var head = ReplyHead()
    head.status = 404
    set(&head, "Content-Type", "text/plain")
    head.reset()
    #expect(head.status == 200)
    #expect(string(head.fields) == "")
  }

  /// What could end a line early, in a name or in a value: RFC 9110 §5.5.
  @Test(arguments: ["\r", "\n", "\0", "\u{7F}", "\r\n", "\u{1}", "\u{B}", "\u{1F}"])
  func refusesControlCharacters(_ character: String) {
    for place in ["\(character)x", "x\(character)y", "x\(character)"] {
      var head = ReplyHead()
      #expect(set(&head, place, "value") == .malformed)
      #expect(set(&head, "name", place) == .malformed)
      #expect(set(&head, "connection", place) == .malformed)
      #expect(set(&head, "name", place, replacing: false) == .malformed)
      #expect(string(head.fields) == "")
    }
  }

  /// Values are looked at in words of several bytes: a bad one counts at every place
  /// of every length.
  @Test func aBadByteAtEveryPlace() {
    for length in 1...40 {
      for place in 0..<length {
        for (byte, isFine) in [(0x1F, false), (0x7F, false), (9, true), (0x80, true), (0xFF, true)]
        {
          var bytes = [UInt8](repeating: 0x20, count: length)
          bytes[place] = UInt8(byte)
          let isValue = bytes.span.isFieldValue
          #expect(isValue == isFine, "\(byte) at \(place) of \(length)")
        }
        var name = [UInt8](repeating: 0x2D, count: length)
        let isName = name.span.isToken
        name[place] = 0x40
        let isStillName = name.span.isToken
        #expect(isName && !isStillName, "at \(place) of \(length)")
      }
    }
  }

  @Test func theOpeningFollowsTheClock() {
    var head = ReplyHead()
    var opening = ReplyOpening()
    for second in [784_111_777, 784_111_778] as [Int64] {
      opening.update(second: second, server: Bytes())
      #expect(opening.second == second)
      var buffer = ByteBuffer()
      head.write(to: &buffer, opening: &opening, framing: .none, close: false, isOld: false)
      let digit = second == 784_111_777 ? "7" : "8"
      let line = "Date: Sun, 06 Nov 1994 08:49:3\(digit) GMT\r\n"
      #expect(string(buffer) == "HTTP/1.1 200 OK\r\n\(line)\r\n")
    }
  }

  @Test func everyByteOfANameAndAValue() {
    for byte in UInt8.min...UInt8.max {
      let text = [97, byte, 98] as [UInt8]
      let plain = Array("x".utf8)
      var head = ReplyHead()
      let asName = head.set(text.span, plain.span, replacing: true)
      #expect((asName == nil) == byte.isToken, "\(byte)")
      let asValue = head.set(plain.span, text.span, replacing: true)
      #expect((asValue == nil) == (byte == 9 || (byte >= 32 && byte != 127)), "\(byte)")
    }
  }

  @Test(arguments: ["", " ", "a b", "a:", "a:b", "(a)", "a\u{E9}", "[a]", "a/b"])
  func refusesNamesThatAreNoTokens(_ name: String) {
    var head = ReplyHead()
    #expect(set(&head, name, "value") == .malformed)
    #expect(string(head.fields) == "")
  }

  @Test(arguments: [
    "Content-Length", "content-length", "Transfer-Encoding", "TRANSFER-ENCODING", "Connection",
    "Keep-Alive", "Upgrade", "Trailer",
  ])
  func framingIsDecidedHere(_ name: String) {
    var head = ReplyHead()
    #expect(set(&head, name, "5") == .reserved)
    #expect(set(&head, name, "", replacing: false) == .reserved)
    #expect(string(head.fields) == "")
    #expect(head.wantsClose == false)
  }

  @Test func theHostMayAskToClose() {
    var head = ReplyHead()
    #expect(set(&head, "connection", "keep-alive") == .reserved)
    #expect(head.wantsClose == false)
    #expect(set(&head, "Connection", "Close") == nil)
    #expect(head.wantsClose == true)
    #expect(string(head.fields) == "")
    head.reset()
    #expect(head.wantsClose == false)
  }

  @Test func hasALimit() {
    let room = ReplyHead.largest - 4
    for over in 0...1 {
      var head = ReplyHead()
      let value = String(repeating: "v", count: room - 1 + over)
      #expect(set(&head, "n", value) == (over == 0 ? nil : .tooLong))
      #expect(head.fields.count == (over == 0 ? ReplyHead.largest : 0))
    }
    var head = ReplyHead()
    let value = String(repeating: "v", count: 1000)
    var count = 0
    while count < 1000, set(&head, "name", value, replacing: false) == nil { count += 1 }
    #expect(count == ReplyHead.largest / 1008)
    // A field takes the room of the one that it replaces.
    #expect(set(&head, "name", value) == nil)
    #expect(head.fields.count == 1008)
  }

  /// What the library sets itself finds room behind a head that is full.
  @Test func theLibraryHasRoomOfItsOwn() {
    var head = ReplyHead()
    set(&head, "n", String(repeating: "v", count: ReplyHead.largest - 5))
    #expect(head.fields.count == ReplyHead.largest)
    let name = Array("Own".utf8)
    for (count, problem) in [(ReplyHead.slack - 6, .tooLong), (ReplyHead.slack - 7, nil)]
      as [(Int, ReplyHead.Problem?)]
    {
      let value = [UInt8](repeating: 118, count: count)
      let found = head.set(name.span, value.span, replacing: true, isOwn: true)
      #expect(found == problem)
    }
    #expect(set(&head, "x", "") == .tooLong)
  }

  @Test func setsTheContentType() {
    var head = ReplyHead()
    with("text/plain") { head.setContentType($0) }
    set(&head, "X", "1")
    with("text/html") { head.setContentType($0) }
    #expect(string(head.fields) == "X: 1\r\nContent-Type: text/html\r\n")
    set(&head, "content-type", "image/png")
    #expect(string(head.fields) == "X: 1\r\ncontent-type: image/png\r\n")
  }

  /// A set that fails changes nothing.
  @Test func aFieldStaysWhenItsSuccessorIsTooLong() {
    var head = ReplyHead()
    set(&head, "name", "old")
    #expect(set(&head, "name", String(repeating: "v", count: ReplyHead.largest)) == .tooLong)
    #expect(string(head.fields) == "name: old\r\n")
  }
}
