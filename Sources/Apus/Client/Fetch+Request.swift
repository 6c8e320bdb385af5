// The request on its way: RFC 9112 §3 and §6. The loop's thread.

import Synchronization

/// The field that names what can be decoded here, found out once.
private let accepted: Ref<ByteBuffer>? = {
  var line = ByteBuffer()
  line.append("Accept-Encoding: ")
  ContentCoding.appendAvailable(to: &line)
  line.append("\r\n")
  return line.failed ? nil : Ref<ByteBuffer>(make: line)
}()

extension Ref where Object == Fetch {
  func sendRequest(on link: Ref<Link>) {
    let loop = link.o.pool.o.worker.o.loop
    guard let output = link.o.stream.writing() else { return finish(.noMemory) }
    // The method was copied when the run began.
    if o.run.method.failed || (o.run.fields.isEmpty && !gatherFields()) {
      return finish(.noMemory)
    }
    o.run.head.reset()
    o.run.isHeadIn = false
    o.run.plan = .give
    o.run.dropped = 0
    let carries = o.run.sendsBody && o.body.isThere
    // What is known to be empty waits for nothing.
    let expects =
      o.options.expects && carries && o.body.count != 0 && !o.run.isUnexpecting
    do throws(Failure) {
      try appendHead(to: &output.o, carries: carries, expects: expects)
    } catch {
      return finish(error)
    }
    link.o.machine.nextResponse(
      to: RequestFacts(
        isHead: isMethod("HEAD"), isConnect: false, expectsContinue: expects,
        asksForUpgrade: false))
    loop.addDirty(link.o.stream)
    o.run.isHeadSent = true
    o.run.isBodySent = !carries || o.body.count == 0
    o.run.waitsToSend = expects
    o.run.isExpecting = expects
    o.run.isWithheld = false
    o.run.active = loop.o.now
    if expects { o.run.resume = loop.o.now &+ FetchRun.patience }
    o.run.given = 0
    o.body.rewind()
    if carries, !expects { sendBody() }
  }

  func isMethod(_ name: StaticString) -> Bool { o.run.method.bytes.equals(name) }

  /// The lines for all requests of this run.
  private func gatherFields() -> Bool {
    guard o.run.fields.copy(o.fields) else { return false }
    return o.run.fields.append(o.defaults)
  }

  private func appendHead(to output: inout ByteBuffer, carries: Bool, expects: Bool)
    throws(Failure)
  {
    output.append(o.run.method.bytes)
    output.append(" ")
    appendTarget(to: &output)
    output.append(" HTTP/1.1\r\n")
    if !o.run.isHome || !o.run.fields.has("host") {
      output.append("Host: ")
      output.append(o.run.target.bytes.extracting(o.run.target.parts.authority))
      output.append("\r\n")
    }
    // A redirection may have left behind what is secret, or what tells of a body.
    let tellsBody = carries || !o.body.isThere
    if o.run.isHome, tellsBody {
      output.append(o.run.fields.bytes)
    } else {
      o.run.fields.append(to: &output, secrets: o.run.isHome, content: tellsBody)
    }
    try appendAuthorization(to: &output)
    try appendProxyAuthorization(to: &output)
    if o.options.usesCookies, !o.run.isHome || !o.run.fields.has("cookie"),
      let loop = o.worker?.o.loop
    {
      o.client.appendCookies(for: o.run.target, now: loop.o.wallSeconds, to: &output)
    }
    if !o.run.fields.has("accept") { output.append("Accept: */*\r\n") }
    if o.options.decodes, !o.run.fields.has("accept-encoding"), !o.run.fields.has("range") {
      if let accepted { output.append(accepted.o.bytes) }
    }
    if !o.options.keepsAlive { output.append("Connection: close\r\n") }
    appendFraming(to: &output, carries: carries, expects: expects)
    output.append("\r\n")
  }

  private func appendFraming(to output: inout ByteBuffer, carries: Bool, expects: Bool) {
    guard carries else {
      // RFC 9110 §8.6: of these methods a body is expected.
      if isMethod("POST") || isMethod("PUT") || isMethod("PATCH") {
        output.append("Content-Length: 0\r\n")
      }
      return
    }
    if !o.body.contentType.isEmpty, !o.run.fields.has("content-type") {
      output.append("Content-Type: ")
      output.append(o.body.contentType.bytes)
      output.append("\r\n")
    }
    if o.body.count >= 0 {
      output.append("Content-Length: ")
      output.append(decimal: o.body.count)
      output.append("\r\n")
    } else {
      output.append("Transfer-Encoding: chunked\r\n")
    }
    if expects { output.append("Expect: 100-continue\r\n") }
  }

  // ---- the body

  /// What the connection holds of it before more is fetched.
  private static var mostBuffered: Int { 128 * 1024 }
  private static var pieceSize: Int { 64 * 1024 }

  /// Hands over as much as the connection is to hold.
  func sendBody() {
    guard o.run.stage == .exchanging, let link = o.run.link, !o.run.isBodySent,
      !o.run.waitsToSend, !o.run.isWithheld, !link.o.isEnded
    else { return }
    let stream = link.o.stream
    let before = stream.o.buffered
    while !o.run.isBodySent, stream.o.buffered < Self.mostBuffered {
      guard let output = stream.writing() else { return finish(.noMemory) }
      if o.body.isAsked {
        if !sendGiven(&output.o) {
          if !isServed(by: link) { return }
          break
        }
      } else {
        do throws(Failure) {
          if try !o.body.read(Self.pieceSize, to: &output.o) { o.run.isBodySent = true }
        } catch {
          return finish(error)
        }
      }
      if !isServed(by: link) { return }
    }
    // While the host is asked nothing goes.
    guard stream.o.buffered > before || o.run.isBodySent else { return }
    o.run.active = stream.o.loop.o.now
    stream.o.loop.addDirty(stream)
  }

  /// Takes what the host has given, and asks for more. False: there is none yet.
  private func sendGiven(_ output: inout ByteBuffer) -> Bool {
    o.lock.lock()
    var given = ByteBuffer()
    swap(&given, &o.given)
    let isWhole = o.isGivenWhole
    o.lock.unlock()
    if given.failed {
      finish(.noMemory)
      return false
    }
    let isChunked = o.body.count < 0
    o.run.given &+= Int64(given.count)
    if !isChunked, o.run.given > o.body.count || (isWhole && o.run.given < o.body.count) {
      finish(Failure(.argument, "the request's body is not as long as was said"))
      return false
    }
    if !given.isEmpty {
      if isChunked {
        output.append(hexadecimal: given.count)
        output.append("\r\n")
      }
      output.append(given.bytes)
      if isChunked { output.append("\r\n") }
      // RFC 9112 §6.3: it ends there, whatever the host is still to say.
      if !isChunked, o.run.given == o.body.count { o.run.isBodySent = true }
      return true
    }
    if isWhole {
      if isChunked { output.append("0\r\n\r\n") }
      o.run.isBodySent = true
      return true
    }
    return ask()
  }

  /// The connection has taken what was handed over, or a part.
  func drained() {
    guard o.run.stage == .exchanging, !o.run.isBodySent, let link = o.run.link,
      link.o.stream.o.buffered < Self.mostBuffered / 2
    else { return }
    // In the next turn: others come first.
    o.lock.lock()
    notifyLoop()
    o.lock.unlock()
  }
}

extension FieldLines {
  /// Adds the lines of others, but for names that are there.
  mutating func append(_ others: borrowing FieldLines) -> Bool {
    var more = ByteBuffer()
    others.append(to: &more, without: self)
    return add(lines: more.bytes)
  }
}
