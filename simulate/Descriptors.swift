// The descriptors of the simulated system: pollers, events, timers, listeners, sockets.
// Their numbers begin far above those of real files, which stay the real system's.

import CSystem
import Glibc

class Descriptor {
  fileprivate(set) var number: Int32 = -1

  /// What a poller would say of it.
  var readiness: UInt32 { 0 }

  /// How often something came that a poller tells of once.
  var arrivals: Int { 0 }

  /// The last use of it has gone.
  func closed() {}
}

struct DescriptorTable {
  static let base: Int32 = 1_000_000
  private var list: [Descriptor?] = []
  private(set) var count = 0
  var limit = 10_000

  /// The number of a new one: the lowest that is free; or the negative error number.
  mutating func add(_ descriptor: Descriptor) -> Int32 {
    if count >= limit { return -EMFILE }
    var index = list.firstIndex { $0 == nil } ?? list.count
    if index == list.count { list.append(nil) }
    list[index] = descriptor
    count += 1
    index += Int(DescriptorTable.base)
    descriptor.number = Int32(index)
    return Int32(index)
  }

  subscript(_ number: Int32) -> Descriptor? {
    let index = Int(number) - Int(DescriptorTable.base)
    return index >= 0 && index < list.count ? list[index] : nil
  }

  mutating func remove(_ number: Int32) -> Descriptor? {
    guard let descriptor = self[number] else { return nil }
    list[Int(number) - Int(DescriptorTable.base)] = nil
    count -= 1
    for case let poller as Poller in list { poller.forget(number) }
    return descriptor
  }

  /// The next time at which a timer's descriptor becomes readable.
  var nextTimer: Int64 {
    var next = Int64.max
    for case let timer as TimerDescriptor in list
    where timer.isWatchedAndDue && timer.time > world.now {
      next = min(next, timer.time)
    }
    return next
  }

  var names: String { list.compactMap { $0 }.map { "\(type(of: $0))" }.joined(separator: ", ") }

  var listener: ListenerSocket? { list.lazy.compactMap { $0 as? ListenerSocket }.first }
  var sockets: [Socket] { list.compactMap { $0 as? Socket } }
}

final class EventDescriptor: Descriptor {
  var isSignalled = false
  override var readiness: UInt32 { isSignalled ? SYS_POLL_IN : 0 }
}

final class TimerDescriptor: Descriptor {
  /// 0: not set.
  var time: Int64 = 0
  var isRead = false
  override var readiness: UInt32 { isWatchedAndDue && time <= world.now ? SYS_POLL_IN : 0 }
  var isWatchedAndDue: Bool { time != 0 && !isRead }
}

final class Poller: Descriptor {
  private struct Entry {
    let number: Int32
    let target: Descriptor
    var events: UInt32
    var token: UInt64
    /// Of the target's arrivals, what was told; -1: whatever there is is to be told.
    var told = -1
  }

  private var entries: [Entry] = []

  func control(_ operation: Int32, _ number: Int32, _ events: UInt32, _ token: UInt64) -> Int32 {
    guard let target = world.table[number] else { return -EBADF }
    let place = entries.firstIndex { $0.number == number }
    switch operation {
    case SYS_POLL_ADD:
      if place != nil { return -EEXIST }
      entries.append(Entry(number: number, target: target, events: events, token: token))
    case SYS_POLL_DELETE:
      guard let place else { return -ENOENT }
      entries.remove(at: place)
    default:
      guard let place else { return -ENOENT }
      entries[place].events = events
      entries[place].token = token
      entries[place].told = -1
    }
    return 0
  }

  func forget(_ number: Int32) { entries.removeAll { $0.number == number } }

  /// Poll says so of an error and of a hangup whether it was asked or not.
  private func events(of entry: Entry) -> UInt32 {
    if entry.events & SYS_POLL_EDGE != 0, entry.told == entry.target.arrivals { return 0 }
    return entry.target.readiness & (entry.events | SYS_POLL_ERROR | SYS_POLL_HANGUP)
  }

  override var readiness: UInt32 {
    entries.contains { events(of: $0) != 0 } ? SYS_POLL_IN : 0
  }

  /// What is ready, in an order of chance.
  func ready(_ capacity: Int) -> [(events: UInt32, token: UInt64, number: Int32)] {
    var found: [(events: UInt32, token: UInt64, number: Int32)] = []
    for entry in entries {
      let events = events(of: entry)
      if events != 0 { found.append((events, entry.token, entry.number)) }
    }
    world.chance.shuffle(&found)
    if found.count > capacity { found.removeLast(found.count - capacity) }
    for one in found {
      guard let place = entries.firstIndex(where: { $0.number == one.number }) else { continue }
      entries[place].told = entries[place].target.arrivals
    }
    return found
  }
}

/// A socket that listens, with what waits to be accepted.
final class ListenerSocket: Descriptor {
  var port: UInt16 = 0
  var isListening = false
  var waiting: [End] = []
  override var readiness: UInt32 { isListening && !waiting.isEmpty ? SYS_POLL_IN : 0 }

  override func closed() {
    for end in waiting { end.close(reset: true) }
    waiting = []
  }
}

/// A connected socket of the library's, or one that connects.
final class Socket: Descriptor {
  let end: End
  /// Nil while it is not known what comes of the connection.
  var dialResult: Int32? = 0
  init(_ end: End) { self.end = end }

  override var readiness: UInt32 {
    guard let dialResult else { return 0 }
    if dialResult != 0 { return SYS_POLL_OUT | SYS_POLL_ERROR | SYS_POLL_HANGUP }
    return end.readiness
  }
  override var arrivals: Int { end.arrivals }

  override func closed() { if !end.isClosed { end.close(reset: false) } }
}
