// Characters as the RFCs class them, and scanning at sixteen bytes a step.

/// A digit for each byte: 1, a tchar (RFC 9110 §5.6.2), plus 2, what may stand in a
/// field value (§5.5), plus 4, unreserved (RFC 3986 §2.3).
private var classes: StaticString {
  """
  00000000020000000000000000000000\
  23233333223327727777777777222222\
  27777777777777777777777777722237\
  37777777777777777777777777723270\
  22222222222222222222222222222222\
  22222222222222222222222222222222\
  22222222222222222222222222222222\
  22222222222222222222222222222222
  """
}

@inline(__always)
private func isOfClass(_ byte: UInt8, _ bit: UInt8) -> Bool {
  // The table has a digit for every byte there is.
  unsafe classes.utf8Start[Int(byte)] & bit != 0
}

extension UInt8 {
  /// RFC 9110 §5.6.2: tchar.
  var isToken: Bool { isOfClass(self, 1) }

  var isDigit: Bool { self &- 48 < 10 }
  var isLetter: Bool { (self | 32) &- 97 < 26 }

  /// RFC 9110 §5.5: field-vchar, SP or HTAB; obs-text is let through.
  var isFieldValue: Bool { isOfClass(self, 2) }

  /// RFC 3986 §2.3: unreserved.
  var isUnreserved: Bool { isOfClass(self, 4) }

  var lowercased: UInt8 { self &- 65 < 26 ? self | 32 : self }

  var hexValue: UInt8? {
    if isDigit { return self &- 48 }
    let letter = self | 32
    return letter &- 97 < 6 ? letter &- 87 : nil
  }
}

private typealias Lane = SIMD16<UInt8>

/// Sixteen times the same. Operators between a vector and a scalar are loops.
@inline(__always)
private func all(_ byte: UInt8) -> Lane { Lane(repeating: byte) }

extension Span where Element == UInt8 {
  /// Sixteen bytes at an index; the caller has checked that they are there.
  @inline(__always)
  private func lane(_ index: Int) -> Lane {
    unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: Lane.self)
  }

  /// The first index from `start` on whose byte cannot stand in a field value;
  /// the count if there is none.
  @inline(__always)
  func firstOutsideFieldValue(from start: Int) -> Int {
    var index = start
    while count &- index >= 16 {
      let lane = lane(index)
      let bad = ((lane .< all(32)) .& (lane .!= all(9))) .| (lane .== all(127))
      if let hit = firstHit(bad) { return index &+ hit }
      index &+= 16
    }
    while index < count, self[index].isFieldValue { index &+= 1 }
    return index
  }

  /// The first index from `start` on whose byte is not printable ASCII; a space
  /// is not.
  @inline(__always)
  func firstOutsideTarget(from start: Int) -> Int {
    var index = start
    while count &- index >= 16 {
      let lane = lane(index)
      if let hit = firstHit((lane .<= all(32)) .| (lane .>= all(127))) { return index &+ hit }
      index &+= 16
    }
    while index < count, self[index] > 32, self[index] < 127 { index &+= 1 }
    return index
  }

  /// The first index from `start` on whose byte is not a tchar.
  @inline(__always)
  func firstOutsideToken(from start: Int) -> Int {
    var index = start
    while count &- index >= 16 {
      // Letters, digits and "-" first; what is left is looked up one by one.
      let lane = lane(index)
      let letters = ((lane | all(32)) &- all(97)) .< all(26)
      let common = letters .| ((lane &- all(48)) .< all(10)) .| (lane .== all(45))
      guard let hit = firstHit(.!common) else {
        index &+= 16
        continue
      }
      index &+= hit
      if !self[index].isToken { return index }
      index &+= 1
    }
    while index < count, self[index].isToken { index &+= 1 }
    return index
  }

  /// The first index from `start` on whose byte is not ASCII.
  @inline(__always)
  func firstOutsideASCII(from start: Int) -> Int {
    var index = start
    while count &- index >= 16 {
      if let hit = firstHit(lane(index) .>= all(128)) { return index &+ hit }
      index &+= 16
    }
    while index < count, self[index] < 128 { index &+= 1 }
    return index
  }

  /// The first index from `start` on of a byte; nil if there is none.
  func first(_ byte: UInt8, from start: Int = 0) -> Int? {
    var index = start
    while count &- index >= 16 {
      if let hit = firstHit(lane(index) .== all(byte)) { return index &+ hit }
      index &+= 16
    }
    while index < count {
      if self[index] == byte { return index }
      index &+= 1
    }
    return nil
  }

  /// Whether the bytes are these, letters in any case. `text` is in lower case.
  @inline(__always)
  func equalsLowercase(_ text: StaticString) -> Bool {
    guard count == text.utf8CodeUnitCount else { return false }
    var index = 0
    while index < count {
      let byte = unsafe text.utf8Start[index]
      if self[index] != byte, self[index].lowercased != byte { return false }
      index &+= 1
    }
    return true
  }

  func equalsIgnoringCase(_ other: Bytes) -> Bool {
    guard count == other.count else { return false }
    var index = 0
    while index < count {
      if self[index] != other[index], self[index].lowercased != other[index].lowercased {
        return false
      }
      index &+= 1
    }
    return true
  }

  func equals(_ other: Bytes) -> Bool {
    guard count == other.count else { return false }
    var index = 0
    while index < count {
      if self[index] != other[index] { return false }
      index &+= 1
    }
    return true
  }

  func equals(_ text: StaticString) -> Bool {
    let other = Text(text)
    return equals(other.bytes)
  }

  @inline(__always)
  var isToken: Bool {
    if count >= 16 { return firstOutsideToken(from: 0) == count }
    var index = 0
    while index < count, self[index].isToken { index &+= 1 }
    return index == count && count > 0
  }

  @inline(__always)
  var isFieldValue: Bool { isPlain || firstOutsideFieldValue(from: 0) == count }

  /// Whether this is short and holds no control character: what most values are.
  /// False says nothing.
  @inline(__always)
  private var isPlain: Bool {
    guard count < 16 else { return false }
    if let first = word(at: 0), let last = word(at: count &- 8) {
      return !hasControl(first) && !hasControl(last)
    }
    var index = 0
    while index < count, self[index] >= 32, self[index] != 127 { index &+= 1 }
    return index == count
  }

  /// Eight bytes at an index, the first one lowest; nil where they are not there.
  @inline(__always)
  func word(at index: Int) -> UInt64? {
    guard index >= 0, count &- index >= 8 else { return nil }
    return unsafe UInt64(
      littleEndian: bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt64.self))
  }

  /// Four bytes of a token at an index in lower case, the first one lowest; nil where
  /// they are not there.
  @inline(__always)
  func letters(at index: Int) -> UInt32? {
    guard index >= 0, count &- index >= 4 else { return nil }
    let word = unsafe bytes.unsafeLoadUnaligned(
      fromUncheckedByteOffset: index, as: UInt32.self)
    return UInt32(littleEndian: word) | 0x2020_2020
  }

  /// RFC 9110 §5.6.3: the range without OWS at its ends.
  @inline(__always)
  func trimmed(_ range: Range<Int>) -> Range<Int> {
    var start = range.lowerBound
    var end = range.upperBound
    while start < end, self[start] == 32 || self[start] == 9 { start &+= 1 }
    while end > start, self[end &- 1] == 32 || self[end &- 1] == 9 { end &-= 1 }
    return start..<end
  }
}

/// Whether a word has a byte below 32, or DEL.
@inline(__always)
private func hasControl(_ word: UInt64) -> Bool {
  let delete = word ^ 0x7F7F_7F7F_7F7F_7F7F
  let low = (word &- 0x2020_2020_2020_2020) & ~word
  let zero = (delete &- 0x0101_0101_0101_0101) & ~delete
  return (low | zero) & 0x8080_8080_8080_8080 != 0
}

/// The first lane that is set. There is no movemask to ask: set bytes become
/// 0xFF, and the two halves are counted.
@inline(__always)
private func firstHit(_ mask: SIMDMask<SIMD16<Int8>>) -> Int? {
  let bytes = Lane(repeating: 0).replacing(with: 255, where: mask)
  let halves = unsafe unsafeBitCast(bytes, to: SIMD2<UInt64>.self)
  if halves[0] != 0 { return halves[0].trailingZeroBitCount >> 3 }
  if halves[1] != 0 { return 8 &+ halves[1].trailingZeroBitCount >> 3 }
  return nil
}
