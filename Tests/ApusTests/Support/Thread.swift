// A thread of the operating system's, for tests of what several do at once.

import Glibc
import Testing

final class Thread {
  private var thread: pthread_t

  init(_ body: @escaping @Sendable () -> Void) throws {
    thread = 0
    let box = Unmanaged.passRetained(Body(body))
    let result = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      }, box.toOpaque())
    try #require(result == 0)
  }

  func join() { pthread_join(thread, nil) }

  private final class Body {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }
}
