// Bodies of multipart/form-data, byte by byte.

import Testing

@testable import Apus

private func add(_ writer: inout MultipartWriter, _ name: String, _ value: String) throws {
  let (name, value) = (Array(name.utf8), Array(value.utf8))
  try writer.add(name: name.span, value: value.span)
}

private func addFile(
  _ writer: inout MultipartWriter, _ name: String, _ file: String, _ type: String = "",
  length: Int64
) throws -> Int {
  let (name, file, type) = (Array(name.utf8), Array(file.utf8), Array(type.utf8))
  return try writer.addFile(
    name: name.span, fileName: file.span, contentType: type.span, length: length)
}

private func writer(_ boundary: String) throws -> MultipartWriter {
  let bytes = Array(boundary.utf8)
  return try MultipartWriter(boundary: bytes.span)
}

/// The body with these contents of its parts.
private func body(_ writer: inout MultipartWriter, _ contents: [String]) -> String {
  var text = ""
  while true {
    switch writer.next() {
    case .framing(let range): text += string(writer.framing(range))
    case .content(let part): text += contents[part]
    case .end: return text
    }
  }
}

private func crlf(_ text: String) -> String {
  text.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\r\n")
}

@Suite struct MultipartWriterTests {
  @Test func writesFieldsAndFiles() throws {
    var form = try writer("AaB03x")
    try add(&form, "title", "two\nlines")
    let first = try addFile(&form, "a", "a.html", length: 5)
    try add(&form, "", "")
    let second = try addFile(&form, "b", "b", "text/plain; charset=utf-8", length: 0)
    #expect(first == 0 && second == 1)
    try form.close()
    let expected =
      crlf(
        """
        --AaB03x
        Content-Disposition: form-data; name="title"

        two<LF>lines
        --AaB03x
        Content-Disposition: form-data; name="a"; filename="a.html"
        Content-Type: text/html

        <i>!<
        --AaB03x
        Content-Disposition: form-data; name=""

        --AaB03x
        Content-Disposition: form-data; name="b"; filename="b"
        Content-Type: text/plain; charset=utf-8


        --AaB03x--

        """
      ).split(separator: "<LF>").joined(separator: "\n")
    let text = body(&form, ["<i>!<", ""])
    // The empty value of the third has its own line end.
    let third = "name=\"\"\r\n\r\n"
    #expect(text == expected.replacing(third, with: third + "\r\n"))
    let length = form.length
    #expect(length == Int64(text.utf8.count))
    let isOver = form.next() == .end
    form.rewind()
    #expect(isOver && body(&form, ["<i>!<", ""]) == text)
  }

  @Test func anEmptyFormIsItsEnd() throws {
    var form = try writer("x")
    #expect(form.next() == .end && form.length == nil)
    try form.close()
    try form.close()
    #expect(form.length == 7)
    #expect(body(&form, []) == "--x--\r\n")
  }

  @Test func nothingIsAddedBehindTheEnd() throws {
    var form = try writer("x")
    try form.close()
    var codes: [Code] = []
    do { try add(&form, "a", "b") } catch let failure as Failure { codes.append(failure.code) }
    do { _ = try addFile(&form, "a", "b", length: 1) } catch let failure as Failure {
      codes.append(failure.code)
    }
    #expect(codes == [.state, .state] && form.length == 7)
  }

  @Test(arguments: [
    ("a\"b", "a%22b"), ("a\r\nb", "a%0D%0Ab"), ("\r", "%0D"), ("%22", "%22"), ("a\\b", "a\\b"),
    ("a\\", "a\\"),
    ("\u{E9}", "\u{E9}"), ("a'b;c=d", "a'b;c=d"), ("../x", "../x"),
  ])
  func escapes(_ name: String, _ expected: String) throws {
    var form = try writer("x")
    _ = try addFile(&form, name, name, length: 0)
    try form.close()
    #expect(
      body(&form, [""]).hasPrefix(
        "--x\r\nContent-Disposition: form-data; name=\"\(expected)\"; filename=\"\(expected)\"\r\n")
    )
  }

  @Test func lengthsMayBeUnknown() throws {
    for (lengths, expected) in [
      ([3, 4], 7), ([-1, 4], nil), ([3, -1], nil), ([.max, 1], nil), ([0, 0], 0),
    ] as [([Int64], Int64?)] {
      var form = try writer("x")
      for length in lengths { _ = try addFile(&form, "n", "f", length: length) }
      try form.close()
      let framing = Int64(body(&form, ["", ""]).utf8.count)
      let length = form.length
      #expect(length == expected.map { $0 + framing })
    }
  }

  @Test func refuses() throws {
    for (name, file, type, length) in [
      ("a\0", "f", "", 1), ("a", "f\0", "", 1), ("a", "f", "x\r\ny: z", 1), ("a", "f", "\0", 1),
      ("a", "f", "", -2), (String(repeating: "a", count: 65_537), "f", "", 1),
      ("a", String(repeating: "f", count: 65_537), "", 1),
      ("a", "f", String(repeating: "t", count: 1025), 1),
    ] as [(String, String, String, Int64)] {
      var form = try writer("x")
      let isRefused =
        (try? addFile(&form, name, file, type, length: length)) == nil
      try form.close()
      #expect(isRefused && form.length == 7)
    }
  }

  @Test func hasALimit() throws {
    var form = try writer("x")
    for _ in 0..<MultipartWriter.most { try add(&form, "a", "b") }
    let isRefused = (try? add(&form, "a", "b")) == nil
    #expect(isRefused)
  }

  @Test(arguments: [
    ("x", "x"), ("a.b-c_d+e'f", "a.b-c_d+e'f"), ("a:b", "\"a:b\""), ("(a)", "\"(a)\""),
    ("a/b=c?d,", "\"a/b=c?d,\""),
  ])
  func saysItsBoundary(_ boundary: String, _ expected: String) throws {
    let form = try writer(boundary)
    let text = written { form.appendContentType(to: &$0) }
    #expect(text == "multipart/form-data; boundary=" + expected)
  }

  @Test(arguments: ["", " ", "a b", "a\"", "a\\", "a\r", "a;", "a\u{E9}", "a\0"])
  func refusesBoundaries(_ boundary: String) {
    let isRefused: Bool
    do {
      _ = try writer(boundary)
      isRefused = false
    } catch {
      isRefused = true
    }
    #expect(isRefused)
  }

  @Test func boundariesHaveLimits() throws {
    _ = try writer(String(repeating: "a", count: 70))
    refusesBoundaries(String(repeating: "a", count: 71))
    for count in [0, 1, 16, 23, 1000] {
      let random = [UInt8](repeating: 0x9F, count: count)
      let text = written { MultipartWriter.appendBoundary(random: random.span, to: &$0) }
      #expect(
        text == String(repeating: "-", count: 24) + String(repeating: "pj", count: min(count, 23)))
      _ = try writer(text)
    }
  }
}
