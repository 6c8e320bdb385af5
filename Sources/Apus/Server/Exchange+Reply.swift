// Replying: the head's fields gather in the exchange, and a body completes it.
// The head itself is written by the loop when the exchange's turn has come, save
// in the one case that matters most: a handler on the loop's own thread, next in
// line, writes straight to the connection.

extension Ref where Object == Exchange {
  @inline(__always)
  func checkUnreplied() throws(Failure) {
    if o.isReplied { throw Failure(.state, "the request was replied to already") }
    if o.writer.handle.bits != 0 { throw Failure(.state, "the reply is its writer's") }
    if o.worker == nil { throw Failure(.closed, "a parsed request has no client") }
  }

  func setStatus(_ status: Int32) throws(Failure) {
    guard status >= 200, status <= 599 else {
      throw Failure(.argument, "a final status is 200 to 599")
    }
    o.reply.status = status
  }

  @inline(__always)
  func setField(_ name: Bytes, _ value: Bytes, replacing: Bool, isOwn: Bool = false)
    throws(Failure)
  {
    switch o.reply.set(name, value, replacing: replacing, isOwn: isOwn) {
    case nil: break
    case .malformed: throw Failure(.argument, "not a field name and value of RFC 9110")
    case .reserved: throw Failure(.argument, "the library itself sets this field")
    case .tooLong: throw Failure(.tooLarge, "the reply's fields are more than 64 KiB")
    }
    if o.reply.fields.failed { throw .noMemory }
  }

  @inline(__always)
  func setType(_ type: Text) throws(Failure) {
    guard type.bytes.isFieldValue else {
      throw Failure(.argument, "not a field value of RFC 9110")
    }
    guard type.count <= ReplyHead.slack / 2 else {
      throw Failure(.tooLarge, "a media type is not that long")
    }
    o.reply.setContentType(type.bytes)
    if o.reply.fields.failed { throw .noMemory }
  }

  /// Completes the reply.
  @inline(__always)
  func complete(_ body: Bytes) throws(Failure) {
    let isEmpty = Status.hasNoContent(o.reply.status)
    // RFC 9110 §15.3.6: a 205 says that it has no content, and has none.
    let body = o.reply.status == 205 ? Bytes() : body
    o.framing = isEmpty ? .none : .length(Int64(body.count))
    let sends = !isEmpty && !o.isHead
    if reach == .own, let connection = o.connection, connection.isNext(self) {
      o.isReplied = true
      if sends { o.bodyBytes = Int64(body.count) }
      connection.writeHead(of: self, with: sends ? body : Bytes())
      return
    }
    try keep(body, sends: sends)
  }

  /// The reply is for the loop to send, in its turn.
  @inline(never)
  private func keep(_ body: Bytes, sends: Bool) throws(Failure) {
    if sends {
      o.output.append(body)
      if o.output.failed {
        o.output.clear()
        throw .noMemory
      }
      o.bodyBytes = Int64(body.count)
    }
    o.isReplied = true
  }

  /// A status and its reason phrase, in plain text, for what is no success.
  @inline(never)
  func completeStatus(_ status: Int32, reason: StaticString? = nil) throws(Failure) {
    o.reply.status = status
    guard status >= 400 else { return try complete(Bytes()) }
    // Nobody gets what is replied after the client has gone; by then the server may have
    // stopped, and its pages may change.
    if !o.hasLeft, let page = o.worker?.o.server.errorPage(status) {
      try setType(page.o.type)
      return try complete(page.o.body.bytes)
    }
    try setType(Text("text/plain; charset=utf-8"))
    let text = Text(reason ?? Status.reason(status) ?? "")
    var body = ByteBuffer()
    body.append(text.bytes)
    try complete(body.bytes)
  }

  /// The same where nothing above could use a failure: the connection closes.
  func completeOrBreak(_ status: Int32) {
    do throws(Failure) {
      try completeStatus(status)
    } catch {
      o.isBroken = true
      o.isReplied = true
    }
  }

  /// After a reply through the interface: a deferred request's handle ends here.
  @inline(__always)
  func afterReply() {
    if !o.isShared { return }
    if o.isDeferred { _ = endDeferredLocked() }
    notifyLoop()
  }

  /// A deferred request whose client has gone: the reply is thrown away, and the
  /// handle ends as after any reply.
  func giveUp() {
    o.isReplied = true
    afterReply()
  }
}
