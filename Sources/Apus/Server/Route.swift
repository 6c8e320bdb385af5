// A route, and the tree of path segments that routes hang on.

typealias HandlerFunction = @convention(c) (UnsafeMutableRawPointer?, UInt64) -> Void

@safe struct Route: ~Copyable {
  var method: Int32
  /// The name of a method outside the list.
  var methodName: ByteBuffer
  var handler: Callback<HandlerFunction>
  var isStreamed: Bool
  /// Whether its bodies are forms, parsed as they arrive.
  var isForm = false
  /// What a route for WebSockets has.
  var channels: Ref<ChannelRoute>? = nil
  /// Whether there is more to do, once the head is in, than to wait for the body.
  private(set) var isSpecial: Bool
  /// What a folder's route serves from; the server's.
  private(set) var mount: Ref<Mount>? = nil
  /// The folder itself without the slash behind it.
  private(set) var isMountEdge = false
  /// What a route for events has in place of a handler.
  var events = unsafe Callback<EventsFunction>.none
  /// The names of its parameters in order, each with a NUL.
  var names = List<Ref<ByteBuffer>>()

  init(
    method: Int32, methodName: consuming ByteBuffer, handler: Callback<HandlerFunction>,
    isStreamed: Bool
  ) {
    self.method = method
    self.methodName = methodName
    unsafe self.handler = unsafe handler
    self.isStreamed = isStreamed
    isSpecial = isStreamed
  }

  mutating func serve(_ mount: Ref<Mount>, isEdge: Bool) {
    self.mount = mount
    isMountEdge = isEdge
    isSpecial = true
  }

  /// Whether it is handled even where requests are pulled.
  var isHandled: Bool { unsafe isStreamed || channels != nil || events.isSet }
  /// Nobody answers it but who takes requests by himself.
  var isPulled: Bool { unsafe !isHandled && mount == nil && !handler.isSet }

  deinit {
    for index in 0..<names.count { names[index].free() }
    channels?.free()
  }
}

/// A segment of the tree.
struct RouteNode: ~Copyable {
  var text = ByteBuffer()
  var hash: UInt32 = 0
  /// Children by literal text, at their hash or behind it; a power of two long.
  var literals = List<Ref<RouteNode>?>()
  var literalCount = 0
  var parameter: Ref<RouteNode>? = nil
  var rest: Ref<RouteNode>? = nil
  /// The routes that end here.
  var routes = List<Int32>()
  /// The whole path, where that is all literal; and its hash.
  var path = ByteBuffer()
  var pathHash: UInt32 = 0

  deinit {
    for index in 0..<literals.count { if let child = literals[index] { child.free() } }
    parameter?.free()
    rest?.free()
  }
}

/// Where a parameter's value stands in the path as sent.
struct Capture {
  var start: UInt32
  var count: UInt32
}

extension Capture {
  init(from start: Int, to end: Int) {
    self.init(
      start: UInt32(truncatingIfNeeded: start), count: UInt32(truncatingIfNeeded: end &- start))
  }
}
