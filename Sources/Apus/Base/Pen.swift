// Writes to memory whose room was reckoned and made beforehand: for what has many
// small pieces and must be fast.

@unsafe struct Pen {
  /// Where the next byte goes.
  private(set) var at: UnsafeMutablePointer<UInt8>

  @inline(__always)
  init(at start: UnsafeMutablePointer<UInt8>) { unsafe at = unsafe start }

  @inline(__always)
  mutating func put(_ bytes: Bytes) {
    unsafe at.copy(bytes)
    unsafe at += bytes.count
  }

  @inline(__always)
  mutating func put(_ text: StaticString) {
    unsafe put(Span(_unsafeStart: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  /// Of a number that is not negative: 19 digits at most.
  @inline(__always)
  mutating func put(decimal number: Int64) {
    guard number >= 0, number < 100 else { return unsafe putLong(number) }
    let tens = UInt8(truncatingIfNeeded: (number &* 103) >> 10)
    unsafe at.pointee = tens &+ 48
    unsafe at += tens > 0 ? 1 : 0
    unsafe at.pointee = UInt8(truncatingIfNeeded: number) &- tens &* 10 &+ 48
    unsafe at += 1
  }

  @inline(never)
  private mutating func putLong(_ number: Int64) {
    var rest = number.magnitude
    var end = unsafe at
    var probe = rest
    repeat {
      unsafe end += 1
      probe /= 10
    } while probe > 0
    var place = unsafe end
    repeat {
      unsafe place -= 1
      unsafe place.pointee = UInt8(truncatingIfNeeded: rest % 10) &+ 48
      rest /= 10
    } while rest > 0
    unsafe at = unsafe end
  }
}
