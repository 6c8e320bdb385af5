// The parser of forms: each vector at every split, the limits, and the boundary.

import Testing

@testable import Apus

@Suite struct MultipartParserTests {
  @Test func casesAreThere() throws {
    #expect(try FormCase.load().count == 84)
  }

  @Test(arguments: FormCase.all)
  func reads(_ one: FormCase) {
    #expect(one.run([one.body.count]) == one.log)
    var random = Random(seed: UInt64(one.body.count) &* 31 &+ UInt64(one.title.utf8.count))
    for split in Splits.of(one.body.count, &random) {
      let log = one.run(split)
      #expect(log == one.log, "split at \(split.prefix(20))")
      if log != one.log { break }
    }
  }

  @Test func hasALimitOfParts() {
    func log(_ parts: Int, most: Int) -> [String] {
      var run = FormRun("b", limits: MultipartParser.Limits(parts: most))
      let part = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n"
      for _ in 0..<parts { run.take(Array(part.utf8)) }
      run.take(Array("--b--\r\n".utf8))
      return run.finished()
    }
    #expect(log(3, most: 3).filter { $0 == "end" }.count == 3)
    #expect(log(3, most: 3).last == "end" && log(4, most: 3).last == "large")
    let most = MultipartParser.Limits().parts
    #expect(most == 1000 && log(1000, most: most).last == "end")
    #expect(log(1001, most: most).last == "large")
  }

  /// Content of line ends costs no more than other content, however it comes.
  @Test func keepsLittle() {
    var run = FormRun("b")
    run.take(Array("--b\r\nContent-Disposition: form-data; name=a\r\n\r\n".utf8))
    for _ in 0..<1000 { run.take(Array(repeating: 13, count: 100)) }
    run.take(Array("\r\n--b--".utf8))
    let log = run.finished()
    #expect(log.count == 3 && log[1].utf8.count == 5 + 2 * 100_000)
  }

  @Test(arguments: [
    ("application/x-www-form-urlencoded", "urlencoded"),
    ("Application/X-WWW-Form-Urlencoded ; charset=utf-8", "urlencoded"),
    ("multipart/form-data; boundary=abc", "abc"), ("MULTIPART/FORM-DATA;Boundary=\"a b\"", "a b"),
    ("multipart/form-data; a=b; boundary=\"'()+_,-./:=?\"; c=d", "'()+_,-./:=?"),
    ("multipart/form-data; boundary=abc;", "abc"), ("text/plain; boundary=abc", "other"),
    ("", "other"), ("multipart/mixed; boundary=a", "other"), ("multipart/form-data", "malformed"),
    ("multipart/form-data; boundary=", "malformed"),
    ("multipart/form-data; boundary=\"\"", "malformed"),
    ("multipart/form-data; boundary=\"a \"", "malformed"),
    ("multipart/form-data; boundary=a; boundary=a", "malformed"),
    ("multipart/form-data; boundary=a/b", "malformed"),
    ("multipart/form-data; boundary=\"a\\\"b\"", "malformed"),
    ("multipart/form-data; boundary=\"a;b\"", "malformed"),
    ("multipart/form-data; boundary=\"abc", "malformed"),
    ("multipart/form-data; boundary=a b", "malformed"),
    ("multipart/form-data; boundary=\u{E9}", "malformed"),
    ("multipart/form-data, boundary=a", "other"),
    ("multipart/form-data; boundary=" + String(repeating: "x", count: 71), "malformed"),
  ])
  func findsTheBoundary(_ field: String, _ expected: String) {
    let found: String = with(field) { bytes in
      switch FormType(bytes) {
      case .urlencoded: "urlencoded"
      case .other: "other"
      case .malformed: "malformed"
      case .multipart(let boundary): string(bytes.extracting(boundary))
      }
    }
    #expect(found == expected)
  }
}
