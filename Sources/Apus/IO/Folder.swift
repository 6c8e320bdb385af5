// Folders of the system's.

import CSystem

enum Folder {
  /// Whether there is one; `path` has a NUL behind it.
  static func check(_ path: Text) throws(Failure) {
    let result = unsafe sys_folder_check(path.characters)
    if result < 0 { throw .file("the folder cannot be used", 0 &- result) }
  }
}
