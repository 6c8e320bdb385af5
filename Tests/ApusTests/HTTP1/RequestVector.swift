// A vector: bytes that a peer sends, and the log of what the machine makes of
// them. How they are written: Vectors/README.md.

import Testing

@testable import Apus

struct RequestVector: CustomTestStringConvertible, Sendable {
  let file: String
  let title: String
  var limits = RequestLimits()
  var request: [UInt8] = []
  var log: [[UInt8]] = []

  var testDescription: String { "\(file): \(title)" }

  struct Mistake: Error { let text: String }

  /// All vectors, or nothing if one can't be read; `RequestVectorTests` says why.
  static let all: [RequestVector] = (try? load()) ?? []

  static func load() throws -> [RequestVector] {
    try SourceFiles.names(in: "Vectors", ending: ".md").filter { $0 != "README.md" }
      .flatMap { try parse($0, SourceFiles.text("Vectors/" + $0)) }
  }

  private static func parse(_ file: String, _ text: String) throws -> [RequestVector] {
    var vectors: [RequestVector] = []
    var block: Substring? = nil
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("```") {
        block = block == nil ? line.dropFirst(3) : nil
      } else if block == nil, line.hasPrefix("## ") {
        vectors.append(RequestVector(file: file, title: String(line.dropFirst(3))))
      } else if block == nil, line.hasPrefix("Limits: ") {
        try vectors[vectors.count - 1].takeLimits(line.dropFirst(8))
      } else if block == "request" {
        vectors[vectors.count - 1].request += try Escapes.decode(line)
      } else if block == "log" {
        vectors[vectors.count - 1].log.append(try Escapes.decode(line))
      }
    }
    for vector in vectors where vector.request.isEmpty || vector.log.isEmpty {
      throw Mistake(text: "\(file), \(vector.title): no request or no log")
    }
    return vectors
  }

  /// "request line 20, head 100, fields 3, body 10."
  private mutating func takeLimits(_ text: Substring) throws {
    for part in text.filter({ $0 != "." }).split(separator: ",") {
      let words = part.split(separator: " ")
      guard let last = words.last, let number = Int(last) else {
        throw Mistake(text: "limits of \(title)")
      }
      switch words.dropLast().joined(separator: " ") {
      case "request line": limits.requestLine = number
      case "head": limits.head = number
      case "fields": limits.fields = number
      case "body": limits.body = Int64(number)
      default: throw Mistake(text: "unknown limit in \(title): \(part)")
      }
    }
  }
}
