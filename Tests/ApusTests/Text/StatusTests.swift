// Status: reason phrases.

import Testing

@testable import Apus

@Suite struct StatusTests {
  @Test(arguments: [
    (100, "Continue"), (101, "Switching Protocols"), (102, "Processing"), (103, "Early Hints"),
    (200, "OK"), (201, "Created"), (204, "No Content"), (206, "Partial Content"),
    (226, "IM Used"), (301, "Moved Permanently"), (304, "Not Modified"),
    (307, "Temporary Redirect"), (308, "Permanent Redirect"), (400, "Bad Request"),
    (404, "Not Found"), (405, "Method Not Allowed"), (408, "Request Timeout"),
    (413, "Content Too Large"), (414, "URI Too Long"), (417, "Expectation Failed"),
    (418, "I'm a teapot"), (422, "Unprocessable Content"), (426, "Upgrade Required"),
    (431, "Request Header Fields Too Large"), (451, "Unavailable For Legal Reasons"),
    (500, "Internal Server Error"), (501, "Not Implemented"), (503, "Service Unavailable"),
    (505, "HTTP Version Not Supported"), (511, "Network Authentication Required"),
  ])
  func reason(_ code: Int, _ reason: String) {
    #expect(Status.reason(Int32(code))?.text == reason)
  }

  @Test func codesWithoutAPhraseHaveAnEmptyOne() {
    for code in [105, 199, 209, 299, 309, 399, 419, 430, 498, 509, 598] as [Int32] {
      #expect(Status.reason(code)?.text == "")
    }
  }

  @Test func codesThatAreNoneHaveNoPhrase() {
    for code in [.min, -1, 0, 99, 600, 999, .max] as [Int32] {
      #expect(Status.reason(code) == nil)
    }
    for code in 100...599 as ClosedRange<Int32> { #expect(Status.reason(code) != nil) }
  }

  /// A phrase stands on the status line: RFC 9112 §4.
  @Test func phrasesCanStandOnALine() {
    for code in 100...599 as ClosedRange<Int32> {
      let reason = Status.reason(code)?.text ?? "\n"
      #expect(with(reason) { $0.isFieldValue }, "\(code)")
    }
  }

  @Test func repliesWithoutContent() {
    let without = (100...599 as ClosedRange<Int32>).filter { Status.hasNoContent($0) }
    #expect(without == Array(100...199) + [204, 304])
  }
}
