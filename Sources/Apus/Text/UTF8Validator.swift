// UTF-8 as RFC 3629 §4 has it, in pieces: what stands between two bytes is carried
// from one call to the next, so that a message may be split anywhere. The first
// byte that no text can have at its place is refused at once, not when the text
// ends (RFC 6455 §8.1): the second byte of an overlong form, of a surrogate and
// of what lies above U+10FFFF.

struct UTF8Validator {
  /// How many bytes the character still lacks.
  private var due: UInt8 = 0
  /// What the next of them may be.
  private var lowest: UInt8 = 0x80
  private var highest: UInt8 = 0xBF

  /// Whether the text may end here.
  var isComplete: Bool { due == 0 }

  /// Takes more of the text: the index of the first byte that is wrong, or nil.
  mutating func firstOffence(in bytes: Bytes) -> Int? {
    var index = 0
    while index < bytes.count {
      if due == 0 {
        index = skipWhole(bytes, from: index)
        if index == bytes.count { return nil }
        guard start(bytes[index]) else { return index }
      } else {
        guard goOn(bytes[index]) else { return index }
      }
      index &+= 1
    }
    return nil
  }

  /// Where the first character starts that is not whole or not right, or that stands
  /// within four bytes of the end.
  @inline(__always)
  private func skipWhole(_ bytes: Bytes, from start: Int) -> Int {
    var index = start
    while bytes.count &- index >= 20 {
      index = bytes.firstOutsideASCII(from: index)
      // Where there is one character beyond ASCII, there are more.
      let stop = min(index &+ 16, bytes.count &- 4)
      while index < stop {
        let count = UTF8Validator.countOfCharacter(bytes, at: index)
        if count == 0 { return index }
        index &+= count
      }
    }
    return bytes.firstOutsideASCII(from: index)
  }

  /// How many bytes the character has that stands at an index, four bytes or more
  /// before the end; 0 if it is wrong.
  @inline(__always)
  private static func countOfCharacter(_ bytes: Bytes, at index: Int) -> Int {
    let first = bytes[index]
    if first < 0x80 { return 1 }
    let second = bytes[index &+ 1]
    if first < 0xE0 { return first >= 0xC2 && isLater(second) ? 2 : 0 }
    let third = bytes[index &+ 2]
    if first < 0xF0 {
      let lowest: UInt8 = first == 0xE0 ? 0xA0 : 0x80
      let highest: UInt8 = first == 0xED ? 0x9F : 0xBF
      return second >= lowest && second <= highest && isLater(third) ? 3 : 0
    }
    let lowest: UInt8 = first == 0xF0 ? 0x90 : 0x80
    let highest: UInt8 = first == 0xF4 ? 0x8F : 0xBF
    guard first <= 0xF4, second >= lowest, second <= highest else { return 0 }
    return isLater(third) && isLater(bytes[index &+ 3]) ? 4 : 0
  }

  /// RFC 3629 §4: UTF8-tail.
  @inline(__always)
  private static func isLater(_ byte: UInt8) -> Bool { byte & 0xC0 == 0x80 }

  /// Whether these bytes are UTF-8 from the first to the last.
  static func isValid(_ bytes: Bytes) -> Bool {
    var validator = UTF8Validator()
    return validator.firstOffence(in: bytes) == nil && validator.isComplete
  }

  /// RFC 3629 §4: UTF8-2, UTF8-3 and UTF8-4 by their first bytes.
  @inline(__always)
  private mutating func start(_ byte: UInt8) -> Bool {
    lowest = 0x80
    highest = 0xBF
    switch byte {
    case 0xC2...0xDF: due = 1
    case 0xE0...0xEF:
      due = 2
      if byte == 0xE0 { lowest = 0xA0 }  // else overlong
      if byte == 0xED { highest = 0x9F }  // else a surrogate
    case 0xF0...0xF4:
      due = 3
      if byte == 0xF0 { lowest = 0x90 }  // else overlong
      if byte == 0xF4 { highest = 0x8F }  // else above U+10FFFF
    default: return false
    }
    return true
  }

  @inline(__always)
  private mutating func goOn(_ byte: UInt8) -> Bool {
    guard byte >= lowest, byte <= highest else { return false }
    due &-= 1
    lowest = 0x80
    highest = 0xBF
    return true
  }
}
