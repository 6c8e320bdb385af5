// Topics: names under which channels of a server get what is published, framed once
// for all of them.
//
// A topic's members stand in a list for each worker, which that worker's thread
// alone touches; the table of topics and the counts of their uses stand behind the
// table's lock. A topic that nobody uses goes.

import Synchronization

@safe struct Topic: ~Copyable {
  fileprivate var name = ByteBuffer()
  fileprivate let hash: UInt32
  /// Tells it from others, also from those of its name that have gone.
  let number: UInt64
  fileprivate var next: Ref<Topic>? = nil
  /// Memberships that there are or are asked for, and publications on their way.
  fileprivate var uses = 1
  /// By the index of the worker.
  var members = List<Ref<Members>>()
  let count = Atomic<Int64>(0)
  /// Writers that are members, or have asked for that.
  let readers = Atomic<Int64>(0)
  /// Of the event that was published last; and those that are kept. Behind the server's
  /// lock.
  var sequence: UInt64 = 0
  var history = TopicHistory()

  fileprivate init(hash: UInt32, number: UInt64) {
    self.hash = hash
    self.number = number
  }

  deinit { for index in 0..<members.count { members[index].free() } }
}

/// One worker's members of a topic.
struct Members: ~Copyable {
  var list = List<Ref<Membership>>()
  var writers = List<Ref<WriterMembership>>()
}

/// A channel in a topic. It knows its place in the topic's list, so that it leaves
/// without a search.
struct Membership: ~Copyable {
  let channel: Ref<Channel>
  let topic: Ref<Topic>
  /// Where it stands.
  let members: Ref<Members>
  var index = 0

  init(_ channel: Ref<Channel>, _ topic: Ref<Topic>, _ members: Ref<Members>) {
    self.channel = channel
    self.topic = topic
    self.members = members
  }
}

/// A message as it goes to each of the members: plain, and deflated by itself.
struct SharedFrame: ~Copyable {
  var plain = ByteBuffer()
  var deflated = ByteBuffer()
  /// As writers get it; nil where none does.
  var event: Ref<SharedEvent>? = nil
  /// What it counts for while it is under way.
  fileprivate var weight: Int64 = 0
  let references: Atomic<Int32>

  init(references: Int32) { self.references = Atomic(references) }

  deinit { event?.release() }
}

/// A message on its way to one worker.
struct Publication: ~Copyable {
  let worker: Ref<Worker>
  let topic: Ref<Topic>
  let frame: Ref<SharedFrame>
  /// A channel that is to be left out, as a handle's bits.
  let except: UInt64
  var mail: Ref<Mail>? = nil
}

@safe struct Topics: ~Copyable {
  private let lock = Lock()
  private var buckets = List<Ref<Topic>?>()
  private(set) var count = 0
  private var made: UInt64 = 0
  private let seed = (start: Entropy.word(), factor: Entropy.word() | 1)

  var isUsable: Bool { lock.isUsable }

  static var longestName: Int { 255 }
  /// What a busy worker leaves waiting may come to that.
  static var mostUnderWay: Int64 { 64 << 20 }

  deinit {
    for index in 0..<buckets.count {
      var topic = buckets[index]
      while let last = topic {
        topic = last.o.next
        last.free()
      }
    }
  }

  /// Peers may have a say in names: without the two numbers none can be told to collide.
  private func hash(_ name: Bytes) -> UInt32 {
    var hash = seed.start
    for index in 0..<name.count {
      let product = (hash ^ UInt64(name[index])).multipliedFullWidth(by: seed.factor)
      hash = product.high ^ product.low
    }
    return UInt32(truncatingIfNeeded: hash ^ (hash >> 32))
  }

  private func place(_ hash: UInt32) -> Int { Int(hash) & (buckets.count &- 1) }

  /// The topic of a name, with one more use; nil where there is none, or no memory
  /// to make it.
  mutating func use(_ name: Bytes, makes: Bool, workers: Int = 0) -> Ref<Topic>? {
    lock.lock()
    defer { lock.unlock() }
    let hash = hash(name)
    if buckets.count > 0 {
      var topic = buckets[place(hash)]
      while let found = topic {
        if found.o.hash == hash, found.o.name.bytes.equals(name) {
          found.o.uses &+= 1
          return found
        }
        topic = found.o.next
      }
    }
    guard makes, count < buckets.count || grow(),
      let made = Ref<Topic>(make: Topic(hash: hash, number: self.made))
    else { return nil }
    self.made &+= 1
    made.o.name.append(name)
    if made.o.name.failed || !made.prepare(workers) {
      made.free()
      return nil
    }
    made.o.next = buckets[place(hash)]
    buckets[place(hash)] = made
    count &+= 1
    return made
  }

  private mutating func grow() -> Bool {
    var larger = List<Ref<Topic>?>()
    for _ in 0..<max(16, buckets.count &* 2) where !larger.append(nil) { return false }
    swap(&larger, &buckets)
    for index in 0..<larger.count {
      var topic = larger[index]
      while let moved = topic {
        topic = moved.o.next
        moved.o.next = buckets[place(moved.o.hash)]
        buckets[place(moved.o.hash)] = moved
      }
    }
    return true
  }

  /// Lists for so many workers in topics that were made before; false without memory.
  func prepare(_ workers: Int) -> Bool {
    lock.lock()
    defer { lock.unlock() }
    for index in 0..<buckets.count {
      var topic = buckets[index]
      while let found = topic {
        if !found.prepare(workers) { return false }
        topic = found.o.next
      }
    }
    return true
  }

  /// Takes a use back; the last one ends the topic.
  mutating func leave(_ topic: Ref<Topic>) {
    lock.lock()
    defer { lock.unlock() }
    topic.o.uses &-= 1
    guard topic.o.uses == 0 else { return }
    let place = place(topic.o.hash)
    if buckets[place] == topic {
      buckets[place] = topic.o.next
    } else {
      var before = buckets[place]
      while let candidate = before, candidate.o.next != topic { before = candidate.o.next }
      before?.o.next = topic.o.next
    }
    count &-= 1
    topic.free()
  }
}

extension Ref where Object == Server {
  /// Sends a message to all members of a topic but one. Any thread.
  func publish(
    _ message: Bytes, opcode: UInt8, to name: Bytes, except: UInt64,
    _ event: Ref<SharedEvent>? = nil
  ) throws(Failure) {
    if opcode == Opcode.text, !UTF8Validator.isValid(message) {
      throw Failure(.argument, "the text is not UTF-8")
    }
    guard let topic = o.topics.use(name, makes: false) else { return }
    o.lock.lock()
    defer {
      o.lock.unlock()
      o.topics.leave(topic)
    }
    guard o.state != .idle, o.workers.count > 0 else { return }
    let count = o.workers.count
    let frame = Ref<SharedFrame>(
      make: SharedFrame(references: Int32(truncatingIfNeeded: count)))
    guard let frame, fill(frame, message, opcode) else {
      frame?.free()
      throw .noMemory
    }
    do throws(Failure) {
      try admit(frame, event: opcode == Opcode.text ? message.count : 0)
      if opcode == Opcode.text { try add(event, message, to: frame, topic) }
    } catch {
      frame.end(self)
      throw error
    }
    for index in 0..<count { post(frame, topic, to: o.workers[index], except, name) }
  }

  /// One message may always go, however large. The caller holds the lock, so that only what
  /// arrives meanwhile changes what is under way.
  private func admit(_ frame: Ref<SharedFrame>, event: Int) throws(Failure) {
    let count = frame.o.plain.count &+ frame.o.deflated.count &+ event
    let weight = Int64(count) &+ 256 &* Int64(o.workers.count)
    let before = o.underWay.load(ordering: .relaxed)
    if before > 0, before &+ weight > Topics.mostUnderWay {
      throw Failure(.full, "much that was published has not reached the workers yet")
    }
    o.underWay.wrappingAdd(weight, ordering: .relaxed)
    frame.o.weight = weight
  }

  /// What writers get of it, where there are any or a history. The caller holds the lock.
  private func add(
    _ event: Ref<SharedEvent>?, _ message: Bytes, to frame: Ref<SharedFrame>, _ topic: Ref<Topic>
  ) throws(Failure) {
    let isRead = topic.o.readers.load(ordering: .sequentiallyConsistent) > 0
    guard isRead || topic.o.history.isKept else { return }
    let made: Ref<SharedEvent>
    if let event {
      made = event
      made.retain()
    } else {
      made = try Ref<SharedEvent>.make(name: nil, id: nil, data: message)
    }
    frame.o.event = made
    topic.o.sequence &+= 1
    made.o.sequence = topic.o.sequence
    topic.o.history.add(made)
  }

  private func fill(_ frame: Ref<SharedFrame>, _ message: Bytes, _ opcode: UInt8) -> Bool {
    var header = FrameHeader()
    header.isFinal = true
    header.opcode = opcode
    guard Frame.append(header, message, nil, to: &frame.o.plain) else { return false }
    guard message.count >= Channel.leastCompressed,
      o.deflating.load(ordering: .relaxed) > 0,
      var deflater = Deflater(bits: 15, keepsContext: false)
    else { return true }
    var packed = ByteBuffer()
    guard deflater.deflate(message, isEnd: true, to: &packed) else { return false }
    header.reserved = FrameHeader.rsv1
    return Frame.append(header, packed.bytes, nil, to: &frame.o.deflated)
  }

  private func post(
    _ frame: Ref<SharedFrame>, _ topic: Ref<Topic>, to worker: Ref<Worker>, _ except: UInt64,
    _ name: Bytes
  ) {
    let publication = Ref<Publication>(
      make: Publication(worker: worker, topic: topic, frame: frame, except: except))
    guard let publication,
      let mail = unsafe Ref<Mail>(make: Mail(publication.opaque, deliverPublication))
    else {
      publication?.free()
      worker.o.counters.add(.unheard)
      return frame.release(self)
    }
    // One more use, besides the caller's.
    _ = o.topics.use(name, makes: false)
    publication.o.mail = mail
    // By the one way that all threads share: so each member gets what is published in
    // the same order.
    worker.o.loop.o.mailbox.post(mail)
  }
}

extension Ref where Object == Topic {
  /// A list for each worker, before anybody else sees the topic.
  fileprivate func prepare(_ workers: Int) -> Bool {
    while o.members.count < workers {
      guard let members = Ref<Members>(make: Members()) else { return false }
      guard o.members.append(members) else {
        members.free()
        return false
      }
    }
    return true
  }

  /// One worker's members. The worker's thread alone.
  func members(of worker: Ref<Worker>) -> Ref<Members>? {
    worker.o.index < o.members.count ? o.members[worker.o.index] : nil
  }
}

extension Ref where Object == SharedFrame {
  fileprivate func release(_ server: Ref<Server>) {
    let left = o.references.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue
    if left == 0 { end(server) }
  }

  /// Nobody else has it any more, or has had it.
  fileprivate func end(_ server: Ref<Server>) {
    server.o.underWay.wrappingSubtract(o.weight, ordering: .relaxed)
    free()
  }
}

private func pass(_ event: Ref<SharedEvent>, to members: Ref<Members>, _ except: UInt64) {
  var hasMuch = false
  var place = 0
  // Sending ends no membership: that happens when the turn does.
  while place < members.o.writers.count {
    let membership = members.o.writers[place]
    place &+= 1
    let exchange = membership.o.exchange
    if membership.o.from >= event.o.sequence { continue }
    if except != 0, exchange.o.writer.handle.bits == except { continue }
    if exchange.pass(on: event) { hasMuch = true }
  }
  if !hasMuch { return }
  place = 0
  // Here it may: then one or the other waits for the end of the turn.
  while place < members.o.writers.count {
    members.o.writers[place].o.exchange.flushMuch()
    place &+= 1
  }
}

/// The worker's thread.
private func deliverPublication(_ object: UnsafeMutableRawPointer) {
  let publication = unsafe Ref<Publication>(opaque: object)
  let topic = publication.o.topic
  let worker = publication.o.worker
  let index = worker.o.index
  // One that has stopped has no members, and has left its number to another.
  let isOver = worker.o.isRetired.load(ordering: .acquiring)
  if !isOver, index < topic.o.members.count {
    let members = topic.o.members[index]
    var place = 0
    // One that is closed on the way leaves the list, and the last one takes its place.
    while place < members.o.list.count {
      let membership = members.o.list[place]
      let channel = membership.o.channel
      if channel.o.handle.bits != publication.o.except { channel.pass(on: publication.o.frame) }
      if place < members.o.list.count, members.o.list[place] == membership { place &+= 1 }
    }
    if let event = publication.o.frame.o.event {
      pass(event, to: members, publication.o.except)
    }
  }
  publication.o.frame.release(worker.o.server)
  worker.o.server.o.topics.leave(topic)
  publication.o.mail?.free()
  publication.free()
}
