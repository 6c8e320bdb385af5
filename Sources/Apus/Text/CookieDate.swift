// Dates as Set-Cookie has them, RFC 6265 §5.1.1: words between delimiters, of which
// the first that looks like a time, a day, a month or a year is taken for it.

struct CookieDate {
  private var hour: Int64 = -1
  private var minute: Int64 = 0
  private var second: Int64 = 0
  private var day: Int64 = -1
  private var month: Int64 = -1
  private var year: Int64 = -1

  /// Seconds since 1970; nil for what is no date.
  static func parse(_ text: Bytes) -> Int64? {
    var date = CookieDate()
    var index = 0
    while index < text.count {
      if isDelimiter(text[index]) {
        index &+= 1
        continue
      }
      let start = index
      while index < text.count, !isDelimiter(text[index]) { index &+= 1 }
      date.take(text.extracting(start..<index))
    }
    return date.seconds
  }

  /// %x09, %x20-2F, %x3B-40, %x5B-60 and %x7B-7E.
  private static func isDelimiter(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x09, 0x20...0x2F, 0x3B...0x40, 0x5B...0x60, 0x7B...0x7E: true
    default: false
    }
  }

  private mutating func take(_ word: Bytes) {
    if hour < 0, takeTime(word) { return }
    if day < 0, let number = CookieDate.number(word, from: 0, digits: 1...2, isLast: true) {
      day = number.value
      return
    }
    if month < 0, let number = CookieDate.month(word) {
      month = number
      return
    }
    if year < 0, let number = CookieDate.number(word, from: 0, digits: 2...4, isLast: true) {
      year = number.value
    }
  }

  /// hms-time = time-field ":" time-field ":" time-field
  private mutating func takeTime(_ word: Bytes) -> Bool {
    guard let first = CookieDate.number(word, from: 0, digits: 1...2, isLast: false),
      let middle = CookieDate.number(word, from: first.end &+ 1, digits: 1...2, isLast: false),
      let last = CookieDate.number(word, from: middle.end &+ 1, digits: 1...2, isLast: true)
    else { return false }
    hour = first.value
    minute = middle.value
    second = last.value
    return true
  }

  /// A number of so many digits: the last part of a word may go on with anything but a
  /// digit, another one with a colon alone.
  private static func number(
    _ word: Bytes, from start: Int, digits: ClosedRange<Int>, isLast: Bool
  ) -> (value: Int64, end: Int)? {
    var end = start
    var value: Int64 = 0
    while end < word.count, word[end].isDigit, end &- start < 5 {
      value = value &* 10 &+ Int64(word[end] &- 48)
      end &+= 1
    }
    guard digits.contains(end &- start) else { return nil }
    if !isLast, end >= word.count || word[end] != UInt8(ascii: ":") { return nil }
    return (value, end)
  }

  private static func month(_ word: Bytes) -> Int64? {
    guard word.count >= 3 else { return nil }
    let name = word.extracting(0..<3)
    var number: Int64 = 1
    while number <= 12 {
      if name.equalsLowercase(self.name(number)) { return number }
      number &+= 1
    }
    return nil
  }

  private static func name(_ month: Int64) -> StaticString {
    switch month {
    case 1: "jan"
    case 2: "feb"
    case 3: "mar"
    case 4: "apr"
    case 5: "may"
    case 6: "jun"
    case 7: "jul"
    case 8: "aug"
    case 9: "sep"
    case 10: "oct"
    case 11: "nov"
    default: "dec"
    }
  }

  /// Items 3 to 7 of the section: the date, if there is such a one.
  private var seconds: Int64? {
    guard hour >= 0, month >= 0, year >= 0, day >= 1 else { return nil }
    let full = year < 70 ? year &+ 2000 : year < 100 ? year &+ 1900 : year
    guard full >= 1601, hour <= 23, minute <= 59, second <= 59,
      day <= CookieDate.days(in: month, full)
    else { return nil }
    // Years from March on, so that the leap day comes last; 719,468 days lie between
    // 0000-03-01 and 1970-01-01.
    let shifted = month <= 2 ? full &- 1 : full
    let dayOfYear = (153 &* (month > 2 ? month &- 3 : month &+ 9) &+ 2) / 5 &+ day &- 1
    let days =
      shifted &* 365 &+ shifted / 4 &- shifted / 100 &+ shifted / 400 &+ dayOfYear &- 719_468
    return days &* 86_400 &+ hour &* 3_600 &+ minute &* 60 &+ second
  }

  private static func days(in month: Int64, _ year: Int64) -> Int64 {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }
}
