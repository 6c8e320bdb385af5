// EventQueue: events in order, and a descriptor that is readable while there are
// any.

import Glibc
import Testing

@testable import Apus

private final class Bench {
  var queue: EventQueue

  init() throws { queue = try EventQueue() }

  var isReadable: Bool {
    var entry = pollfd(fd: queue.descriptor.number, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, 0) == 1
  }

  func push(_ numbers: Range<Int>) {
    var batch = List<Event>()
    for number in numbers {
      guard let object = UnsafeMutableRawPointer(bitPattern: number + 1) else { return }
      _ = batch.append(Event(kind: .request, object: object))
    }
    queue.push(&batch)
    #expect(batch.count == 0)
  }

  func take() -> [Int] {
    var list = List<Event>()
    queue.take(&list)
    return (0..<list.count).map { Int(bitPattern: list[$0].object) - 1 }
  }
}

@Suite struct EventQueueTests {
  @Test func keepsTheOrder() throws {
    let bench = try Bench()
    bench.push(0..<3)
    bench.push(3..<100)
    #expect(bench.queue.count.load(ordering: .relaxed) == 100)
    #expect(bench.take() == Array(0..<100))
    #expect(bench.take() == [])
    bench.push(7..<9)
    #expect(bench.take() == [7, 8])
  }

  @Test func isReadableUntilNothingWasFound() throws {
    let bench = try Bench()
    #expect(!bench.isReadable)
    bench.push(0..<1)
    #expect(bench.isReadable)
    #expect(bench.take() == [0])
    #expect(bench.isReadable)
    #expect(bench.take() == [])
    #expect(!bench.isReadable)
    bench.push(1..<2)
    bench.push(2..<3)
    #expect(bench.take() == [1, 2])
    bench.push(3..<4)
    #expect(bench.take() == [3])
    #expect(bench.isReadable)
    #expect(bench.take() == [])
    #expect(!bench.isReadable)
  }

  @Test func wakesWithoutAnEvent() throws {
    let bench = try Bench()
    bench.queue.wake()
    bench.queue.wake()
    #expect(bench.isReadable)
    #expect(bench.take() == [])
    #expect(!bench.isReadable)
  }
}
