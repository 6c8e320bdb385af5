// What an exchange has for its writer: how its reply is framed and limited, and who hears
// of it. Behind the exchange's lock, but for the atomic.

import Synchronization

/// The part of an exchange that only a writer needs.
@safe struct WriterState: ~Copyable {
  enum Place {
    case drain, close, missed
  }

  var handle = Handle(bits: 0)
  var slotIndex: UInt32 = 0
  var hasBegun = false
  var highWater: Int64 = 0
  /// Bytes still owed under a Content-Length; -1: not counted.
  var remaining: Int64 = -1
  /// Bytes that the stream holds and the kernel has not taken.
  let unsent = Atomic<Int64>(0)
  var wantsDrain = false
  var isDrainQueued = false
  var isCloseQueued = false
  /// The callback is still to be called.
  var isClosePending = false
  /// There was nobody to be told of it.
  var isCloseUnheard = false
  /// Whoever takes events by himself is told of both.
  var teller = Teller()
  var isDrainDue = false
  var isEndDue = false
  /// The end is told once.
  var isEndListed = false
  /// Its handle ends when its reply has.
  var isDetached = false
  var onDrain = unsafe Callback<WriterFunction>.none
  var onClose = unsafe Callback<WriterFunction>.none
  /// Which of the two runs now, and what it was if it has been replaced since.
  var running: Place? = nil
  var replaced = unsafe Callback<WriterFunction>.none
  var isReplaced = false
  /// Lines of trailer fields, once there are any.
  var trailers: Ref<ByteBuffer>? = nil
  /// Milliseconds without anything written; 0: no limit. And when something was, on the
  /// loop's clock.
  var idleTimeout: Int64 = 0
  var lastWrite: Int64 = 0
  /// What its body is compressed with, where it is.
  var gzip: Ref<Gzip>? = nil
  /// What a writer of events has.
  var events: Ref<EventStream>? = nil

  mutating func dropGzip() {
    gzip?.free()
    gzip = nil
  }

  mutating func dropTrailers() {
    trailers?.free()
    trailers = nil
  }
}
