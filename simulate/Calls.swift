// The system's calls on connections, as the library makes them: over the simulated network,
// with the faults that chance injects. Each returns the negative error number.

import CSystem
import Glibc

/// Whether a fault is injected now, which is counted.
private func strikes(_ rate: Int, _ fault: Fault) -> Bool {
  guard world.chance.once(in: rate) else { return false }
  world.statistics.add(fault)
  return true
}

private func socket(_ number: Int32) -> Socket? {
  world.statistics.systemCalls += 1
  guard let socket = world.table[number] as? Socket else {
    world.fail("a call on a descriptor that is no socket: \(number)")
    return nil
  }
  return socket
}

@_cdecl("sys_accept") func systemAccept(
  _ context: UnsafeMutableRawPointer?, _ number: Int32,
  _ address: UnsafeMutablePointer<sys_address>?
) -> Int32 {
  world.statistics.systemCalls += 1
  guard let listener = world.table[number] as? ListenerSocket, listener.isListening else {
    world.fail("accept on what does not listen: \(number)")
    return -EBADF
  }
  if strikes(world.faults.interrupted, .interrupted) { return -EINTR }
  guard let end = listener.waiting.first else { return -EAGAIN }
  if strikes(world.faults.noDescriptors, .noDescriptors) {
    world.note("accept without descriptors")
    return -world.chance.pick([EMFILE, ENFILE, ENOBUFS, ENOMEM])
  }
  if strikes(world.faults.notReady, .notReady) { return -EAGAIN }
  if strikes(world.faults.aborted, .aborted) {
    listener.waiting.removeFirst()
    end.disturb()
    end.close(reset: true)
    return -world.chance.pick([ECONNABORTED, EPROTO])
  }
  let result = world.table.add(Socket(end))
  if result < 0 { return result }
  listener.waiting.removeFirst()
  end.touch()
  if let address { fill(address, "10.0.0.\(end.number % 250 + 1)", UInt16(1024 + end.number)) }
  world.note("accept", end.number)
  return result
}

func fill(_ address: UnsafeMutablePointer<sys_address>, _ host: String, _ port: UInt16) {
  _ = sys_address_parse(address, host, port)
}

@_cdecl("sys_receive") func systemReceive(
  _ context: UnsafeMutableRawPointer?, _ number: Int32, _ data: UnsafeMutableRawPointer?,
  _ capacity: Int
) -> Int64 {
  guard let end = socket(number)?.end, let data else { return Int64(-EBADF) }
  if strikes(world.faults.interrupted, .interrupted) { return Int64(-EINTR) }
  if strikes(world.faults.notReady, .notReady) { return Int64(-EAGAIN) }
  if strikes(world.faults.connectionReset, .connectionReset) { breakOff(end) }
  if end.available > 0 {
    var most = min(capacity, end.available)
    if most > 1, strikes(world.faults.shortRead, .shortRead) {
      most = 1 + world.chance.size(upTo: most - 1)
      end.arriveLate()
    }
    let count = end.take(data, most)
    world.note("receive", end.number, count)
    return Int64(count)
  }
  if end.takeReset() {
    world.note("receive reset", end.number)
    return Int64(-ECONNRESET)
  }
  if end.isAtEnd || end.resetArrived {
    world.note("receive end", end.number)
    return 0
  }
  return Int64(-EAGAIN)
}

/// The connection breaks from outside of both of its ends.
private func breakOff(_ end: End) {
  end.disturb()
  end.breakOff()
}

@_cdecl("sys_is_quiet") func systemIsQuiet(
  _ context: UnsafeMutableRawPointer?, _ number: Int32
) -> Int32 {
  guard let end = socket(number)?.end else { return 0 }
  return end.available == 0 && !end.isAtEnd && !end.resetArrived ? 1 : 0
}

@_cdecl("sys_send") func systemSend(
  _ context: UnsafeMutableRawPointer?, _ number: Int32, _ first: UnsafeRawPointer?,
  _ firstLength: Int, _ second: UnsafeRawPointer?, _ secondLength: Int
) -> Int64 {
  guard let end = socket(number)?.end else { return Int64(-EBADF) }
  let most = sendable(end, firstLength + secondLength)
  if most < 0 { return most }
  var bytes: [UInt8] = []
  bytes.reserveCapacity(Int(most))
  let fromFirst = min(Int(most), firstLength)
  bytes.append(contentsOf: UnsafeRawBufferPointer(start: first, count: fromFirst))
  bytes.append(contentsOf: UnsafeRawBufferPointer(start: second, count: Int(most) - fromFirst))
  bytes.withUnsafeBytes { world.note(bytes: $0) }
  world.note("send", end.number, bytes.count)
  end.transmit(bytes)
  return most
}

/// How much of what is to be sent the system takes, or why not.
private func sendable(_ end: End, _ count: Int) -> Int64 {
  if end.hasSentEnd { return Int64(-EPIPE) }
  if strikes(world.faults.brokenPipe, .brokenPipe) { breakOff(end) }
  if end.resetArrived {
    world.note("send refused", end.number)
    return Int64(end.takeReset() && world.chance.once(in: 2) ? -ECONNRESET : -EPIPE)
  }
  if strikes(world.faults.interrupted, .interrupted) { return Int64(-EINTR) }
  if strikes(world.faults.notReady, .notReady) { return Int64(-EAGAIN) }
  if strikes(world.faults.noBuffers, .noBuffers) { return Int64(-ENOBUFS) }
  var most = min(count, end.free)
  if most <= 0 { return count == 0 ? 0 : Int64(-EAGAIN) }
  if most > 1, strikes(world.faults.shortWrite, .shortWrite) {
    most = 1 + world.chance.size(upTo: most - 1)
  }
  return Int64(most)
}

@_cdecl("sys_send_ahead") func systemSendAhead(
  _ context: UnsafeMutableRawPointer?, _ number: Int32, _ data: UnsafeRawPointer?, _ length: Int
) -> Int64 { systemSend(context, number, data, length, nil, 0) }

@_cdecl("sys_send_file") func systemSendFile(
  _ context: UnsafeMutableRawPointer?, _ number: Int32, _ file: Int32, _ offset: Int64,
  _ count: Int, _ isGuarded: Int32
) -> Int64 {
  guard let end = socket(number)?.end else { return Int64(-EBADF) }
  if strikes(world.faults.fileFallback, .fileFallback) { return Int64(-EINVAL) }
  let most = sendable(end, count)
  if most <= 0 { return most }
  var bytes = [UInt8](repeating: 0, count: Int(most))
  let got = bytes.withUnsafeMutableBytes { sys_file_read(file, $0.baseAddress, Int(most), offset) }
  if got <= 0 { return got }
  bytes.removeLast(Int(most - got))
  bytes.withUnsafeBytes { world.note(bytes: $0) }
  world.note("send file", end.number, bytes.count)
  end.transmit(bytes)
  return got
}

@_cdecl("sys_shutdown_write") func systemShutdownWrite(
  _ context: UnsafeMutableRawPointer?, _ number: Int32
) -> Int32 {
  guard let end = socket(number)?.end else { return -EBADF }
  if end.resetArrived { return -ENOTCONN }
  end.sendEnd()
  return 0
}

@_cdecl("sys_end") func systemEnd(
  _ context: UnsafeMutableRawPointer?, _ number: Int32, _ reset: Int32
) {
  guard let end = socket(number)?.end else { return }
  end.close(reset: reset != 0)
  _ = world.table.remove(number)
}

@_cdecl("sys_poll_control") func systemPollControl(
  _ context: UnsafeMutableRawPointer?, _ poller: Int32, _ operation: Int32, _ number: Int32,
  _ events: UInt32, _ token: UInt64
) -> Int32 {
  world.statistics.systemCalls += 1
  guard let poller = world.table[poller] as? Poller else {
    world.fail("a poller's call on what is none")
    return -EBADF
  }
  if operation == SYS_POLL_ADD, let end = (world.table[number] as? Socket)?.end,
    strikes(world.faults.pollRefused, .pollRefused)
  {
    end.disturb()
    return -world.chance.pick([ENOSPC, ENOMEM])
  }
  let result = poller.control(operation, number, events, token)
  world.check(result == 0, "a poller was asked for what it cannot do: \(result)")
  return result
}

@_cdecl("sys_poll_wait") func systemPollWait(
  _ context: UnsafeMutableRawPointer?, _ poller: Int32,
  _ events: UnsafeMutablePointer<epoll_event>?,
  _ capacity: Int32, _ timeout: Int32
) -> Int32 {
  Timers.look(poller)
  Buffers.look()
  defer { Timers.waited(poller) }
  return wait(poller, events, capacity, timeout)
}

private func wait(
  _ poller: Int32, _ events: UnsafeMutablePointer<epoll_event>?, _ capacity: Int32,
  _ timeout: Int32
) -> Int32 {
  world.statistics.systemCalls += 1
  guard let poller = world.table[poller] as? Poller, let events else { return -EBADF }
  world.advance(to: world.now + Int64(world.chance.within(1...30)))
  if strikes(world.faults.interrupted, .interrupted) { return -EINTR }
  if strikes(world.faults.clockJump, .clockJump) {
    world.jump(world.chance.size(upTo: 100_000_000))
  }
  let until = timeout < 0 ? Int64.max : world.now + Int64(timeout) * 1000
  while true {
    let ready = poller.ready(Int(capacity))
    if !ready.isEmpty {
      for (index, entry) in ready.enumerated() {
        events[index].events = entry.events
        sys_event_set_token(events + index, entry.token)
      }
      world.note("ready", ready.count)
      return Int32(ready.count)
    }
    if world.now >= until { return 0 }
    let next = min(world.nextTime, until)
    if next == .max {
      world.fail("a wait without an end")
      return -EINTR
    }
    world.advance(to: max(next, world.now))
    if !world.step() { return -EINTR }
  }
}
