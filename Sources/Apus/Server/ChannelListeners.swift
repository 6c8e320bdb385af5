// What the host hears a channel by: functions of its own, or of its route, whose channels
// share them.

typealias ChannelFunction = @convention(c) (UnsafeMutableRawPointer?, UInt64) -> Void
typealias OpenFunction = @convention(c) (UnsafeMutableRawPointer?, UInt64, UInt64) -> Void
typealias MessageFunction =
  @convention(c) (UnsafeMutableRawPointer?, UInt64, Int32, UnsafeRawPointer?, Int) -> Void
typealias ClosedFunction =
  @convention(c) (UnsafeMutableRawPointer?, UInt64, Int32, UnsafePointer<CChar>?, Int) -> Void

/// The listeners of a channel, or those that all channels of a route share.
@safe struct ChannelListeners: ~Copyable {
  var onOpen = unsafe List<Callback<OpenFunction>>()
  var onMessage = unsafe List<Callback<MessageFunction>>()
  var onClose = unsafe List<Callback<ClosedFunction>>()
  var onError = unsafe List<Callback<ClosedFunction>>()
  var onPong = unsafe List<Callback<MessageFunction>>()
  var onDrain = unsafe List<Callback<ChannelFunction>>()
  /// Of the client's end, which makes its connections itself.
  var onOpened = unsafe List<Callback<ChannelFunction>>()

  /// Ends all contexts, by way of what knows how.
  mutating func end(_ drop: (Drop, UnsafeMutableRawPointer?) -> Void) {
    unsafe ChannelListeners.end(&onOpen, drop)
    unsafe ChannelListeners.end(&onMessage, drop)
    unsafe ChannelListeners.end(&onClose, drop)
    unsafe ChannelListeners.end(&onError, drop)
    unsafe ChannelListeners.end(&onPong, drop)
    unsafe ChannelListeners.end(&onDrain, drop)
    unsafe ChannelListeners.end(&onOpened, drop)
  }

  private static func end<Function>(
    _ list: inout List<Callback<Function>>, _ drop: (Drop, UnsafeMutableRawPointer?) -> Void
  ) {
    while let callback = list.removeLast() {
      if let function = unsafe callback.drop { unsafe drop(function, callback.context) }
    }
  }
}

/// What a route for WebSockets has beside its handler.
@safe struct ChannelRoute: ~Copyable {
  var listeners = ChannelListeners()
  /// Subprotocols, the preferred one first.
  var protocols = ProtocolList()
}
