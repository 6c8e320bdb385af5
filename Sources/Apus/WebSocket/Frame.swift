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
