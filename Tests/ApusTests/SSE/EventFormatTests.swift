// EventFormat: what goes out for an event, a time and a comment, and what is refused.

import Testing

@testable import Apus

@Suite struct EventFormatTests {
  private func event(_ name: String?, _ id: String?, _ data: [UInt8]) -> String {
    var output = ByteBuffer()
    output.append("before ")
    let (name, id) = (name.map { Array($0.utf8) }, id.map { Array($0.utf8) })
    do throws(Failure) {
      try EventFormat.append(name: name?.span, id: id?.span, data: data.span, to: &output)
    } catch {
      #expect(string(output) == "before ")
      return error.code.name.text
    }
    return String(string(output).dropFirst(7))
  }

  private func event(_ name: String?, _ id: String?, _ data: String) -> String {
    event(name, id, Array(data.utf8))
  }

  @Test func events() {
    #expect(event(nil, nil, "hello") == "data: hello\n\n")
    #expect(event(nil, nil, "") == "data:\n\n")
    #expect(event("", nil, "x") == "data: x\n\n")
    #expect(event("add", "7", "x") == "id: 7\nevent: add\ndata: x\n\n")
    #expect(event(nil, "", "x") == "id:\ndata: x\n\n")
    #expect(event(" a", " b", " c") == "id:  b\nevent:  a\ndata:  c\n\n")
    #expect(event(nil, nil, ":x") == "data: :x\n\n")
  }

  @Test func linesOfData() {
    #expect(event(nil, nil, "a\nb") == "data: a\ndata: b\n\n")
    #expect(event(nil, nil, "a\rb") == "data: a\ndata: b\n\n")
    #expect(event(nil, nil, "a\r\nb") == "data: a\ndata: b\n\n")
    #expect(event(nil, nil, "a\n\rb") == "data: a\ndata:\ndata: b\n\n")
    #expect(event(nil, nil, "a\r") == "data: a\ndata:\n\n")
    #expect(event(nil, nil, "\n") == "data:\ndata:\n\n")
    #expect(event(nil, nil, "a\n\ndata: forged") == "data: a\ndata:\ndata: data: forged\n\n")
    #expect(event(nil, nil, "a\0b\u{2028}c") == "data: a\0b\u{2028}c\n\n")
  }

  @Test func whatIsRefused() {
    for text in ["a\nb", "a\rb", "\n", "a\0", "\r\n"] {
      #expect(event(text, nil, "x") == "APUS_E_ARGUMENT")
      #expect(event(nil, text, "x") == "APUS_E_ARGUMENT")
    }
    #expect(event(nil, nil, [0xFF]) == "APUS_E_ARGUMENT")
    #expect(event(nil, nil, [0x61, 0xE2, 0x82]) == "APUS_E_ARGUMENT")
  }

  @Test func timesAndComments() throws {
    var output = ByteBuffer()
    try EventFormat.append(retry: 0, to: &output)
    try EventFormat.append(retry: 86_400_000, to: &output)
    #expect(throws: Failure.self) { try EventFormat.append(retry: -1, to: &output) }
    #expect(string(output) == "retry: 0\n\nretry: 86400000\n\n")
    output.clear()
    let comments = ["", "x", "a\r\ndata: b\n"].map { Array($0.utf8) }
    for comment in comments { try EventFormat.append(comment: comment.span, to: &output) }
    #expect(string(output) == ":\n\n: x\n\n: a\n: data: b\n:\n\n")
    let wrong: [UInt8] = [0xC0]
    #expect(throws: Failure.self) { try EventFormat.append(comment: wrong.span, to: &output) }
  }
}
