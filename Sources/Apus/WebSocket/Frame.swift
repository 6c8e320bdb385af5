// A frame as bytes, header and payload, whatever it holds (RFC 6455 §5.2). Who
// sends messages asks MessageSender, which knows what may be sent.

enum Frame {
  /// Appends a frame whose length and mask are the payload's and the key's. False
  /// without memory, and then nothing is appended.
  static func append(
    _ header: FrameHeader, _ payload: Bytes, _ key: MaskKey?, to buffer: inout ByteBuffer
  ) -> Bool {
    var header = header
    header.length = Int64(payload.count)
    header.mask = key
    guard buffer.reserve(header.count &+ payload.count) else { return false }
    header.append(to: &buffer)
    if let key { return Mask.append(payload, key, to: &buffer) }
    buffer.append(payload)
    return true
  }

  /// Appends a message in one frame that is not masked: what a server sends. False
  /// without memory, and then nothing is appended.
  @inline(__always)
  static func append(message payload: Bytes, _ opcode: UInt8, to buffer: inout ByteBuffer) -> Bool {
    guard payload.count <= FrameHeader.longestControl else {
      var header = FrameHeader()
      header.opcode = opcode
      return append(header, payload, nil, to: &buffer)
    }
    // The short header: two bytes.
    guard let start = unsafe buffer.space(payload.count &+ 2) else { return false }
    unsafe start[0] = 0x80 | opcode & 15
    unsafe start[1] = UInt8(truncatingIfNeeded: payload.count)
    unsafe (start + 2).copy(payload)
    buffer.filled(payload.count &+ 2)
    return true
  }

  /// Writes a frame whose length and mask are the header's own, to where there is room
  /// for it. The payload is apart from that, or stands at its place in it already.
  @unsafe static func write(
    _ header: FrameHeader, _ payload: UnsafePointer<UInt8>, to target: UnsafeMutablePointer<UInt8>
  ) {
    let count = Int(header.length)
    let place = unsafe target + header.write(to: target)
    if let key = header.mask {
      unsafe Mask.combine(payload, place, count, key, 0)
    } else if unsafe payload != UnsafePointer(place) {
      unsafe place.copy(Span(_unsafeStart: payload, count: count))
    }
  }
}
