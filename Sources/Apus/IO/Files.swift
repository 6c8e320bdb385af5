// Regular files, by the calls of the system. Reading and writing them may wait for the
// disk, whatever thread it is.

import CSystem

/// A file that is read from its start to its end, any number of times.
@safe struct FileReader: ~Copyable {
  private let descriptor: Int32
  let size: Int64

  /// `path` has a NUL behind it.
  init(_ path: Text) throws(Failure) {
    var size: Int64 = 0
    let descriptor = unsafe sys_file_open(path.characters, &size)
    if descriptor < 0 { throw .file("the file cannot be read", 0 &- descriptor) }
    self.descriptor = descriptor
    self.size = size
  }

  deinit { _ = sys_close(descriptor) }

  /// Appends what stands at an offset; 0: there is no more.
  func read(_ count: Int, at offset: Int64, to buffer: inout ByteBuffer) throws(Failure) -> Int {
    guard let space = unsafe buffer.space(count) else { throw .noMemory }
    let got = unsafe sys_file_read(descriptor, space, count, offset)
    if got < 0 {
      throw .file("the file cannot be read", Int32(truncatingIfNeeded: 0 &- got))
    }
    buffer.filled(Int(got))
    return Int(got)
  }
}

/// A file that is there once it is whole: until then its bytes are in another beside it.
@safe struct FileWriter: ~Copyable {
  private var path = ByteBuffer()
  private var temporary = ByteBuffer()
  private var descriptor: Int32 = -1

  init(_ path: Bytes) throws(Failure) {
    self.path.append(path)
    // A device or the like would not be written to, but replaced.
    guard self.path.terminate(), let whole = unsafe self.path.pointer else { throw .noMemory }
    if unsafe sys_file_is_special(
      UnsafeRawPointer(whole).assumingMemoryBound(to: CChar.self)) != 0
    {
      throw Failure(.argument, "the path is a device's, or another's that is no regular file")
    }
    temporary.append(path)
    temporary.append(".")
    var random = ByteBuffer()
    guard Crypto.appendRandom(8, to: &random) else { throw Failure(.io, "no random numbers") }
    for index in 0..<8 { temporary.append(decimal: Int64(random.bytes[index])) }
    temporary.append(".part")
    guard temporary.terminate(), let start = unsafe temporary.pointer
    else { throw .noMemory }
    descriptor = unsafe sys_file_make(
      UnsafeRawPointer(start).assumingMemoryBound(to: CChar.self))
    if descriptor < 0 { throw .file("the file cannot be made", 0 &- descriptor) }
  }

  deinit {
    guard descriptor >= 0, let name = unsafe temporary.pointer else { return }
    _ = sys_close(descriptor)
    _ = unsafe sys_unlink(UnsafeRawPointer(name).assumingMemoryBound(to: CChar.self))
  }

  func write(_ bytes: Bytes) throws(Failure) {
    let result = unsafe bytes.withUnsafeBufferPointer {
      unsafe sys_file_write(descriptor, $0.baseAddress, $0.count)
    }
    if result < 0 { throw .file("the file cannot be written", 0 &- result) }
  }

  /// All of it is there: the file takes its name.
  mutating func finish() throws(Failure) {
    guard let from = unsafe temporary.pointer, let to = unsafe path.pointer else { return }
    var result = sys_file_settle(descriptor)
    if result < 0 { throw .file("the file cannot be written", 0 &- result) }
    result = unsafe sys_file_rename(
      UnsafeRawPointer(from).assumingMemoryBound(to: CChar.self),
      UnsafeRawPointer(to).assumingMemoryBound(to: CChar.self))
    if result < 0 { throw .file("the file cannot take its name", 0 &- result) }
    _ = sys_close(descriptor)
    descriptor = -1
  }
}

extension Failure {
  static func file(_ message: StaticString, _ number: Int32) -> Failure {
    switch number {
    case ENOENT, ENOTDIR: Failure(.notFound, message, number: number)
    default: .system(message, number)
    }
  }
}
