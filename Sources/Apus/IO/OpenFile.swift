// A regular file that is open to be read: by several replies at a time, and by whatever
// keeps it for the next one.

import CSystem
import Synchronization

/// What the system tells of a file or a folder.
struct FileFacts: Equatable {
  var size: Int64
  /// Of its last change, since 1970.
  var seconds: Int64
  var nanoseconds: Int64
  /// The same, by the system's own clock: whoever sets the other one back changes this.
  var changed: Int64
  var changedPart: Int64
  var device: UInt64
  var number: UInt64
  var isFolder: Bool

  init(_ facts: sys_file_facts) {
    size = facts.size
    seconds = facts.seconds
    nanoseconds = facts.nanoseconds
    changed = facts.changed
    changedPart = facts.changed_part
    device = facts.device
    number = facts.number
    isFolder = facts.kind == 2
  }
}

@safe struct OpenFile: ~Copyable {
  let descriptor: Int32
  let facts: FileFacts
  fileprivate let users = Atomic<Int>(1)

  init(descriptor: Int32, facts: FileFacts) {
    self.descriptor = descriptor
    self.facts = facts
  }

  deinit { _ = sys_close(descriptor) }

  /// Opens a file by the host's own path, which has a NUL behind it; what is no regular
  /// file is not found.
  static func open(_ path: Text) throws(Failure) -> Ref<OpenFile> {
    var facts = sys_file_facts()
    let descriptor = unsafe sys_file_find(path.characters, &facts)
    if descriptor < 0 { throw .file("the file cannot be read", 0 &- descriptor) }
    let file = try make(descriptor, FileFacts(facts))
    if !file.o.facts.isFolder { return file }
    file.release()
    throw Failure(.notFound, "that is a folder")
  }

  /// The descriptor is the file's from here on.
  static func make(_ descriptor: Int32, _ facts: FileFacts) throws(Failure) -> Ref<OpenFile> {
    // Without memory for it the descriptor is closed all the same.
    guard let file = Ref(make: OpenFile(descriptor: descriptor, facts: facts)) else {
      throw .noMemory
    }
    return file
  }

  /// Appends a range of its bytes; fails if they are not all there.
  func append(_ range: Range<Int64>, to buffer: inout ByteBuffer) throws(Failure) {
    var at = range.lowerBound
    while at < range.upperBound {
      let count = Int(min(range.upperBound &- at, 1 << 20))
      guard let space = unsafe buffer.space(count) else { throw .noMemory }
      let got = unsafe sys_file_read(descriptor, space, count, at)
      if got < 0 { throw .system("the file cannot be read", Int32(truncatingIfNeeded: 0 &- got)) }
      if got == 0 { throw Failure(.io, "the file has become shorter") }
      buffer.filled(Int(got))
      at &+= got
    }
  }
}

extension Ref where Object == OpenFile {
  func retain() { o.users.wrappingAdd(1, ordering: .relaxed) }

  func release() {
    if o.users.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0 { free() }
  }
}
