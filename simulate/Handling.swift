// What a handler of the host's has under way: a body that comes, a reply in pieces.

import CApus

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
