// HTTPDate, against dates that are known and against a calendar that counts.

import Testing

@testable import Apus

private func date(_ time: Int64) -> String { written { HTTPDate.append(time, to: &$0) } }

private func logDate(_ time: Int64) -> String { written { HTTPDate.appendLog(time, to: &$0) } }

@Suite struct HTTPDateTests {
  @Test(arguments: [
    (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
    (1, "Thu, 01 Jan 1970 00:00:01 GMT"),
    (-1, "Wed, 31 Dec 1969 23:59:59 GMT"),
    (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
    (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
    (951_868_799, "Tue, 29 Feb 2000 23:59:59 GMT"),
    (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
    (1_000_000_000, "Sun, 09 Sep 2001 01:46:40 GMT"),
    (1_078_012_800, "Sun, 29 Feb 2004 00:00:00 GMT"),
    (2_147_483_647, "Tue, 19 Jan 2038 03:14:07 GMT"),
    (2_147_483_648, "Tue, 19 Jan 2038 03:14:08 GMT"),
    (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
    (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
    (13_574_563_200, "Tue, 29 Feb 2400 00:00:00 GMT"),
    (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
    (-62_167_219_200, "Sat, 01 Jan 0000 00:00:00 GMT"),
  ])
  func known(_ time: Int, _ text: String) {
    #expect(date(Int64(time)) == text)
    #expect(text.utf8.count == HTTPDate.length)
  }

  /// Four digits hold no more; a clock that is off takes nothing down.
  @Test func timesBeyondTheCalendarAreCutOff() {
    for time in [253_402_300_800, 1 << 40, .max] as [Int64] {
      #expect(date(time) == "Fri, 31 Dec 9999 23:59:59 GMT")
    }
    for time in [-62_167_219_201, -1 << 40, .min] as [Int64] {
      #expect(date(time) == "Sat, 01 Jan 0000 00:00:00 GMT")
    }
  }

  @Test func logs() {
    #expect(logDate(784_111_777) == "06/Nov/1994:08:49:37 +0000")
    #expect(logDate(0) == "01/Jan/1970:00:00:00 +0000")
    #expect(logDate(951_868_799) == "29/Feb/2000:23:59:59 +0000")
  }

  /// Each day from 1600 to 2500, counted with the fingers.
  @Test func everyDay() {
    let lengths: [Int64] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    var time: Int64 = -11_676_096_000  // 1600-01-01
    var weekday: Int64 = 6  // a Saturday
    for year in 1600...2500 as ClosedRange<Int64> {
      let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
      for month in 1...12 as ClosedRange<Int64> {
        let length = lengths[Int(month) - 1] + (month == 2 && isLeap ? 1 : 0)
        for day in 1...length {
          let civil = CivilDate(secondsSince1970: time)
          let found = [civil.year, civil.month, civil.day, civil.weekday]
          if found != [year, month, day, weekday] {
            Issue.record("\(found), not \([year, month, day, weekday])")
            return
          }
          time += 86_400
          weekday = (weekday + 1) % 7
        }
      }
    }
  }

  @Test func everyKindOfTime() {
    for second in stride(from: 0, to: 86_400, by: 61) as StrideTo<Int64> {
      let civil = CivilDate(secondsSince1970: -86_400 * 3 + second)
      #expect(civil.hour * 3600 + civil.minute * 60 + civil.second == second)
      #expect(civil.minute < 60 && civil.second < 60)
    }
  }
}
