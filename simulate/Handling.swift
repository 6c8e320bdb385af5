// What a handler of the host's has under way: a body that comes, a reply in pieces.

import CApus

/// Callbacks of the library's find the run through these.
func planOf(_ request: apus_request) -> Plan? {
  guard let id = numberOf(request), id < world.plans.count else {
    world.fail("a handler without its request's number")
    return nil
  }
  return world.plans[id]
}

/// A request's number, which is in its path; asked again where memory was refused.
func numberOf(_ request: apus_request) -> Int? {
  if let text = apus_request_param(request, "id", nil) { return Int(String(cString: text)) }
  world.check(world.isLack(apus_last_error()), "a request without its number")
  return Memory.withPlenty {
    apus_request_param(request, "id", nil).flatMap { Int(String(cString: $0)) }
  }
}

final class Upload {
  let plan: Plan
  var bytes: [UInt8] = []
  var isOver = false
  init(_ plan: Plan) { self.plan = plan }
}

final class Writing {
  let plan: Plan
  let writer: apus_writer
  let body: [UInt8]
  let target: Int
  var sent = 0
  var isOver = false
  var isEnded = false
  var closes = 0

  init(_ plan: Plan, _ writer: apus_writer) {
    self.plan = plan
    self.writer = writer
    body = plan.body
    target = plan.kind == .broken ? plan.size / 2 : plan.size
  }
}
