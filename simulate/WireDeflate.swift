// permessage-deflate (RFC 7692) at the scripts' ends: zlib is the library's too, but what is
// done with it, and when a window is forgotten, is not.

import CZlib

final class WireDeflate {
  private let out: UnsafeMutablePointer<z_stream>
  private let own: UnsafeMutablePointer<z_stream>
  private let forgetsOut: Bool
  private let forgetsIn: Bool

  /// By the parameters that were agreed on, this end being a client or not.
  init?(_ agreed: String, isClient: Bool) {
    let words = agreed.split(whereSeparator: { ";, ".contains($0) }).map(String.init)
    guard words.first == "permessage-deflate" else { return nil }
    var bits = ["server": 15, "client": 15]
    for word in words.dropFirst() {
      let parts = word.split(separator: "=")
      for side in ["server", "client"] where parts[0] == "\(side)_max_window_bits" {
        bits[side] = parts.count > 1 ? Int(parts[1]) : 15
      }
    }
    let (mine, theirs) = isClient ? ("client", "server") : ("server", "client")
    forgetsOut = words.contains("\(mine)_no_context_takeover")
    forgetsIn = words.contains("\(theirs)_no_context_takeover")
    guard let outBits = bits[mine], let inBits = bits[theirs], (9...15).contains(outBits),
      (8...15).contains(inBits)
    else { return nil }
    out = .allocate(capacity: 1)
    own = .allocate(capacity: 1)
    out.initialize(to: z_stream())
    own.initialize(to: z_stream())
    let size = Int32(MemoryLayout<z_stream>.size)
    deflateInit2_(
      out, 6, Z_DEFLATED, Int32(-outBits), 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, size)
    inflateInit2_(own, Int32(-inBits), ZLIB_VERSION, size)
  }

  deinit {
    deflateEnd(out)
    inflateEnd(own)
    out.deallocate()
    own.deallocate()
  }

  /// A message as it goes on the wire, section 7.2.1.
  func pack(_ message: [UInt8]) -> [UInt8] {
    if forgetsOut { deflateReset(out) }
    var packed = WireDeflate.run(out, message, Z_SYNC_FLUSH, deflate)
    // Section 7.2.3.6: of an empty one nothing may be left.
    if packed.count < 5 { return [0] }
    packed.removeLast(4)
    return packed
  }

  /// The same back, section 7.2.2; nil: it is none.
  func unpack(_ packed: [UInt8]) -> [UInt8]? {
    if forgetsIn { inflateReset(own) }
    let message = WireDeflate.run(own, packed + [0, 0, 255, 255], Z_SYNC_FLUSH, inflate)
    return own.pointee.msg == nil && own.pointee.avail_in == 0 ? message : nil
  }

  private static func run(
    _ stream: UnsafeMutablePointer<z_stream>, _ bytes: [UInt8], _ flush: Int32,
    _ step: (UnsafeMutablePointer<z_stream>, Int32) -> Int32
  ) -> [UInt8] {
    var result: [UInt8] = []
    var room = [UInt8](repeating: 0, count: 16_384)
    var bytes = bytes
    let count = bytes.count
    bytes.withUnsafeMutableBufferPointer { from in
      stream.pointee.next_in = from.baseAddress
      stream.pointee.avail_in = UInt32(count)
      var isFull = true
      while isFull {
        room.withUnsafeMutableBufferPointer { to in
          stream.pointee.next_out = to.baseAddress
          stream.pointee.avail_out = UInt32(to.count)
          let code = step(stream, flush)
          isFull = stream.pointee.avail_out == 0 && (code == Z_OK || code == Z_BUF_ERROR)
        }
        result += room[..<(room.count - Int(stream.pointee.avail_out))]
      }
      stream.pointee.next_in = nil
    }
    return result
  }

  /// What a client says that it can, of which a server may take what it likes.
  static func offer() -> String {
    var offer = "permessage-deflate"
    if world.chance.once(in: 3) { offer += "; server_no_context_takeover" }
    if world.chance.once(in: 3) { offer += "; client_no_context_takeover" }
    if world.chance.once(in: 3) { offer += "; client_max_window_bits" }
    if world.chance.once(in: 3) {
      offer += "; server_max_window_bits=\(world.chance.within(9...15))"
    }
    return offer
  }

  /// What a server makes of an offer.
  static func answer(to offer: String) -> String {
    var answer = "permessage-deflate"
    if world.chance.once(in: 3) { answer += "; server_no_context_takeover" }
    if world.chance.once(in: 3) { answer += "; client_no_context_takeover" }
    if offer.contains("client_max_window_bits"), world.chance.once(in: 3) {
      answer += "; client_max_window_bits=\(world.chance.within(9...15))"
    }
    if world.chance.once(in: 3) {
      answer += "; server_max_window_bits=\(world.chance.within(9...15))"
    }
    return answer
  }
}
