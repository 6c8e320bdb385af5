// What bytes cost. Twice the bytes may cost twice the time, and not four times: an input is
// repeated until it is long, and the processor's time for eight times of it is compared.
// Only what is far beyond a straight line counts, thrice in a row.

import Glibc

/// Every so many inputs; all of them where APUS_FUZZ_WORK is set.
private let every: UInt64 = getenv("APUS_FUZZ_WORK") == nil ? 256 : 1
private let short = 12_000
private let long = 8 * short
/// Nanoseconds below which nothing is too much.
private let free: Int64 = 40_000_000
/// Eight times the bytes may cost this many times the time.
private let most: Int64 = 28

private func time(_ bytes: [UInt8], _ run: ([UInt8]) -> Void) -> Int64 {
  var start = timespec()
  var end = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start)
  run(bytes)
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end)
  return Int64(end.tv_sec - start.tv_sec) * 1_000_000_000 + Int64(end.tv_nsec - start.tv_nsec)
}

/// `settings` is how many of the first bytes are not to be repeated.
func checkWork(_ bytes: [UInt8], settings: Int, _ run: ([UInt8]) -> Void) {
  guard bytes.count > settings else { return }
  var sum: UInt64 = 14_695_981_039_346_656_037
  for byte in bytes { sum = (sum ^ UInt64(byte)) &* 1_099_511_628_211 }
  guard (sum >> 20) % every == 0 else { return }
  var input = Array(bytes[..<settings])
  while input.count < long { input += bytes[settings...] }
  let small = Array(input[..<short])
  input = Array(input[..<long])
  var last = (Int64(0), Int64(0))
  for _ in 0..<3 {
    last = (time(small, run), time(input, run))
    if last.1 < free || last.1 < most * max(last.0, 1) { return }
  }
  fatalError("\(short) bytes cost \(last.0) ns, \(long) bytes \(last.1) ns")
}
