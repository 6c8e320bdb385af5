// A small binding of libapus: an HTTP, WebSocket and SSE server whose handlers run in
// Server.run(), and a client. Objects end with their last reference; a request cannot be
// copied, and so cannot outlive its handler.

import CApus
import Synchronization

/// A failure that the library reports.
struct ApusError: Error, CustomStringConvertible {
  let code: Int32
  let message: String

  /// Of the thread's latest failing call.
  init() {
    code = apus_last_error()
    message = String(cString: apus_last_error_message())
  }

  var description: String { "\(message) (\(String(cString: apus_error_name(code))))" }
}

@discardableResult
private func check(_ result: Int32) throws(ApusError) -> Int32 {
  if result < 0 { throw ApusError() }
  return result
}

private func checked(handle: UInt64) throws(ApusError) -> UInt64 {
  if handle == 0 { throw ApusError() }
  return handle
}

/// A message of a WebSocket.
enum Message {
  case text(String)
  case binary([UInt8])

  fileprivate init(_ opcode: Int32, _ data: UnsafeRawPointer?, _ length: Int) {
    let bytes = UnsafeRawBufferPointer(start: data, count: length)
    self =
      opcode == APUS_OPCODE_TEXT
      ? .text(String(decoding: bytes, as: UTF8.self)) : .binary([UInt8](bytes))
  }

  var bytes: [UInt8] {
    switch self {
    case .text(let text): [UInt8](text.utf8)
    case .binary(let bytes): bytes
    }
  }

  fileprivate func send(to channel: UInt64) throws(ApusError) {
    let opcode =
      switch self {
      case .text: APUS_OPCODE_TEXT
      case .binary: APUS_OPCODE_BINARY
      }
    let bytes = bytes
    try check(apus_channel_send(channel, Int32(opcode), 1, bytes, bytes.count))
  }
}

/// A request, for the call of its handler. One without a reply gets a 500.
struct Request: ~Copyable {
  fileprivate let handle: apus_request

  /// A part of the path that the pattern names.
  func param(_ name: String) -> String? {
    var length = 0
    guard let value = apus_request_param(handle, name, &length) else { return nil }
    return String(decoding: UnsafeRawBufferPointer(start: value, count: length), as: UTF8.self)
  }

  /// Replies with plain text.
  func text(_ status: Int32, _ body: String) throws(ApusError) {
    let bytes = [UInt8](body.utf8)
    try check(apus_reply(handle, status, "text/plain; charset=utf-8", bytes, bytes.count))
  }
}

/// A stream of events. One that is let go before its end is broken off.
final class Writer: Sendable {
  private let handle: apus_writer

  fileprivate init(_ handle: apus_writer) { self.handle = handle }
  deinit { apus_writer_destroy(handle) }

  func event(id: String, _ data: String) throws(ApusError) {
    let bytes = [UInt8](data.utf8)
    try check(apus_writer_event(handle, nil, id, bytes, bytes.count))
  }

  func end() throws(ApusError) { try check(apus_writer_end(handle)) }
}

/// A server's channel; sending on a closed one throws.
struct Channel: Sendable {
  fileprivate let handle: apus_channel

  func send(_ message: Message) throws(ApusError) { try message.send(to: handle) }
}

/// What C hands back to a callback: a closure, retained until the library drops it.
private final class Box<Function> {
  let function: Function

  init(_ function: Function) { self.function = function }

  static func context(_ function: Function) -> UnsafeMutableRawPointer {
    Unmanaged.passRetained(Box(function)).toOpaque()
  }

  static func function(_ context: UnsafeMutableRawPointer?) -> Function? {
    context.map { Unmanaged<Box>.fromOpaque($0).takeUnretainedValue().function }
  }
}

private func drop(_ context: UnsafeMutableRawPointer?) {
  if let context { Unmanaged<AnyObject>.fromOpaque(context).release() }
}

/// Runs a handler; what it throws is reported, and the library answers with 500.
private func guarded(_ handler: () throws -> Void) {
  do {
    try handler()
  } catch {
    report("a handler failed: \(error)")
  }
}

/// A server, which ends with its last reference; a handler that refers to its server
/// should do so weakly. Handlers are called by the thread of run(), one at a time.
final class Server: Sendable {
  typealias Handler = @Sendable (borrowing Request) throws -> Void
  typealias EventsHandler = @Sendable (Writer, borrowing Request) throws -> Void
  typealias MessageHandler = @Sendable (Channel, Message) throws -> Void

  private let handle: apus_server
  private let isStopping = Atomic(false)

  init() throws(ApusError) { handle = try checked(handle: apus_server_make()) }
  deinit { apus_server_destroy(handle) }

  /// Answers GET requests.
  func get(_ pattern: String, _ handler: @escaping Handler) throws(ApusError) {
    let function: apus_handler_fn = { context, request in
      guarded { try Box<Handler>.function(context)?(Request(handle: request)) }
    }
    try check(apus_server_get(handle, pattern, function, Box<Handler>.context(handler), drop))
  }

  /// Answers with a stream of events.
  func events(_ pattern: String, _ handler: @escaping EventsHandler) throws(ApusError) {
    let function: apus_events_fn = { context, writer, request in
      let writer = Writer(writer)
      guarded { try Box<EventsHandler>.function(context)?(writer, Request(handle: request)) }
    }
    let context = Box<EventsHandler>.context(handler)
    try check(apus_server_events(handle, pattern, function, context, drop))
  }

  /// Takes messages of channels.
  func webSocket(_ pattern: String, _ handler: @escaping MessageHandler) throws(ApusError) {
    // A route needs a function, or its channels are for apus_server_next().
    let route = try check(apus_server_websocket(handle, pattern, { _, _, _ in }, nil, nil))
    let function: apus_message_fn = { context, channel, opcode, data, length in
      let message = Message(opcode, data, length)
      guarded { try Box<MessageHandler>.function(context)?(Channel(handle: channel), message) }
    }
    let context = Box<MessageHandler>.context(handler)
    try check(apus_server_on_message(handle, route, function, context, drop))
  }

  /// Binds a port, 0 for any free one, and tells which it is.
  func listen(_ host: String, _ port: Int32) throws(ApusError) -> Int32 {
    try check(apus_server_port(handle, try check(apus_server_listen(handle, host, port))))
  }

  /// Serves, on this thread, until stop().
  func run() throws(ApusError) {
    try check(apus_server_start(handle))
    while !isStopping.load(ordering: .acquiring) {
      try check(apus_server_tick(handle, 1000))
    }
    try check(apus_server_stop(handle))
  }

  /// Ends run(), from any thread.
  func stop() {
    isStopping.store(true, ordering: .releasing)
    apus_server_wake(handle)
  }
}

/// Fetches a URL: the status and the body.
func get(_ url: String) throws(ApusError) -> (status: Int32, body: [UInt8]) {
  let response = try checked(handle: apus_get(url, nil))
  defer { apus_response_destroy(response) }
  var length = 0
  let body = apus_response_body(response, &length)
  return (
    apus_response_status(response),
    [UInt8](UnsafeRawBufferPointer(start: body, count: body == nil ? 0 : length))
  )
}

/// A client's end of a WebSocket, with a client of its own.
final class Socket: Sendable {
  private let client: apus_client
  private let handle: apus_channel

  /// Connects to a URL, as ws://host:port/path.
  init(_ url: String) throws(ApusError) {
    client = try checked(handle: apus_client_make())
    handle = apus_channel_make(client)
    try check(apus_channel_open(handle, url))
    try check(apus_channel_wait_open(handle, -1))
  }

  /// The client takes its channel with it.
  deinit { apus_client_destroy(client) }

  func send(_ message: Message) throws(ApusError) { try message.send(to: handle) }

  /// Waits for a message.
  func receive() throws(ApusError) -> Message {
    var message = apus_message()
    try check(apus_channel_recv(handle, &message, -1))
    return Message(message.opcode, message.data, message.length)
  }

  /// Closes it, and waits for the peer to do so.
  func close() throws(ApusError) {
    var message = apus_message()
    try check(apus_channel_close(handle, 1000, nil, 0))
    while apus_channel_recv(handle, &message, 5000) > 0 {}
  }
}
