// Cookie dates: the lines of Vectors/Client/dates.txt, the calendar, and chance.

import Testing

@testable import Apus

@Suite struct CookieDateTests {
  @Test func readsTheLines() throws {
    let lines = try SourceFiles.text("Vectors/Client/dates.txt").split(separator: "\n")
      .filter { !$0.hasPrefix("#") }
    #expect(lines.count > 50)
    for line in lines {
      let parts = line.split(separator: "|", omittingEmptySubsequences: false)
      try #require(parts.count == 2)
      let date = with(String(parts[0])) { CookieDate.parse($0) }
      let text = date.map { String($0) } ?? "-"
      #expect(text == parts[1].filter { $0 != " " }, "\(line)")
    }
  }

  /// What HTTPDate writes, on every eleventh day from 1601 to 9999.
  @Test func readsWhatIsWritten() {
    var time: Int64 = -11_644_473_600 + 43_210
    while time < 253_402_300_799 {
      let text = written { HTTPDate.append(time, to: &$0) }
      let date = with(text) { CookieDate.parse($0) }
      if date != time {
        Issue.record("\(text)")
        return
      }
      time += 86_400 * 11
    }
  }

  @Test func readsChance() {
    var random = Random(seed: Random.seed)
    let memory = GuardedMemory(capacity: 4096)
    for _ in 0..<5000 {
      let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in
        UInt8.random(in: 0...255, using: &random) & 0x7F
      }
      let date = memory.with(bytes) { CookieDate.parse($0) }
      #expect((date ?? 0) >= -11_644_473_600, "\(Random.note)")
    }
  }
}
