// What the library's client is to fetch, and what the origin will do when it is asked: the
// two share it, so that the result can be told beforehand.

import CApus
import CSystem

final class FetchPlan {
  enum Behaviour: CaseIterable {
    case whole
    case chunked
    case untilClose
    case interim
    case redirect
    case truncated
    case truncatedChunks
    case stallsBefore
    case stallsInside
    case resets
    case garbage
    case closes
  }

  let id: Int
  let method: String
  let size: Int
  let upload: [UInt8]
  let status: Int
  /// How often a redirect leads on before the last behaviour.
  let redirects: Int
  let behaviour: Behaviour
  let isNamed: Bool
  let collects: Bool
  var fetch: apus_fetch = 0
  var host: UInt64 = 0
  var asked = 0
  var started: Int64 = 0
  var troublesBefore = 0
  var body: [UInt8] = []
  var responses = 0
  var completions = 0
  var isCancelled = false
  var isDestroyed = false { didSet { destroyedAt = Buffers.waits } }
  private(set) var destroyedAt = 0
  var isPaused = false
  let limits: (connect: Int32, response: Int32, idle: Int32)

  init(_ id: Int) {
    self.id = id
    method = world.chance.pick(["GET", "GET", "GET", "PUT", "POST", "HEAD"])
    size = world.chance.size(upTo: world.chance.once(in: 8) ? 300_000 : 5000)
    let hasBody = method == "PUT" || method == "POST"
    upload =
      hasBody
      ? Plan.bytes(id + 3, world.chance.size(upTo: world.chance.pick([3000, 200_000]))) : []
    status = world.chance.pick([200, 200, 200, 404, 500])
    redirects = world.chance.once(in: 6) ? world.chance.within(1...3) : 0
    behaviour =
      Behaviour.allCases[
        world.chance.weighted([30, 16, 8, 5, 0, 4, 4, 3, 3, 3, 3, 3])]
    isNamed = world.chance.once(in: 3)
    collects = world.chance.once(in: 2)
    limits = (
      Int32(world.chance.pick([1000, 5000])), Int32(world.chance.pick([1000, 5000])),
      Int32(world.chance.pick([1000, 5000]))
    )
  }

  var due: [UInt8] { Plan.bytes(id + 11, size) }

  func url(_ step: Int) -> String {
    let port = 8001 + id % 2
    return "http://\(isNamed ? "origin.test" : "10.0.1.1"):\(port)/fetch/\(id)/\(step)"
  }

  /// Within so many microseconds it is over, however it goes.
  var longest: Int64 {
    let steps = Int64(redirects + 1)
    return steps * Int64(limits.connect + limits.response + 2 * limits.idle) * 1000 * 2
      + steps * 3_000_000
  }

  /// The codes that are due; empty: it must succeed.
  private var codes: [Int] {
    switch behaviour {
    case .whole, .chunked, .untilClose, .interim, .redirect: []
    case .truncated, .truncatedChunks:
      method == "HEAD" ? [0, APUS_E_CLOSED] : [APUS_E_CLOSED]
    case .stallsBefore: [APUS_E_TIMEOUT]
    case .stallsInside: method == "HEAD" ? [0, APUS_E_TIMEOUT] : [APUS_E_TIMEOUT]
    case .resets, .closes: [APUS_E_CLOSED]
    case .garbage: [APUS_E_PROTOCOL]
    }
  }

  /// Compares what has come of it with what is due.
  func check(_ result: Int, _ status: Int) {
    let hasTrouble =
      world.troubles != troublesBefore || world.hasJumped || isCancelled || isPaused
    if result == 0 {
      world.check(
        codes.isEmpty || codes.contains(0), "fetch \(id) \(behaviour): succeeds")
      world.check(status == self.status, "fetch \(id): status \(status), not \(self.status)")
      world.check(
        method == "HEAD" ? body.isEmpty : body == due,
        "fetch \(id) \(behaviour): \(body.count) bytes of body, not the \(size) due, or wrong")
      return
    }
    if isCancelled {
      world.check(!codes.isEmpty || hasTrouble || result == APUS_E_CLOSED, "a cancel's code")
      return
    }
    // A request that may not be sent twice is lost with a connection that was kept.
    let isLost =
      method == "POST" && result == APUS_E_CLOSED
      && world.troubles + world.losses > 0
    world.check(
      hasTrouble || isLost || codes.contains(result),
      "fetch \(id) \(method) \(behaviour) gives \(result), not one of \(codes)")
  }
}
