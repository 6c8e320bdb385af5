// What is due on a channel by time: pings, a peer that is silent or takes nothing, the
// end of a close handshake. On the loop's thread.

import Synchronization

extension Ref where Object == Channel {
  /// When something is due next; 0: nothing.
  private var due: Int64 {
    guard let connection = o.connection else { return 0 }
    if o.closeDeadline > 0 { return o.closeDeadline }
    var due: Int64 = 0
    let options = connection.o.worker.o.server.o.options
    if connection.o.stream.o.buffered > 0, options.writeTimeout > 0 {
      due = connection.o.stream.o.lastSent &+ options.writeTimeout &* 1000
    }
    let (interval, patience) = pingTimes
    // While nothing is read the peer cannot be heard, but its end may be there.
    if interval > 0, connection.o.stream.o.isPaused {
      if connection.o.stream.o.isEndNear {
        let end = o.lastHeard &+ interval &+ patience
        due = due == 0 ? end : min(due, end)
      }
    } else if interval > 0 {
      let isAsked = o.lastPing > o.lastHeard
      let ping = isAsked ? o.lastPing &+ patience : o.lastHeard &+ interval
      due = due == 0 ? ping : min(due, ping)
    }
    return due
  }

  /// After how much silence the peer is asked, and given up, in microseconds.
  private var pingTimes: (interval: Int64, patience: Int64) {
    o.lock.lock()
    defer { o.lock.unlock() }
    let interval = o.pingInterval &* 1000
    return (interval, o.pongTimeout > 0 ? o.pongTimeout &* 1000 : interval)
  }

  func armTimer() {
    guard let connection = o.connection, !connection.o.isDead else { return }
    let due = due
    if due == 0 { return }
    let deadline = connection.o.stream.o.timer.o.deadline
    if deadline == 0 || due < deadline { connection.o.stream.setDeadline(due) }
  }

  func expired() {
    guard let connection = o.connection, !connection.o.isDead else { return }
    let now = connection.o.worker.o.loop.o.now
    connection.o.stream.clearDeadline()
    if connection.o.isLingering { return connection.die(reset: false) }
    if o.closeDeadline > 0 {
      if o.isAnswerDue, o.closeDeadline <= now { return answer() }
      return o.closeDeadline <= now ? connection.die(reset: true) : armTimer()
    }
    let options = connection.o.worker.o.server.o.options
    let stalled = connection.o.stream.o.lastSent &+ options.writeTimeout &* 1000
    if connection.o.stream.o.buffered > 0, options.writeTimeout > 0, stalled <= now {
      connection.o.worker.o.counters.add(.timeoutWrite)
      tellError(.timeout, "the peer takes nothing")
      return connection.die(reset: true)
    }
    keepAlive(connection, now)
    armTimer()
  }

  /// The peer has said all, of which something is still to be read: the host has as
  /// long for that as a silent peer has.
  func endIsNear() {
    guard let connection = o.connection else { return }
    o.lastHeard = connection.o.worker.o.loop.o.now
    armTimer()
  }

  /// A silent peer is asked, and given up when it does not answer in time.
  private func keepAlive(_ connection: Ref<Connection>, _ now: Int64) {
    let (interval, patience) = pingTimes
    guard interval > 0 else { return }
    if connection.o.stream.o.isPaused {
      guard connection.o.stream.o.isEndNear, now &- o.lastHeard >= interval &+ patience else {
        return
      }
      connection.o.worker.o.counters.add(.timeoutIdle)
      tellError(.closed, "the peer has gone, and the host takes nothing")
      return connection.die(reset: true)
    }
    // Who takes what waits for him is there.
    if connection.o.stream.o.buffered > 0 {
      o.lastHeard = max(o.lastHeard, connection.o.stream.o.lastSent)
    }
    if o.lastPing > o.lastHeard, now &- o.lastPing >= patience {
      connection.o.worker.o.counters.add(.timeoutIdle)
      tellError(.timeout, "the peer does not answer pings")
      return connection.die(reset: true)
    }
    guard o.lastPing <= o.lastHeard, now &- o.lastHeard >= interval else { return }
    o.lastPing = now
    o.lock.lock()
    // Past the mark nothing is added, and what waits there asks as well.
    if o.state == .open, buffered < o.highWater { try? send(Bytes(), opcode: Opcode.ping) }
    o.lock.unlock()
  }
}
