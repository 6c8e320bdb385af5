// The library's own connections: names and their addresses, and what comes of dialing them.

import CSystem
import Glibc

@_cdecl("sys_dial") func systemDial(
  _ context: UnsafeMutableRawPointer?, _ address: UnsafePointer<sys_address>?
) -> Int32 {
  world.statistics.systemCalls += 1
  guard let address else { return -EINVAL }
  var text = [CChar](repeating: 0, count: 48)
  let port = sys_address_text(address, &text)
  if world.chance.once(in: world.faults.noDescriptors) {
    world.statistics.add(.noDescriptors)
    world.troubles += 1
    return -world.chance.pick([EMFILE, ENFILE, ENOBUFS])
  }
  let (own, theirs) = End.pair()
  world.ends += [own, theirs]
  let socket = Socket(own)
  let number = world.table.add(socket)
  if number < 0 {
    world.troubles += 1
    return number
  }
  socket.dialResult = nil
  world.note("dial", own.number, Int(port))
  let delay = world.chance.size(upTo: 100_000)
  if world.chance.once(in: world.faults.dialStalled) {
    // Nothing is heard of it, ever.
    world.statistics.add(.dialStalled)
    own.disturb()
    return number
  }
  let isRefused = world.chance.once(in: world.faults.dialRefused)
  world.later(delay) {
    if own.isClosed { return }
    if isRefused || !world.meet(theirs, own) {
      world.statistics.add(.dialRefused)
      own.disturb()
      socket.dialResult = -world.chance.pick([ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH])
      return
    }
    socket.dialResult = 0
    own.touch()
  }
  return number
}

@_cdecl("sys_dial_result") func systemDialResult(
  _ context: UnsafeMutableRawPointer?, _ number: Int32
) -> Int32 {
  world.statistics.systemCalls += 1
  guard let socket = world.table[number] as? Socket else { return -EBADF }
  guard let result = socket.dialResult else { return -EINPROGRESS }
  return result
}

@_cdecl("sys_resolve") func systemResolve(
  _ context: UnsafeMutableRawPointer?, _ name: UnsafePointer<CChar>?, _ port: UInt16,
  _ addresses: UnsafeMutablePointer<sys_address>?, _ capacity: Int32
) -> Int32 {
  guard let addresses else { return -1 }
  if world.chance.once(in: world.faults.noAddress) {
    world.statistics.add(.noAddress)
    world.troubles += 1
    return -Int32(world.chance.below(2))
  }
  let count = world.chance.within(1...3)
  for index in 0..<count {
    fill(addresses + index, index == 1 ? "fd00::\(index + 1)" : "10.0.1.\(index + 1)", port)
  }
  return Int32(count)
}
