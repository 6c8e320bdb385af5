// Files of what clients send. While a form arrives, what is too large for memory stands in
// one that has no name, so that it is gone with its descriptor whatever happens. A part
// that is saved has its name once it is whole. Writing may wait for the disk.

import CSystem

@safe struct UploadFile: ~Copyable {
  private var descriptor: Int32 = -1
  private(set) var size: Int64 = 0
  /// Bytes for the file, so that small pieces cost no system call each.
  private var pending = ByteBuffer()

  static var block: Int { 64 * 1024 }

  init() {}

  deinit { if descriptor >= 0 { _ = sys_close(descriptor) } }

  /// The first bytes make the file, in a folder whose name has a NUL behind it.
  mutating func append(_ bytes: Bytes, in folder: Text) throws(Failure) {
    if descriptor < 0 {
      let number = unsafe sys_upload_open(folder.characters)
      if number < 0 { throw .disk("the upload folder takes no file", 0 &- number) }
      descriptor = number
    }
    if pending.count &+ bytes.count > UploadFile.block {
      try flush()
      if bytes.count >= UploadFile.block / 2 {
        try write(bytes)
        size &+= Int64(bytes.count)
        return
      }
    }
    pending.append(bytes)
    if pending.failed { throw .noMemory }
    size &+= Int64(bytes.count)
  }

  mutating func flush() throws(Failure) {
    try write(pending.bytes)
    pending.truncate(to: 0)
  }

  /// Nothing more is appended.
  mutating func finish() throws(Failure) {
    try flush()
    pending.clear()
  }

  private func write(_ bytes: Bytes) throws(Failure) {
    let result = unsafe bytes.withUnsafeBufferPointer {
      unsafe sys_file_write(descriptor, $0.baseAddress, $0.count)
    }
    if result < 0 { throw .disk("the upload cannot be written", 0 &- result) }
  }

  /// Reads into memory; how much there was.
  @unsafe func read(_ space: UnsafeMutableRawPointer, _ count: Int, at offset: Int64)
    throws(Failure) -> Int
  {
    let got = unsafe sys_file_read(descriptor, space, count, offset)
    if got < 0 { throw .disk("the upload cannot be read", Int32(truncatingIfNeeded: 0 &- got)) }
    return Int(got)
  }

  /// Appends a range of it to another file.
  func copy(from offset: Int64, count: Int64, to file: borrowing SavedFile) throws(Failure) {
    let result = sys_file_append(descriptor, offset, count, file.descriptor)
    if result < 0 { throw .disk("the file cannot be written", 0 &- result) }
  }
}

/// A file that appears in a folder when it is whole. Nothing but that folder is touched:
/// its name is one component, and a symbolic link of that name is not followed.
@safe struct SavedFile: ~Copyable {
  private var folder: Int32 = -1
  fileprivate var descriptor: Int32 = -1
  /// Its name until then; empty where it has none.
  private var temporary = ByteBuffer()

  /// A file that may take the place of another is named from the start.
  init(in path: Text, isNamed: Bool) throws(Failure) {
    folder = unsafe sys_place_open(path.characters)
    if folder < 0 { throw .file("the folder cannot be opened", 0 &- folder) }
    if !isNamed { descriptor = sys_saved_open(folder, nil) }
    if descriptor < 0 {
      var random = ByteBuffer()
      temporary.append(".apus-")
      if Crypto.appendRandom(12, to: &random) {
        Crypto.append(hexadecimal: random.bytes, to: &temporary)
      }
      guard temporary.count > 6, temporary.terminate(), let name = unsafe temporary.pointer else {
        throw .noMemory
      }
      descriptor = unsafe sys_saved_open(folder, SavedFile.characters(name))
    }
    if descriptor < 0 { throw .disk("the file cannot be made", 0 &- descriptor) }
  }

  deinit {
    if descriptor >= 0 { _ = sys_close(descriptor) }
    if descriptor >= 0, let name = unsafe temporary.pointer, !temporary.isEmpty {
      unsafe sys_saved_remove(folder, SavedFile.characters(name))
    }
    if folder >= 0 { _ = sys_close(folder) }
  }

  private static func characters(_ bytes: UnsafeMutablePointer<UInt8>) -> UnsafePointer<CChar> {
    unsafe UnsafeRawPointer(bytes).assumingMemoryBound(to: CChar.self)
  }

  func write(_ bytes: Bytes) throws(Failure) {
    let result = unsafe bytes.withUnsafeBufferPointer {
      unsafe sys_file_write(descriptor, $0.baseAddress, $0.count)
    }
    if result < 0 { throw .disk("the file cannot be written", 0 &- result) }
  }

  /// All of it is there: it takes its name.
  mutating func finish(_ name: Text, replacing: Bool) throws(Failure) {
    var result = sys_file_settle(descriptor)
    if result < 0 { throw .disk("the file cannot be written", 0 &- result) }
    if let old = unsafe temporary.pointer, !temporary.isEmpty {
      result = unsafe sys_saved_rename(
        folder, SavedFile.characters(old), name.characters, replacing ? 1 : 0)
    } else {
      result = unsafe sys_saved_link(descriptor, folder, name.characters)
    }
    if result < 0 { throw .disk("the file cannot take its name", 0 &- result) }
    temporary.clear()
  }
}

extension Failure {
  static func disk(_ message: StaticString, _ number: Int32) -> Failure {
    switch number {
    case ENOSPC, EDQUOT, EFBIG: Failure(.full, message, number: number)
    case EEXIST: Failure(.state, "a file of this name exists", number: number)
    default: .file(message, number)
    }
  }
}
