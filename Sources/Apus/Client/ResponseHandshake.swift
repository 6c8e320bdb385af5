// Whether the bytes of a response open a WebSocket, for those who ask by an I/O of
// their own. Each call looks at all of the bytes anew: there are few, and it is done
// once a connection.

struct ResponseHandshake {
  /// A response in the usual limits opens it, and took so many bytes.
  struct Opening {
    let count: Int
    /// The subprotocol's index among those offered; -1: none was chosen.
    let subprotocol: Int32
    /// The compression that was agreed on.
    let deflate: DeflateParameters?
  }

  /// Nil while the response is not whole. `accept` answers the request's key, and
  /// `protocols` and `deflate` are what it offered. `status` becomes the response's, once
  /// that is known.
  static func check(
    _ bytes: Bytes, accept: Bytes, protocols: consuming ProtocolList, deflate: DeflateOffer?,
    status: inout Int32
  ) throws(Failure) -> Opening? {
    // One byte past the limit is in view, to tell "at" from "past".
    let limits = RequestLimits()
    let view = bytes.extracting(first: min(bytes.count, limits.head &+ 1))
    guard var place = try start(view) else { return try more(view, limits) }
    status = place.status
    var handshake = ClientHandshake(
      status: place.status, version: place.version, accept: accept, protocols: protocols,
      deflate: deflate)
    // Any other status says all: its fields are another's matter.
    if place.status != 101, let reason = handshake.problem() {
      throw Failure(.protocolBroken, reason)
    }
    var isEnd = false
    while !isEnd {
      guard
        let next = try next(view, place, { name, value in handshake.take(name, value) })
      else { return try more(view, limits) }
      (place, isEnd) = next
    }
    if place.index > limits.head { return try more(view, limits) }
    if let reason = handshake.problem() { throw Failure(.protocolBroken, reason) }
    return Opening(
      count: place.index,
      subprotocol: handshake.chosenProtocol.map { Int32(truncatingIfNeeded: $0) } ?? -1,
      deflate: handshake.deflate)
  }

  private struct Place {
    var version: Int32 = 0
    var status: Int32 = 0
    var index = 0
    /// How many fields of this response are behind it.
    var fields = 0
  }

  /// Where the fields of the final response start, for which 101 counts; interim ones
  /// are skipped (RFC 9110 §15.2).
  private static func start(_ bytes: Bytes) throws(Failure) -> Place? {
    var place = Place()
    while true {
      switch StatusLine.parse(bytes, at: place.index) {
      case nil: return nil
      case .refused(let reason): throw Failure(.protocolBroken, reason)
      case .line(let version, let status, let next):
        place = Place(version: version, status: status, index: next)
      }
      if place.status >= 200 || place.status == 101 { return place }
      var isEnd = false
      while !isEnd {
        guard let next = try next(bytes, place, { _, _ in }) else { return nil }
        (place, isEnd) = next
      }
    }
  }

  /// Takes the field line at a place, or the empty line; nil: it is not whole.
  private static func next(
    _ bytes: Bytes, _ place: Place, _ take: (Bytes, Bytes) -> Void
  ) throws(Failure) -> (Place, isEnd: Bool)? {
    var place = place
    switch FieldLine.parse(bytes, at: place.index) {
    case .incomplete: return nil
    case .refused(let fault): throw Failure(.protocolBroken, fault.refusal.reason)
    case .end(let next):
      place.index = next
      return (place, true)
    case .field(let field, let next):
      place.fields &+= 1
      if place.fields > RequestLimits().fields {
        throw Failure(.tooLarge, "the response has too many fields")
      }
      take(bytes.extracting(field.name), bytes.extracting(field.value))
      place.index = next
      return (place, false)
    }
  }

  private static func more(_ view: Bytes, _ limits: RequestLimits) throws(Failure) -> Opening? {
    if view.count > limits.head { throw Failure(.tooLarge, "the response's head is too long") }
    return nil
  }
}
