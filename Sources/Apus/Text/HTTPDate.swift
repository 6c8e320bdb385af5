// The date of an HTTP field, in the one form that may be generated: IMF-fixdate,
// RFC 9110 §5.6.7, such as "Sun, 06 Nov 1994 08:49:37 GMT".

enum HTTPDate {
  static var length: Int { 29 }

  /// Appends the date of a time in seconds since 1970.
  static func append(_ time: Int64, to buffer: inout ByteBuffer) {
    let date = CivilDate(secondsSince1970: time)
    buffer.append(weekday(date.weekday))
    buffer.append(", ")
    append(twoDigits: date.day, to: &buffer)
    buffer.append(month(date.month))
    append(fourDigits: date.year, to: &buffer)
    buffer.append(" ")
    append(twoDigits: date.hour, to: &buffer)
    buffer.append(":")
    append(twoDigits: date.minute, to: &buffer)
    buffer.append(":")
    append(twoDigits: date.second, to: &buffer)
    buffer.append(" GMT")
  }

  /// Appends the date as access logs have it: "06/Nov/1994:08:49:37 +0000".
  static func appendLog(_ time: Int64, to buffer: inout ByteBuffer) {
    let date = CivilDate(secondsSince1970: time)
    append(twoDigits: date.day, to: &buffer)
    buffer.append("/")
    let name = Text(month(date.month))
    let bytes = name.bytes
    buffer.append(bytes.extracting(1..<4))
    buffer.append("/")
    append(fourDigits: date.year, to: &buffer)
    buffer.append(":")
    append(twoDigits: date.hour, to: &buffer)
    buffer.append(":")
    append(twoDigits: date.minute, to: &buffer)
    buffer.append(":")
    append(twoDigits: date.second, to: &buffer)
    buffer.append(" +0000")
  }

  private static func append(twoDigits number: Int64, to buffer: inout ByteBuffer) {
    buffer.append(UInt8(truncatingIfNeeded: 48 &+ number / 10 % 10))
    buffer.append(UInt8(truncatingIfNeeded: 48 &+ number % 10))
  }

  private static func append(fourDigits number: Int64, to buffer: inout ByteBuffer) {
    append(twoDigits: number / 100, to: &buffer)
    append(twoDigits: number % 100, to: &buffer)
  }

  private static func weekday(_ number: Int64) -> StaticString {
    switch number {
    case 0: "Sun"
    case 1: "Mon"
    case 2: "Tue"
    case 3: "Wed"
    case 4: "Thu"
    case 5: "Fri"
    default: "Sat"
    }
  }

  private static func month(_ number: Int64) -> StaticString {
    switch number {
    case 1: " Jan "
    case 2: " Feb "
    case 3: " Mar "
    case 4: " Apr "
    case 5: " May "
    case 6: " Jun "
    case 7: " Jul "
    case 8: " Aug "
    case 9: " Sep "
    case 10: " Oct "
    case 11: " Nov "
    default: " Dec "
    }
  }
}

/// A point in time on the proleptic Gregorian calendar, UTC.
struct CivilDate {
  let year: Int64
  let month: Int64
  let day: Int64
  let hour: Int64
  let minute: Int64
  let second: Int64
  let weekday: Int64  // 0: Sunday

  /// Years are counted from March, so that the leap day comes last; 146,097 days
  /// make a cycle of 400 years. Times outside the years 0 to 9999 are cut off.
  init(secondsSince1970 time: Int64) {
    let time = min(max(time, -62_167_219_200), 253_402_300_799)
    let days = (time &+ 62_167_219_200) / 86_400  // since 0000-01-01
    let rest = (time &+ 62_167_219_200) % 86_400
    hour = rest / 3_600
    minute = rest / 60 % 60
    second = rest % 60
    weekday = (days &+ 6) % 7
    let shifted = days &- 60 &+ 146_097  // since -0400-03-01, where a cycle starts
    let cycle = shifted / 146_097
    let dayOfCycle = shifted % 146_097
    let yearOfCycle =
      (dayOfCycle &- dayOfCycle / 1_460 &+ dayOfCycle / 36_524 &- dayOfCycle / 146_096) / 365
    let dayOfYear =
      dayOfCycle &- (365 &* yearOfCycle &+ yearOfCycle / 4 &- yearOfCycle / 100)
    let shiftedMonth = (5 &* dayOfYear &+ 2) / 153
    day = dayOfYear &- (153 &* shiftedMonth &+ 2) / 5 &+ 1
    month = shiftedMonth < 10 ? shiftedMonth &+ 3 : shiftedMonth &- 9
    year = cycle &* 400 &+ yearOfCycle &- 400 &+ (month <= 2 ? 1 : 0)
  }
}
