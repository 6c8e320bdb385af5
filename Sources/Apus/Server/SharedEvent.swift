// An event as it goes to all the writers that hear it, formatted and framed once: who
// sends it, keeps it for later or has it in a history holds a reference.

import Synchronization

@safe struct SharedEvent: ~Copyable {
  /// As a chunk (RFC 9112 §7.1): its size, the event, CRLF.
  fileprivate(set) var chunk = ByteBuffer()
  /// Where the event by itself stands in it.
  fileprivate(set) var event = 0..<0
  fileprivate(set) var id = ByteBuffer()
  /// Its place among all that was published in its topic; 0: in none. Set once, before
  /// anybody else sees it.
  var sequence: UInt64 = 0
  /// The next one of a history.
  var next: Ref<SharedEvent>? = nil
  private let references = Atomic<Int32>(1)

  fileprivate init() {}

  /// What it counts for where it waits: a thousand small ones are a lot.
  var weight: Int64 { Int64(chunk.count) &+ 32 }

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
    if let id { shared.id.append(id) }
    shared.chunk.append(hexadecimal: text.count)
    shared.chunk.append("\r\n")
    shared.event = shared.chunk.count..<(shared.chunk.count &+ text.count)
    shared.chunk.append(text.bytes)
    shared.chunk.append("\r\n")
    guard !shared.chunk.failed, !shared.id.failed, let made = Ref<SharedEvent>(make: shared)
    else { throw .noMemory }
    return made
  }

  func retain() { o.retain() }
  func release() { if o.letGo() { free() } }
}
