// Who uses a stream, and hears of what happens to it.

/// What a stream tells its user, by function and owner: one table a kind of user.
@safe struct StreamHandler: ~Copyable {
  typealias Owner = UnsafeMutableRawPointer
  /// Bytes have arrived, with room for one more behind them; returns how many were
  /// taken, and those may have been changed. The rest comes again, with more behind it.
  nonisolated(unsafe) let received: @convention(c) (Owner, UnsafeMutablePointer<UInt8>, Int) -> Int
  /// The peer sends no more.
  nonisolated(unsafe) let inputEnded: @convention(c) (Owner) -> Void
  /// All that was handed over has gone to the kernel, or fallen below a mark.
  nonisolated(unsafe) let drained: @convention(c) (Owner) -> Void
  /// The connection is broken; the error number.
  nonisolated(unsafe) let failed: @convention(c) (Owner, Int32) -> Void
  /// The stream's time limit has passed.
  nonisolated(unsafe) let expired: @convention(c) (Owner) -> Void
  /// The stream was ended by its user, and is about to be freed.
  nonisolated(unsafe) let buried: @convention(c) (Owner) -> Void
  /// The peer sends no more than what it has sent, while reading is paused.
  nonisolated(unsafe) var endIsNear: @convention(c) (Owner) -> Void = { _ in }
  /// It is its turn soon, or next: what that needs may be brought near, first the owner and
  /// then what the owner names.
  nonisolated(unsafe) var warm: @convention(c) (Owner, Bool) -> Void = { _, _ in }
  /// TLS stands.
  nonisolated(unsafe) var secured: @convention(c) (Owner) -> Void = { _ in }
  /// The peer speaks without TLS, and so does the stream from here on.
  nonisolated(unsafe) var plainHeard: @convention(c) (Owner) -> Void = { _ in }
}
