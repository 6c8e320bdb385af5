// Text as both C and Swift have it: a pointer to bytes with a NUL behind them, and
// their number.

import CSystem

/// Text that somebody keeps elsewhere, with a NUL behind its last byte.
@safe struct Text {
  let start: UnsafePointer<UInt8>
  let count: Int

  init(start: UnsafePointer<UInt8>, count: Int) {
    unsafe self.start = unsafe start
    self.count = count
  }

  init(characters: UnsafePointer<CChar>) {
    unsafe start = UnsafeRawPointer(characters).assumingMemoryBound(to: UInt8.self)
    count = unsafe strlen(characters)
  }

  init(_ text: StaticString) {
    unsafe start = text.utf8Start
    count = text.utf8CodeUnitCount
  }

  var bytes: Bytes {
    @_lifetime(borrow self) get {
      unsafe _overrideLifetime(Span(_unsafeStart: start, count: count), borrowing: self)
    }
  }

  /// As C has it.
  var characters: UnsafePointer<CChar> {
    unsafe UnsafeRawPointer(start).assumingMemoryBound(to: CChar.self)
  }
}
