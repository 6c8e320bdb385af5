// A stretch of a file on its way to a socket: by sendfile, and where the file's system
// does not know that, by reading and sending.

import CSystem

@safe struct FileStretch: ~Copyable {
  private let file: Ref<OpenFile>
  private var offset: Int64
  private(set) var left: Int64

  /// Takes over a use of the file.
  init(_ file: Ref<OpenFile>, _ range: Range<Int64>) {
    self.file = file
    offset = range.lowerBound
    left = range.upperBound &- range.lowerBound
  }

  deinit { file.release() }

  /// A turn of the loop sends no more than that of one: others have their turns. It is more
  /// than a socket holds: what waits in the kernel goes out as the peer reads, without us.
  static var mostAtOnce: Int64 { 8 << 20 }
  private static var blockSize: Int { 64 * 1024 }

  enum Outcome {
    /// It has gone, or the socket is full, or it is the others' turn.
    case going
    case failed(Int32)
  }

  fileprivate mutating func send(on descriptor: Int32, _ loop: Ref<Loop>) -> Outcome {
    var budget = FileStretch.mostAtOnce
    while left > 0, budget > 0 {
      let count = Int(min(left, budget))
      let system = loop.o.system
      var sent = unsafe system.sendFile(
        system.context, descriptor, file.o.descriptor, offset, count,
        loop.o.isSheltered ? 0 : 1)
      if sent == Int64(-EINVAL) || sent == Int64(-ENOSYS) {
        sent = copy(to: descriptor, system, count)
      }
      switch sent {
      case Int64(-EINTR): continue
      case Int64(-EAGAIN), Int64(-ENOBUFS): return .going
      // The file was cut short: what was promised can't be kept.
      case 0: return .failed(EIO)
      case ..<0: return .failed(Int32(truncatingIfNeeded: 0 &- sent))
      default: break
      }
      offset &+= sent
      left &-= sent
      budget &-= sent
      if sent < Int64(count) { return .going }
    }
    return .going
  }

  /// Appends a block of it, for what is not sent from the file itself.
  fileprivate mutating func read(to buffer: inout ByteBuffer) -> Outcome {
    let size = Int(min(left, Int64(FileStretch.blockSize)))
    guard let space = unsafe buffer.space(size) else { return .failed(ENOMEM) }
    let got = unsafe sys_file_read(file.o.descriptor, space, size, offset)
    if got == 0 { return .failed(EIO) }
    if got < 0 { return .failed(Int32(truncatingIfNeeded: 0 &- got)) }
    buffer.filled(Int(got))
    offset &+= got
    left &-= got
    return .going
  }

  private func copy(to descriptor: Int32, _ system: System, _ count: Int) -> Int64 {
    var block = ByteBuffer()
    let size = min(count, FileStretch.blockSize)
    guard let space = unsafe block.space(size) else { return Int64(-ENOMEM) }
    let got = unsafe sys_file_read(file.o.descriptor, space, size, offset)
    if got <= 0 { return got }
    return unsafe system.send(system.context, descriptor, space, Int(got), nil, 0)
  }
}

extension Ref where Object == FileStretch {
  func send(on descriptor: Int32, _ loop: Ref<Loop>) -> FileStretch.Outcome {
    o.send(on: descriptor, loop)
  }

  func read(to buffer: inout ByteBuffer) -> FileStretch.Outcome { o.read(to: &buffer) }
}
