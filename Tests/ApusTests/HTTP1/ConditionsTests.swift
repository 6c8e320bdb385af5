// Conditional fields in the order of RFC 9110 §13.2.2, and entity tags.

import Testing

@testable import Apus

private let date = "Sun, 06 Nov 1994 08:49:37 GMT"
private let earlier = "Sun, 06 Nov 1994 08:49:36 GMT"
private let later = "Sun, 06 Nov 1994 08:49:38 GMT"

/// The verdict on a file with the tag "a", changed at `date`.
private func judge(_ fields: [String: String], isRead: Bool = true) -> Conditions.Verdict {
  let buffers = fields.mapValues { Array(($0 + "\0").utf8) }
  let tag = Text("\"a\"")
  let conditions = Conditions(tag: tag, modified: 784_111_777, isRead: isRead)
  return conditions.judge { name in
    guard let bytes = buffers[name.text] else { return nil }
    // The dictionary keeps them until the verdict is there.
    return bytes.withUnsafeBufferPointer { start in
      start.baseAddress.map { Text(start: $0, count: bytes.count - 1) }
    }
  }
}

@Suite struct ConditionsTests {
  @Test(
    arguments: [
      ("if-none-match", "\"a\"", 304), ("if-none-match", "W/\"a\"", 304),
      ("if-none-match", "\"b\", \"a\"", 304), ("if-none-match", "*", 304),
      ("if-none-match", "\"b\"", 200), ("if-none-match", "a", 200), ("if-none-match", "\"a", 200),
      ("if-none-match", "\"b\",W/\"c\" , W/\"a\"", 304), ("if-none-match", "", 200),
      ("if-match", "\"a\"", 200), ("if-match", "*", 200), ("if-match", "\"b\"", 412),
      ("if-match", "W/\"a\"", 412), ("if-match", "\"b\",\"a\"", 200), ("if-match", "", 412),
      ("if-modified-since", date, 304), ("if-modified-since", later, 304),
      ("if-modified-since", earlier, 200), ("if-modified-since", "yesterday", 200),
      ("if-modified-since", "Sunday, 06-Nov-94 08:49:37 GMT", 304),
      ("if-modified-since", "Sun Nov  6 08:49:37 1994", 304),
      ("if-modified-since", "Sun, 06 Nov 1994 08:49:37", 200),
      ("if-unmodified-since", date, 200), ("if-unmodified-since", earlier, 412),
      ("if-unmodified-since", "x", 200), ("if-range", "\"a\"", 200), ("if-range", "\"b\"", -200),
      ("if-range", "W/\"a\"", -200), ("if-range", date, 200), ("if-range", later, -200),
    ] as [(String, String, Int)])
  func one(_ name: String, _ value: String, _ status: Int) {
    let expected: Conditions.Verdict =
      status == 304
      ? .notModified : status == 412 ? .failed : .perform(ranges: status > 0)
    #expect(judge([name: value]) == expected)
  }

  /// A tag's field makes that of the date count for nothing.
  @Test func order() {
    #expect(
      judge(["if-none-match": "\"b\"", "if-modified-since": date]) == .perform(ranges: true))
    #expect(judge(["if-match": "\"a\"", "if-unmodified-since": earlier]) == .perform(ranges: true))
    #expect(judge(["if-match": "\"b\"", "if-none-match": "\"a\""]) == .failed)
    #expect(judge(["if-none-match": "\"a\""], isRead: false) == .failed)
    #expect(judge(["if-modified-since": date], isRead: false) == .perform(ranges: true))
    #expect(judge([:]) == .perform(ranges: true))
  }

  @Test func makesTags() {
    let tag = written {
      EntityTag.append(seconds: 255, nanoseconds: 16, size: 1, suffix: "-g", to: &$0)
    }
    #expect(tag == "\"ff-10-1-g\"")
  }
}
