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

  private static let all = (32...126).map { String(UnicodeScalar(UInt8($0))) }.joined()

  /// What each set keeps of the printable characters.
  @Test(arguments: [
    (PercentSet.component, "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"),
    (.path, "!$&'()*+,-./0123456789:;=@ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"),
    (.query, "!$&'()*+,-./0123456789:;=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"),
    (.form, "*-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"),
    (.urlPath, without(##" "#<>?^`{}"##)), (.urlQuery, without(##" "#<>'"##)),
    (.urlFragment, without(##" "<>`"##)), (.urlUser, without(##" "#<>?^`{}/:;=@[\]|"##)),
  ])
  func sets(_ set: PercentSet, _ kept: String) {
    let found = (UInt8.min...UInt8.max).filter { set.keeps($0) }
    #expect(String(decoding: found, as: UTF8.self) == kept)
  }

  private static func without(_ characters: String) -> String {
    all.filter { !characters.contains($0) }
  }

  @Test(arguments: [
    (PercentSet.component, "a b/\u{E9}%", "a%20b%2F%C3%A9%25"), (.path, "a b/c?d", "a%20b/c%3Fd"),
    (.query, "a=b&c d?#", "a=b&c%20d?%23"), (.form, "a b+c&~", "a+b%2Bc%26%7E"),
    (.component, "", ""), (.component, "\u{0}\u{7F}", "%00%7F"),
  ])
  func encodes(_ set: PercentSet, _ text: String, _ expected: String) {
    let found = with(text) { bytes in written { Percent.encode(bytes, set, to: &$0) } }
    #expect(found == expected)
  }

  @Test(arguments: [
    ("a%20b", "a b", "a b"), ("%C3%a9+", "\u{E9}+", "\u{E9}+"), ("%00", "\u{0}", "\u{0}"),
    ("%", nil, "%"), ("a%2", nil, "a%2"), ("%zz%41", nil, "%zzA"), ("", "", ""),
    ("%%41", nil, "%A"),
  ])
  func decodes(_ text: String, _ strictly: String?, _ leniently: String) {
    var buffer = ByteBuffer()
    let isSound = with(text) { Percent.decode($0, to: &buffer) }
    #expect(isSound == (strictly != nil))
    let decoded = string(buffer)
    if let strictly { #expect(decoded == strictly) }
    #expect(
      with(text) { bytes in written { Percent.decodeLeniently(bytes, to: &$0) } } == leniently)
  }
}
