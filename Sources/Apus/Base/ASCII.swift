// Characters as the RFCs class them, and scanning at sixteen bytes a step.

import CSystem

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
private typealias LaneMask = SIMDMask<SIMD16<Int8>>

/// Sixteen times the same. Operators between a vector and a scalar are loops.
@inline(__always)
private func all(_ byte: UInt8) -> Lane { Lane(repeating: byte) }

/// A bit for each of sixteen bytes, the first one lowest: whether the mask has it.
@inline(__always)
private func bits(_ mask: LaneMask) -> UInt32 {
  sys_lane_bits(unsafe unsafeBitCast(mask, to: SIMD16<Int8>.self))
}

/// Classes of sixteen bytes at once.
extension Lane {
  @inline(__always)
  fileprivate var letters: LaneMask { ((self | all(32)) &- all(97)) .< all(26) }
  @inline(__always)
  fileprivate var digits: LaneMask { (self &- all(48)) .< all(10) }

  /// What is no letter, digit or "-": some of these are in a token all the same.
  @inline(__always)
  fileprivate var uncommon: UInt32 { bits(.!(letters .| digits .| (self .== all(45)))) }

  /// What is not unreserved (RFC 3986 §2.3).
  @inline(__always)
  fileprivate var reserved: UInt32 {
    let marks = (self .== all(45)) .| (self .== all(46)) .| (self .== all(95))
    return bits(.!(letters .| digits .| marks .| (self .== all(126))))
  }

  @inline(__always)
  fileprivate var outsideFieldValue: UInt32 {
    bits(((self .< all(32)) .& (self .!= all(9))) .| (self .== all(127)))
  }

  @inline(__always)
  fileprivate var outsideTarget: UInt32 { bits((self .<= all(32)) .| (self .>= all(127))) }

  /// "#", "%" and "?".
  @inline(__always)
  fileprivate var targetMarks: UInt32 {
    bits((self .== all(35)) .| (self .== all(37)) .| (self .== all(63)))
  }

  @inline(__always)
  fileprivate func equal(_ byte: UInt8) -> UInt32 { bits(self .== all(byte)) }
}

extension Span where Element == UInt8 {
  /// Sixteen bytes at an index; the caller has checked that they are there.
  @inline(__always)
  private func lane(_ index: Int) -> Lane {
    unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: Lane.self)
  }

  /// The first index from `start` on that is a hit: by the bits of a lane, or alone
  /// where there is no lane. The count if there is none.
  @inline(__always)
  private func first(from start: Int, _ hits: (Lane) -> UInt32, _ isHit: (UInt8) -> Bool) -> Int {
    let last = count &- 16
    var index = max(start, 0)
    if last < 0 {
      while index < count, !isHit(self[index]) { index &+= 1 }
      return index
    }
    while index <= last {
      let hits = hits(lane(index))
      if hits != 0 { return index &+ hits.trailingZeroBitCount }
      index &+= 16
    }
    // The last sixteen bytes, without those before the index.
    guard index < count else { return count }
    let rest = hits(lane(last)) &>> UInt32(truncatingIfNeeded: index &- last)
    return rest != 0 ? index &+ rest.trailingZeroBitCount : count
  }

  /// The first index from `start` on whose byte cannot stand in a field value;
  /// the count if there is none.
  @inline(__always)
  func firstOutsideFieldValue(from start: Int) -> Int {
    first(from: start, { $0.outsideFieldValue }, { !$0.isFieldValue })
  }

  /// The first index from `start` on whose byte is not printable ASCII; a space
  /// is not.
  @inline(__always)
  func firstOutsideTarget(from start: Int) -> Int {
    first(from: start, { $0.outsideTarget }, { $0 <= 32 || $0 >= 127 })
  }

  /// The first index from `start` on of "#", "%" or "?"; the count if there is none.
  @inline(__always)
  func firstTargetMark(from start: Int) -> Int {
    first(from: start, { $0.targetMarks }, { $0 == 35 || $0 == 37 || $0 == 63 })
  }

  /// The first index from `start` on whose byte is not ASCII.
  @inline(__always)
  func firstOutsideASCII(from start: Int) -> Int {
    first(from: start, { bits($0 .>= all(128)) }, { $0 >= 128 })
  }

  /// The first index from `start` on whose byte is not a tchar.
  @inline(__always)
  func firstOutsideToken(from start: Int) -> Int {
    var index = start
    while true {
      // What is not common is looked up.
      index = first(from: index, { $0.uncommon }, { !$0.isToken })
      guard index < count, self[index].isToken else { return index }
      index &+= 1
    }
  }

  /// Whether a range of at most sixteen bytes is a name: labels of unreserved
  /// characters, of which none is empty, save one behind a last dot. False also where
  /// that is not told here.
  @inline(__always)
  func isShortName(_ range: Range<Int>) -> Bool {
    let last = count &- 16
    guard range.lowerBound >= 0, range.upperBound <= count, last >= 0, !range.isEmpty,
      range.count <= 16
    else { return false }
    let start = min(range.lowerBound, last)
    let lane = lane(start)
    let shift = UInt32(truncatingIfNeeded: range.lowerBound &- start)
    let inside = (UInt32(1) &<< UInt32(truncatingIfNeeded: range.count)) &- 1
    let dots = (lane.equal(46) &>> shift) & inside
    // A dot before the first label would make that an empty one.
    return (lane.reserved &>> shift) & inside == 0 && dots & (dots &<< 1 | 1) == 0
  }

  /// The first index from `start` on of a byte; nil if there is none.
  func first(_ byte: UInt8, from start: Int = 0) -> Int? {
    let index = first(from: start, { $0.equal(byte) }, { $0 == byte })
    return index < count ? index : nil
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

  /// Four bytes at an index, and two, as above.
  @inline(__always)
  func quad(at index: Int) -> UInt32? {
    guard index >= 0, count &- index >= 4 else { return nil }
    return unsafe UInt32(
      littleEndian: bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt32.self))
  }

  @inline(__always)
  func pair(at index: Int) -> UInt16? {
    guard index >= 0, count &- index >= 2 else { return nil }
    return unsafe UInt16(
      littleEndian: bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt16.self))
  }

  /// Four bytes of a token at an index in lower case; nil where they are not there.
  @inline(__always)
  func letters(at index: Int) -> UInt32? { quad(at: index).map { $0 | 0x2020_2020 } }

  /// Whether CR and LF stand at an index.
  @inline(__always)
  func isLineEnd(at index: Int) -> Bool { pair(at: index) == 0x0A0D }

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
