// Percent: paths, strictly; forms, as browsers do.

import Testing

@testable import Apus

@Suite struct PercentTests {
  private func path(_ text: String) -> String? {
    var buffer = ByteBuffer()
    let done = with(text) { Percent.decode(path: $0, to: &buffer) }
    return done ? string(buffer) : nil
  }

  private func form(_ text: String) -> [UInt8] {
    var buffer = ByteBuffer()
    with(text) { Percent.decode(form: $0, to: &buffer) }
    return array(buffer.bytes)
  }

  @Test(arguments: [
    ("", ""), ("/plain", "/plain"), ("/a%20b", "/a b"), ("%41%42", "AB"), ("%2f", "/"),
    ("%2F", "/"), ("%c3%A9", "\u{E9}"), ("%25", "%"), ("%2541", "%41"), ("a+b", "a+b"),
    ("%7e%7E", "~~"), ("%01", "\u{1}"),
  ])
  func decodesPaths(_ text: String, _ expected: String) { #expect(path(text) == expected) }

  @Test(arguments: [
    "%", "%2", "/a%", "/a%4", "%zz", "%4z", "%z4", "%00", "/a%00b", "%%41", "% 1", "%-1", "%0",
    "%/41", "%:0", "%@0", "%G0", "%`0", "%g0",
  ])
  func refusesPaths(_ text: String) { #expect(path(text) == nil) }

  @Test(arguments: [
    ("", ""), ("a+b", "a b"), ("a%20b", "a b"), ("%2B", "+"), ("100%", "100%"), ("%4", "%4"),
    ("%zz+", "%zz "), ("%%41", "%A"), ("%00", "\0"), ("%e2%82%ac", "\u{20AC}"),
  ])
  func decodesForms(_ text: String, _ expected: String) {
    #expect(form(text) == Array(expected.utf8))
  }

  /// A triplet of each byte in each case of its letters.
  @Test func everyTriplet() {
    for byte in UInt8.min...UInt8.max {
      let digits = String(byte, radix: 16)
      let padded = (digits.count == 1 ? "0" : "") + digits
      for text in ["%" + padded, "%" + padded.uppercased()] {
        #expect(form(text) == [byte])
        #expect(with(text) { Percent.triplet($0, at: 0) } == byte)
      }
    }
    #expect(with("a%4") { Percent.triplet($0, at: 1) } == nil)
    #expect(with("a%41") { Percent.triplet($0, at: 1) } == 0x41)
  }
}
