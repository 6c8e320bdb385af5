// Backoff: how long a channel waits before it tries again, and how often.

import Testing

@testable import Apus

@Suite struct BackoffTests {
  @Test func doublesUpToItsLimit() {
    for chance in [Int64(0), 32_768, 65_535] {
      var backoff = Backoff(attempts: -1, least: 100, most: 1000)
      for whole in [Int64(100), 200, 400, 800, 1000, 1000, 1000] {
        #expect(backoff.mayTry)
        let delay = backoff.next(chance: chance)
        #expect(delay == whole * 500 + whole * 500 * chance / 65_536)
        #expect(delay >= whole * 500 && delay <= whole * 1000)
      }
    }
  }

  @Test func endsAfterItsAttempts() {
    var backoff = Backoff(attempts: 2, least: 1, most: 1)
    #expect(backoff.mayTry)
    _ = backoff.next(chance: 0)
    #expect(backoff.mayTry)
    _ = backoff.next(chance: 0)
    #expect(!backoff.mayTry)
    backoff.failures = 0
    #expect(backoff.mayTry)
    #expect(!Backoff().mayTry)
  }

  @Test func hasNoOverflow() {
    var backoff = Backoff(attempts: -1, least: 86_400_000, most: 86_400_000)
    backoff.failures = .max
    #expect(backoff.next(chance: 65_535) <= 86_400_000_000)
    #expect(backoff.failures == .max)
    backoff = Backoff(attempts: -1, least: 1, most: 86_400_000)
    backoff.failures = 1000
    #expect(backoff.next(chance: 0) == 43_200_000_000)
  }
}
