// The head of a zstd frame, RFC 8878 §3.1, as its bytes go by: whether it is one, how long
// its content is by its own word, and how large its window. libzstd looks at the last two
// in some cases alone, which depend on how the bytes are cut.

struct ZstdFrame {
  /// As long as it may be: magic number, descriptor, window, dictionary, size.
  private var head = InlineArray<18, UInt8>(repeating: 0)
  private var count = 0
  /// How long the head is, as far as that is known.
  private var due = 4
  /// What its last bytes say, where it has a size; and what they are short of that.
  private var sizeLength = 0
  private var sizeBase: UInt64 = 0
  private var made: UInt64 = 0

  /// libzstd decodes a frame that it has whole in another way, which takes other faults
  /// for sound. It gets the first byte alone, and then has none whole.
  var mostAtOnce: Int { count == 0 ? 1 : .max }

  /// Whether a frame, or one to skip, may begin with that byte.
  static func mayBegin(with byte: UInt8) -> Bool { byte == 0x28 || byte & 0xF0 == 0x50 }

  /// Notes bytes that were used, and how many of content came of them; false where the
  /// frame is none, or its content not as long as it says.
  mutating func take(_ bytes: Bytes, made more: Int, isEnd: Bool) -> Bool {
    var index = 0
    while count < due, index < bytes.count {
      head[count] = bytes[index]
      count &+= 1
      index &+= 1
      if count == 4, !readMagic() { return false }
      if count == 5, due == 5 { readDescriptor() }
      if count == due, window > ZstdFrame.largestWindow { return false }
    }
    made &+= UInt64(truncatingIfNeeded: more)
    if count < due || sizeLength == 0 { return true }
    return isEnd ? made == size : made <= size
  }

  private mutating func readMagic() -> Bool {
    if head[0] == 0x28 {
      due = 5
      return head[1] == 0xB5 && head[2] == 0x2F && head[3] == 0xFD
    }
    return ZstdFrame.mayBegin(with: head[0]) && head[1] == 0x2A && head[2] == 0x4D
      && head[3] == 0x18
  }

  /// §3.1.1.1.1: which fields follow.
  private mutating func readDescriptor() {
    let descriptor = head[4]
    let isOneSegment = descriptor & 0x20 != 0
    switch descriptor >> 6 {
    case 0: sizeLength = isOneSegment ? 1 : 0
    case 1: (sizeLength, sizeBase) = (2, 256)
    case 2: sizeLength = 4
    default: sizeLength = 8
    }
    let dictionary = descriptor & 3
    due &+= (isOneSegment ? 0 : 1) &+ (dictionary == 3 ? 4 : Int(dictionary)) &+ sizeLength
  }

  /// RFC 9659.
  private static var largestWindow: UInt64 { 8 << 20 }

  /// §3.1.1.1.2; 0 for a frame to skip.
  private var window: UInt64 {
    if due < 5 { return 0 }
    if head[4] & 0x20 != 0 { return size }
    let base: UInt64 = 1 << (10 &+ UInt64(head[5] >> 3))
    return base &+ base / 8 &* UInt64(head[5] & 7)
  }

  private var size: UInt64 {
    var value: UInt64 = 0
    var place = due &- 1
    while place >= due &- sizeLength {
      value = value << 8 | UInt64(head[place])
      place &-= 1
    }
    return value &+ sizeBase
  }
}
