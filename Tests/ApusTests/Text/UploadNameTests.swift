// What is left of the names that clients give to files.

import Testing

@testable import Apus

@Suite struct UploadNameTests {
  @Test(arguments: [
    ("a.txt", "a.txt"), ("dir/a.txt", "a.txt"), ("/etc/passwd", "passwd"),
    ("../../a", "a"), ("C:\\dir\\a.txt", "a.txt"), ("C:a.txt", "a.txt"), ("c:/a", "a"),
    ("\\\\host\\share\\a", "a"), ("a/b\\c", "c"), ("...", "..."), (".profile", ".profile"),
    ("\u{20AC} x", "\u{20AC} x"), ("a:b", "b"), ("ab:c", "ab:c"), (" ", " "),
  ])
  func reduces(_ name: String, _ expected: String) {
    let kept: String? = with(name) { bytes in
      UploadName.reduced(bytes).map { string(bytes.extracting($0)) }
    }
    #expect(kept == expected)
  }

  @Test(arguments: [
    "", ".", "..", "/", "\\", "a/", "a\\", "a/..", "..\\..", "C:", "C:\\", "C:..", "a\0b", "a\0/b",
    "a\nb", "a\rb", "\u{1}", "a\u{7F}", String(repeating: "x", count: 256),
  ])
  func refuses(_ name: String) {
    let isRefused: Bool = with(name) { UploadName.reduced($0) == nil }
    #expect(isRefused)
  }

  @Test func hasALimit() {
    let isKept: Bool = with("d/" + String(repeating: "x", count: 255)) {
      UploadName.reduced($0) == 2..<257
    }
    #expect(isKept)
    #expect(with("a") { UploadName.isSafe($0) } && !with("a/b") { UploadName.isSafe($0) })
  }
}
