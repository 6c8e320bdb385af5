// Range fields against lengths: what is taken, what is ignored, what is unsatisfiable.

import Testing

@testable import Apus

private func ranges(_ value: String, of length: Int64) -> String {
  with(value) { value in
    let ranges = ByteRanges(value, of: length)
    var words: [String] = []
    for index in 0..<ranges.list.count {
      words.append("\(ranges.list[index].lowerBound)-\(ranges.list[index].upperBound - 1)")
    }
    switch ranges.outcome {
    case .whole: return words.isEmpty ? "whole" : "whole?"
    case .unsatisfiable: return words.isEmpty ? "unsatisfiable" : "unsatisfiable?"
    case .some: return words.joined(separator: " ") + " = \(ranges.length)"
    }
  }
}

@Suite struct ByteRangesTests {
  @Test(arguments: [
    ("bytes=0-0", "0-0 = 1"), ("bytes=0-99", "0-99 = 100"), ("bytes=0-", "0-99 = 100"),
    ("bytes=99-", "99-99 = 1"), ("bytes=-1", "99-99 = 1"), ("bytes=-100", "0-99 = 100"),
    ("bytes=-1000", "0-99 = 100"), ("BYTES=5-5", "5-5 = 1"), ("bytes=90-1000", "90-99 = 10"),
    ("bytes=0-9223372036854775807", "0-99 = 100"),
    ("bytes=0-99999999999999999999999999", "0-99 = 100"), ("bytes=007-008", "7-8 = 2"),
    ("bytes= 1-2 , 4-5", "1-2 4-5 = 4"), ("bytes=,,1-2,", "1-2 = 2"),
    ("bytes=50-59,0-9,-5", "50-59 0-9 95-99 = 25"), ("bytes=1-2,200-300", "1-2 = 2"),
  ])
  func takes(_ value: String, _ expected: String) { #expect(ranges(value, of: 100) == expected) }

  @Test(arguments: [
    "", "bytes", "bytes=", "bytes=-", "bytes=--1", "bytes=5-1", "bytes=a-b", "bytes=1", "=1-2",
    "bytes=1-2-3", "bytes 1-2", "chunks=0-1", "bytes=+1-2", "bytes=1 - 2", "bytes=0x1-2",
    "bytes=0-,0-,0-", "bytes=0-9,9-12", "bytes=0-0,bytes=1-1", "bytes=1-2,x", "bytes=1-2,5-4",
    "bytes=" + (0...16).map { "\($0 * 4)-\($0 * 4)" }.joined(separator: ","),
  ])
  func ignores(_ value: String) { #expect(ranges(value, of: 100) == "whole") }

  @Test func takesSixteen() {
    let value = "bytes=" + (0..<16).map { "\($0 * 4)-\($0 * 4)" }.joined(separator: ",")
    #expect(ranges(value, of: 100).hasSuffix("= 16"))
  }

  @Test(
    arguments: [
      ("bytes=100-", 100), ("bytes=100-200", 100), ("bytes=-0", 100), ("bytes=0-0", 0),
      ("bytes=18446744073709551615-18446744073709551616", 100), ("bytes=200-,300-", 100),
      ("bytes=0-", 0),
    ] as [(String, Int64)])
  func cannotSatisfy(_ value: String, _ length: Int64) {
    #expect(ranges(value, of: length) == "unsatisfiable")
  }

  @Test func allOfNothing() { #expect(ranges("bytes=-5", of: 0) == "whole") }

  @Test func writesParts() {
    let type = Array("text/plain".utf8)
    let boundary = Array("B".utf8)
    let text = written { buffer in
      ByteRanges.append(
        part: 0..<2, of: 9, type: type.span, boundary: boundary.span, isFirst: true, to: &buffer)
      buffer.append("xx")
      ByteRanges.append(
        part: 4..<5, of: 9, type: Bytes(), boundary: boundary.span, isFirst: false, to: &buffer)
      buffer.append("y")
      ByteRanges.append(end: boundary.span, to: &buffer)
    }
    #expect(
      text == "--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/9\r\n\r\nxx"
        + "\r\n--B\r\nContent-Range: bytes 4-4/9\r\n\r\ny\r\n--B--\r\n")
    #expect(written { ByteRanges.append(nil, of: 7, to: &$0) } == "bytes */7")
  }
}
