// An event as it goes to all the writers that hear it, formatted and framed once: who
// sends it, keeps it for later or has it in a history holds a reference.

import Synchronization

@safe struct SharedEvent: ~Copyable {
  /// As a chunk (RFC 9112 §7.1): its size, the event, CRLF.
  fileprivate(set) var chunk = ByteBuffer()
  /// Where the event by itself stands in it.
  fileprivate(set) var event = 0..<0
  /// Where its id does.
  fileprivate(set) var id = 0..<0
  /// Its place among all that was published in its topic; 0: in none. Set once, before
  /// anybody else sees it.
  var sequence: UInt64 = 0
  /// The next one of a history.
  var next: Ref<SharedEvent>? = nil
  private let references = Atomic<Int32>(1)

  fileprivate init() {}

  /// What it takes of memory, with its place in the list of those that wait for a client, and
  /// what an allocator leaves between such pieces.
  var weight: Int64 { Int64(chunk.count) &+ 192 }

  fileprivate func retain() { references.wrappingAdd(1, ordering: .relaxed) }

  /// Whether that was the last one.
  fileprivate func letGo() -> Bool {
    references.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0
  }
}

extension Ref where Object == SharedEvent {
  /// The caller has a reference to what is made.
  static func make(name: Bytes?, id: Bytes?, data: Bytes) throws(Failure) -> Ref<SharedEvent> {
    var text = ByteBuffer()
    try EventFormat.append(name: name, id: id, data: data, to: &text)
    var shared = SharedEvent()
    // No more than it needs: a size has 16 digits at most.
    shared.chunk.reserve(text.count &+ 20, upTo: text.count &+ 20)
    shared.chunk.append(hexadecimal: text.count)
    shared.chunk.append("\r\n")
    let start = shared.chunk.count
    shared.event = start..<(start &+ text.count)
    // The id stands first: "id: " and itself.
    if let id, id.count > 0 { shared.id = (start &+ 4)..<(start &+ 4 &+ id.count) }
    shared.chunk.append(text.bytes)
    shared.chunk.append("\r\n")
    guard !text.failed, !shared.chunk.failed, let made = Ref<SharedEvent>(make: shared)
    else { throw .noMemory }
    return made
  }

  func retain() { o.retain() }
  func release() { if o.letGo() { free() } }
}
