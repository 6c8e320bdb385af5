// A channel of the library's client: what it sends, and what the origin does to it.

import CApus

final class ChannelPlan {
  let id: Int
  let target: Int
  /// How many attempts are refused before one is not.
  let refusals: Int
  /// The origin leaves once in so many messages; 0: never.
  let leavesIn: Int
  let reconnects: Int32
  let isPulled: Bool
  let offersDeflate: Bool
  var channel: apus_channel = 0
  var connections = 0
  var opens = 0
  var closes = 0
  var sent: [[UInt8]] = []
  var returned = 0
  /// What was sent on the connection before and was not seen to come back.
  var older: [[UInt8]] = []
  var isEnded = false
  var hasTrouble = false
  var troublesBefore = 0

  init(_ id: Int) {
    self.id = id
    target = world.chance.within(0...6)
    refusals = world.chance.once(in: 6) ? world.chance.within(1...2) : 0
    leavesIn = world.chance.once(in: 3) ? world.chance.within(1...4) : 0
    reconnects = world.chance.pick([0, 1, 3])
    hasTrouble = refusals > 0
    isPulled = world.chance.once(in: 3)
    offersDeflate = world.chance.once(in: 2)
  }
}
