// Characters as the RFCs class them, and scanning at sixteen bytes a step.

/// RFC 9110 §5.6.2: tchar, as a bit for each of the 128 ASCII codes.
private let tokenLow: UInt64 = 0x03FF_6CFA_0000_0000
private let tokenHigh: UInt64 = 0x57FF_FFFF_C7FF_FFFE

extension UInt8 {
  /// RFC 9110 §5.6.2: tchar.
  var isToken: Bool {
    if self < 64 { return (tokenLow >> UInt64(self)) & 1 != 0 }
    return self < 128 && (tokenHigh >> UInt64(self & 63)) & 1 != 0
  }

  var isDigit: Bool { self &- 48 < 10 }
  var isLetter: Bool { (self | 32) &- 97 < 26 }

  /// RFC 9110 §5.5: field-vchar, SP or HTAB; obs-text is let through.
  var isFieldValue: Bool { (self >= 32 && self != 127) || self == 9 }

  /// RFC 3986 §2.3: unreserved.
  var isUnreserved: Bool {
    isLetter || isDigit || self == 45 || self == 46 || self == 95 || self == 126
  }

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
  func equalsLowercase(_ text: StaticString) -> Bool {
    let other = Text(text)
    return equalsIgnoringCase(other.bytes)
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

  var isToken: Bool { count > 0 && firstOutsideToken(from: 0) == count }
  var isFieldValue: Bool { firstOutsideFieldValue(from: 0) == count }

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
