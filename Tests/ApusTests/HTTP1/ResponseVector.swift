// The vectors of Vectors/Responses, whose README.md says how they are written.

import Testing

@testable import Apus

struct ResponseVector: Sendable, CustomTestStringConvertible {
  struct Mistake: Error { let text: String }

  let title: String
  var request = RequestFacts()
  var limits = ResponseLimits()
  var showsFields = false
  var response: [UInt8] = []
  var log: [[UInt8]] = []

  var testDescription: String { title }

  static let all: [ResponseVector] = (try? load()) ?? []

  static func load() throws -> [ResponseVector] {
    let folder = "Vectors/Responses/"
    return try SourceFiles.names(in: folder, ending: ".txt").flatMap { name in
      try parse(SourceFiles.text(folder + name), file: String(name.dropLast(4)))
    }
  }

  private static func parse(_ text: String, file: String) throws -> [ResponseVector] {
    var vectors: [ResponseVector] = []
    for line in text.split(separator: "\n") {
      if line.hasPrefix("# ") {
        vectors.append(ResponseVector(title: "\(file): \(line.dropFirst(2))"))
        continue
      }
      guard let last = vectors.indices.last else { throw Mistake(text: "no title in \(file)") }
      if line.hasPrefix("> ") {
        for word in line.dropFirst(2).split(separator: " ") { try vectors[last].take(word) }
      } else if line.hasPrefix("< ") {
        vectors[last].response += try Escapes.decode(line.dropFirst(2))
      } else {
        vectors[last].log.append(try Escapes.decode(line))
      }
    }
    for vector in vectors where vector.log.isEmpty {
      throw Mistake(text: "\(vector.title): no log")
    }
    return vectors
  }

  private mutating func take(_ word: Substring) throws {
    switch word {
    case "HEAD": request.isHead = true
    case "CONNECT": request.isConnect = true
    case "expects": request.expectsContinue = true
    case "upgrades": request.asksForUpgrade = true
    case "show": showsFields = true
    default:
      let parts = word.split(separator: "=")
      guard parts.count == 2, let number = Int(parts[1]) else {
        throw Mistake(text: "\(title): \(word)")
      }
      switch parts[0] {
      case "head": limits.head = number
      case "fields": limits.fields = number
      case "interim": limits.interim = number
      case "trailers": limits.trailers = number
      case "body": limits.body = Int64(number)
      default: throw Mistake(text: "\(title): \(word)")
      }
    }
  }
}
