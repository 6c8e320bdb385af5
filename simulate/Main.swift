// The simulator: the library, whole and unchanged, on a simulated system. TLS is left out.
//
//   simulate seeds FIRST COUNT JSON   runs many seeds, some of them twice; 1 if any fails
//   simulate seed NUMBER              runs one twice, with its trace
//
// The same seed gives the same run, event by event; a run that breaks an invariant is told by
// its seed.

import Glibc

@main
struct Simulate {
  static func main() {
    let arguments = CommandLine.arguments
    Fixture.make()
    Crash.watch()
    // What is made once is not part of any run.
    isWarm = false
    for seed in 0..<8 { _ = run(UInt64(seed), isTracing: false) }
    isWarm = true
    var code: Int32 = 2
    if arguments.count == 3, arguments[1] == "seed", let seed = UInt64(arguments[2]) {
      code = replay(seed)
    } else if arguments.count == 5, arguments[1] == "seeds", let first = UInt64(arguments[2]),
      let count = Int(arguments[3])
    {
      code = many(first, count, arguments[4])
    } else {
      print("usage: simulate seeds FIRST COUNT JSON | seed NUMBER")
    }
    Fixture.remove()
    exit(code)
  }

  private struct Outcome {
    var hash: UInt64
    var broken: [String]
    var statistics: Statistics
    var memory: Int
  }

  private static func run(_ seed: UInt64, isTracing: Bool) -> Outcome {
    Crash.isAbout(seed)
    world = World(seed: seed, isTracing: isTracing)
    world.prepare()
    Scenario().run()
    world.statistics.virtualSeconds = Int((world.now - 1_000_000_000) / 1_000_000)
    var outcome = Outcome(
      hash: world.hash, broken: world.broken, statistics: world.statistics, memory: Memory.count)
    world.end()
    if !Memory.end() { outcome.broken.append("memory is written to that was given back") }
    return outcome
  }

  /// Runs a seed twice: the runs must be the same, and leave the same memory behind.
  private static func runTwice(_ seed: UInt64, isTracing: Bool) -> Outcome {
    let first = run(seed, isTracing: isTracing)
    var second = run(seed, isTracing: false)
    if !first.broken.isEmpty { return first }
    if first.hash != second.hash {
      second.broken.append("two runs differ: \(first.hash) and \(second.hash)")
    } else if first.memory != second.memory {
      second.broken.append("\(second.memory - first.memory) pieces of memory are lost")
    }
    return second
  }

  private static func replay(_ seed: UInt64) -> Int32 {
    let outcome = runTwice(seed, isTracing: true)
    print("seed \(seed): trace \(String(outcome.hash, radix: 16))")
    tell(seed, outcome)
    fflush(nil)
    return outcome.broken.isEmpty ? 0 : 1
  }

  private static func tell(_ seed: UInt64, _ outcome: Outcome) {
    for what in outcome.broken { print("seed \(seed): BROKEN: \(what)") }
    if !outcome.broken.isEmpty { print("  make simulate SEED=\(seed) replays it") }
    fflush(nil)
  }

  private static func many(_ first: UInt64, _ count: Int, _ path: String) -> Int32 {
    var total = Statistics()
    var broken: [UInt64] = []
    let start = seconds()
    var done = 0
    while done < count, broken.count < 20 {
      let seed = first + UInt64(done)
      let isTwice = done % 16 == 0
      let outcome = isTwice ? runTwice(seed, isTracing: false) : run(seed, isTracing: false)
      total.add(outcome.statistics)
      done += 1
      if !outcome.broken.isEmpty {
        broken.append(seed)
        tell(seed, outcome)
      }
    }
    let time = seconds() - start
    let json = total.json(seeds: done, seconds: time, broken: broken)
    if let file = fopen(path, "w") {
      fputs(json, file)
      fclose(file)
    }
    print(json, terminator: "")
    let unseen = done < 5000 ? [] : total.unseen
    if !unseen.isEmpty { print("BROKEN: in no run there was any of: \(unseen)") }
    fflush(nil)
    return broken.isEmpty && unseen.isEmpty ? 0 : 1
  }

  private static func seconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}

/// The real files: the one that the server sends, and those without a name of uploads.
enum Fixture {
  nonisolated(unsafe) static var path = ""
  /// Where uploads go.
  nonisolated(unsafe) static var folder = ""
  nonisolated(unsafe) static var bytes: [UInt8] = []

  static func make() {
    var template = Array("/tmp/apus-simulate-XXXXXX".utf8CString)
    let descriptor = mkstemp(&template)
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    bytes = Plan.bytes(99, 70_000)
    _ = write(descriptor, bytes, bytes.count)
    close(descriptor)
    folder = path + ".uploads"
    mkdir(folder, 0o700)
  }

  static func remove() {
    unlink(path)
    rmdir(folder)
  }
}

/// A crash names its seed too.
enum Crash {
  nonisolated(unsafe) private static let text = UnsafeMutablePointer<CChar>.allocate(capacity: 80)
  nonisolated(unsafe) private static var count = 0

  static func isAbout(_ seed: UInt64) {
    count = 0
    for byte in "seed \(seed): BROKEN: it crashes\n".utf8 where count < 80 {
      text[count] = CChar(byte)
      count += 1
    }
  }

  static func watch() {
    for number in [SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGABRT, SIGFPE] {
      signal(number) { number in
        _ = write(1, Crash.text, Crash.count)
        _exit(128 + number)
      }
    }
  }
}
