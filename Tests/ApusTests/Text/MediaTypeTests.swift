// Media types by extensions.

import Testing

@testable import Apus

private func type(_ name: String) -> String {
  with(name) { name in
    let type = MediaType.of(fileName: name)
    // A NUL stands behind it.
    return unsafe String(cString: type.characters) + (unsafe type.start[type.count] == 0 ? "" : "!")
  }
}

@Suite struct MediaTypeTests {
  @Test(arguments: [
    ("index.html", "text/html"), ("a.htm", "text/html"), ("A.HTML", "text/html"),
    ("a.css", "text/css"), ("a.js", "text/javascript"), ("a.mjs", "text/javascript"),
    ("a.min.js", "text/javascript"), ("/x.y/a.png", "image/png"), ("a.JPG", "image/jpeg"),
    ("a.svg", "image/svg+xml"), ("a.json", "application/json"), ("a.wasm", "application/wasm"),
    ("a.woff2", "font/woff2"), ("a.woff", "font/woff"), ("a.mp4", "video/mp4"),
    ("a.tar.gz", "application/gzip"), ("a.7z", "application/x-7z-compressed"),
    ("a.eml", "message/rfc822"), ("a.sqlite3", "application/vnd.sqlite3"), ("a.txt", "text/plain"),
    ("a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("..html", "text/html"), ("a..html", "text/html"), (" .html", "text/html"),
  ])
  func knows(_ name: String, _ expected: String) { #expect(type(name) == expected) }

  @Test(arguments: [
    "", ".", "..", "/", "a", "a.", "html", ".html", "x/.html", "x/html", "a.html/", "a.html/b",
    "a.htmlx", "a.htm l", "a. html", "a.html ", "a.h", "a.\0", "a.text/html", "a.html htm",
    "a.\u{E9}", "a.12345678901234567",
  ])
  func doesNotKnow(_ name: String) { #expect(type(name) == "application/octet-stream") }

  /// Each extension of the table is found, and stands there once.
  @Test func findsAll() throws {
    let source = try SourceFiles.text("../../Sources/Apus/Text/MediaType.swift")
    let lines = source.split(separator: "\n").filter { $0.contains("\\0") }
    #expect(lines.count > 90)
    var seen: Set<String> = []
    for line in lines {
      let words = line.split(separator: " ").map(String.init)
      try #require(words.count >= 2 && words[0].hasSuffix("\\0"))
      for name in words.dropFirst() {
        #expect(type("a." + name) == words[0].dropLast(2) && seen.insert(name).inserted, "\(name)")
      }
    }
    #expect(seen.count > 110)
  }
}
