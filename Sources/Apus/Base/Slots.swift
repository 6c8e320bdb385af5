// The table behind the handles: slots in chunks that never move and are never
// freed, so that a look-up needs no lock, whatever integer the host hands in.
//
// What every thread may use is live in one atomic word: generation, flags and a
// count of pins. A look-up adds a pin and sees, in the same step, whether the
// handle was live; if not it takes the pin back. An object that dies while it is
// pinned is owed its end, and whoever takes the last pin away pays. So an object
// can be destroyed while another thread is inside a call on it.
//
//   bits 0..30 pins · 31 end owed · 32 live · 34..57 generation
//
// What one thread alone may use, as a request in its handler, is live in a word of
// its own, which that thread just stores to: a request costs no locked instruction.
//
//   bit 0 live · 1..24 the slot's latest generation

import CSystem
import Synchronization

typealias Finish = @convention(c) (UnsafeMutableRawPointer) -> Void

@safe struct Slot: ~Copyable {
  let word = Atomic<UInt64>(0)
  let own = Atomic<UInt64>(0)
  /// Written before the slot goes live, under the rule of `word`.
  nonisolated(unsafe) var object: UnsafeMutableRawPointer? = nil
  /// Looked at by handles that name the slot and are stale, while it is taken anew.
  private let kindNumber = Atomic<UInt8>(Kind.server.rawValue)
  var kindCode: UInt8 { kindNumber.load(ordering: .relaxed) }
  var kind: Kind {
    get { Kind(rawValue: kindNumber.load(ordering: .relaxed)) ?? .server }
    nonmutating set { kindNumber.store(newValue.rawValue, ordering: .relaxed) }
  }
  /// A walk may look at it while the slot goes live anew.
  private let born = Atomic<Int64>(0)
  var birth: Int64 {
    get { born.load(ordering: .relaxed) }
    nonmutating set { born.store(newValue, ordering: .relaxed) }
  }
  var nextFree: UInt32 = 0
  /// Ends the object, on whatever thread took the last pin.
  nonisolated(unsafe) var finish: Finish? = nil
  /// Guarded by the table's lock; 64 bytes with the NUL, or nil.
  nonisolated(unsafe) var tag: UnsafeMutablePointer<UInt8>? = nil
}

enum Slots {
  static var chunkBits: UInt64 { 10 }
  static var chunkSize: UInt64 { 1 << chunkBits }
  private static var liveBit: UInt64 { 1 << 32 }
  private static var generationShift: UInt64 { 34 }
  private static var owedBit: UInt64 { 1 << 31 }
  private static var pinMask: UInt64 { 0x7FFF_FFFF }

  /// One pointer a chunk, made with the first handle.
  nonisolated(unsafe) private static let chunks =
    unsafe allocateZeroed(bytes: Int((Handle.largest &+ 1) >> chunkBits) &* 8)?
    .assumingMemoryBound(to: UInt.self)
  private static let lock = Lock()
  nonisolated(unsafe) private static var freeHead: UInt32 = 0  // index + 1, 0: none
  nonisolated(unsafe) private static var freeTail: UInt32 = 0
  private static let used = Atomic<UInt64>(0)

  /// The slot of an index that may be forged.
  static func slot(_ index: UInt64) -> Ref<Slot>? {
    guard index < used.load(ordering: .acquiring), let chunks = unsafe chunks else { return nil }
    let chunk = unsafe UnsafeMutablePointer<Slot>(
      bitPattern: chunks[Int(truncatingIfNeeded: index >> chunkBits)])
    guard let chunk = unsafe chunk else { return nil }
    return unsafe Ref(chunk + Int(truncatingIfNeeded: index & (chunkSize &- 1)))
  }

  /// Takes a slot for an object, not live yet. Nil when the table is full.
  static func take(_ kind: Kind, _ object: UnsafeMutableRawPointer, _ finish: Finish) -> UInt32? {
    lock.lock()
    defer { lock.unlock() }
    // The oldest free slot goes first, so that generations last.
    if unsafe freeHead != 0, let slot = unsafe slot(UInt64(freeHead &- 1)) {
      let index = unsafe freeHead &- 1
      unsafe freeHead = slot.o.nextFree
      if unsafe freeHead == 0 { unsafe freeTail = 0 }
      unsafe slot.o.object = unsafe object
      slot.o.kind = kind
      unsafe slot.o.finish = unsafe finish
      return index
    }
    let index = used.load(ordering: .relaxed)
    guard index <= Handle.largest, let chunks = unsafe chunks else { return nil }
    let number = Int(truncatingIfNeeded: index >> chunkBits)
    if unsafe chunks[number] == 0 {
      guard
        let memory = unsafe allocateZeroed(
          bytes: Int(chunkSize) &* MemoryLayout<Slot>.stride)
      else { return nil }
      unsafe chunks[number] = UInt(bitPattern: memory)
      let first = unsafe memory.bindMemory(to: Slot.self, capacity: Int(chunkSize))
      for offset in 0..<Int(chunkSize) { unsafe (first + offset).initialize(to: Slot()) }
    }
    used.store(index &+ 1, ordering: .releasing)
    guard let slot = slot(index) else { return nil }
    unsafe slot.o.object = unsafe object
    slot.o.kind = kind
    unsafe slot.o.finish = unsafe finish
    return UInt32(truncatingIfNeeded: index)
  }

  /// Gives a slot back that is not live and has no pins. One whose generations
  /// are used up is never used again.
  static func give(_ index: UInt32) {
    guard let slot = slot(UInt64(index)) else { return }
    lock.lock()
    defer { lock.unlock() }
    unsafe deallocate(UnsafeMutableRawPointer(slot.o.tag))
    unsafe slot.o.tag = nil
    unsafe slot.o.object = nil
    guard !isUsedUp(slot) else { return }
    slot.o.nextFree = 0
    if unsafe freeTail != 0, let last = unsafe Slots.slot(UInt64(freeTail &- 1)) {
      last.o.nextFree = index &+ 1
    } else {
      unsafe freeHead = index &+ 1
    }
    unsafe freeTail = index &+ 1
  }

  /// How often an object may make its slot live before it gives that back: a
  /// request does so anew for those who hear of its reply.
  static var livesPerUse: UInt64 { 2 }

  /// Whether the generations that are left would not do for one more use.
  static func isUsedUp(_ slot: Ref<Slot>) -> Bool {
    (slot.o.own.load(ordering: .relaxed) >> 1) &+ livesPerUse > Handle.largest
  }

  /// Makes a slot live, under a generation that it never had; `open` to every
  /// thread, or to the one that made it alone.
  @inline(__always)
  static func live(_ slot: Ref<Slot>, _ index: UInt32, at time: Int64, open: Bool) -> Handle {
    slot.o.birth = time
    let generation = (slot.o.own.load(ordering: .relaxed) >> 1) &+ 1
    slot.o.own.store(generation << 1 | (open ? 0 : 1), ordering: .releasing)
    if open { share(slot, generation) }
    return Handle(kind: slot.o.kindCode, generation: generation, index: UInt64(index))
  }

  /// Lets every thread use what its own thread alone had.
  static func open(_ slot: Ref<Slot>) {
    let generation = slot.o.own.load(ordering: .relaxed) >> 1
    share(slot, generation)
    slot.o.own.store(generation << 1, ordering: .releasing)
  }

  /// Others may pin it in passing, or still owe it an end: that stays.
  @inline(never)
  private static func share(_ slot: Ref<Slot>, _ generation: UInt64) {
    var word = slot.o.word.load(ordering: .relaxed)
    while true {
      let (done, seen) = slot.o.word.weakCompareExchange(
        expected: word,
        desired: word & (pinMask | owedBit) | liveBit | generation << generationShift,
        ordering: .acquiringAndReleasing)
      if done { return }
      word = seen
    }
  }

  /// Ends a live handle: true for the one caller that did, with whether anybody
  /// holds a pin (then the last of them ends the object).
  static func end(_ slot: Ref<Slot>, _ handle: Handle) -> (ended: Bool, pinned: Bool) {
    var word = slot.o.word.load(ordering: .acquiring)
    while isLive(word, handle) {
      let (done, seen) = slot.o.word.weakCompareExchange(
        expected: word,
        desired: word & ~liveBit | (word & pinMask != 0 ? owedBit : 0),
        ordering: .acquiringAndReleasing)
      if done { return (true, word & pinMask != 0) }
      word = seen
    }
    return (false, false)
  }

  /// The same for what its own thread alone had: nobody else can be in.
  @inline(__always)
  static func endPrivate(_ slot: Ref<Slot>) {
    slot.o.own.store(slot.o.own.load(ordering: .relaxed) & ~1, ordering: .releasing)
  }

  private static func isLive(_ word: UInt64, _ handle: Handle) -> Bool {
    word & liveBit != 0 && word >> generationShift == handle.generation
  }

  private static func isLivePrivately(_ slot: Ref<Slot>, _ handle: Handle) -> Bool {
    slot.o.own.load(ordering: .acquiring) == handle.generation << 1 | 1
  }

  @safe enum Pin {
    case held(UnsafeMutableRawPointer, Ref<Slot>)
    case otherThread
    case dead
  }

  /// Holds the object of a handle until `unpin`.
  static func pin(_ handle: Handle, _ kind: Kind) -> Pin {
    guard handle.kind == kind, let slot = slot(handle.index) else { return .dead }
    let word = slot.o.word.wrappingAdd(1, ordering: .acquiringAndReleasing).oldValue
    if isLive(word, handle), slot.o.kind == kind, let object = unsafe slot.o.object {
      return unsafe .held(object, slot)
    }
    unpin(slot)
    return slot.o.kind == kind && isLivePrivately(slot, handle) ? .otherThread : .dead
  }

  /// Adds a pin to a slot whose object is known to be there, whether its handle is
  /// live or not.
  static func hold(_ slot: Ref<Slot>) {
    slot.o.word.wrappingAdd(1, ordering: .acquiringAndReleasing)
  }

  /// Gives a pin back; the last one of an object that is owed its end pays.
  static func unpin(_ slot: Ref<Slot>) {
    let word = slot.o.word.wrappingSubtract(1, ordering: .acquiringAndReleasing).oldValue
    if word & owedBit != 0, word & pinMask == 1 { payEnd(slot, word &- 1) }
  }

  /// A wrong handle may pin a dying slot in passing: then that pin is the last. Or
  /// the slot may go live again meanwhile: the debt stands all the same. Whoever
  /// takes the mark away pays, once.
  @inline(never)
  private static func payEnd(_ slot: Ref<Slot>, _ word: UInt64) {
    var word = word
    while word & owedBit != 0, word & pinMask == 0 {
      let (claimed, seen) = slot.o.word.weakCompareExchange(
        expected: word, desired: word & ~owedBit, ordering: .acquiringAndReleasing)
      if claimed {
        if let object = unsafe slot.o.object, let finish = unsafe slot.o.finish {
          unsafe finish(object)
        }
        return
      }
      word = seen
    }
  }

  /// Whether a handle is live, for any thread.
  static func isAlive(_ handle: Handle, _ kind: Kind) -> Bool {
    guard handle.kind == kind, let slot = slot(handle.index) else { return false }
    guard slot.o.kind == kind else { return false }
    return isLivePrivately(slot, handle)
      || isLive(slot.o.word.load(ordering: .acquiring), handle)
  }

  /// The same for one that every thread may use, where its slot is known.
  @inline(__always)
  static func isAlive(_ handle: Handle, in slot: Ref<Slot>) -> Bool {
    isLive(slot.o.word.load(ordering: .acquiring), handle)
  }

  // ---- walking

  /// The handle of a slot, if it is live.
  private static func handle(of slot: Ref<Slot>, _ index: UInt64) -> Handle? {
    let own = slot.o.own.load(ordering: .acquiring)
    let word = slot.o.word.load(ordering: .acquiring)
    guard own & 1 != 0 || word & liveBit != 0 else { return nil }
    let generation = own & 1 != 0 ? own >> 1 : word >> generationShift
    return Handle(kind: slot.o.kind, generation: generation, index: index)
  }

  /// The first live handle of a kind, or any, from an index on.
  static func next(_ kind: Kind?, from index: UInt64) -> Handle? {
    var index = index
    while let slot = slot(index) {
      if let handle = handle(of: slot, index), kind == nil || handle.kind == kind { return handle }
      index &+= 1
    }
    return nil
  }

  static func forEach(_ body: (Ref<Slot>, Handle) -> Void) {
    var index: UInt64 = 0
    while let handle = next(nil, from: index), let slot = slot(handle.index) {
      body(slot, handle)
      index = handle.index &+ 1
    }
  }

  /// Whether every thread may use a live handle: what a caller owns.
  static func isOpen(_ slot: Ref<Slot>) -> Bool {
    slot.o.word.load(ordering: .acquiring) & liveBit != 0
  }

  /// The slot of a live handle of any kind.
  static func live(_ handle: Handle) -> Ref<Slot>? {
    guard let kind = handle.kind, isAlive(handle, kind) else { return nil }
    return slot(handle.index)
  }

  // ---- tags

  static var longestTag: Int { 63 }

  /// Notes a tag; false when there is no memory. `text` is cut to what is kept.
  static func setTag(_ slot: Ref<Slot>, _ text: Bytes?) -> Bool {
    lock.lock()
    defer { lock.unlock() }
    guard let text else {
      unsafe deallocate(UnsafeMutableRawPointer(slot.o.tag))
      unsafe slot.o.tag = nil
      return true
    }
    if unsafe slot.o.tag == nil {
      guard let memory = unsafe allocate(bytes: longestTag &+ 1) else { return false }
      unsafe slot.o.tag = memory.assumingMemoryBound(to: UInt8.self)
    }
    guard let tag = unsafe slot.o.tag else { return false }
    let count = min(text.count, longestTag)
    for index in 0..<count { unsafe tag[index] = text[index] }
    unsafe tag[count] = 0
    return true
  }

  /// Copies a tag with its NUL into 64 bytes; returns its length.
  static func copyTag(_ slot: Ref<Slot>, to buffer: UnsafeMutablePointer<UInt8>) -> Int {
    lock.lock()
    defer { lock.unlock() }
    var count = 0
    if let tag = unsafe slot.o.tag {
      while unsafe tag[count] != 0 {
        unsafe buffer[count] = tag[count]
        count &+= 1
      }
    }
    unsafe buffer[count] = 0
    return count
  }
}
