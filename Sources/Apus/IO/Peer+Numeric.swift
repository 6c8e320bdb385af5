// Between the addresses of sockets and those that are compared and told.

import CSystem

extension Peer {
  /// An address that somebody has told; nil: the other end of a Unix socket.
  init(_ address: NumericAddress?, port: Int32) {
    var buffer = ByteBuffer()
    address?.append(to: &buffer)
    let number = UInt16(truncatingIfNeeded: port)
    unsafe sys_address_set(&self.address, buffer.pointer, buffer.count, number)
  }

  /// Nil for a Unix socket's.
  var numeric: NumericAddress? {
    var copy = address
    var buffer = ByteBuffer()
    guard let space = unsafe buffer.space(16) else { return nil }
    buffer.filled(Int(unsafe sys_address_bytes(&copy, space)))
    return NumericAddress(bytes: buffer.bytes)
  }

  var isUnix: Bool {
    var copy = address
    return unsafe sys_address_family(&copy) == SYS_FAMILY_UNIX
  }
}
