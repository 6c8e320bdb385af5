// The fields that this layer acts on: what frames a message and what governs the
// connection. The rest is the handler's.

enum KnownField {
  /// Notes a field; the refusal if it is one of ours and malformed.
  @inline(__always)
  static func take(_ bytes: Bytes, _ field: Field, into head: inout RequestHead) -> Refusal? {
    switch field.nameCount {
    case 4 where bytes.letters(at: field.name.lowerBound) == 0x7473_6F68:  // "host"
      return takeHost(bytes, field.value, into: &head)
    case 6, 7, 10, 14, 17, 29:
      return takeRare(bytes.extracting(field.name), bytes.extracting(field.value), into: &head)
    default:
      return nil
    }
  }

  @inline(never)
  private static func takeRare(_ name: Bytes, _ value: Bytes, into head: inout RequestHead)
    -> Refusal?
  {
    switch name.count {
    case 6 where name.equalsLowercase("expect"):
      if value.equalsLowercase("100-continue") {
        head.expectsContinue = true
      } else {
        head.expectsOther = true
      }
    case 6 where name.equalsLowercase("origin"):
      head.marks.insert(.origin)
    case 29 where name.equalsLowercase("access-control-request-method"):
      head.marks.insert(.asksForMethod)
    case 7 where name.equalsLowercase("upgrade"):
      if ListElements.contains(value, "websocket") { head.namesWebSocket = true }
    case 10 where name.equalsLowercase("connection"):
      takeConnection(value, into: &head)
    case 14 where name.equalsLowercase("content-length"):
      return takeLength(value, into: &head)
    case 17 where name.equalsLowercase("transfer-encoding"):
      return takeCodings(value, into: &head)
    default:
      break
    }
    return nil
  }

  /// RFC 9112 §3.2; an absolute target overrides the field's value, §3.2.2.
  @inline(__always)
  private static func takeHost(_ bytes: Bytes, _ value: Range<Int>, into head: inout RequestHead)
    -> Refusal?
  {
    if head.hasHost { return .bad("There is more than one Host field.") }
    guard HostPort.isValid(bytes, value) else { return .bad("The Host field is malformed.") }
    head.hasHost = true
    if head.form == .origin || head.form == .asterisk { head.authority = value }
    return nil
  }

  /// RFC 9110 §8.6: 1*DIGIT, once. Lists of equal values are for lenient servers.
  private static func takeLength(_ value: Bytes, into head: inout RequestHead) -> Refusal? {
    if head.contentLength >= 0 { return .bad("There is more than one Content-Length.") }
    guard value.count > 0, value.count <= 19 else { return .bad("Content-Length is malformed.") }
    var number: Int64 = 0
    for index in 0..<value.count {
      guard value[index].isDigit else { return .bad("Content-Length is malformed.") }
      let (tens, over) = number.multipliedReportingOverflow(by: 10)
      let (sum, past) = tens.addingReportingOverflow(Int64(value[index] &- 48))
      if over || past { return .bad("Content-Length is malformed.") }
      number = sum
    }
    head.contentLength = number
    return nil
  }

  /// RFC 9112 §6.1: chunked is the last coding, and comes once. Codings that may
  /// stand before it are not known here.
  private static func takeCodings(_ value: Bytes, into head: inout RequestHead) -> Refusal? {
    var start = 0
    while true {
      let end = value.first(UInt8(ascii: ","), from: start) ?? value.count
      let coding = value.extracting(value.trimmed(start..<end))
      guard coding.isToken else { return .bad("Transfer-Encoding is malformed.") }
      if head.coding == .chunked {
        return .bad("chunked must be the last transfer coding, and applied once.")
      }
      if coding.equalsLowercase("chunked") {
        if head.coding == .none { head.coding = .chunked }
      } else {
        head.coding = .unknown
      }
      if end == value.count { return nil }
      start = end &+ 1
    }
  }

  /// RFC 9110 §7.6.1.
  private static func takeConnection(_ value: Bytes, into head: inout RequestHead) {
    var start = 0
    while start <= value.count {
      let end = value.first(UInt8(ascii: ","), from: start) ?? value.count
      let option = value.extracting(value.trimmed(start..<end))
      if option.equalsLowercase("close") { head.marks.insert(.close) }
      if option.equalsLowercase("keep-alive") { head.connectionKeepAlive = true }
      if option.equalsLowercase("upgrade") { head.connectionUpgrade = true }
      start = end &+ 1
    }
  }
}
