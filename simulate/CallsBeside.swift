// The system's other calls: descriptors, listeners, names, clocks and threads.

import CSystem
import Glibc

private func made(_ descriptor: Descriptor) -> Int32 {
  let number = world.table.add(descriptor)
  if number >= 0 { return number }
  errno = -number
  return -1
}

@_cdecl("sys_epoll_make") func systemEpollMake() -> Int32 { made(Poller()) }
@_cdecl("sys_event_make") func systemEventMake() -> Int32 { made(EventDescriptor()) }
@_cdecl("sys_timer_make") func systemTimerMake() -> Int32 { made(TimerDescriptor()) }

@_cdecl("sys_timer_set") func systemTimerSet(_ number: Int32, _ time: Int64) {
  guard let timer = world.table[number] as? TimerDescriptor else {
    return world.fail("a timer is set that is none")
  }
  timer.time = time
  timer.isRead = false
}

@_cdecl("sys_event_signal") func systemEventSignal(_ number: Int32) {
  guard let event = world.table[number] as? EventDescriptor else {
    return world.fail("an event is signalled that is none")
  }
  event.isSignalled = true
}

@_cdecl("sys_event_clear") func systemEventClear(_ number: Int32) {
  switch world.table[number] {
  case let event as EventDescriptor: event.isSignalled = false
  case let timer as TimerDescriptor: if timer.time <= world.now { timer.isRead = true }
  default: world.fail("an event is cleared that is none")
  }
}

@_cdecl("sys_wait_readable") func systemWaitReadable(_ number: Int32, _ timeout: Int32) -> Int32 {
  world.fail("a wait on one descriptor where there is no thread to end it")
  return 0
}

@_cdecl("sys_close") func systemClose(_ number: Int32) -> Int32 {
  if number < DescriptorTable.base { return close(number) }
  if world.table[number] is Poller { Timers.end(number) }
  guard let descriptor = world.table.remove(number) else {
    world.fail("a descriptor is closed that is not open: \(number)")
    return -1
  }
  descriptor.closed()
  return 0
}

// ---- listeners and addresses

@_cdecl("sys_socket") func systemSocket(_ family: Int32) -> Int32 { made(ListenerSocket()) }

@_cdecl("sys_set_option") func systemSetOption(
  _ number: Int32, _ level: Int32, _ name: Int32, _ value: Int32
) -> Int32 {
  // Every fourth socket is none of TCP.
  level == SYS_LEVEL_TCP && number % 4 == 3 && world.table[number] is Socket ? -1 : 0
}

@_cdecl("sys_bind") func systemBind(
  _ number: Int32, _ address: UnsafePointer<sys_address>?
) -> Int32 {
  guard let listener = world.table[number] as? ListenerSocket, let address else { return -1 }
  var text = [CChar](repeating: 0, count: 48)
  listener.port = UInt16(sys_address_text(address, &text))
  if listener.port == 0 { listener.port = 8080 }
  return 0
}

@_cdecl("sys_listen") func systemListen(_ number: Int32, _ backlog: Int32) -> Int32 {
  guard let listener = world.table[number] as? ListenerSocket else { return -1 }
  listener.isListening = true
  return 0
}

@_cdecl("sys_connect") func systemConnect(
  _ number: Int32, _ address: UnsafePointer<sys_address>?
) -> Int32 {
  errno = ECONNREFUSED
  return -1
}

@_cdecl("sys_own_address") func systemOwnAddress(
  _ number: Int32, _ address: UnsafeMutablePointer<sys_address>?
) -> Int32 {
  guard let address else { return -1 }
  let port = (world.table[number] as? ListenerSocket)?.port ?? 40_000
  fill(address, "10.0.0.254", port)
  return 0
}

@_cdecl("sys_peer_address") func systemPeerAddress(
  _ number: Int32, _ address: UnsafeMutablePointer<sys_address>?
) -> Int32 {
  guard let address else { return -1 }
  fill(address, "10.0.0.253", 40_001)
  return 0
}

@_cdecl("sys_is_listener") func systemIsListener(_ number: Int32) -> Int32 {
  switch world.table[number] {
  case let listener as ListenerSocket: listener.isListening ? 1 : 0
  case is Socket: 0
  default: -1
  }
}

@_cdecl("sys_make_nonblocking") func systemMakeNonblocking(_ number: Int32) -> Int32 { 0 }

@_cdecl("sys_descriptor_limit") func systemDescriptorLimit() -> Int64 {
  Int64(DescriptorTable.base) + Int64(world.table.limit)
}

// ---- clocks

@_cdecl("sys_monotonic_us") func systemMonotonic() -> Int64 { world.now }
@_cdecl("sys_now_us") func systemNow(_ context: UnsafeMutableRawPointer?) -> Int64 { world.now }
@_cdecl("sys_wall_seconds") func systemWallSeconds() -> Int64 {
  1_700_000_000 + world.now / 1_000_000
}
@_cdecl("sys_wall") func systemWall(_ context: UnsafeMutableRawPointer?) -> Int64 {
  systemWallSeconds()
}

// ---- chance

@_cdecl("ssl_random") func systemRandom(_ bytes: UnsafeMutablePointer<UInt8>?, _ count: Int)
  -> Int32
{
  guard let bytes else { return 0 }
  for index in 0..<count { bytes[index] = UInt8(truncatingIfNeeded: world.chance.next()) }
  return 1
}

// ---- threads: there is one

@_cdecl("sys_condition_wait") func systemConditionWait(
  _ condition: UnsafeMutablePointer<sys_condition>?, _ mutex: UnsafeMutablePointer<sys_mutex>?,
  _ until: Int64
) {
  world.fail("a wait for another thread, where there is none")
  abort()
}

/// A thread runs whole, at some later time.
@_cdecl("sys_thread_start") func systemThreadStart(
  _ thread: UnsafeMutablePointer<sys_thread_id>?,
  _ run: (@convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer?)?,
  _ context: UnsafeMutableRawPointer?
) -> Int32 {
  let context = UInt(bitPattern: context)
  world.startThread { _ = run?(UnsafeMutableRawPointer(bitPattern: context)) }
  return 0
}

@_cdecl("sys_thread_join") func systemThreadJoin(_ thread: sys_thread_id) {
  world.fail("a thread is waited for")
}
@_cdecl("sys_thread_is_current") func systemThreadIsCurrent(_ thread: sys_thread_id) -> Int32 { 0 }
@_cdecl("sys_thread_detach") func systemThreadDetach(_ thread: sys_thread_id) {}
@_cdecl("sys_yield") func systemYield() {
  world.fail("the only thread yields")
  abort()
}
