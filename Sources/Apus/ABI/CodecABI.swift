// Section 11 of the header, the first half: frames, UTF-8 and close codes as bytes.

import CApus

/// The host's room for so many bytes; they go there whole or not at all.
func room(_ buffer: UnsafeMutableRawPointer?, _ capacity: Int, for count: Int) throws(Failure)
  -> UnsafeMutablePointer<UInt8>
{
  guard capacity >= 0 else { throw Failure(.argument, "the capacity is impossible") }
  if unsafe buffer == nil, capacity > 0 {
    throw Failure(.argument, "the buffer must not be NULL with a capacity")
  }
  guard let buffer = unsafe buffer, capacity >= count else {
    throw Failure(.tooLarge, "the buffer is too small")
  }
  return unsafe buffer.assumingMemoryBound(to: UInt8.self)
}

/// The positive result of a check that found something: the sentence is noted.
func finding(_ number: Int32, _ code: Code, _ reason: StaticString) -> Int32 {
  ThreadContext.note(Failure(code, reason))
  return number
}

private func key(_ mask: UnsafeRawPointer) -> MaskKey {
  let bytes = unsafe mask.assumingMemoryBound(to: UInt8.self)
  return unsafe MaskKey(bytes[0], bytes[1], bytes[2], bytes[3])
}

/// A header by the numbers of the host.
private func frameHeader(
  _ opcode: Int32, _ final: Int32, _ reserved: Int32, _ mask: MaskKey?, _ length: Int64
) throws(Failure) -> FrameHeader {
  try check(opcode, in: 0...15)
  try check(final, in: 0...1)
  try check(reserved, in: 0...7)
  try check(length, in: 0 ... .max)
  return FrameHeader(
    isFinal: final == 1, reserved: UInt8(truncatingIfNeeded: reserved),
    opcode: UInt8(truncatingIfNeeded: opcode), length: length, mask: mask)
}

// ---- frames

@_cdecl("apus_frame_decode")
public func apusFrameDecode(
  _ data: UnsafeRawPointer?, _ length: Int, _ frame: UnsafeMutablePointer<apus_frame>?
) -> Int32 {
  boundary { () throws(Failure) in
    let input = try unsafe bytes(data, length)
    switch FrameHeader.decode(input.bytes, at: 0) {
    case .incomplete: return 0
    case .refused(let violation): throw Failure(.protocolBroken, violation.reason)
    case .header(let header, let payload):
      let size = Int32(truncatingIfNeeded: payload)
      if let frame = unsafe frame {
        let key = header.mask ?? MaskKey(word: 0)
        unsafe frame.pointee = apus_frame(
          opcode: Int32(header.opcode), final: header.isFinal ? 1 : 0,
          reserved_bits: Int32(header.reserved), masked: header.mask == nil ? 0 : 1,
          mask: (key[0], key[1], key[2], key[3]), header_length: size, length: header.length,
          reserved: (0, 0, 0, 0))
      }
      return size
    }
  }
}

@_cdecl("apus_frame_check")
public func apusFrameCheck(
  _ frame: UnsafePointer<apus_frame>?, _ role: Int32, _ inMessage: Int32, _ compressed: Int32
) -> Int32 {
  boundary { () throws(Failure) in
    guard let frame = unsafe frame?.pointee else {
      throw Failure(.argument, "the frame must not be NULL")
    }
    guard let role = Role(rawValue: role) else { throw Failure(.argument, "no such role") }
    try check(inMessage, in: 0...1)
    try check(compressed, in: 0...1)
    try check(frame.masked, in: 0...1)
    let header = try frameHeader(
      frame.opcode, frame.final, frame.reserved_bits, frame.masked == 1 ? MaskKey(word: 0) : nil,
      frame.length)
    let rules = FrameRules(
      role: role, allowsCompression: compressed == 1, isInMessage: inMessage == 1)
    guard let violation = rules.violation(header) else { return 0 }
    return finding(Int32(violation.code), .protocolBroken, violation.reason)
  }
}

@_cdecl("apus_frame_length")
public func apusFrameLength(_ payload: Int64, _ masked: Int32) -> Int64 {
  let length: Int64 = boundary(failing: -1) { () throws(Failure) in
    try check(masked, in: 0...1)
    let header = try frameHeader(0, 0, 0, masked == 1 ? MaskKey(word: 0) : nil, payload)
    let (length, overflow) = payload.addingReportingOverflow(Int64(header.count))
    if overflow { throw Failure(.argument, "the frame's length is no number of 63 bits") }
    return length
  }
  return length < 0 ? Int64(ThreadContext.error) : length
}

@_cdecl("apus_frame_encode")
public func apusFrameEncode(
  _ opcode: Int32, _ final: Int32, _ reserved: Int32, _ mask: UnsafeRawPointer?,
  _ data: UnsafeRawPointer?, _ length: Int, _ buffer: UnsafeMutableRawPointer?, _ capacity: Int
) -> Int64 {
  let written: Int64 = boundary(failing: -1) { () throws(Failure) in
    let payload = try unsafe bytes(data, length)
    let header = try frameHeader(
      opcode, final, reserved, unsafe mask.map { unsafe key($0) }, Int64(payload.count))
    let (count, overflow) = payload.count.addingReportingOverflow(header.count)
    let target = try unsafe room(buffer, capacity, for: overflow ? .max : count)
    // The frame fits, so none of these sums is past the end of memory.
    let start = UInt(bitPattern: unsafe payload.start)
    let place = UInt(bitPattern: target)
    let isThere = start == place &+ UInt(header.count)
    let isApart =
      start &+ UInt(payload.count) <= place || start >= place &+ UInt(count) || payload.count == 0
    guard isThere || isApart else {
      throw Failure(.argument, "the payload and the buffer overlap")
    }
    unsafe Frame.write(header, payload.start, to: target)
    return Int64(count)
  }
  return written < 0 ? Int64(ThreadContext.error) : written
}

@_cdecl("apus_frame_encode_header")
public func apusFrameEncodeHeader(
  _ opcode: Int32, _ final: Int32, _ reserved: Int32, _ mask: UnsafeRawPointer?,
  _ payload: Int64, _ buffer: UnsafeMutableRawPointer?, _ capacity: Int
) -> Int32 {
  boundary { () throws(Failure) in
    let header = try frameHeader(
      opcode, final, reserved, unsafe mask.map { unsafe key($0) }, payload)
    let target = try unsafe room(buffer, capacity, for: header.count)
    return Int32(truncatingIfNeeded: unsafe header.write(to: target))
  }
}

@_cdecl("apus_frame_mask")
public func apusFrameMask(
  _ mask: UnsafeRawPointer?, _ offset: UInt64, _ data: UnsafeMutableRawPointer?, _ length: Int
) -> Int32 {
  boundary { () throws(Failure) in
    guard let mask = unsafe mask else { throw Failure(.argument, "the mask must not be NULL") }
    let payload = try unsafe bytes(UnsafeRawPointer(data), length)
    guard let data = unsafe data else { return 0 }
    unsafe Mask.combine(data, data, payload.count, key(mask), Int(offset & 3))
    return 0
  }
}

@_cdecl("apus_frame_make_mask")
public func apusFrameMakeMask(_ mask: UnsafeMutableRawPointer?) -> Int32 {
  boundary { () throws(Failure) in
    guard unsafe mask != nil else { throw Failure(.argument, "the mask must not be NULL") }
    var random = ByteBuffer()
    guard Crypto.appendRandom(4, to: &random) else { throw noChance(random.failed) }
    unsafe try room(mask, 4, for: 4).copy(random.bytes)
    return 0
  }
}

/// Why OpenSSL gave nothing: no memory to put it, or none to be had.
func noChance(_ isOutOfMemory: Bool) -> Failure {
  isOutOfMemory ? .noMemory : Failure(.io, "OpenSSL failed")
}

@_cdecl("apus_utf8_is_valid")
public func apusUTF8IsValid(_ data: UnsafeRawPointer?, _ length: Int) -> Int32 {
  boundary { () throws(Failure) in
    UTF8Validator.isValid(try unsafe bytes(data, length).bytes) ? 1 : 0
  }
}

// ---- the payload of a Close frame

@_cdecl("apus_close_is_valid")
public func apusCloseIsValid(_ code: Int32) -> Int32 {
  boundary { () throws(Failure) in
    CloseCode.isOnWire(UInt16(exactly: code) ?? 0) ? 1 : 0
  }
}

@_cdecl("apus_close_encode")
public func apusCloseEncode(
  _ code: Int32, _ reason: UnsafeRawPointer?, _ length: Int, _ buffer: UnsafeMutableRawPointer?,
  _ capacity: Int
) -> Int32 {
  boundary { () throws(Failure) in
    let reason = try unsafe bytes(reason, length)
    if code == 0, reason.count == 0 {
      guard capacity >= 0 else { throw Failure(.argument, "the capacity is impossible") }
      return 0
    }
    let number = UInt16(exactly: code) ?? 0
    switch CloseCode.problem(code: number, reason: reason.bytes) {
    case .code: throw Failure(.argument, "a Close frame must not hold this code")
    case .reasonTooLong: throw Failure(.argument, "a reason is 123 bytes at most")
    case .reasonNotUTF8: throw Failure(.argument, "the reason is not UTF-8")
    case nil: break
    }
    let target = try unsafe room(buffer, capacity, for: reason.count &+ 2)
    // The reason may stand in the buffer, wherever it likes.
    unsafe (target + 2).update(from: reason.start, count: reason.count)
    unsafe target[0] = UInt8(truncatingIfNeeded: number >> 8)
    unsafe target[1] = UInt8(truncatingIfNeeded: number)
    return Int32(truncatingIfNeeded: reason.count &+ 2)
  }
}

@_cdecl("apus_close_decode")
public func apusCloseDecode(
  _ data: UnsafeRawPointer?, _ length: Int, _ code: UnsafeMutablePointer<Int32>?
) -> Int32 {
  boundary { () throws(Failure) in
    switch CloseCode.parse(try unsafe bytes(data, length).bytes) {
    case .none: unsafe code?.pointee = Int32(CloseCode.noneReceived)
    case .code(let number): unsafe code?.pointee = Int32(number)
    case .refused(let violation):
      return finding(Int32(violation.code), .protocolBroken, violation.reason)
    }
    return 0
  }
}
