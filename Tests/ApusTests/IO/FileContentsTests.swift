// Whole files: the kernel's, whose bytes are known.

import Testing

@testable import Apus

@Suite struct FileContentsTests {
  @Test func reads() {
    for (most, expected) in [(100, "x Linux\n"), (6, "x Linux\n"), (5, "x "), (0, "x ")] {
      var buffer = ByteBuffer()
      buffer.append("x ")
      let isRead = FileContents.append("/proc/sys/kernel/ostype", most: most, to: &buffer)
      let text = string(buffer)
      #expect(isRead == (most > 5) && text == expected)
    }
  }

  @Test func refusesWhatIsNoFile() {
    for path in ["/", "/dev/zero", "/nowhere", ""] as [StaticString] {
      var buffer = ByteBuffer()
      let isRead = FileContents.append(path, most: 100, to: &buffer)
      #expect(!isRead && buffer.isEmpty)
    }
  }
}
