// Section 16 of the header: the server's events, and what of section 8 came with them.

import CApus

@_cdecl("apus_server_events")
public func apusServerEvents(
  _ handle: UInt64, _ pattern: UnsafePointer<CChar>?, _ function: apus_events_fn?,
  _ context: UnsafeMutableRawPointer?, _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback<EventsFunction>(function, context, drop)
  let result = boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      try server.whileIdle { () throws(Failure) in
        let pattern = try unsafe text(pattern)
        var route = unsafe Route(
          method: Method.get, methodName: ByteBuffer(), handler: .none, isStreamed: false)
        unsafe route.events = unsafe callback
        return try server.o.router.add(route, pattern: pattern.bytes)
      }
    }
  }
  if result < 0 { unsafe callback.end() }
  return result
}

@_cdecl("apus_request_last_event_id")
public func apusRequestLastEventID(_ handle: UInt64) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    try unsafe withRequest(handle) { exchange throws(Failure) in
      guard let id = exchange.lastEventID else {
        throw Failure(.notFound, "the request has no Last-Event-ID")
      }
      return unsafe id.characters
    }
  }
}

@_cdecl("apus_writer_make_events")
public func apusWriterMakeEvents(_ handle: UInt64) -> UInt64 {
  boundary(failing: 0) { () throws(Failure) in
    try withRequest(handle) { exchange throws(Failure) in
      try exchange.checkUnreplied()
      try exchange.checkNoTicket()
      if exchange.o.hasLeft { throw Failure(.closed, "the client has gone") }
      return try exchange.makeEvents().bits
    }
  }
}

/// A function that only tells whether it worked.
private func write(_ handle: UInt64, _ body: (Ref<Exchange>) throws(Failure) -> Void) -> Int32 {
  boundary { () throws(Failure) in
    try withWriter(handle) { exchange throws(Failure) in
      try body(exchange)
      return 0
    }
  }
}

/// Text that may be NULL.
private func optional(_ characters: UnsafePointer<CChar>?) -> Text? {
  guard let characters = unsafe characters else { return nil }
  return unsafe Text(characters: characters)
}

@_cdecl("apus_writer_event")
public func apusWriterEvent(
  _ handle: UInt64, _ event: UnsafePointer<CChar>?, _ id: UnsafePointer<CChar>?,
  _ data: UnsafeRawPointer?, _ length: Int
) -> Int32 {
  write(handle) { exchange throws(Failure) in
    let data = try unsafe bytes(data, length)
    try exchange.writeEvent(name: unsafe optional(event), id: unsafe optional(id), data: data)
  }
}

@_cdecl("apus_writer_retry")
public func apusWriterRetry(_ handle: UInt64, _ milliseconds: Int32) -> Int32 {
  write(handle) { exchange throws(Failure) in
    try check(milliseconds, in: 0...86_400_000)
    try exchange.writeRetry(Int64(milliseconds))
  }
}

@_cdecl("apus_writer_comment")
public func apusWriterComment(_ handle: UInt64, _ comment: UnsafePointer<CChar>?) -> Int32 {
  write(handle) { exchange throws(Failure) in
    let comment = try unsafe text(comment)
    try exchange.writeComment(comment)
  }
}

@_cdecl("apus_writer_set_heartbeat")
public func apusWriterSetHeartbeat(_ handle: UInt64, _ milliseconds: Int32) -> Int32 {
  write(handle) { exchange throws(Failure) in
    try check(milliseconds, in: 0...86_400_000)
    try exchange.checkOpen()
    try exchange.eventStream().o.heartbeat = Int64(milliseconds)
    exchange.notifyLoop()
  }
}

@_cdecl("apus_writer_set_idle_timeout")
public func apusWriterSetIdleTimeout(_ handle: UInt64, _ milliseconds: Int32) -> Int32 {
  write(handle) { exchange throws(Failure) in
    try check(milliseconds, in: 0...86_400_000)
    try exchange.checkOpen()
    exchange.o.writer.idleTimeout = Int64(milliseconds)
    exchange.o.writer.lastWrite = Clock.now
    exchange.notifyLoop()
  }
}

// ---- topics

@_cdecl("apus_writer_subscribe")
public func apusWriterSubscribe(_ handle: UInt64, _ topic: UnsafePointer<CChar>?) -> Int32 {
  write(handle) { exchange throws(Failure) in
    let topic = try unsafe text(topic)
    try exchange.ask(for: topic.bytes, joins: true)
  }
}

@_cdecl("apus_writer_unsubscribe")
public func apusWriterUnsubscribe(_ handle: UInt64, _ topic: UnsafePointer<CChar>?) -> Int32 {
  write(handle) { exchange throws(Failure) in
    let topic = try unsafe text(topic)
    try exchange.ask(for: topic.bytes, joins: false)
  }
}

@_cdecl("apus_writer_set_close_when_slow")
public func apusWriterSetCloseWhenSlow(_ handle: UInt64, _ on: Int32) -> Int32 {
  write(handle) { exchange throws(Failure) in
    try check(on, in: 0...1)
    try exchange.checkOpen()
    try exchange.eventStream().o.closesWhenSlow = on == 1
  }
}

@_cdecl("apus_writer_missed")
public func apusWriterMissed(_ handle: UInt64) -> Int64 {
  boundaryOfLong { () throws(Failure) in
    try withWriter(handle) { exchange throws(Failure) in try exchange.eventStream().o.missed }
  }
}

@_cdecl("apus_writer_on_missed")
public func apusWriterOnMissed(
  _ handle: UInt64, _ function: apus_writer_fn?, _ context: UnsafeMutableRawPointer?,
  _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback<WriterFunction>(function, context, drop)
  var unused = unsafe callback
  let result = write(handle) { exchange throws(Failure) in
    try exchange.checkPresent()
    _ = try exchange.eventStream()
    unsafe unused = unsafe exchange.replace(.missed, with: callback.isSet ? callback : .none)
  }
  unsafe unused.end()
  if result == 0, unsafe !callback.isSet { unsafe callback.end() }
  return result
}

@_cdecl("apus_server_publish_event")
public func apusServerPublishEvent(
  _ handle: UInt64, _ topic: UnsafePointer<CChar>?, _ event: UnsafePointer<CChar>?,
  _ id: UnsafePointer<CChar>?, _ data: UnsafeRawPointer?, _ length: Int
) -> Int32 {
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      let topic = try unsafe text(topic)
      guard topic.count > 0, topic.count <= Topics.longestName else {
        throw Failure(.argument, "a topic's name has 1 to 255 bytes")
      }
      let data = try unsafe bytes(data, length)
      let name = unsafe optional(event)
      let id = unsafe optional(id)
      try server.publish(
        event: name?.bytes, id: id?.bytes, data: data.bytes, to: topic.bytes)
      return 0
    }
  }
}

@_cdecl("apus_server_set_topic_history")
public func apusServerSetTopicHistory(
  _ handle: UInt64, _ topic: UnsafePointer<CChar>?, _ events: Int32, _ bytes: Int64
) -> Int32 {
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      let topic = try unsafe text(topic)
      try check(events, in: 0...1_000_000)
      try check(bytes, in: 0...(1 << 40))
      try server.keepHistory(of: topic.bytes, events: Int64(events), bytes: bytes)
      return 0
    }
  }
}

// ---- options

private func option(_ handle: UInt64, _ body: (Ref<Server>) throws(Failure) -> Void) -> Int32 {
  boundary { () throws(Failure) in
    try withServer(handle) { server throws(Failure) in
      try server.whileIdle { () throws(Failure) in
        try body(server)
        return 0
      }
    }
  }
}

@_cdecl("apus_server_set_heartbeat")
public func apusServerSetHeartbeat(_ handle: UInt64, _ milliseconds: Int32) -> Int32 {
  option(handle) { server throws(Failure) in
    try check(milliseconds, in: 0...86_400_000)
    server.o.options.heartbeat = Int64(milliseconds)
  }
}

@_cdecl("apus_server_set_close_when_slow")
public func apusServerSetCloseWhenSlow(_ handle: UInt64, _ on: Int32) -> Int32 {
  option(handle) { server throws(Failure) in
    try check(on, in: 0...1)
    server.o.options.closesWhenSlow = on == 1
  }
}
