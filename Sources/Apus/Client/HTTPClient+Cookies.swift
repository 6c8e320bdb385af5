// The jar of a client: any thread, one at a time.

import Synchronization

extension Ref where Object == HTTPClient {
  /// Runs with the jar, which is made with its first use.
  func withJar<Result>(_ body: (Ref<CookieJar>) throws(Failure) -> Result) throws(Failure)
    -> Result
  {
    try locked { () throws(Failure) in
      if o.jar == nil { o.jar = Ref<CookieJar>(make: CookieJar(suffixes: PublicSuffixes.shared)) }
      guard let jar = o.jar else { throw .noMemory }
      return try body(jar)
    }
  }

  /// Adds the Cookie field of a request, where there are cookies for it.
  func appendCookies(for url: borrowing WebURL, now: Int64, to output: inout ByteBuffer) {
    o.lock.lock()
    defer { o.lock.unlock() }
    guard let jar = o.jar, jar.o.count > 0 else { return }
    let before = output.count
    output.append("Cookie: ")
    let sent = jar.o.appendCookies(
      to: &output, host: url.host, path: url.path, isSecure: url.isSecure, now: now)
    if sent.count == 0 { output.truncate(to: before) } else { output.append("\r\n") }
  }

  /// Takes what a response sets.
  func takeCookies(
    _ bytes: Bytes, _ head: borrowing ResponseHead, of url: borrowing WebURL, now: Int64
  ) {
    let name = Text("set-cookie")
    var index = 0
    while let field = head.field(name.bytes, number: index, in: bytes) {
      let value = bytes.extracting(field.value)
      do throws(Failure) {
        try withJar { jar throws(Failure) in
          _ = jar.o.take(
            value, index: index, host: url.host, path: url.path, isSecure: url.isSecure, now: now)
        }
      } catch { return }
      index &+= 1
    }
  }
}
