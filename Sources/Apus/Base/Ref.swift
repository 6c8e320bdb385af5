// A reference to an object that lives in memory of its own, without reference
// counting. The hot path follows a few of these per request; a class would cost
// a retain and a release each time (15 ns the pair).
//
// Who may hold one, and until when, is each owner's rule: a loop's objects are
// touched by the loop's thread alone and given back to its pools at the end of
// an iteration; an object behind a handle is held by a pin of its slot. The type
// itself is marked safe because those rules, and not the caller, keep the
// pointer good.

import CSystem

@safe struct Ref<Object: ~Copyable>: Equatable {
  let pointer: UnsafeMutablePointer<Object>

  /// The address must be that of an initialized object.
  init(_ pointer: UnsafeMutablePointer<Object>) { unsafe self.pointer = pointer }

  /// From the opaque pointer that C code carried for us.
  init(opaque: UnsafeMutableRawPointer) {
    unsafe pointer = opaque.assumingMemoryBound(to: Object.self)
  }

  /// Moves an object to memory of its own; nil when there is none.
  init?(make object: consuming Object) {
    guard let memory = unsafe allocate(bytes: MemoryLayout<Object>.stride) else { return nil }
    unsafe pointer = memory.bindMemory(to: Object.self, capacity: 1)
    unsafe pointer.initialize(to: object)
  }

  /// Ends the object and frees its memory. No other reference may be used later.
  func free() {
    unsafe pointer.deinitialize(count: 1)
    unsafe deallocate(UnsafeMutableRawPointer(pointer))
  }

  /// The object itself. Hold no access across a callback: it may come back here.
  var o: Object {
    @_transparent unsafeAddress { unsafe UnsafePointer(pointer) }
    @_transparent nonmutating unsafeMutableAddress { unsafe pointer }
  }

  /// Brings it near while something else is done.
  @inline(__always)
  func prefetch() { unsafe sys_prefetch(pointer, MemoryLayout<Object>.size) }

  /// The same for its first bytes.
  @inline(__always)
  func prefetch(bytes: Int) { unsafe sys_prefetch(pointer, min(bytes, MemoryLayout<Object>.size)) }

  var opaque: UnsafeMutableRawPointer { unsafe UnsafeMutableRawPointer(pointer) }

  static func == (left: Self, right: Self) -> Bool { unsafe left.pointer == right.pointer }
}

extension Ref: @unchecked Sendable where Object: ~Copyable {}
