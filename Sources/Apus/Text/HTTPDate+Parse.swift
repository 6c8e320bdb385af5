// Reading the dates of conditional fields, in the three forms that RFC 9110 §5.6.7 has
// recipients take. What is none of them is no date, and the field is ignored then.

extension HTTPDate {
  /// Seconds since 1970.
  static func parse(_ text: Bytes) -> Int64? {
    guard text.count >= 24, text.count <= 33 else { return nil }
    for index in 0..<text.count where !isOfDate(text[index]) { return nil }
    // IMF-fixdate and rfc850-date name their zone; asctime-date ends in a year.
    let isZoned = text.extracting((text.count &- 4)..<text.count).equals(" GMT")
    let comma = text.first(UInt8(ascii: ","))
    guard isZoned == (comma != nil), isDay(text.extracting(0..<(comma ?? 3))) else { return nil }
    return CookieDate.parse(text.extracting((comma ?? 3)..<text.count))
  }

  private static func isOfDate(_ byte: UInt8) -> Bool {
    byte.isLetter || byte.isDigit || byte == 32 || byte == 44 || byte == 45 || byte == 58
  }

  /// Whether a day's name begins as one of the seven does.
  private static func isDay(_ name: Bytes) -> Bool {
    guard name.count >= 3 else { return false }
    let letters = name.extracting(0..<3)
    return letters.equals("Sun") || letters.equals("Mon") || letters.equals("Tue")
      || letters.equals("Wed") || letters.equals("Thu") || letters.equals("Fri")
      || letters.equals("Sat")
  }

  /// Appends a date and a time of day for people: "2026-11-21 16:19".
  static func appendShort(_ time: Int64, to buffer: inout ByteBuffer) {
    let date = CivilDate(secondsSince1970: time)
    buffer.append(decimal: date.year)
    append(UInt8(ascii: "-"), date.month, to: &buffer)
    append(UInt8(ascii: "-"), date.day, to: &buffer)
    append(32, date.hour, to: &buffer)
    append(UInt8(ascii: ":"), date.minute, to: &buffer)
  }

  private static func append(_ mark: UInt8, _ number: Int64, to buffer: inout ByteBuffer) {
    buffer.append(mark)
    buffer.append(UInt8(truncatingIfNeeded: 48 &+ number / 10 % 10))
    buffer.append(UInt8(truncatingIfNeeded: 48 &+ number % 10))
  }
}
