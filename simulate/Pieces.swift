// The memory that the library asks for with care: each piece is known by its size, and what
// was given back stays as it is until the run is over, so that a use of it shows.

import CInside
import CSystem
import Glibc

enum Memory {
  /// Pieces that the library has, and their bytes.
  nonisolated(unsafe) static var count = 0
  nonisolated(unsafe) static var bytes = 0
  /// What was given back in this run.
  nonisolated(unsafe) private static var ended: [UnsafeMutableRawPointer] = []

  /// In front of each piece: its size, and whether it is the library's.
  private static let head = 16
  private static let isLive: UInt64 = 0x4C69_7665_4D65_6D6F
  private static let isEnded: UInt64 = 0x5265_7374_4D65_6D6F
  /// Larger ones are given back to the system at once.
  private static let mostKept = 2048
  private static let filling: UInt8 = 0xDB
  nonisolated(unsafe) private static let filled: UnsafeMutableRawPointer = {
    let piece = UnsafeMutableRawPointer.allocate(byteCount: mostKept, alignment: 16)
    memset(piece, Int32(filling), mostKept)
    return piece
  }()

  /// Whether some is refused now: not while a host sets something up.
  nonisolated(unsafe) static var isScarce = false
  /// Buffers and lists, whose size follows from what peers send: they are made by growing.
  private static let leastGrown = 256
  private static let leastMade = 2048

  /// Whether a piece is refused, which is counted: whoever is concerned may come to grief.
  static func refuses(_ size: Int, isGrown: Bool) -> Bool {
    guard isScarce, size >= (isGrown ? leastGrown : leastMade),
      world.chance.once(in: world.faults.noMemory)
    else { return false }
    world.statistics.add(.noMemory)
    world.note("no memory", size)
    world.lackMemory()
    return true
  }

  /// The host does something for which there is memory.
  static func withPlenty<Result>(_ body: () -> Result) -> Result {
    let was = isScarce
    isScarce = false
    defer { isScarce = was }
    return body()
  }

  static func make(_ size: Int, isZeroed: Bool) -> UnsafeMutableRawPointer? {
    guard let piece = isZeroed ? calloc(1, size + head) : malloc(size + head) else { return nil }
    count += 1
    bytes += size
    piece.storeBytes(of: size, as: Int.self)
    piece.storeBytes(of: isLive, toByteOffset: 8, as: UInt64.self)
    return piece + head
  }

  private static func size(_ memory: UnsafeMutableRawPointer) -> Int {
    if (memory - 8).load(as: UInt64.self) != isLive {
      world.fail("memory is used that was given back")
      abort()
    }
    return (memory - head).load(as: Int.self)
  }

  static func remake(_ memory: UnsafeMutableRawPointer, _ size: Int) -> UnsafeMutableRawPointer? {
    guard let new = make(size, isZeroed: false) else { return nil }
    new.copyMemory(from: memory, byteCount: min(size, Memory.size(memory)))
    give(memory)
    return new
  }

  static func give(_ memory: UnsafeMutableRawPointer) {
    let size = Memory.size(memory)
    count -= 1
    bytes -= size
    (memory - 8).storeBytes(of: isEnded, as: UInt64.self)
    if size > mostKept { return free(memory - head) }
    memset(memory, Int32(filling), size)
    ended.append(memory - head)
  }

  static func isLive(_ memory: UnsafeRawPointer, _ size: Int) -> Bool {
    (memory - 8).load(as: UInt64.self) == isLive && (memory - head).load(as: Int.self) == size
  }

  /// The run is over: what was given back in it was left alone, and goes.
  static func end() -> Bool {
    var isAlone = true
    for piece in ended {
      if memcmp(piece + head, filled, piece.load(as: Int.self)) != 0 { isAlone = false }
      free(piece)
    }
    ended.removeAll(keepingCapacity: true)
    return isAlone
  }
}

@_cdecl("sys_allocate") func systemAllocate(_ size: Int) -> UnsafeMutableRawPointer? {
  Memory.refuses(size, isGrown: false) ? nil : Memory.make(size, isZeroed: false)
}
@_cdecl("sys_allocate_zeroed") func systemAllocateZeroed(_ size: Int) -> UnsafeMutableRawPointer? {
  Memory.make(size, isZeroed: true)
}
@_cdecl("sys_reallocate") func systemReallocate(
  _ memory: UnsafeMutableRawPointer?, _ size: Int
) -> UnsafeMutableRawPointer? {
  if Memory.refuses(size, isGrown: true) { return nil }
  guard let memory else { return Memory.make(size, isZeroed: false) }
  return Memory.remake(memory, size)
}
@_cdecl("sys_free") func systemFree(_ memory: UnsafeMutableRawPointer?) {
  if let memory { Memory.give(memory) }
}

@_cdecl("simulate_is_live") func simulateIsLive(_ memory: UnsafeRawPointer?, _ size: Int) -> Int32 {
  guard let memory else { return 0 }
  return Memory.isLive(memory, size) ? 1 : 0
}
