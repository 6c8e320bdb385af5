// What is due by time on the writer whose turn it is: a heartbeat, and its end when the
// host has written nothing for too long.

import Synchronization

extension Ref where Object == Connection {
  /// When something is due, in the loop's microseconds; 0: nothing. Of an exchange that
  /// is shared.
  func writerDue(_ exchange: Ref<Exchange>) -> Int64 {
    exchange.o.lock.lock()
    defer { exchange.o.lock.unlock() }
    if exchange.o.isReplied { return 0 }
    let beat = beatDue(exchange)
    let end = idleEnd(exchange)
    return beat == 0 ? end : end == 0 ? beat : min(beat, end)
  }

  /// What waits for the client keeps the connection alive as well.
  private func beatDue(_ exchange: Ref<Exchange>) -> Int64 {
    guard let events = exchange.o.writer.events, events.o.heartbeat > 0, exchange.o.isHeadWritten,
      o.stream.o.output == nil
    else { return 0 }
    return o.stream.o.lastSent &+ events.o.heartbeat &* 1000
  }

  /// While the client takes what was written before, the host may have to wait for room.
  private func idleEnd(_ exchange: Ref<Exchange>) -> Int64 {
    let limit = exchange.o.writer.idleTimeout
    if limit == 0 { return 0 }
    let taken = exchange.buffered > 0 ? o.stream.o.lastSent : 0
    return max(exchange.o.writer.lastWrite, exchange.o.receivedAt, taken) &+ limit &* 1000
  }

  /// The timer has run out: does what is due. The connection may be dead afterwards.
  func serveWriter(_ exchange: Ref<Exchange>, _ now: Int64) {
    exchange.o.lock.lock()
    let isOpen = !exchange.o.isReplied
    let end = isOpen ? idleEnd(exchange) : 0
    let beat = isOpen ? beatDue(exchange) : 0
    if beat != 0, beat <= now, end == 0 || end > now {
      // A comment, which clients pass over.
      if let output = o.stream.writing() {
        output.o.append(exchange.o.framing == .chunked ? "3\r\n:\n\n\r\n" : ":\n\n")
        exchange.o.bodyBytes &+= 3
      }
      o.stream.o.loop.addDirty(o.stream)
    }
    exchange.o.lock.unlock()
    guard end != 0, end <= now else { return }
    o.worker.o.counters.add(.timeoutIdle)
    o.worker.report(
      self, Failure(.timeout, "nothing was written within the writer's idle time"), status: 0)
    die(reset: o.stream.o.output != nil)
  }
}
