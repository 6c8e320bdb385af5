// Where tests split what a peer sends.

enum Splits {
  /// Everywhere, and byte by byte; in long vectors, at both ends and at random. Each
  /// is a list of ends of pieces.
  static func of(_ count: Int, _ random: inout Random) -> [[Int]] {
    let isLong = count > 1000
    var places = Array(1..<max(count, 2))
    if isLong {
      let some = count > 30_000 ? 16 : 40
      let chosen = (0..<some).map { _ in Int.random(in: 1..<count, using: &random) }
      places = Array(places.prefix(some)) + chosen + Array(places.suffix(some))
    }
    var splits = places.map { [min($0, count), count] }
    if !isLong { splits.append(Array(1...max(count, 1)).map { min($0, count) }) }
    for _ in 0..<20 {
      let most = isLong ? 20 : count
      let cuts = (0..<Int.random(in: 2...max(most, 2), using: &random)).map { _ in
        Int.random(in: 0...count, using: &random)
      }
      splits.append(Array(Set(cuts + [count])).sorted())
    }
    return splits
  }

  /// What a failing test says of two logs.
  static func difference(_ log: [[UInt8]], _ expected: [[UInt8]]) -> String {
    func text(_ log: [[UInt8]]) -> String {
      log.map { "    " + Escapes.encode($0) }.joined(separator: "\n")
    }
    return "  the log is\n\(text(log))\n  and not\n\(text(expected))"
  }
}
