// The one wrapper that every exported function goes through: it looks the handle
// up and holds the object, takes the lock of what is shared, and turns every
// failure into a code and a noted sentence. Nothing escapes to the host.

@inline(__always)
func boundary<Result>(
  failing: Result, _ body: () throws(Failure) -> Result
) -> Result {
  do throws(Failure) {
    if Process.isForked { throw Failure(.fork, Code.fork.message) }
    return try body()
  } catch {
    ThreadContext.note(error)
    return failing
  }
}

/// For functions whose failure is their code.
@inline(__always)
func boundary(_ body: () throws(Failure) -> Int32) -> Int32 {
  do throws(Failure) {
    if Process.isForked { throw Failure(.fork, Code.fork.message) }
    return try body()
  } catch {
    ThreadContext.note(error)
    return error.code.rawValue
  }
}

/// The same for those with a longer result.
@inline(__always)
func boundaryOfLong(_ body: () throws(Failure) -> Int64) -> Int64 {
  do throws(Failure) {
    if Process.isForked { throw Failure(.fork, Code.fork.message) }
    return try body()
  } catch {
    ThreadContext.note(error)
    return Int64(error.code.rawValue)
  }
}

@inline(__always)
private func held<Object: ~Copyable, Result>(
  _ handle: UInt64, _ kind: Kind, _ body: (Ref<Object>, Ref<Slot>) throws(Failure) -> Result
) throws(Failure) -> Result {
  let (object, slot): (Ref<Object>, _) = try hold(handle, kind)
  defer { Slots.unpin(slot) }
  return try body(object, slot)
}

/// The object of a handle, with a pin that keeps it.
@inline(__always)
private func hold<Object: ~Copyable>(_ handle: UInt64, _ kind: Kind) throws(Failure)
  -> (Ref<Object>, Ref<Slot>)
{
  switch Slots.pin(Handle(bits: handle), kind) {
  case .dead: throw .deadHandle
  case .otherThread:
    throw Failure(.thread, "the request belongs to its handler's thread until it is deferred")
  case .held(let object, let slot):
    return (unsafe Ref<Object>(opaque: object), slot)
  }
}

@inline(__always)
func withServer<Result>(
  _ handle: UInt64, _ body: (Ref<Server>) throws(Failure) -> Result
) throws(Failure) -> Result {
  try held(handle, .server) { (server: Ref<Server>, _) throws(Failure) in try body(server) }
}

/// A server or a client: what channels of the client's end live on.
@inline(__always)
func withHost<Result>(
  _ handle: UInt64, _ body: (Ref<Server>) throws(Failure) -> Result
) throws(Failure) -> Result {
  let kind = Handle(bits: handle).kind == .client ? Kind.client : .server
  return try held(handle, kind) { (server: Ref<Server>, _) throws(Failure) in try body(server) }
}

@inline(__always)
func withClient<Result>(
  _ handle: UInt64, _ body: (Ref<Server>) throws(Failure) -> Result
) throws(Failure) -> Result {
  try held(handle, .client) { (client: Ref<Server>, _) throws(Failure) in try body(client) }
}

@inline(__always)
func withRequest<Result>(
  _ handle: UInt64, _ body: (Ref<Exchange>) throws(Failure) -> Result
) throws(Failure) -> Result {
  let access = try RequestAccess(handle)
  defer { if access.mustEnd { access.end() } }
  return try body(access.exchange)
}

/// A request in use by a call. In its own handler there is nothing to look up and, as
/// long as nobody shares it, nothing to lock.
private struct RequestAccess {
  let exchange: Ref<Exchange>
  private let slot: Ref<Slot>?
  private let isLocked: Bool
  let mustEnd: Bool

  @inline(__always)
  init(_ handle: UInt64) throws(Failure) {
    // In the callback of a channel it is that one's handle which is noted.
    if handle >> 48 == UInt64(Kind.request.rawValue),
      let object = unsafe ThreadContext.exchange(of: handle)
    {
      let exchange = unsafe Ref<Exchange>(opaque: object)
      if !exchange.o.isShared {
        self.init(exchange, nil, isLocked: false, mustEnd: false)
      } else {
        self = try RequestAccess.lock(exchange)
      }
    } else {
      self = try RequestAccess.find(handle)
    }
  }

  private init(_ exchange: Ref<Exchange>, _ slot: Ref<Slot>?, isLocked: Bool, mustEnd: Bool) {
    self.exchange = exchange
    self.slot = slot
    self.isLocked = isLocked
    self.mustEnd = mustEnd
  }

  /// In its handler, but other threads may have it as well.
  @inline(never)
  private static func lock(_ exchange: Ref<Exchange>) throws(Failure) -> RequestAccess {
    exchange.o.lock.lock()
    if exchange.o.isDeferred, !Slots.isAlive(exchange.o.handle, .request) {
      exchange.o.lock.unlock()
      throw .deadHandle
    }
    return RequestAccess(exchange, nil, isLocked: true, mustEnd: true)
  }

  @inline(never)
  private static func find(_ handle: UInt64) throws(Failure) -> RequestAccess {
    let (exchange, slot): (Ref<Exchange>, _) = try hold(handle, .request)
    let isShared = exchange.o.isShared
    if isShared { exchange.o.lock.lock() }
    return RequestAccess(exchange, slot, isLocked: isShared, mustEnd: true)
  }

  @inline(never)
  func end() {
    if isLocked { exchange.o.lock.unlock() }
    if let slot { Slots.unpin(slot) }
  }
}

@inline(__always)
func withWriter<Result>(
  _ handle: UInt64, _ body: (Ref<Exchange>) throws(Failure) -> Result
) throws(Failure) -> Result {
  try held(handle, .writer) { (exchange: Ref<Exchange>, _) throws(Failure) in
    try exchange.locked { () throws(Failure) in try body(exchange) }
  }
}

/// The writer's slot too, and no lock: for its end.
func withWriterSlot<Result>(
  _ handle: UInt64, _ body: (Ref<Exchange>, Ref<Slot>) throws(Failure) -> Result
) throws(Failure) -> Result {
  try held(handle, .writer, body)
}

// ---- arguments

/// A NUL-terminated string, which must be there.
@inline(__always)
func text(_ characters: UnsafePointer<CChar>?) throws(Failure) -> Text {
  guard let characters = unsafe characters else {
    throw Failure(.argument, "text must not be NULL")
  }
  return unsafe Text(characters: characters)
}

/// Bytes by pointer and length; a length of -1 is that of a string.
@inline(__always)
func bytes(_ data: UnsafeRawPointer?, _ length: Int) throws(Failure) -> Text {
  guard let data = unsafe data else {
    if length == 0 { return Text("") }
    throw Failure(.argument, "data must not be NULL with a length")
  }
  let start = unsafe data.assumingMemoryBound(to: UInt8.self)
  if length == -1 {
    return unsafe Text(characters: data.assumingMemoryBound(to: CChar.self))
  }
  guard length >= 0 else { throw Failure(.argument, "the length is impossible") }
  return unsafe Text(start: start, count: length)
}

/// A range that a number must be in.
@inline(__always)
func check<Number: Comparable>(_ number: Number, in range: ClosedRange<Number>)
  throws(Failure)
{
  guard range.contains(number) else { throw Failure(.argument, "the number is out of range") }
}

extension Text {
  /// Hands borrowed text out, with its length where that is wanted.
  func give(_ length: UnsafeMutablePointer<Int>?) -> UnsafePointer<CChar> {
    unsafe length?.pointee = count
    return unsafe characters
  }
}

extension Pair {
  func give(
    _ name: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
    _ value: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ length: UnsafeMutablePointer<Int>?
  ) -> Int32 {
    unsafe name?.pointee = unsafe self.name.characters
    unsafe value?.pointee = unsafe self.value.characters
    unsafe length?.pointee = self.value.count
    return 0
  }
}
