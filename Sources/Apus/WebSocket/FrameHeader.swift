// The header of a frame, RFC 6455 §5.2: two to fourteen bytes. What a role may
// receive is another question: FrameRules.

struct FrameHeader: Equatable {
  var isFinal = true
  /// RSV1, RSV2 and RSV3, the first one highest: 0 to 7.
  var reserved: UInt8 = 0
  /// 0 to 15.
  var opcode: UInt8 = Opcode.text
  /// 0 to 2^63 - 1.
  var length: Int64 = 0
  /// Nil: the payload is not masked.
  var mask: MaskKey?

  static var longest: Int { 14 }
  static var rsv1: UInt8 { 4 }

  /// RFC 6455 §5.5: a control frame holds at most that much.
  static var longestControl: Int64 { 125 }

  var isControl: Bool { Opcode.isControl(Int32(opcode)) }

  var firstByte: UInt8 { (isFinal ? 0x80 : 0) | (reserved & 7) << 4 | opcode & 15 }
  var secondByte: UInt8 {
    let field: UInt8 =
      length <= 125 ? UInt8(truncatingIfNeeded: length) : length <= 0xFFFF ? 126 : 127
    return (mask == nil ? 0 : 0x80) | field
  }

  /// How many bytes it takes.
  var count: Int {
    (length <= 125 ? 2 : length <= 0xFFFF ? 4 : 10) &+ (mask == nil ? 0 : 4)
  }

  enum Decoded {
    /// The header is not whole yet, and fine so far.
    case incomplete
    /// The header, and where the payload starts.
    case header(FrameHeader, payload: Int)
    case refused(Violation)
  }

  /// The header that stands at an index.
  static func decode(_ bytes: Bytes, at start: Int) -> Decoded {
    guard start >= 0, bytes.count &- start >= 2 else { return .incomplete }
    let first = bytes[start]
    let second = bytes[start &+ 1]
    var header = FrameHeader()
    header.isFinal = first & 0x80 != 0
    header.reserved = first >> 4 & 7
    header.opcode = first & 15
    header.length = Int64(second & 0x7F)
    var index = start &+ 2
    if second & 0x7F >= 126 {
      let size = second & 0x7F == 126 ? 2 : 8
      guard bytes.count &- index >= size else { return .incomplete }
      guard let length = extendedLength(bytes.extracting(index..<(index &+ size))) else {
        return .refused(.broken("A frame's length is not in its shortest form, or above 2^63."))
      }
      header.length = length
      index &+= size
    }
    if second & 0x80 != 0 {
      guard bytes.count &- index >= 4 else { return .incomplete }
      header.mask = MaskKey(
        bytes[index], bytes[index &+ 1], bytes[index &+ 2], bytes[index &+ 3])
      index &+= 4
    }
    return .header(header, payload: index)
  }

  /// RFC 6455 §5.2: the minimal number of bytes, and the highest bit is 0.
  private static func extendedLength(_ bytes: Bytes) -> Int64? {
    var number: UInt64 = 0
    for index in 0..<bytes.count { number = number << 8 | UInt64(bytes[index]) }
    guard number > (bytes.count == 2 ? 125 : 0xFFFF) else { return nil }
    return Int64(exactly: number)
  }

  func append(to buffer: inout ByteBuffer) {
    guard let space = unsafe buffer.space(count) else { return }
    buffer.filled(unsafe write(to: space))
  }

  /// Writes it to where there is room for `count` bytes, which is what it returns.
  @unsafe @discardableResult
  func write(to target: UnsafeMutablePointer<UInt8>) -> Int {
    unsafe target[0] = firstByte
    unsafe target[1] = secondByte
    var index = 2
    if length > 125 {
      var shift: Int64 = length <= 0xFFFF ? 8 : 56
      while shift >= 0 {
        unsafe target[index] = UInt8(truncatingIfNeeded: length >> shift)
        index &+= 1
        shift &-= 8
      }
    }
    if let mask {
      for offset in 0..<4 { unsafe target[index &+ offset] = mask[offset] }
      index &+= 4
    }
    return index
  }
}
