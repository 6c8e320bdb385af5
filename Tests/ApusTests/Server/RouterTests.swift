// Router: which route a path finds, and with which parameters.

import Testing

@testable import Apus

/// A router with its routes, by the names of their patterns.
private final class Table {
  private var router: Router
  private(set) var patterns: [String] = []

  init(_ routes: String...) throws {
    let made = Router()
    guard let made else { throw Failure.noMemory }
    router = made
    for route in routes { try add(route) }
  }

  /// "GET /path", "ANY /path", or another method's name.
  func add(_ route: String) throws {
    let words = route.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
    let method = words[0] == "ANY" ? Router.anyMethod : Table.number(String(words[0]))
    var name = ByteBuffer()
    let nameBytes = Array(words[0].utf8)
    if method == Method.other { name.append(nameBytes.span) }
    let pattern = Array(words[1].utf8)
    let number = try router.add(
      Route(method: method, methodName: name, handler: .none, isStreamed: false),
      pattern: pattern.span)
    #expect(number == Int32(patterns.count))
    patterns.append(route)
  }

  private static func number(_ name: String) -> Int32 { with(name) { Method.number($0) } }

  /// What a path finds: "GET /:a a=1", "405" or "404".
  func find(_ path: String, _ method: String = "GET") -> String {
    var captures = List<Capture>()
    let pathBytes = Array(path.utf8)
    let name = Array(method.utf8)
    let match = router.find(
      pathBytes.span, isEncoded: path.contains("%"), method: Table.number(method),
      name: name.span, captures: &captures)
    switch match {
    case .none: return "404"
    case .otherMethod: return "405"
    case .noMemory: return "503"
    case .found(let number):
      let route = router.routes[Int(number)]
      #expect(route.o.names.count == captures.count)
      var text = patterns[Int(number)]
      for index in 0..<captures.count {
        let start = Int(captures[index].start)
        let value = pathBytes[start..<(start + Int(captures[index].count))]
        text += " \(string(route.o.names[index].o))=" + String(decoding: value, as: UTF8.self)
      }
      return text
    }
  }

  func allow(_ path: String) -> String {
    let pathBytes = Array(path.utf8)
    return written { router.appendAllow(pathBytes.span, to: &$0) }
  }

  /// The code of the failure that a route is refused with.
  func refusal(_ route: String) -> Code? {
    do {
      try add(route)
      return nil
    } catch {
      return (error as? Failure)?.code
    }
  }
}

@Suite struct RouterTests {
  @Test func literals() throws {
    let table = try Table("GET /", "GET /a", "GET /a/b", "GET /a/")
    #expect(table.find("/") == "GET /")
    #expect(table.find("/a") == "GET /a")
    #expect(table.find("/a/") == "GET /a/")
    #expect(table.find("/a/b") == "GET /a/b")
    for path in ["", "a", "*", "//", "/A", "/a//", "/a/b/", "/a/b/c", "/aa", "/a/c", "//a"] {
      #expect(table.find(path) == "404", "\(path)")
    }
  }

  @Test func anEmptyRouterFindsNothing() throws {
    let table = try Table()
    #expect(table.find("/") == "404")
    #expect(table.find("/a/b/c") == "404")
  }

  @Test func parameters() throws {
    let table = try Table("GET /users/:id", "GET /users/:user/posts/:post", "GET /:x")
    #expect(table.find("/users/7") == "GET /users/:id id=7")
    #expect(table.find("/users/7/posts/9") == "GET /users/:user/posts/:post user=7 post=9")
    #expect(table.find("/users") == "GET /:x x=users")
    #expect(table.find("/users/") == "404")
    #expect(table.find("/users/7/") == "404")
    #expect(table.find("/users//posts/9") == "404")
    #expect(table.find("/") == "404")
  }

  @Test func rests() throws {
    let table = try Table("GET /files/*path", "GET /other/*")
    #expect(table.find("/files/a") == "GET /files/*path path=a")
    #expect(table.find("/files/a/b/c.txt") == "GET /files/*path path=a/b/c.txt")
    #expect(table.find("/files/") == "GET /files/*path path=")
    #expect(table.find("/files//a") == "GET /files/*path path=/a")
    #expect(table.find("/files") == "404")
    #expect(table.find("/other/a/b") == "GET /other/* *=a/b")
  }

  @Test func aRestOfEverything() throws {
    let table = try Table("GET /*all")
    #expect(table.find("/") == "GET /*all all=")
    #expect(table.find("/a/b") == "GET /*all all=a/b")
    #expect(table.find("*") == "404")
  }

  @Test func literalsWinOverParametersOverRests() throws {
    let table = try Table("GET /*rest", "GET /:one", "GET /a", "GET /:one/b", "GET /a/:two")
    #expect(table.find("/a") == "GET /a")
    #expect(table.find("/b") == "GET /:one one=b")
    #expect(table.find("/a/b") == "GET /a/:two two=b")
    #expect(table.find("/c/b") == "GET /:one/b one=c")
    #expect(table.find("/c/d") == "GET /*rest rest=c/d")
    #expect(table.find("/a/b/c") == "GET /*rest rest=a/b/c")
    #expect(table.find("/") == "GET /*rest rest=")
  }

  @Test func theOrderOfAddingDoesNotMatter() throws {
    let routes = ["GET /a/:x/c", "GET /a/b/:y", "GET /:z/b/c", "GET /*w", "GET /a/*v"]
    let expected = [
      "/a/b/c": "GET /a/b/:y y=c", "/a/d/c": "GET /a/:x/c x=d", "/d/b/c": "GET /:z/b/c z=d",
      "/a/d/e": "GET /a/*v v=d/e", "/d/e/f": "GET /*w w=d/e/f",
    ]
    var random = Random(seed: Random.seed)
    for _ in 0..<20 {
      let table = try Table()
      for route in routes.shuffled(using: &random) { try table.add(route) }
      for (path, found) in expected { #expect(table.find(path) == found, "\(Random.note)") }
    }
  }

  /// A branch that does not lead to a route is given up, with its parameters.
  @Test func backtracks() throws {
    let table = try Table("GET /a/:x/b/c", "GET /:y/:z/b/d", "GET /a/*rest")
    #expect(table.find("/a/1/b/c") == "GET /a/:x/b/c x=1")
    #expect(table.find("/a/1/b/e") == "GET /a/*rest rest=1/b/e")
    #expect(table.find("/b/1/b/d") == "GET /:y/:z/b/d y=b z=1")
    let other = try Table("GET /a/:x/b/c", "GET /:y/:z/b/d")
    #expect(other.find("/a/1/b/d") == "GET /:y/:z/b/d y=a z=1")
  }

  @Test func backtracksForTheMethodToo() throws {
    let table = try Table("GET /a/:x", "POST /:y/b", "DELETE /*z")
    #expect(table.find("/a/b", "GET") == "GET /a/:x x=b")
    #expect(table.find("/a/b", "POST") == "POST /:y/b y=a")
    #expect(table.find("/a/b", "DELETE") == "DELETE /*z z=a/b")
    #expect(table.find("/a/b", "PUT") == "405")
  }

  @Test func methods() throws {
    let table = try Table("GET /a", "POST /a", "ANY /b", "PUT /b", "BREW /a", "STIR /a")
    #expect(table.find("/a", "GET") == "GET /a")
    #expect(table.find("/a", "POST") == "POST /a")
    #expect(table.find("/a", "PUT") == "405")
    #expect(table.find("/a", "get") == "405")
    #expect(table.find("/a", "BREW") == "BREW /a")
    #expect(table.find("/a", "STIR") == "STIR /a")
    #expect(table.find("/a", "POUR") == "405")
    #expect(table.find("/b", "PUT") == "PUT /b")
    for method in ["GET", "HEAD", "POST", "OPTIONS", "BREW"] {
      #expect(table.find("/b", method) == "ANY /b")
    }
    #expect(table.find("/c", "POST") == "404")
  }

  /// RFC 9110 §9.3.2: HEAD is GET without content, where it has no route.
  @Test func headByGet() throws {
    let table = try Table("GET /a", "ANY /a", "HEAD /b", "GET /b", "POST /c", "ANY /d")
    #expect(table.find("/a", "HEAD") == "GET /a")
    #expect(table.find("/b", "HEAD") == "HEAD /b")
    #expect(table.find("/c", "HEAD") == "405")
    #expect(table.find("/d", "HEAD") == "ANY /d")
    #expect(table.find("/b", "GET") == "GET /b")
  }

  @Test func allow() throws {
    let table = try Table(
      "GET /a", "POST /a", "PUT /b", "ANY /c", "DELETE /:x", "BREW /a", "GET /:x/y")
    #expect(table.allow("/a") == "DELETE, GET, HEAD, POST, OPTIONS, BREW")
    #expect(table.allow("/b") == "DELETE, PUT, OPTIONS")
    #expect(table.allow("/a/y") == "GET, HEAD, OPTIONS")
    let any = table.allow("/c").split(separator: ", ").map(String.init)
    #expect(any == MethodTests.names.filter { $0 != "CONNECT" } + ["BREW"])
  }

  @Test func allowOfTheServer() throws {
    let table = try Table("GET /a", "PUT /b", "BREW /c")
    #expect(table.allow("*") == "GET, HEAD, PUT, OPTIONS, BREW")
    #expect(try Table("POST /a").allow("*") == "POST, OPTIONS")
  }

  /// A method is named once, however many routes it has.
  @Test func allowNamesAMethodOnce() throws {
    let table = try Table("BREW /a", "BREW /:x", "GET /a", "GET /:x", "STIR /a")
    #expect(table.allow("/a") == "GET, HEAD, OPTIONS, BREW, STIR")
    #expect(table.allow("*") == "GET, HEAD, OPTIONS, BREW, STIR")
  }

  @Test func percentDecoding() throws {
    let table = try Table("GET /a b", "GET /caf\u{E9}/x", "GET /100%", "GET /:x/y", "GET /%41")
    #expect(table.find("/a%20b") == "GET /a b")
    #expect(table.find("/%61%20%62") == "GET /a b")
    #expect(table.find("/caf%C3%A9/x") == "GET /caf\u{E9}/x")
    #expect(table.find("/caf%c3%a9/%78") == "GET /caf\u{E9}/x")
    #expect(table.find("/100%25") == "GET /100%")
    #expect(table.find("/%2541") == "GET /%41", "a pattern is text, decoded once")
    #expect(table.find("/A") == "404")
    #expect(table.find("/q%20q/y") == "GET /:x/y x=q%20q", "captures are as sent")
  }

  /// RFC 3986 §2.2: an encoded slash is data and parts no segments.
  @Test func encodedSlashes() throws {
    let table = try Table("GET /a/b", "GET /:x", "GET /c/*rest")
    #expect(table.find("/a%2Fb") == "GET /:x x=a%2Fb")
    #expect(table.find("/a%2fb") == "GET /:x x=a%2fb")
    #expect(table.find("/c/d%2Fe/f") == "GET /c/*rest rest=d%2Fe/f")
    #expect(table.find("/c%2Fd") == "GET /:x x=c%2Fd")
    #expect(try Table("GET /a/b").find("/a%2Fb") == "404")
    #expect(try Table("GET /a%2Fb").find("/a%252Fb") == "GET /a%2Fb")
    #expect(try Table("GET /a%2Fb").find("/a%2Fb") == "404")
  }

  /// A path that another layer let through malformed leads nowhere, and traps not.
  @Test func malformedEncoding() throws {
    let table = try Table("GET /a%", "GET /b%4", "GET /:x")
    #expect(table.find("/a%") == "GET /a%")
    #expect(table.find("/b%4") == "GET /b%4")
    #expect(table.find("/%") == "GET /:x x=%")
    #expect(table.find("/%zz") == "GET /:x x=%zz")
  }

  @Test func refusedPatterns() throws {
    let table = try Table("GET /a", "BREW /a", "GET /:x", "ANY /a")
    let malformed = [
      "GET ", "GET a", "GET *", "GET :a", "GET /*a/b", "GET /*/", "GET /:", "GET /a/:/b",
      "GET /a?b", "GET /a#b", "GET /:x/:x", "GET /:x/a/*x",
    ]
    for route in malformed { #expect(table.refusal(route) == .argument, "\(route)") }
    let taken = ["GET /a", "BREW /a", "GET /:y", "ANY /a"]
    for route in taken { #expect(table.refusal(route) == .state, "\(route)") }
    #expect(table.refusal("POST /a") == nil)
    #expect(table.refusal("STIR /a") == nil)
    #expect(table.find("/a") == "GET /a")
    #expect(table.find("/a", "STIR") == "STIR /a")
  }

  @Test func limitsOfAPattern() throws {
    let table = try Table()
    let segments = String(repeating: "/s", count: 64)
    #expect(table.refusal("GET " + segments + "/s") == .argument)
    #expect(table.refusal("GET " + segments) == nil)
    #expect(table.find(segments) == "GET " + segments)
    #expect(table.find(segments + "/s") == "404")
    #expect(table.find(segments + segments) == "404")
    let parameters = (0..<16).map { "/:p\($0)" }.joined()
    #expect(table.refusal("GET " + parameters + "/:p16") == .argument)
    #expect(table.refusal("GET " + parameters + "/*p16") == .argument)
    #expect(table.refusal("GET " + parameters) == nil)
    let long = "/" + String(repeating: "x", count: 4095)
    #expect(table.refusal("GET " + long + "x") == .argument)
    #expect(table.refusal("GET " + long) == nil)
    #expect(table.find(long) == "GET " + long)
  }

  @Test func manyRoutes() throws {
    let table = try Table()
    for number in 0..<3000 { try table.add("GET /r\(number)") }
    for number in 0..<300 { try table.add("GET /deep/\(number)/:id/end\(number)") }
    for number in 0..<3000 { #expect(table.find("/r\(number)") == "GET /r\(number)") }
    for number in 0..<300 {
      let route = "GET /deep/\(number)/:id/end\(number)"
      #expect(table.find("/deep/\(number)/x/end\(number)") == route + " id=x")
    }
    #expect(table.find("/r3000") == "404")
    #expect(table.find("/deep/7/x/end8") == "404")
  }

  /// Two ways at each segment, and only the last of all leads to a route: eleven
  /// segments are tried out, thirteen are more than the budget allows.
  @Test(arguments: [(10, true), (12, false)])
  func aSearchHasABudget(_ depth: Int, _ isFound: Bool) throws {
    let table = try Table("GET /ok")
    let last = 1 << depth - 1
    for mask in 0...last {
      let segments = (0..<depth).map { mask & (1 << $0) == 0 ? "/a" : "/:p\($0)" }
      try table.add("GET " + segments.joined() + (mask == last ? "/end" : "/other"))
    }
    let found = table.find(String(repeating: "/a", count: depth) + "/end")
    #expect(found.hasPrefix("GET /:p0/:p1") == isFound)
    #expect(found == "404" || isFound)
    #expect(table.find("/ok") == "GET /ok")
    #expect(table.find(String(repeating: "/a", count: 5000)) == "404")
  }

  /// Against a plain search over all patterns.
  @Test func behavesLikeAListOfPatterns() throws {
    var random = Random(seed: Random.seed)
    let words = ["a", "b", "c", ""]
    for _ in 0..<60 {
      let table = try Table()
      for _ in 0..<12 {
        var segments = (0..<Int.random(in: 1...4, using: &random)).map { place in
          [":p\(place)", "a", "b", "c"][Int.random(in: 0..<4, using: &random)]
        }
        if Int.random(in: 0..<4, using: &random) == 0 { segments.append("*r") }
        _ = table.refusal("GET /" + segments.joined(separator: "/"))
      }
      for _ in 0..<60 {
        let path = (0..<Int.random(in: 1...5, using: &random)).map { _ in
          words[Int.random(in: 0..<4, using: &random)]
        }
        let found = table.find("/" + path.joined(separator: "/")).split(separator: " ")
        let expected = best(path, table.patterns)
        #expect(found.prefix(2).joined(separator: " ") == expected, "\(Random.note)")
      }
    }
  }

  /// The best of the patterns: literal before parameter before rest, segment by
  /// segment from the left.
  private func best(_ path: [String], _ patterns: [String]) -> String {
    func rank(_ pattern: String) -> String? {
      let segments = pattern.dropFirst(5).split(separator: "/", omittingEmptySubsequences: false)
      var rank = ""
      for (index, segment) in segments.enumerated() {
        if segment == "*r" { return index < path.count ? rank + "2" : nil }
        guard index < path.count else { return nil }
        if segment == path[index] {
          rank += "0"
        } else if segment.hasPrefix(":"), !path[index].isEmpty {
          rank += "1"
        } else {
          return nil
        }
      }
      return segments.count == path.count ? rank : nil
    }
    let ranked = patterns.compactMap { pattern in rank(pattern).map { ($0, pattern) } }
    return ranked.min { $0.0 < $1.0 }?.1 ?? "404"
  }
}
