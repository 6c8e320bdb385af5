// The table behind the handles: who is let in, who pays an object's end, and when
// a slot is used again.

import Glibc
import Testing

@testable import Apus

/// An object that counts how often it was ended.
private final class Probe {
  let ends = UnsafeMutablePointer<Int32>.allocate(capacity: 1)
  var pointer: UnsafeMutableRawPointer { UnsafeMutableRawPointer(ends) }
  init() { ends.initialize(to: 0) }
  deinit { ends.deallocate() }
}

private let finish: Finish = { $0.assumingMemoryBound(to: Int32.self).pointee += 1 }

/// A slot in use, given back at the end of the test.
private final class Use {
  let probe = Probe()
  let index: UInt32
  let slot: Ref<Slot>
  private(set) var handle = Handle(bits: 0)

  init(_ kind: Kind = .request, open: Bool = true) throws {
    index = try #require(Slots.take(kind, probe.pointer, finish))
    slot = try #require(Slots.slot(UInt64(index)))
    handle = Slots.live(slot, index, at: 1, open: open)
  }

  func makeLive(open: Bool) { handle = Slots.live(slot, index, at: 1, open: open) }

  deinit {
    _ = Slots.end(slot, handle)
    Slots.give(index)
  }
}

private func isHeld(_ pin: Slots.Pin) -> Bool {
  if case .held = pin { return true }
  return false
}

private func isDead(_ pin: Slots.Pin) -> Bool {
  if case .dead = pin { return true }
  return false
}

private func isElsewhere(_ pin: Slots.Pin) -> Bool {
  if case .otherThread = pin { return true }
  return false
}

@Suite(.serialized) struct SlotsTests {
  @Test func letsInWhoHoldsTheHandle() throws {
    let use = try Use(.writer)
    #expect(Slots.isAlive(use.handle, .writer))
    #expect(Slots.isOpen(use.slot))
    guard case .held(let object, let slot) = Slots.pin(use.handle, .writer) else {
      Issue.record("not let in")
      return
    }
    #expect(object == use.probe.pointer)
    #expect(slot == use.slot)
    Slots.unpin(slot)
    #expect(use.probe.ends.pointee == 0)
  }

  @Test func refusesAnyOtherHandle() throws {
    let use = try Use(.writer)
    let handle = use.handle
    for kind in Kind.allCases where kind != .writer {
      let forged = Handle(kind: kind, generation: handle.generation, index: handle.index)
      #expect(!Slots.isAlive(forged, kind))
      #expect(!Slots.isAlive(handle, kind))
      #expect(isDead(Slots.pin(forged, kind)))
      #expect(isDead(Slots.pin(handle, kind)))
    }
    for generation in [0, handle.generation - 1, handle.generation + 1, Handle.largest] {
      let forged = Handle(kind: .writer, generation: generation, index: handle.index)
      #expect(!Slots.isAlive(forged, .writer))
      #expect(isDead(Slots.pin(forged, .writer)))
    }
    for index in [handle.index + 100_000, Handle.largest] {
      let forged = Handle(kind: .writer, generation: handle.generation, index: index)
      #expect(!Slots.isAlive(forged, .writer))
      #expect(isDead(Slots.pin(forged, .writer)))
    }
    for bits in [0, .max, 1, 1 << 63] as [UInt64] {
      #expect(!Slots.isAlive(Handle(bits: bits), .writer))
      #expect(isDead(Slots.pin(Handle(bits: bits), .writer)))
    }
    // None of it left a pin behind.
    let (ended, pinned) = Slots.end(use.slot, handle)
    #expect(ended)
    #expect(!pinned)
  }

  @Test func staleHandlesStayDead() throws {
    let use = try Use()
    let old = use.handle
    #expect(Slots.end(use.slot, old).ended)
    #expect(!Slots.isAlive(old, .request))
    #expect(isDead(Slots.pin(old, .request)))
    #expect(!Slots.end(use.slot, old).ended)
    use.makeLive(open: true)
    #expect(use.handle != old)
    #expect(use.handle.generation == old.generation + 1)
    #expect(Slots.isAlive(use.handle, .request))
    #expect(!Slots.isAlive(old, .request))
    #expect(isDead(Slots.pin(old, .request)))
    #expect(!Slots.end(use.slot, old).ended)
    #expect(Slots.isAlive(use.handle, .request))
  }

  @Test func anObjectPinnedAsItDiesEndsWithTheLastPin() throws {
    let use = try Use()
    #expect(isHeld(Slots.pin(use.handle, .request)))
    #expect(isHeld(Slots.pin(use.handle, .request)))
    let (ended, pinned) = Slots.end(use.slot, use.handle)
    #expect(ended)
    #expect(pinned)
    #expect(isDead(Slots.pin(use.handle, .request)))
    #expect(use.probe.ends.pointee == 0)
    Slots.unpin(use.slot)
    #expect(use.probe.ends.pointee == 0)
    Slots.unpin(use.slot)
    #expect(use.probe.ends.pointee == 1)
    #expect(isDead(Slots.pin(use.handle, .request)))
    #expect(use.probe.ends.pointee == 1)
  }

  @Test func anObjectWithoutPinsIsEndedByWhoEndsTheHandle() throws {
    let use = try Use()
    let (ended, pinned) = Slots.end(use.slot, use.handle)
    #expect(ended)
    #expect(!pinned)
    #expect(use.probe.ends.pointee == 0)
  }

  @Test func aPrivateHandleIsOfOneThread() throws {
    let use = try Use(open: false)
    #expect(Slots.isAlive(use.handle, .request))
    #expect(!Slots.isOpen(use.slot))
    #expect(isElsewhere(Slots.pin(use.handle, .request)))
    Slots.open(use.slot)
    #expect(isHeld(Slots.pin(use.handle, .request)))
    Slots.unpin(use.slot)
    #expect(Slots.end(use.slot, use.handle).ended)
    use.makeLive(open: false)
    #expect(isElsewhere(Slots.pin(use.handle, .request)))
    Slots.endPrivate(use.slot)
    #expect(isDead(Slots.pin(use.handle, .request)))
    #expect(use.probe.ends.pointee == 0)
  }

  @Test func isUsedAgainOldestFirst() throws {
    let first = try #require(Slots.take(.server, Probe().pointer, finish))
    let second = try #require(Slots.take(.server, Probe().pointer, finish))
    Slots.give(first)
    Slots.give(second)
    var order: [UInt32] = []
    while !(order.contains(first) && order.contains(second)), order.count < 100_000 {
      order.append(try #require(Slots.take(.server, Probe().pointer, finish)))
    }
    let early = try #require(order.firstIndex(of: first))
    let late = try #require(order.firstIndex(of: second))
    #expect(early < late)
    for index in order { Slots.give(index) }
  }

  /// A slot whose last two generations are left serves one more use, which may make
  /// it live twice, and then no other.
  @Test func retiresASlotThatIsUsedUp() throws {
    let probe = Probe()
    let index = try #require(Slots.take(.server, probe.pointer, finish))
    let slot = try #require(Slots.slot(UInt64(index)))
    slot.o.own.store((Handle.largest - 2) << 1, ordering: .relaxed)
    #expect(!Slots.isUsedUp(slot))
    let first = Slots.live(slot, index, at: 1, open: true)
    #expect(Slots.isUsedUp(slot))
    #expect(Slots.end(slot, first).ended)
    let last = Slots.live(slot, index, at: 1, open: true)
    #expect(last.generation == Handle.largest)
    #expect(Slots.isAlive(last, .server))
    #expect(Slots.end(slot, last).ended)
    #expect(Slots.isUsedUp(slot))
    Slots.give(index)
    var taken: [UInt32] = []
    for _ in 0..<5000 { taken.append(try #require(Slots.take(.server, probe.pointer, finish))) }
    #expect(!taken.contains(index))
    for index in taken { Slots.give(index) }
    #expect(!Slots.isAlive(last, .server))
  }

  @Test func spansChunks() throws {
    var uses: [Use] = []
    for _ in 0..<3000 { uses.append(try Use()) }
    #expect(Set(uses.map(\.index)).count == 3000)
    #expect(Set(uses.map(\.handle.bits)).count == 3000)
    #expect(uses.allSatisfy { Slots.isAlive($0.handle, .request) })
    for use in uses { #expect(Slots.live(use.handle) == use.slot) }
  }

  @Test func walks() throws {
    let one = try Use(.channel)
    let two = try Use(.source)
    let three = try Use(.channel)
    func all(_ kind: Kind?) -> [Handle] {
      var found: [Handle] = []
      var index: UInt64 = 0
      while let handle = Slots.next(kind, from: index) {
        found.append(handle)
        index = handle.index + 1
      }
      return found
    }
    #expect(Set(all(.channel).map(\.bits)) == [one.handle.bits, three.handle.bits])
    #expect(all(.source) == [two.handle])
    #expect(all(nil).count >= 3)
    #expect(Slots.end(three.slot, three.handle).ended)
    #expect(all(.channel) == [one.handle])
    #expect(Slots.next(nil, from: Handle.largest) == nil)
    #expect(Slots.next(nil, from: .max) == nil)
  }

  @Test func keepsTags() throws {
    let use = try Use()
    var buffer = [UInt8](repeating: 0xFF, count: 64)
    func tag() -> String {
      let count = Slots.copyTag(use.slot, to: &buffer)
      #expect(buffer[count] == 0)
      return String(decoding: buffer[..<count], as: UTF8.self)
    }
    #expect(tag() == "")
    #expect(with("chat") { Slots.setTag(use.slot, $0) })
    #expect(tag() == "chat")
    #expect(with(String(repeating: "x", count: 63)) { Slots.setTag(use.slot, $0) })
    #expect(tag() == String(repeating: "x", count: 63))
    #expect(with(String(repeating: "y", count: 64)) { Slots.setTag(use.slot, $0) })
    #expect(tag() == String(repeating: "y", count: 63))
    let isGone = Slots.setTag(use.slot, nil)
    #expect(isGone)
    #expect(tag() == "")
  }

  /// Threads pin a handle, and forged ones, while it is ended: one end each time.
  @Test func endsOnceWhateverTheThreads() throws {
    for _ in 0..<300 {
      let use = try Use()
      let race = Race(use.handle)
      let threads = try (0..<3).map { _ in try Thread { race.run() } }
      race.start()
      let (ended, pinned) = Slots.end(use.slot, use.handle)
      #expect(ended)
      for thread in threads { thread.join() }
      #expect(use.probe.ends.pointee == (pinned ? 1 : 0))
      #expect(isDead(Slots.pin(use.handle, .request)))
    }
  }
}

/// What the threads of a race do until the handle is dead.
private final class Race: @unchecked Sendable {
  private let handle: Handle
  private let forged: Handle
  private let started = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

  init(_ handle: Handle) {
    self.handle = handle
    forged = Handle(
      kind: .request, generation: handle.generation + 1, index: handle.index)
    sem_init(started, 0, 0)
  }

  deinit {
    sem_destroy(started)
    started.deallocate()
  }

  func start() { sem_wait(started) }

  func run() {
    sem_post(started)
    while true {
      if case .held(_, let slot) = Slots.pin(handle, .request) {
        _ = Slots.pin(forged, .request)
        Slots.unpin(slot)
      } else {
        return
      }
    }
  }
}
