// What a writer of events has beyond other writers: its topics, heartbeats, and what
// waits for a client that reads too slowly. Behind the exchange's lock, but for the
// memberships, which are the loop's.

import Synchronization

typealias EventsFunction = @convention(c) (UnsafeMutableRawPointer?, UInt64, UInt64) -> Void

@safe struct EventStream: ~Copyable {
  /// What a client may have as long as its stream is open.
  static var longestID: Int { 4096 }

  /// The id of the last event that the client has had.
  var lastID = ByteBuffer()
  // Behind a buffer's last byte they take no room of their own.
  var closesWhenSlow: Bool
  var isMissedQueued = false
  /// The request's head and memory were given back.
  var isSlim = false
  /// After how many milliseconds without anything sent a comment is; 0: never.
  var heartbeat: Int64
  /// Events that were left out for a client that was too slow, and who hears of that.
  var missed: Int64 = 0
  var onMissed = unsafe Callback<WriterFunction>.none
  var requests = TopicRequests()
  /// What waits until the kernel takes more, from a place on; and what that counts for.
  private var waiting = List<Ref<SharedEvent>>()
  private var start = 0
  private(set) var weight: Int64 = 0
  /// What was replayed of a history may wait beyond the limit: it is kept there anyway.
  var allowance: Int64 = 0

  // ---- the loop's
  var memberships: Ref<WriterMembership>? = nil
  /// Topics with a history that it has left, by their numbers: of that it has had its part.
  private var left = List<UInt64>()

  init(heartbeat: Int64, closesWhenSlow: Bool) {
    self.heartbeat = heartbeat
    self.closesWhenSlow = closesWhenSlow
  }

  deinit {
    for index in start..<waiting.count { waiting[index].release() }
  }

  var hasWaiting: Bool { start < waiting.count }

  func hasLeft(_ topic: Ref<Topic>) -> Bool {
    for index in 0..<left.count where left[index] == topic.o.number { return true }
    return false
  }

  /// False without memory.
  mutating func noteLeft(_ topic: Ref<Topic>) -> Bool {
    hasLeft(topic) || left.append(topic.o.number)
  }

  /// Keeps an event, with a reference of its own; false without memory.
  mutating func wait(_ event: Ref<SharedEvent>) -> Bool {
    if start > 64, start > waiting.count / 2 {
      waiting.removeFirst(start)
      start = 0
    }
    guard waiting.append(event) else { return false }
    event.retain()
    weight &+= event.o.weight
    return true
  }

  /// The oldest one that waits; its reference is the caller's.
  mutating func takeWaiting() -> Ref<SharedEvent>? {
    guard hasWaiting else { return nil }
    let event = waiting[start]
    start &+= 1
    weight &-= event.o.weight
    allowance = max(0, allowance &- event.o.weight)
    if start == waiting.count {
      waiting = List<Ref<SharedEvent>>()
      start = 0
      allowance = 0
    }
    return event
  }
}

/// A writer in a topic. It knows its place in the topic's list.
struct WriterMembership: ~Copyable {
  let exchange: Ref<Exchange>
  let topic: Ref<Topic>
  /// Events up to that one were replayed, or are older.
  var from: UInt64 = 0
  var index = 0
  /// The writer's next one.
  var next: Ref<WriterMembership>? = nil

  init(_ exchange: Ref<Exchange>, _ topic: Ref<Topic>) {
    self.exchange = exchange
    self.topic = topic
  }
}
