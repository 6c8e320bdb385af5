// How fast the library's own Mask.swift unmasks. From outside that cannot be told
// from the copies that the kernel makes, so it is compiled together with this file,
// which stands in for the two types that it needs.
//
// Usage: unmask SIZE
//
// Prints GB/s for payloads of SIZE bytes, the best of nine runs, by the CPU time of
// the thread. The payload lies at an odd address, as a frame's header leaves it.

import Glibc

typealias Bytes = Span<UInt8>

struct ByteBuffer: ~Copyable {
  mutating func space(_ count: Int) -> UnsafeMutableRawPointer? { nil }
  mutating func filled(_ count: Int) {}
}

func cpuSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

@main
enum Unmask {
  static func main() {
    let size = max(1, CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 16384)
    let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: size + 1)
    memory.initialize(repeating: 7, count: size + 1)
    let rounds = max(1, (64 << 20) / size)
    var best = 0.0
    for _ in 0..<9 {
      let start = cpuSeconds()
      for round in 0..<rounds {
        let key = MaskKey(word: UInt32(truncatingIfNeeded: round &* 77))
        var payload = MutableSpan(_unsafeStart: memory + 1, count: size)
        Mask.apply(key, phase: 0, to: &payload, 0..<size)
      }
      best = max(best, Double(size * rounds) / (cpuSeconds() - start) / 1e9)
    }
    print(best)
  }
}
