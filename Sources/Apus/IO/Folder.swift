// A folder that is served: what is opened by a name lies beneath it, whatever links and
// renames do meanwhile. The kernel sees to that (openat2); where it cannot, the steps are
// walked one by one and no link is followed.

import CSystem

@safe struct Folder: ~Copyable {
  private let descriptor: Int32
  private var isWalked = false

  /// `path` is the host's own.
  init(_ path: Text, isWalked: Bool = false) throws(Failure) {
    descriptor = unsafe sys_folder_open(path.characters)
    if descriptor < 0 { throw .file("the folder cannot be opened", 0 &- descriptor) }
    self.isWalked = isWalked
  }

  deinit { _ = sys_close(descriptor) }

  /// Opens a file or a folder by a path of plain names, with a NUL behind it.
  func open(_ path: Text) throws(Failure) -> Ref<OpenFile> {
    var facts = sys_file_facts()
    var opened = Int32(-ENOSYS)
    if !isWalked { opened = unsafe sys_open_beneath(descriptor, path.characters, &facts) }
    // Filters of system calls refuse with EPERM what they do not know.
    if opened == -ENOSYS || opened == -EPERM {
      opened = unsafe sys_open_walking(descriptor, path.characters, &facts)
    }
    if opened < 0 { throw .beneath(0 &- opened) }
    return try OpenFile.make(opened, FileFacts(facts))
  }

  /// What a listing tells of a name.
  struct Entry {
    var name: Text
    var facts: FileFacts
  }

  static var mostEntries: Int { 10_000 }

  /// The names in a folder that was opened here by a path, each a file or a folder that
  /// could be opened too. They live in an arena. False where there are more.
  func entries(
    of folder: Ref<OpenFile>, at path: Bytes, showHidden: Bool, in arena: inout Arena,
    to list: inout List<Entry>
  ) throws(Failure) -> Bool {
    guard let names = unsafe sys_names_open(folder.o.descriptor) else {
      throw .system("the folder cannot be read", sys_errno())
    }
    defer { unsafe sys_names_close(names) }
    while let characters = unsafe sys_names_next(names) {
      let name = unsafe Text(characters: characters)
      if name.count == 0 { continue }
      let bytes = name.bytes
      if bytes.equals(".") || bytes.equals("..") { continue }
      if bytes[0] == UInt8(ascii: "."), !showHidden { continue }
      if list.count == Folder.mostEntries { return false }
      guard let facts = self.facts(of: name, in: folder, at: path) else { continue }
      guard let kept = arena.copy(bytes), list.append(Entry(name: kept, facts: facts)) else {
        throw .noMemory
      }
    }
    return true
  }

  /// Nil for what cannot be served.
  private func facts(of name: Text, in folder: Ref<OpenFile>, at path: Bytes) -> FileFacts? {
    var facts = sys_file_facts()
    let result = unsafe sys_name_facts(folder.o.descriptor, name.characters, &facts)
    if result == 0 { return facts.kind == 0 ? nil : FileFacts(facts) }
    guard result == -2 else { return nil }
    // A link is what it leads to, if that is beneath.
    var whole = ByteBuffer()
    whole.append(path)
    if !whole.isEmpty { whole.append("/") }
    let bytes = name.bytes
    whole.append(bytes)
    guard whole.terminate(), let start = unsafe whole.pointer else { return nil }
    do throws(Failure) {
      let file = try open(unsafe Text(start: start, count: whole.count))
      defer { file.release() }
      return file.o.facts
    } catch {
      return nil
    }
  }
}

extension Failure {
  /// Where a name leads out, nowhere, or round and round, there is nothing.
  fileprivate static func beneath(_ number: Int32) -> Failure {
    switch number {
    case EXDEV, ELOOP, ENAMETOOLONG, EISDIR, ENXIO, ENODEV, EAGAIN:
      Failure(.notFound, "there is no such file", number: number)
    default: .file("the file cannot be opened", number)
    }
  }
}
