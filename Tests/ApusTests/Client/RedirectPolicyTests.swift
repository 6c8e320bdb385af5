// Redirections: each method by each status, and what stands in the way.

import Testing

@testable import Apus

private typealias Situation = RedirectPolicy.Situation

private func decide(_ situation: Situation) -> String {
  do throws(Failure) {
    guard let follow = try RedirectPolicy.decide(situation) else { return "give" }
    return "\(follow.method)" + (follow.keepsBody ? " body" : "")
      + (follow.keepsCredentials ? " credentials" : "")
  } catch {
    return "\(error.code)"
  }
}

@Suite struct RedirectPolicyTests {
  @Test(arguments: [
    (301, Method.get, "same"), (302, Method.get, "same"), (303, Method.get, "same"),
    (307, Method.get, "same"), (308, Method.get, "same"), (301, Method.head, "same"),
    (302, Method.head, "same"), (303, Method.head, "same"), (307, Method.head, "same"),
    (308, Method.head, "same"), (301, Method.post, "get"), (302, Method.post, "get"),
    (303, Method.post, "get"), (307, Method.post, "same body"), (308, Method.post, "same body"),
    (301, Method.put, "same body"), (302, Method.put, "same body"), (303, Method.put, "get"),
    (307, Method.put, "same body"), (308, Method.put, "same body"),
    (301, Method.delete, "same body"), (302, Method.patch, "same body"),
    (303, Method.delete, "get"),
    (303, Method.options, "get"), (301, Method.other, "same body"), (303, Method.other, "get"),
    (200, Method.get, "give"), (300, Method.get, "give"), (304, Method.get, "give"),
    (305, Method.get, "give"), (306, Method.get, "give"), (309, Method.get, "give"),
    (399, Method.get, "give"), (201, Method.post, "give"), (0, Method.get, "give"),
    (-301, Method.get, "give"), (401, Method.get, "give"), (101, Method.get, "give"),
  ])
  func followsByMethod(_ status: Int32, _ method: Int32, _ expected: String) {
    let hasBody = method != Method.get && method != Method.head
    var situation = Situation(status: status, method: method, hasBody: hasBody)
    let suffix = expected == "give" ? "" : " credentials"
    #expect(decide(situation) == expected + suffix)
    situation.hasBody = false
    #expect(decide(situation) == expected.replacing(" body", with: "") + suffix)
    // A body that is gone matters only where it is wanted again.
    situation.hasBody = hasBody
    situation.isBodyRepeatable = false
    #expect(decide(situation) == (expected.hasSuffix("body") ? "state" : expected + suffix))
  }

  @Test func keepsCredentialsAtTheOrigin() {
    var situation = Situation(status: 302, method: Method.get)
    situation.isSameOrigin = false
    #expect(decide(situation) == "same")
    situation.hasCredentials = false
    #expect(decide(situation) == "same")
    // On the way back they are not restored.
    situation.isSameOrigin = true
    #expect(decide(situation) == "same")
  }

  @Test(arguments: [
    (RedirectPolicy.Scheme.http, RedirectPolicy.Scheme.http, false, "same credentials"),
    (.http, .https, false, "same credentials"), (.https, .https, false, "same credentials"),
    (.https, .http, false, "permission"), (.https, .http, true, "same credentials"),
    (.http, .other, true, "unsupported"), (.https, .other, true, "unsupported"),
    (.https, .other, false, "unsupported"),
  ])
  func looksAtSchemes(
    _ from: RedirectPolicy.Scheme, _ to: RedirectPolicy.Scheme, _ allows: Bool, _ expected: String
  ) {
    let situation = Situation(
      status: 301, method: Method.get, from: from, to: to, allowsDowngrade: allows)
    #expect(decide(situation) == expected)
    // What is no redirection is given, wherever it leads.
    let other = Situation(status: 300, method: Method.get, from: from, to: to)
    #expect(decide(other) == "give")
  }

  @Test(arguments: [
    (0, 20, true), (19, 20, true), (20, 20, false), (21, 20, false), (0, 1, true), (1, 1, false),
    (0, 0, false), (.max, .max, false), (0, -1, false),
  ])
  func hasALimit(_ followed: Int, _ limit: Int, _ expected: Bool) {
    let situation = Situation(status: 308, method: Method.get, followed: followed, limit: limit)
    #expect(decide(situation) == (expected ? "same credentials" : "tooLarge"))
  }
}
