// EventParser: each case of Vectors/SSE/events.txt, split at each place.

import Testing

@testable import Apus

@Suite struct EventParserTests {
  struct Case: CustomTestStringConvertible, Sendable {
    struct Mistake: Error { let text: String }

    let title: String
    var bytes: [UInt8] = []
    var line = 1024 * 1024
    var data = 1024 * 1024
    var log: [[UInt8]] = []
    var lastID: [UInt8]?

    var testDescription: String { title }

    static let all: [Case] = (try? load()) ?? []

    static func load() throws -> [Case] {
      var cases: [Case] = []
      let text = try SourceFiles.text("Vectors/SSE/events.txt")
      for line in text.split(separator: "\n") {
        if line.hasPrefix("## ") {
          cases.append(Case(title: String(line.dropFirst(3))))
        } else if !line.hasPrefix("# ") {
          guard !cases.isEmpty, line.dropFirst().first == " " else {
            throw Mistake(text: String(line))
          }
          try cases[cases.count - 1].take(line.first, line.dropFirst(2))
        }
      }
      return cases
    }

    private mutating func take(_ kind: Character?, _ rest: Substring) throws {
      switch kind {
      case "<": bytes += try Escapes.decode(rest)
      case "%":
        let numbers = rest.split(separator: " ").compactMap { Int($0) }
        guard numbers.count == 2 else { throw Mistake(text: String(rest)) }
        (line, data) = (numbers[0], numbers[1])
      case ">", "~", "!": log.append(try Escapes.decode("\(kind ?? " ") \(rest)"))
      case "=": lastID = try Escapes.decode(rest)
      default: throw Mistake(text: String(rest))
      }
    }
  }

  /// What the pieces of a stream make of a parser.
  private func run(_ bytes: [UInt8], _ ends: [Int], _ parser: inout EventParser) -> [[UInt8]] {
    var log: [[UInt8]] = []
    var start = 0
    do throws(Failure) {
      for end in ends {
        let piece = Array(bytes[start..<end])
        start = end
        var index = 0
        var step = try parser.next(piece.span, at: &index)
        while step != .more {
          switch step {
          case .event:
            let (type, id) = (array(parser.type.bytes), array(parser.lastID.bytes))
            let parts = [type, id, array(parser.data.bytes)]
            log.append(Array("> ".utf8) + Array(parts.joined(separator: Array(" | ".utf8))))
          case .retry(let time): log.append(Array("~ \(time)".utf8))
          case .more: break
          }
          step = try parser.next(piece.span, at: &index)
        }
        #expect(index == piece.count)
      }
    } catch {
      log.append(Array("! \(error.code.name.text.dropFirst(7))".utf8))
    }
    return log
  }

  @Test func canBeRead() throws {
    let cases = try Case.load()
    #expect(cases.count >= 70)
    #expect(Set(cases.map(\.title)).count == cases.count)
  }

  @Test(arguments: Case.all) func everySplit(_ vector: Case) {
    var random = Random(seed: 7)
    let splits = [[vector.bytes.count]] + Splits.of(vector.bytes.count, &random)
    for ends in splits {
      var parser = EventParser()
      parser.limits.line = vector.line
      parser.limits.data = vector.data
      let log = run(vector.bytes, ends, &parser)
      #expect(log == vector.log, "\(Splits.difference(log, vector.log)) split at \(ends)")
      if let id = vector.lastID { #expect(array(parser.lastID.bytes) == id) }
      if log != vector.log { return }
    }
  }

  @Test func anotherConnection() {
    var parser = EventParser()
    let first = Array("\u{FEFF}id: 1\ndata: a\n\nid: 2\nevent: x\ndata: lost\r".utf8)
    #expect(run(first, [first.count], &parser) == [Array("> message | 1 | a".utf8)])
    parser.restart()
    let second = Array("\n\u{FEFF}data: b\n\n\u{FEFF}".utf8)
    #expect(run(second, [second.count], &parser) == [])
    parser.restart()
    let third = Array("\u{FEFF}data: c\n\n".utf8)
    #expect(run(third, [third.count], &parser) == [Array("> message | 1 | c".utf8)])
    #expect(with("given") { parser.set(lastID: $0) } == true)
    #expect(string(parser.lastID) == "given")
  }

  /// One that would take more than events do is none, as it came or once it is repaired.
  @Test(arguments: [("a", 4096, 4096), ("a", 4097, 1), ("\u{FF}", 1365, 4095), ("\u{FF}", 1366, 1)])
  func longID(_ letter: Character, _ count: Int, _ expected: Int) {
    var parser = EventParser()
    let byte = UInt8(truncatingIfNeeded: letter.unicodeScalars.first?.value ?? 0)
    let start = Array("id: 1\ndata\n\nid: ".utf8)
    let bytes = start + [UInt8](repeating: byte, count: count) + Array("\ndata\n\n".utf8)
    #expect(run(bytes, [bytes.count], &parser).count == 2)
    #expect(parser.lastID.count == expected)
  }

  /// What a server writes is what a client reads.
  @Test func roundTrip() {
    var random = Random(seed: 11)
    let letters = Array("ab:é \u{1F426}".unicodeScalars)
    for _ in 0..<500 {
      func word(_ count: Int) -> String {
        (0..<count).map { _ in String(letters.randomElement(using: &random) ?? "a") }.joined()
      }
      let name = word(Int.random(in: 1...5, using: &random))
      let id = word(Int.random(in: 1...5, using: &random))
      let lines = (0..<Int.random(in: 1...4, using: &random)).map { _ in
        word(Int.random(in: 0...6, using: &random))
      }
      let ends = ["\n", "\r", "\r\n"]
      let end = ends.randomElement(using: &random) ?? "\n"
      var output = ByteBuffer()
      let data = lines.joined(separator: end)
      let isWritten =
        with(name) { name in
          with(id) { id in
            with(data) { data in
              do throws(Failure) {
                try EventFormat.append(name: name, id: id, data: data, to: &output)
                return true
              } catch {
                return false
              }
            }
          }
        }
      #expect(isWritten == true)
      var parser = EventParser()
      let bytes = array(output.bytes)
      let text = "> \(name) | \(id) | \(lines.joined(separator: "\n"))"
      #expect(run(bytes, [bytes.count], &parser) == [Array(text.utf8)])
    }
  }
}
