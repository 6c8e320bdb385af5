// Cases for the cookie jar, as data: Vectors/Client/cookies.txt says how.

import Testing

@testable import Apus

struct CookieCase: CustomTestStringConvertible, Sendable {
  enum Step: Sendable {
    case set(TestURL, [UInt8])
    case send(TestURL, [UInt8])
    case clock(Int64)
    case count(Int)
  }

  struct Mistake: Error { let text: String }

  let title: String
  var steps: [Step] = []

  var testDescription: String { title }

  /// All cases, or nothing if one can't be read; a test counts them.
  static let all: [CookieCase] = (try? load()) ?? []

  static func load() throws -> [CookieCase] {
    var cases: [CookieCase] = []
    let text = try SourceFiles.text("Vectors/Client/cookies.txt")
    for line in text.split(separator: "\n") {
      if line.hasPrefix("## ") {
        cases.append(CookieCase(title: String(line.dropFirst(3))))
        continue
      }
      if line.hasPrefix("# ") { continue }
      guard !cases.isEmpty, line.dropFirst().first == " " else { throw Mistake(text: String(line)) }
      cases[cases.count - 1].steps.append(try step(line.first, line.dropFirst(2)))
    }
    return cases
  }

  private static func url(_ text: Substring) throws -> TestURL {
    TestURL(String(decoding: try Escapes.decode(text), as: UTF8.self))
  }

  private static func step(_ kind: Character?, _ rest: Substring) throws -> Step {
    let parts = rest.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
    switch kind {
    case "<" where parts.count == 2:
      return .set(try url(parts[0]), try Escapes.decode(parts[1]))
    case ">" where parts.count == 2:
      return .send(try url(parts[0]), parts[1] == "-" ? [] : try Escapes.decode(parts[1]))
    case "@": if let number = Int64(rest) { return .clock(number) }
    case "=": if let number = Int(rest) { return .count(number) }
    default: break
    }
    throw Mistake(text: String(rest))
  }
}

/// What the jar wants of a URL.
struct TestURL: Sendable {
  let isSecure: Bool
  let host: [UInt8]
  let path: [UInt8]

  init(_ text: some StringProtocol) {
    isSecure = text.hasPrefix("https:")
    let rest = text.drop { $0 != "/" }.dropFirst(2)
    host = Array(rest.prefix { $0 != "/" }.utf8)
    path = Array(rest.drop { $0 != "/" }.utf8)
  }
}

extension CookieJar {
  mutating func set(_ url: TestURL, _ field: [UInt8], index: Int = 0, now: Int64 = 1000) -> Outcome
  {
    take(
      field.span, index: index, host: url.host.span, path: url.path.span, isSecure: url.isSecure,
      now: now)
  }

  mutating func set(_ url: String, _ field: String, index: Int = 0, now: Int64 = 1000) -> Outcome {
    set(TestURL(url), Array(field.utf8), index: index, now: now)
  }

  mutating func field(_ url: TestURL, now: Int64 = 1000) -> [UInt8] {
    var buffer = ByteBuffer()
    _ = appendCookies(
      to: &buffer, host: url.host.span, path: url.path.span, isSecure: url.isSecure, now: now)
    return array(buffer.bytes)
  }

  mutating func field(_ url: String, now: Int64 = 1000) -> String {
    String(decoding: field(TestURL(url), now: now), as: UTF8.self)
  }

  mutating func exported(now: Int64 = 1000) -> String {
    var buffer = ByteBuffer()
    exportLines(to: &buffer, now: now)
    return string(buffer)
  }
}

extension CookieJar.Outcome {
  var isStored: Bool { if case .stored = self { true } else { false } }
}
