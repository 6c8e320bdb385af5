// A page's origin on its way through a connection: looked at when its request's head is
// in, and told with the reply. Questions before a request are answered here, before
// routes and listeners, whatever the dispatch.

import Synchronization

extension Ref where Object == Exchange {
  /// The origin of the page that asks; nil where there is none, or several.
  var pageOrigin: Text? { o.head.marks.contains(.origin) ? single("origin") : nil }

  /// The value of a field that comes once.
  func single(_ name: StaticString) -> Text? {
    let name = Text(name)
    var found: Text? = nil
    for index in 0..<o.head.fields.count {
      let field = o.head.fields[index]
      guard Int(field.nameCount) == name.count, let own = part(field.name),
        own.bytes.equalsIgnoringCase(name.bytes)
      else { continue }
      if found != nil { return nil }
      found = part(field.value)
    }
    return found
  }
}

extension Ref where Object == Server {
  /// Whether the page of an origin may see the reply. The loop's thread.
  func allowsOrigin(of exchange: Ref<Exchange>) -> Bool {
    guard let origin = exchange.pageOrigin else { return false }
    if let decided = o.crossOrigin.allows(origin.bytes) { return decided }
    if o.isDying.load(ordering: .relaxed) { return false }
    let callback = unsafe o.crossOrigin.check
    var isAllowed = false
    unsafe ThreadContext.inside(opaque) {
      let answer = unsafe callback.function?(callback.context, o.handle.bits, origin.characters)
      isAllowed = (answer ?? 0) == 1
    }
    return isAllowed
  }

  /// Answers the question before a request. What is not allowed is left out, save where
  /// the origin is not: then there is no more to say.
  fileprivate func answerPreflight(_ exchange: Ref<Exchange>) {
    guard exchange.o.isOriginAllowed else { return exchange.completeOrBreak(403) }
    let none = Text("")
    let method = exchange.single("access-control-request-method") ?? none
    let headers = exchange.single("access-control-request-headers") ?? none
    o.crossOrigin.addAnswer(method: method.bytes, headers: headers.bytes, to: &exchange.o.reply)
    exchange.completeOrBreak(204)
  }
}

extension Ref where Object == Connection {
  /// A head with something that most have not. True where it was answered.
  @inline(never)
  func isAnsweredAhead(_ exchange: Ref<Exchange>) -> Bool {
    if !exchange.o.head.persists { exchange.o.closes = true }
    guard server.o.crossOrigin.isOn else { return false }
    exchange.o.isOriginAllowed = server.allowsOrigin(of: exchange)
    guard exchange.o.head.isPreflight else { return false }
    o.since = o.worker.o.loop.o.now
    exchange.o.destination = .answered
    exchange.o.isDispatched = true
    server.answerPreflight(exchange)
    return true
  }

  /// A head that was read, and refused all the same: its page may see the refusal.
  @inline(never)
  func noteRefusedOrigin(
    _ exchange: Ref<Exchange>, _ bytes: Bytes, upTo index: Int, _ refusal: Refusal
  ) {
    let count = exchange.o.head.count
    guard refusal.status == 413, server.o.crossOrigin.isOn, unsafe exchange.o.text == nil,
      count > 0, count <= index, exchange.keepHead(bytes.extracting((index &- count)..<index))
    else { return }
    exchange.o.isOriginAllowed = server.allowsOrigin(of: exchange)
  }

  func addCrossOrigin(to exchange: Ref<Exchange>) {
    let origin = exchange.pageOrigin
    server.o.crossOrigin.addFields(
      for: origin, isAllowed: exchange.o.isOriginAllowed, to: &exchange.o.reply)
  }
}
