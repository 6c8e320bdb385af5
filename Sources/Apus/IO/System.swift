// The calls that reach outside: the network, the poller and the clocks, as a
// table, so that a simulated network can stand in for the real one. A call gives
// the negative error number when it fails.

import CSystem

@safe struct System {
  typealias Context = UnsafeMutableRawPointer?

  var context: Context = nil
  var accept: @convention(c) (Context, Int32, UnsafeMutablePointer<sys_address>?) -> Int32 =
    unsafe sys_accept
  /// A new socket that connects; it is writable once that has come out.
  var dial: @convention(c) (Context, UnsafePointer<sys_address>?) -> Int32 = unsafe sys_dial
  /// What has come of that: 0 or the negative error number.
  var dialResult: @convention(c) (Context, Int32) -> Int32 = unsafe sys_dial_result
  /// The addresses of a name: how many there are. It may take long; any thread.
  var resolve:
    @convention(c) (
      Context, UnsafePointer<CChar>?, UInt16, UnsafeMutablePointer<sys_address>?, Int32
    ) -> Int32 = unsafe sys_resolve
  var receive: @convention(c) (Context, Int32, UnsafeMutableRawPointer?, Int) -> Int64 =
    unsafe sys_receive
  /// 1 where nothing has come that was not read, not even the peer's end.
  var isQuiet: @convention(c) (Context, Int32) -> Int32 = unsafe sys_is_quiet
  var send:
    @convention(c) (Context, Int32, UnsafeRawPointer?, Int, UnsafeRawPointer?, Int) -> Int64 =
      unsafe sys_send
  /// The same for bytes that a file follows.
  var sendAhead: @convention(c) (Context, Int32, UnsafeRawPointer?, Int) -> Int64 =
    unsafe sys_send_ahead
  /// Socket, file, offset, count, and whether SIGPIPE would be the host's.
  var sendFile: @convention(c) (Context, Int32, Int32, Int64, Int, Int32) -> Int64 =
    unsafe sys_send_file
  var shutdownWrite: @convention(c) (Context, Int32) -> Int32 = unsafe sys_shutdown_write
  var end: @convention(c) (Context, Int32, Int32) -> Void = unsafe sys_end
  var pollControl: @convention(c) (Context, Int32, Int32, Int32, UInt32, UInt64) -> Int32 =
    unsafe sys_poll_control
  var pollWait:
    @convention(c) (Context, Int32, UnsafeMutablePointer<epoll_event>?, Int32, Int32)
      -> Int32 = unsafe sys_poll_wait
  /// Microseconds that never go back.
  var now: @convention(c) (Context) -> Int64 = unsafe sys_now_us
  /// Seconds since 1970.
  var wall: @convention(c) (Context) -> Int64 = unsafe sys_wall
}
