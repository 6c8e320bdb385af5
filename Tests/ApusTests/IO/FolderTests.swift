// What is opened beneath a folder, by the kernel's walk and by our own.

import Glibc
import Testing

@testable import Apus

/// A folder in /tmp with something of each kind in it, and a secret beside it.
private final class Place {
  let top: String
  var root: String { top + "/root" }

  init() throws {
    var template = Array("/tmp/apus-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    top = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    mkdir(root, 0o755)
    mkdir(root + "/sub", 0o755)
    write("/secret", "secret")
    write("/root/a", "inside")
    write("/root/sub/b", "below")
    symlink("../secret", root + "/out")
    symlink(top + "/secret", root + "/absolute")
    symlink("a", root + "/in")
    symlink("..", root + "/sub/up")
    symlink("loop", root + "/loop")
    mkfifo(root + "/fifo", 0o644)
  }

  deinit {
    for name in ["a", "sub/b", "out", "absolute", "in", "sub/up", "loop", "fifo", "b"] {
      unlink(root + "/" + name)
    }
    unlink(top + "/secret")
    rmdir(root + "/sub")
    rmdir(root)
    rmdir(top)
  }

  func write(_ path: String, _ text: String) {
    let file = open(top + path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    _ = Glibc.write(file, text, text.utf8.count)
    close(file)
  }

  func folder(isWalked: Bool) throws -> Folder {
    var path = root
    path.append("\0")
    let bytes = Array(path.utf8)
    let start = try #require(bytes.withUnsafeBufferPointer { $0.baseAddress })
    let folder = try Folder(Text(start: start, count: bytes.count - 1), isWalked: isWalked)
    withExtendedLifetime(bytes) {}
    return folder
  }
}

/// The text of a file, "folder", or the code of the failure.
private func read(_ folder: borrowing Folder, _ path: String) -> String {
  path.withCString { characters in
    do throws(Failure) {
      let file = try folder.open(Text(characters: characters))
      defer { file.release() }
      if file.o.facts.isFolder { return "folder" }
      var buffer = ByteBuffer()
      try file.o.append(0..<file.o.facts.size, to: &buffer)
      return string(buffer)
    } catch {
      return error.code.name.text
    }
  }
}

@Suite struct FolderTests {
  @Test(arguments: [false, true]) func staysBeneath(_ isWalked: Bool) throws {
    let place = try Place()
    let folder = try place.folder(isWalked: isWalked)
    #expect(read(folder, "a") == "inside")
    #expect(read(folder, "sub/b") == "below")
    #expect(read(folder, ".") == "folder")
    #expect(read(folder, "sub") == "folder")
    for path in [
      "..", "../secret", "sub/../../secret", "out", "absolute", "/etc/passwd", "missing",
      "a/b", "sub/up/../secret", "loop", "fifo", String(repeating: "x", count: 300),
    ] {
      #expect(read(folder, path) == "APUS_E_NOT_FOUND", "\(path)")
    }
    // A link that stays inside is followed by the kernel alone.
    #expect(read(folder, "in") == (isWalked ? "APUS_E_NOT_FOUND" : "inside"))
  }

  @Test func lists() throws {
    let place = try Place()
    place.write("/root/.hidden", "x")
    defer { unlink(place.root + "/.hidden") }
    let folder = try place.folder(isWalked: false)
    for isShown in [false, true] {
      let opened = try ".".withCString { try folder.open(Text(characters: $0)) }
      defer { opened.release() }
      var arena = Arena()
      var list = List<Folder.Entry>()
      #expect(
        try folder.entries(of: opened, at: Bytes(), showHidden: isShown, in: &arena, to: &list))
      var names: [String] = []
      for index in 0..<list.count {
        let name = list[index].name
        names.append(string(name.bytes))
      }
      #expect(names.sorted() == (isShown ? [".hidden"] : []) + ["a", "in", "sub"])
    }
  }

  /// A name that is swapped between a file and a link that leads out, again and again.
  @Test func swapsDoNotEscape() throws {
    let place = try Place()
    let folder = try place.folder(isWalked: false)
    for _ in 0..<200 {
      unlink(place.root + "/b")
      symlink("../secret", place.root + "/b")
      #expect(read(folder, "b") == "APUS_E_NOT_FOUND")
      rename(place.root + "/a", place.root + "/b")
      #expect(read(folder, "b") == "inside")
      rename(place.root + "/b", place.root + "/a")
    }
  }
}
