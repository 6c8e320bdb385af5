// What a reply has behind its bytes where files come into it: stretches of files, each
// with bytes that follow. The stream takes one stretch at a time.

import Synchronization

@safe struct Parcels: ~Copyable {
  private var first: Ref<Parcel>? = nil
  private var last: Ref<Parcel>? = nil
  /// Bytes of files, and of what follows them, that have not gone to the stream.
  private(set) var left: Int64 = 0

  struct Parcel: ~Copyable {
    var stretch: Ref<FileStretch>?
    let length: Int64
    var after = ByteBuffer()
    var next: Ref<Parcel>? = nil

    init(_ stretch: Ref<FileStretch>, _ length: Int64) {
      self.stretch = stretch
      self.length = length
    }

    deinit { stretch?.free() }
  }

  init() {}

  deinit {
    var parcel = first
    while let one = parcel {
      parcel = one.o.next
      one.free()
    }
  }

  var isEmpty: Bool { first == nil }

  /// Takes over a use of the file, also if there is no memory: false.
  mutating func add(_ file: Ref<OpenFile>, _ range: Range<Int64>) -> Bool {
    guard let stretch = Ref<FileStretch>(make: FileStretch(file, range)) else {
      // The memory was refused before the stretch was made: it has let the file go.
      return false
    }
    let length = range.upperBound &- range.lowerBound
    guard let parcel = Ref<Parcel>(make: Parcel(stretch, length)) else { return false }
    if let last { last.o.next = parcel } else { first = parcel }
    last = parcel
    left &+= length
    return true
  }

  /// Bytes behind the last file. The caller looks whether there is one.
  mutating func append(_ body: (inout ByteBuffer) -> Void) {
    guard let last else { return }
    let before = last.o.after.count
    body(&last.o.after)
    left &+= Int64(last.o.after.count &- before)
  }

  var hasFailed: Bool { last?.o.after.failed ?? false }

  /// The next stretch, once.
  mutating func takeStretch() -> Ref<FileStretch>? {
    guard let first, let stretch = first.o.stretch else { return nil }
    first.o.stretch = nil
    left &-= first.o.length
    return stretch
  }

  /// What follows a stretch that has gone; the parcel is done with.
  mutating func takeAfter() -> ByteBuffer {
    var bytes = ByteBuffer()
    guard let parcel = first else { return bytes }
    swap(&bytes, &parcel.o.after)
    first = parcel.o.next
    if first == nil { last = nil }
    left &-= Int64(bytes.count)
    parcel.free()
    return bytes
  }

  mutating func clear() {
    while let parcel = first {
      first = parcel.o.next
      parcel.free()
    }
    last = nil
    left = 0
  }
}

extension Ref where Object == Exchange {
  /// Puts a stretch of a file behind what the reply has so far. Takes over a use of it.
  func appendFile(_ file: Ref<OpenFile>, _ range: Range<Int64>) throws(Failure) {
    if range.isEmpty { return file.release() }
    guard o.parcels.add(file, range) else { throw .noMemory }
    o.hasExtras = true
    o.holds.insert(.file)
  }

  /// Bytes behind all that the reply has so far.
  @inline(__always)
  func appendOutput(_ body: (inout ByteBuffer) -> Void) {
    if o.holds.contains(.file) { o.parcels.append(body) } else { body(&o.output) }
  }

  /// Whether a file is left to be sent, as its loop may know.
  var hasParcels: Bool {
    if reach == .away { return false }
    return locked { o.holds.contains(.file) }
  }

  /// The connection of a shared one is done with it: nothing of these will be sent. The
  /// caller holds the lock.
  func dropParcels() {
    if o.holds.contains(.file) { o.parcels.clear() }
    o.holds.subtract([.file, .folder])
  }

  /// The same for one that nobody shares; true where it is held by nobody then.
  @inline(never)
  func holdsFilesAlone() -> Bool {
    o.holds.subtract([.file, .folder])
    return o.holds.isEmpty
  }

  /// A request of a folder's, behind the listeners: its loop answers it.
  func leaveToFolder() {
    guard let worker = o.worker else { return }
    if unsafe ThreadContext.loop == worker.o.loop.opaque { return worker.answerFromFolder(self) }
    o.holds.insert(.folder)
  }
}

extension Ref where Object == Connection {
  /// Moves on what an exchange has of files. Under its lock, if it is shared.
  @inline(never)
  func sendParcels(_ exchange: Ref<Exchange>) -> Progress {
    while o.stream.o.stretch == nil, !exchange.o.parcels.isEmpty {
      if let stretch = exchange.o.parcels.takeStretch() {
        o.stream.send(stretch)
      } else {
        sendAfter(exchange.o.parcels.takeAfter())
      }
    }
    if exchange.o.isShared {
      exchange.o.writer.unsent.store(Int64(o.stream.o.buffered), ordering: .relaxed)
    }
    guard exchange.o.parcels.isEmpty else { return .waiting }
    exchange.o.holds.remove(.file)
    let isDone = exchange.o.isReplied && exchange.o.isInputEnded
    return isDone && !exchange.o.holds.contains(.handler) ? .done : .waiting
  }

  /// On its own: in a loop the compiler would put the buffer in memory of its runtime.
  @inline(never)
  private func sendAfter(_ after: borrowing ByteBuffer) {
    if !after.isEmpty { o.stream.send(with: after.bytes) }
  }
}
