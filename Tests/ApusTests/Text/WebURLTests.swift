// WebURL: each vector of Vectors/urls.txt, which is a table of text, base and result, and
// what a table cannot say.

import Testing

@testable import Apus

struct URLVector: Sendable, CustomTestStringConvertible {
  let line: String
  let text: [UInt8]
  let base: [UInt8]?
  let mode: WebURL.Mode
  /// The URL, or a part of the sentence that says why there is none.
  let result: String?
  let reason: String

  var testDescription: String { line }

  static let all: [URLVector] = (try? load()) ?? []

  /// "text => URL", "text !! reason"; "base | text" with a base; "~" before all: lenient.
  static func load() throws -> [URLVector] {
    try SourceFiles.text("Vectors/urls.txt").split(separator: "\n").filter { $0.first != "#" }
      .map { line in
        let isLenient = line.hasPrefix("~")
        let body = isLenient ? line.dropFirst() : line
        let mark = body.contains(" => ") ? " => " : " !! "
        let sides = split(body, mark)
        guard sides.count == 2 else { throw Escapes.Mistake(text: String(line)) }
        let input = split(sides[0], " | ")
        return URLVector(
          line: String(line), text: try Escapes.decode(input[input.count - 1]),
          base: input.count == 2 ? try Escapes.decode(input[0]) : nil,
          mode: isLenient ? .lenient : .strict, result: mark == " => " ? String(sides[1]) : nil,
          reason: mark == " !! " ? String(sides[1]) : "")
      }
  }

  private static func split(_ text: Substring, _ mark: String) -> [Substring] {
    guard let range = text.firstRange(of: mark) else { return [text] }
    return [text[..<range.lowerBound], text[range.upperBound...]]
  }
}

@Suite struct WebURLTests {
  private func parsed(_ vector: URLVector) -> (url: String?, reason: String) {
    do throws(Failure) {
      guard let base = vector.base else {
        let url = try WebURL(vector.text.span, vector.mode)
        return (string(url.bytes), "")
      }
      let whole = try WebURL(base.span)
      let url = try WebURL(vector.text.span, at: whole, vector.mode)
      return (string(url.bytes), "")
    } catch {
      return (nil, error.message.text)
    }
  }

  @Test(arguments: URLVector.all)
  func givesItsURL(_ vector: URLVector) {
    let (url, reason) = parsed(vector)
    #expect(url == vector.result, "\(reason)")
    #expect(reason.contains(vector.reason))
    // What came out goes in as it is.
    guard let url else { return }
    let again = URLVector(
      line: "", text: Array(url.utf8), base: nil, mode: .lenient, result: nil, reason: "")
    #expect(parsed(again).url == url)
  }

  @Test func theVectorsAreThere() throws {
    let count = try URLVector.load().count
    #expect(count >= 200)
  }

  @Test func parts() throws(Failure) {
    let bytes = Array("HTTPS://us%65r:p%40ss:w@[2001:DB8:0::1]:8443/a/../b;c?d=e&f#g?h".utf8)
    let url = try WebURL(bytes.span)
    func part(_ range: Range<Int>) -> String { string(url.bytes.extracting(range)) }
    let parts = url.parts
    #expect(string(url.bytes) == "https://us%65r:p%40ss%3Aw@[2001:db8::1]:8443/b;c?d=e&f#g?h")
    #expect(url.scheme == .https && url.scheme.isSecure && !url.scheme.isWebSocket)
    #expect(part(parts.username) == "us%65r" && part(parts.password) == "p%40ss%3Aw")
    #expect(written { url.appendUsername(to: &$0) } == "user")
    #expect(written { url.appendPassword(to: &$0) } == "p@ss:w")
    #expect(part(parts.host) == "[2001:db8::1]" && part(parts.hostName) == "2001:db8::1")
    #expect(part(parts.authority) == "[2001:db8::1]:8443" && parts.port == 8443)
    #expect(part(parts.path) == "/b;c" && part(parts.query) == "d=e&f")
    #expect(part(parts.fragment) == "g?h" && parts.hasFragment && parts.hasQuery)
    #expect(part(parts.target) == "/b;c?d=e&f")
    #expect(
      part(parts.withoutFragment) == "https://us%65r:p%40ss%3Aw@[2001:db8::1]:8443/b;c?d=e&f")
    #expect(written { url.appendOrigin(to: &$0) } == "https://[2001:db8::1]:8443")
    #expect(written { url.appendPublic(to: &$0) } == "https://[2001:db8::1]:8443/b;c?d=e&f")
    let copy = try WebURL(copying: url)
    #expect(string(copy.bytes) == string(url.bytes))
  }

  /// Absent is not empty.
  @Test(arguments: [
    ("http://a", "/", false, false), ("http://a?", "/?", true, false),
    ("http://a#", "/", false, true), ("http://a?#", "/?", true, true),
    ("http://a/b?c#", "/b?c", true, true),
  ])
  func absentAndEmpty(_ text: String, _ target: String, _ query: Bool, _ fragment: Bool)
    throws(Failure)
  {
    let bytes = Array(text.utf8)
    let url = try WebURL(bytes.span)
    #expect(string(url.bytes.extracting(url.parts.target)) == target)
    #expect(url.parts.hasQuery == query && url.parts.hasFragment == fragment)
    // With a base, too.
    let other = Array("http://u@x:1/y?z#w".utf8)
    let base = try WebURL(other.span)
    let resolved = try WebURL(bytes.span, at: base)
    #expect(string(resolved.bytes) == string(url.bytes))
    #expect(!resolved.parts.hasCredentials && resolved.parts.port == 80)
    #expect(resolved.parts.hasQuery == query && resolved.parts.hasFragment == fragment)
  }

  /// The parts of what was resolved, by where they stand.
  @Test(arguments: [
    ("", "/y?z", "z"), ("#f", "/y?z", "z"), ("?q", "/y?q", "q"), ("p", "/p", ""),
    ("/p?", "/p?", ""), ("./", "/", ""), ("?", "/y?", ""),
  ])
  func partsOfReferences(_ text: String, _ target: String, _ query: String) throws(Failure) {
    let base = try WebURL(Array("http://u:p@[::1]:81/y?z#w".utf8).span)
    let url = try WebURL(Array(text.utf8).span, at: base)
    #expect(string(url.bytes.extracting(url.parts.target)) == target)
    #expect(string(url.bytes.extracting(url.parts.query)) == query)
    #expect(string(url.bytes.extracting(url.parts.authority)) == "[::1]:81")
    #expect(string(url.bytes.extracting(url.parts.username)) == "u")
    #expect(string(url.bytes.extracting(url.parts.password)) == "p")
    #expect(url.parts.hasFragment == text.contains("#"))
    let isSame = url.hasOrigin(of: base)
    #expect(isSame)
  }

  @Test(arguments: [
    ("http://a/b", "http://A:80/c?d", true), ("http://a", "https://a", false),
    ("http://a", "http://a:81", false), ("http://a", "http://b", false),
    ("http://u@a", "http://a", true), ("http://0x7f.1", "http://127.0.0.1", true),
    ("http://[::1]", "http://[0:0::1]", true), ("http://a", "http://a.", false),
    ("ws://a", "http://a", false), ("https://a:443/", "https://a", true),
  ])
  func origins(_ left: String, _ right: String, _ isSame: Bool) throws(Failure) {
    let left = try WebURL(Array(left.utf8).span)
    let right = try WebURL(Array(right.utf8).span)
    let found = [left.hasOrigin(of: right), right.hasOrigin(of: left)]
    #expect(found == [isSame, isSame])
  }

  @Test func hasALimit() {
    let front = "http://a/"
    let most = front + String(repeating: "x", count: WebURL.longest - front.utf8.count)
    func vector(_ text: String) -> URLVector {
      URLVector(
        line: "", text: Array(text.utf8), base: nil, mode: .strict, result: nil, reason: "")
    }
    #expect(parsed(vector(most)).url == most)
    #expect(parsed(vector(most + "x")).reason == "the URL is too long")
  }

  /// Every byte at each place never traps; what is taken is printable and stays as it is.
  @Test func everyByte() {
    let text = Array("ws://u:p@[::1]:80/a/%2e./b?c#d".utf8)
    let base = Array("http://x/y/z?w".utf8)
    for place in 0..<text.count {
      for byte in UInt8.min...UInt8.max {
        var changed = text
        changed[place] = byte
        for (bytes, base) in [(changed, nil), (Array(changed[place...]), base)] {
          let url = parsed(
            URLVector(
              line: "", text: bytes, base: base, mode: .lenient, result: nil, reason: "")
          ).url
          guard let url else { continue }
          #expect(url.utf8.allSatisfy { $0 > 32 && $0 < 127 })
          let again = URLVector(
            line: "", text: Array(url.utf8), base: nil, mode: .lenient, result: nil, reason: "")
          #expect(parsed(again).url == url)
        }
      }
    }
  }
}
