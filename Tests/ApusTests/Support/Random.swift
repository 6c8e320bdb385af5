// Chance that can be had again: every random test prints its seed when it fails,
// and APUS_SEED=... runs it with the same.

import Glibc

/// SplitMix64.
struct Random: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// The seed of this run: what APUS_SEED says, or another one each time.
  static let seed: UInt64 = {
    if let text = getenv("APUS_SEED"), let seed = UInt64(String(cString: text)) { return seed }
    return UInt64.random(in: 1...UInt64(UInt32.max))
  }()

  /// What a failing test says to be run again.
  static var note: String { "APUS_SEED=\(seed)" }
}
