// The fields of a response that this layer acts on: what frames its body and what
// governs the connection.

enum ResponseField {
  static func take(_ bytes: Bytes, _ field: Field, into head: inout ResponseHead) {
    let name = bytes.extracting(field.name)
    let value = bytes.extracting(field.value)
    switch field.nameCount {
    case 10 where name.equalsLowercase("connection"):
      if ListElements.contains(value, "close") { head.connectionClose = true }
      if ListElements.contains(value, "keep-alive") { head.connectionKeepAlive = true }
    case 14 where name.equalsLowercase("content-length"):
      note(takeLength(value, into: &head), in: &head)
    case 17 where name.equalsLowercase("transfer-encoding"):
      note(takeCodings(value, into: &head), in: &head)
    default: break
    }
  }

  /// The first problem is the one that is told.
  private static func note(_ problem: Failure?, in head: inout ResponseHead) {
    if head.problem == nil { head.problem = problem }
  }

  /// RFC 9112 §6.3 item 5: 1*DIGIT, or a list of the same number over and over.
  private static func takeLength(_ value: Bytes, into head: inout ResponseHead) -> Failure? {
    var start = 0
    while start <= value.count {
      let end = value.first(UInt8(ascii: ","), from: start) ?? value.count
      let digits = value.extracting(value.trimmed(start..<end))
      guard let number = decimal(digits) else {
        return Failure(.protocolBroken, "the response's Content-Length is malformed")
      }
      if head.contentLength >= 0, head.contentLength != number {
        return Failure(.protocolBroken, "the response has several Content-Lengths that differ")
      }
      head.contentLength = number
      start = end &+ 1
    }
    return nil
  }

  /// A number of 63 bits.
  private static func decimal(_ digits: Bytes) -> Int64? {
    if digits.isEmpty { return nil }
    var number: Int64 = 0
    for index in 0..<digits.count {
      guard digits[index].isDigit else { return nil }
      let (tens, over) = number.multipliedReportingOverflow(by: 10)
      let (sum, past) = tens.addingReportingOverflow(Int64(digits[index] &- 48))
      if over || past { return nil }
      number = sum
    }
    return number
  }

  /// RFC 9112 §6.1: chunked is the last coding, and the only one that is known here.
  private static func takeCodings(_ value: Bytes, into head: inout ResponseHead) -> Failure? {
    var start = 0
    while start <= value.count {
      let end = value.first(UInt8(ascii: ","), from: start) ?? value.count
      let coding = value.extracting(value.trimmed(start..<end))
      guard coding.isToken else {
        return Failure(.protocolBroken, "the response's Transfer-Encoding is malformed")
      }
      if head.isChunked {
        return Failure(
          .protocolBroken, "chunked is not the response's last transfer coding, or comes twice")
      }
      guard coding.equalsLowercase("chunked") else {
        return Failure(.protocolBroken, "the response has a transfer coding other than chunked")
      }
      head.isChunked = true
      start = end &+ 1
    }
    return nil
  }
}
