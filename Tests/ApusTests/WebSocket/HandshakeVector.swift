// A vector of the opening handshake: a request and what a server makes of it, or a
// reply and what a client makes of it. How they are written: Vectors/README.md.

import Testing

@testable import Apus

struct HandshakeVector: CustomTestStringConvertible, Sendable {
  let file: String
  let title: String
  var settings: [String: String] = [:]
  var message: [UInt8] = []
  var isReply = false
  var log: [String] = []

  var testDescription: String { "\(file): \(title)" }

  struct Mistake: Error { let text: String }

  /// All vectors, or nothing if one can't be read; `HandshakeVectorTests` says why.
  static let all: [HandshakeVector] = (try? load()) ?? []

  static func load() throws -> [HandshakeVector] {
    let folder = FrameVector.folder
    return try SourceFiles.names(in: folder, ending: ".md")
      .filter { $0.hasPrefix("handshake-") }
      .flatMap { try parse($0, SourceFiles.text(folder + $0)) }
  }

  private static func parse(_ file: String, _ text: String) throws -> [HandshakeVector] {
    var vectors: [HandshakeVector] = []
    var block: Substring? = nil
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("```") {
        block = block == nil ? line.dropFirst(3) : nil
      } else if block == nil, line.hasPrefix("## ") {
        vectors.append(HandshakeVector(file: file, title: String(line.dropFirst(3))))
      } else if block == nil, !vectors.isEmpty, let colon = line.firstIndex(of: ":") {
        let value = line[line.index(after: colon)...].drop { $0 == " " }
        vectors[vectors.count - 1].settings[String(line[..<colon])] = String(value)
      } else if block == "request" || block == "reply" {
        vectors[vectors.count - 1].message += try Escapes.decode(line)
        vectors[vectors.count - 1].isReply = block == "reply"
      } else if block == "log" {
        vectors[vectors.count - 1].log.append(String(line))
      }
    }
    for vector in vectors where vector.message.isEmpty || vector.log.isEmpty {
      throw Mistake(text: "\(file), \(vector.title): no message or no log")
    }
    return vectors
  }

  /// The lines of the head, without the empty one, and the fields of all but the first.
  private var fields: [(name: [UInt8], value: [UInt8])] {
    var fields: [(name: [UInt8], value: [UInt8])] = []
    for line in message.split(separator: 10, omittingEmptySubsequences: false).dropFirst() {
      let line = line.last == 13 ? line.dropLast() : line
      guard let colon = line.firstIndex(of: 58) else { break }
      let value = line[(colon + 1)...]
      let start = value.firstIndex { $0 != 32 && $0 != 9 } ?? value.endIndex
      let end = value.lastIndex { $0 != 32 && $0 != 9 }.map { $0 + 1 } ?? start
      fields.append((Array(line[..<colon]), Array(value[start..<end])))
    }
    return fields
  }

  func run() -> [String] { isReply ? runReply() : runRequest() }

  // ---- a request at a server

  private func runRequest() -> [String] {
    var machine = RequestMachine()
    var head = RequestHead()
    var index = 0
    let step = machine.next(message.span, at: &index, head: &head, limits: RequestLimits())
    if case .refused(let refusal) = step { return ["refused \(refusal.status)"] }
    var deflate: DeflateSettings?
    if let text = settings["Deflate"] { deflate = HandshakeVector.server(text) }
    var handshake = ServerHandshake(
      isGet: head.method == Method.get, version: head.version, hasBody: head.hasBody,
      deflate: deflate)
    for field in fields { handshake.take(field.name.span, field.value.span) }
    if let problem = handshake.problem() {
      return ["refused \(problem.status): \(problem.reason.text)"]
    }
    var log = ["accept \(accept(array(handshake.key)))"]
    for index in 0..<handshake.protocols.count {
      log.append("offers \(string(handshake.protocols[index]))")
    }
    if let chosen = handshake.deflate {
      log.append("extension " + written { chosen.append(to: &$0) })
    }
    if index < message.count { log.append("\(message.count - index) bytes behind") }
    return log
  }

  private func accept(_ key: [UInt8]) -> String {
    var input = ByteBuffer()
    HandshakeKey.appendInput(key: key.span, to: &input)
    let digest = SHA1.digest(array(input.bytes))
    return written { _ = HandshakeKey.appendAccept(digest: digest.span, to: &$0) }
  }

  /// "server 10, client 12, server forgets, client forgets"
  private static func server(_ text: String) -> DeflateSettings {
    var result = DeflateSettings()
    for (words, number) in words(text) {
      switch words {
      case "server": result.serverMaxWindowBits = number
      case "client": result.clientMaxWindowBits = number
      case "server forgets": result.serverNoContextTakeover = true
      case "client forgets": result.clientNoContextTakeover = true
      case "": break
      default: preconditionFailure("unknown setting: \(words)")
      }
    }
    return result
  }

  private static func words(_ text: String) -> [(String, UInt8)] {
    text.split(separator: ",").map { part in
      let words = part.split(separator: " ")
      guard let last = words.last, let number = UInt8(last) else {
        return (words.joined(separator: " "), 15)
      }
      return (words.dropLast().joined(separator: " "), number)
    }
  }

  // ---- a reply at a client

  private func runReply() -> [String] {
    var protocols = ProtocolList()
    if let text = settings["Protocols"] { with(text) { value in _ = protocols.take(value) } }
    var offer: DeflateOffer?
    if let text = settings["Deflate"] { offer = HandshakeVector.client(text) }
    let line = String(decoding: message.prefix { $0 != 13 }, as: UTF8.self)
    let expected = Array(accept(Array("dGhlIHNhbXBsZSBub25jZQ==".utf8)).utf8)
    var log: [String] = []
    if let offer { log.append("offers " + written { offer.append(to: &$0) }) }
    var handshake = ClientHandshake(
      status: Int32(line.dropFirst(9).prefix(3)) ?? 0,
      version: line.hasPrefix("HTTP/1.1") ? 11 : 10, accept: expected.span,
      protocols: protocols, deflate: offer)
    for field in fields { handshake.take(field.name.span, field.value.span) }
    if let problem = handshake.problem() { return log + ["fails: \(problem.text)"] }
    log.append("open")
    if let index = handshake.chosenProtocol { log.append("protocol \(index)") }
    if let chosen = handshake.deflate {
      let server = chosen.serverNoContextTakeover ? " forgets" : ""
      let client = chosen.clientNoContextTakeover ? " forgets" : ""
      log.append("server \(chosen.serverMaxWindowBits)\(server)")
      log.append("client \(chosen.clientMaxWindowBits)\(client)")
    }
    return log
  }

  /// "server 10, client 12, server forgets, client forgets, client fixed"
  private static func client(_ text: String) -> DeflateOffer {
    var result = DeflateOffer()
    for (words, number) in words(text) {
      switch words {
      case "server": result.serverMaxWindowBits = number
      case "client": result.clientMaxWindowBits = number
      case "server forgets": result.serverNoContextTakeover = true
      case "client forgets": result.clientNoContextTakeover = true
      case "client fixed": result.allowsClientBits = false
      case "": break
      default: preconditionFailure("unknown setting: \(words)")
      }
    }
    return result
  }
}
