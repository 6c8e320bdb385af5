// Cases for the parser of forms, as data: Vectors/Multipart/forms.txt says how.

import Testing

@testable import Apus

struct FormCase: CustomTestStringConvertible, Sendable {
  struct Mistake: Error { let text: String }

  let title: String
  var boundary = ""
  var body: [UInt8] = []
  var log: [String] = []

  var testDescription: String { title }

  /// All cases, or nothing if one can't be read; a test counts them.
  static let all: [FormCase] = (try? load()) ?? []

  static func load() throws -> [FormCase] {
    var cases: [FormCase] = []
    for line in try SourceFiles.text("Vectors/Multipart/forms.txt").split(separator: "\n") {
      if line.hasPrefix("## ") {
        cases.append(FormCase(title: String(line.dropFirst(3))))
        continue
      }
      if line.hasPrefix("#") { continue }
      guard !cases.isEmpty, line.dropFirst().first == " " else { throw Mistake(text: String(line)) }
      let last = cases.count - 1
      switch line.first {
      case "=": cases[last].boundary = String(line.dropFirst(2))
      case "<": cases[last].body += try Escapes.decode(line.dropFirst(2))
      case ">": cases[last].log.append(try expanded(line.dropFirst(2)))
      default: throw Mistake(text: String(line))
      }
    }
    return cases
  }

  /// As `Escapes` would write it.
  private static func expanded(_ text: Substring) throws -> String {
    FormRun.text(try Escapes.decode(text))
  }

  /// What the parser says of the body in pieces that end at these places.
  func run(_ ends: [Int]) -> [String] {
    var run = FormRun(boundary)
    var start = 0
    for end in ends {
      run.take(Array(body[start..<end]))
      start = end
    }
    return run.finished()
  }
}

/// A parser with a caller that keeps what it does not take.
struct FormRun: ~Copyable {
  private var parser: MultipartParser
  private var rest: [UInt8] = []
  private var log: [String] = []
  private var data: [UInt8] = []
  private var isOver = false

  init(_ boundary: String, limits: MultipartParser.Limits = MultipartParser.Limits()) {
    let bytes = Array(boundary.utf8)
    parser = MultipartParser(boundary: bytes.span, limits: limits)
  }

  /// Without the repetitions of `Escapes.encode`.
  static func text(_ bytes: [UInt8]) -> String {
    bytes.map { Escapes.encode([$0]) }.joined()
  }

  private static func text(_ buffer: borrowing ByteBuffer) -> String {
    text(array(buffer.bytes))
  }

  mutating func take(_ piece: [UInt8]) {
    rest += piece
    let bytes = rest
    var index = 0
    while !isOver {
      switch parser.next(bytes.span, at: &index) {
      case .more:
        rest.removeFirst(index)
        return
      case .part:
        let file = parser.head.isFile ? FormRun.text(parser.head.fileName) : "-"
        let name = FormRun.text(parser.head.name)
        log.append("part|\(name)|\(file)|\(FormRun.text(parser.head.type))")
      case .content(let range):
        data += bytes[range]
      case .partEnd:
        endData()
        log.append("end")
      case .refused(let problem):
        endData()
        log.append(problem.isSize ? "large" : "malformed")
        isOver = true
      }
    }
  }

  private mutating func endData() {
    if !data.isEmpty { log.append("data|" + FormRun.text(data)) }
    data = []
  }

  mutating func finished() -> [String] {
    endData()
    if !isOver, !parser.isComplete || !rest.isEmpty { log.append("short") }
    return log
  }
}
