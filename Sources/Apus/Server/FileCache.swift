// What a worker keeps of the files that it has served: open descriptors, or the bytes of
// small ones, with their fields. An entry is looked at again after a second, and let go
// when nobody has asked for it for a while. Its loop's thread alone touches it.

@safe struct FileEntry: ~Copyable {
  enum Variant: UInt8 {
    case plain = 0
    /// Siblings that were compressed beforehand.
    case br = 1
    case gzip = 2

    var ending: StaticString { self == .br ? ".br" : self == .gzip ? ".gz" : "" }
    var coding: StaticString? { self == .br ? "br" : self == .gzip ? "gzip" : nil }
    var suffix: StaticString { self == .br ? "-b" : self == .gzip ? "-g" : "" }
  }

  let mount: Ref<Mount>
  let path: ByteBuffer
  let variant: Variant
  let hash: UInt32
  let facts: FileFacts
  /// It was read so soon after a change that another one may have the same time.
  let isYoung: Bool
  var checkedAt: Int64
  /// Counts the uses of the cache.
  var usedAt: Int64 = 0
  var usedTime: Int64 = 0
  /// Nil for a folder.
  let face: Ref<FileFace>?
  /// The same compressed here, and why not: a bit a sibling that is not there, and 4 where
  /// compression gains nothing.
  var packed: Ref<FileFace>? = nil
  var absent: UInt8 = 0

  init(
    _ mount: Ref<Mount>, _ path: consuming ByteBuffer, _ variant: Variant, _ hash: UInt32,
    _ facts: FileFacts, _ face: Ref<FileFace>?, now: Int64, wallSeconds: Int64
  ) {
    isYoung = wallSeconds &- facts.changed < 2
    self.mount = mount
    self.path = path
    self.variant = variant
    self.hash = hash
    self.facts = facts
    self.face = face
    checkedAt = now
  }

  deinit {
    face?.free()
    packed?.free()
  }

  var isOpen: Bool { face.map { $0.o.file != nil } ?? false }

  /// Bytes in memory.
  var weight: Int { (face?.o.bytes.count ?? 0) &+ (packed?.o.bytes.count ?? 0) }
}

@safe struct FileCache: ~Copyable {
  private var entries: List<Ref<FileEntry>?>
  private let timer: Ref<Timer>
  private let loop: Ref<Loop>
  private let server: Ref<Server>
  private var uses: Int64 = 0
  private(set) var weight = 0

  /// In sets of four, of which a request may need three.
  static var size: Int { 256 }
  static var ways: Int { 4 }
  /// A file up to that size is kept in memory and closed.
  static var largestKept: Int64 { 32 * 1024 }
  static var mostWeight: Int { 8 * 1024 * 1024 }
  static var leastPacked: Int64 { 1024 }
  static var largestPacked: Int64 { 1024 * 1024 }
  private static var freshness: Int64 { 1_000_000 }
  private static var patience: Int64 { 5_000_000 }

  fileprivate init(
    _ loop: Ref<Loop>, _ server: Ref<Server>, _ timer: Ref<Timer>,
    _ entries: consuming List<Ref<FileEntry>?>
  ) {
    self.timer = timer
    self.loop = loop
    self.server = server
    self.entries = entries
  }

  deinit {
    loop.o.timers.remove(timer)
    timer.free()
    for index in 0..<entries.count { entries[index]?.free() }
  }

  fileprivate func start(_ owner: UnsafeMutableRawPointer) {
    unsafe timer.o.owner = unsafe owner
    unsafe timer.o.run = { unsafe Ref<FileCache>(opaque: $0).o.sweep() }
  }

  // ---- entries

  /// The entry of a path beneath a folder, whether it was there or is made now. Fails with
  /// notFound where there is no such file or folder. It stays while no more than two
  /// others are asked for.
  mutating func entry(
    _ mount: Ref<Mount>, _ path: Bytes, _ variant: FileEntry.Variant = .plain
  ) throws(Failure) -> Ref<FileEntry> {
    let now = loop.o.now
    let hash = FileCache.hash(path, mount, variant)
    uses &+= 1
    if let index = find(mount, path, variant, hash), let entry = entries[index] {
      entry.o.usedAt = uses
      entry.o.usedTime = now
      if now &- entry.o.checkedAt < FileCache.freshness { return entry }
      return try lookAgain(at: entry, index, now)
    }
    let file = try open(mount, path, variant)
    if server.runsShort(at: file.o.descriptor) { closeAll() }
    return try add(file, mount, path, variant, hash, now)
  }

  private func find(
    _ mount: Ref<Mount>, _ path: Bytes, _ variant: FileEntry.Variant, _ hash: UInt32
  ) -> Int? {
    let start = FileCache.place(hash)
    for index in start..<(start &+ FileCache.ways) {
      guard let entry = entries[index], entry.o.hash == hash, entry.o.mount == mount,
        entry.o.variant == variant, path.equals(entry.o.path.bytes)
      else { continue }
      return index
    }
    return nil
  }

  private static func place(_ hash: UInt32) -> Int {
    (Int(hash) & (size / ways &- 1)) &* ways
  }

  private static func hash(
    _ path: Bytes, _ mount: Ref<Mount>, _ variant: FileEntry.Variant
  ) -> UInt32 {
    // Siblings are near their file, and still another set's if that is crowded.
    var hash = UInt32(truncatingIfNeeded: Int(bitPattern: unsafe mount.opaque) >> 4)
    hash = (hash ^ UInt32(variant.rawValue)) &* 16_777_619
    for index in 0..<path.count { hash = (hash ^ UInt32(path[index])) &* 16_777_619 }
    return hash ^ hash >> 15
  }

  private func open(
    _ mount: Ref<Mount>, _ path: Bytes, _ variant: FileEntry.Variant
  ) throws(Failure) -> Ref<OpenFile> {
    var name = ByteBuffer()
    name.append(path)
    name.append(variant.ending)
    if name.isEmpty { name.append(".") }
    guard name.terminate(), let start = unsafe name.pointer else { throw .noMemory }
    let text = unsafe Text(start: start, count: name.count)
    return try mount.o.folder.open(text)
  }

  private mutating func lookAgain(at entry: Ref<FileEntry>, _ index: Int, _ now: Int64)
    throws(Failure) -> Ref<FileEntry>
  {
    let mount = entry.o.mount
    var path = ByteBuffer()
    path.append(entry.o.path.bytes)
    let (variant, hash) = (entry.o.variant, entry.o.hash)
    do throws(Failure) {
      let file = try open(mount, path.bytes, variant)
      if file.o.facts == entry.o.facts, !entry.o.isYoung {
        file.release()
        entry.o.checkedAt = now
        entry.o.absent &= 4
        return entry
      }
      drop(index)
      return try add(file, mount, path.bytes, variant, hash, now)
    } catch {
      if entries[index] == entry { drop(index) }
      throw error
    }
  }

  /// Takes over a use of the file.
  private mutating func add(
    _ file: Ref<OpenFile>, _ mount: Ref<Mount>, _ path: Bytes,
    _ variant: FileEntry.Variant, _ hash: UInt32, _ now: Int64
  ) throws(Failure) -> Ref<FileEntry> {
    let facts = file.o.facts
    var face: Ref<FileFace>? = nil
    if facts.isFolder {
      file.release()
    } else {
      face = try makeFace(file, mount, path, variant)
    }
    var kept = ByteBuffer()
    kept.append(path)
    if kept.failed {
      face?.free()
      throw .noMemory
    }
    // Without memory for it the face goes with the entry.
    let made = Ref(
      make: FileEntry(
        mount, kept, variant, hash, facts, face, now: now, wallSeconds: loop.o.wallSeconds))
    guard let entry = made else { throw .noMemory }
    entry.o.usedAt = uses
    entry.o.usedTime = now
    let start = FileCache.place(hash)
    var place = start
    for index in start..<(start &+ FileCache.ways) {
      guard let other = entries[index] else {
        place = index
        break
      }
      if let least = entries[place], other.o.usedAt < least.o.usedAt { place = index }
    }
    drop(place)
    entries[place] = entry
    grow(by: entry.o.weight)
    if timer.o.deadline == 0 { loop.o.timers.set(timer, to: now &+ FileCache.patience) }
    return entry
  }

  private func makeFace(
    _ file: Ref<OpenFile>, _ mount: Ref<Mount>, _ path: Bytes, _ variant: FileEntry.Variant
  ) throws(Failure) -> Ref<FileFace> {
    var type = ByteBuffer()
    MediaType.append(ofFile: path, to: &type)
    let manner = FileFace.Manner(
      coding: variant.coding, suffix: variant.suffix, varies: mount.o.varies(type.bytes),
      now: loop.o.wallSeconds)
    let made = Ref<FileFace>(
      make: FileFace(
        file, size: file.o.facts.size, file.o.facts, type: type.bytes,
        cacheControl: mount.o.cacheControl.bytes, manner))
    guard let face = made else { throw .noMemory }
    do throws(Failure) {
      if face.o.size <= FileCache.largestKept { try face.o.keepBytes() }
      if face.o.hasFailed { throw .noMemory }
    } catch {
      face.free()
      throw error
    }
    return face
  }

  // ---- how much is kept

  private mutating func drop(_ index: Int) {
    guard let entry = entries[index] else { return }
    weight &-= entry.o.weight
    entries[index] = nil
    entry.free()
  }

  /// Makes room for bytes that have come, at the cost of what was used the longest ago;
  /// not of what this request has asked for.
  mutating func grow(by bytes: Int) {
    weight &+= bytes
    while weight > FileCache.mostWeight {
      var oldest: Int? = nil
      for index in 0..<entries.count {
        guard let entry = entries[index], entry.o.weight > 0, entry.o.usedAt < uses &- 2 else {
          continue
        }
        if let place = oldest, let other = entries[place], other.o.usedAt <= entry.o.usedAt {
          continue
        }
        oldest = index
      }
      guard let oldest else { return }
      drop(oldest)
    }
  }

  /// Everything goes: there are no descriptors left.
  mutating func clear() { for index in 0..<entries.count { drop(index) } }

  /// Descriptors run short: what is kept open goes, but for what this request has asked for.
  mutating func closeAll() {
    for index in 0..<entries.count {
      if let entry = entries[index], entry.o.isOpen, entry.o.usedAt < uses &- 2 { drop(index) }
    }
  }

  private mutating func sweep() {
    timer.o.deadline = 0
    let now = loop.o.now
    var isLeft = false
    for index in 0..<entries.count {
      guard let entry = entries[index] else { continue }
      if now &- entry.o.usedTime >= FileCache.patience { drop(index) } else { isLeft = true }
    }
    if isLeft { loop.o.timers.set(timer, to: now &+ FileCache.patience) }
  }

  // ---- other forms of a file

  /// A sibling that was compressed beforehand, if there is one.
  mutating func sibling(of entry: Ref<FileEntry>, _ variant: FileEntry.Variant) -> Ref<FileFace>? {
    if entry.o.absent & variant.rawValue != 0 { return nil }
    do throws(Failure) {
      let sibling = try self.entry(entry.o.mount, entry.o.path.bytes, variant)
      if let face = sibling.o.face { return face }
    } catch {
      if error.code != .notFound { return nil }
    }
    entry.o.absent |= variant.rawValue
    return nil
  }

  /// The file compressed here, if it is of a size and a type that gain by that.
  mutating func packed(_ entry: Ref<FileEntry>) -> Ref<FileFace>? {
    if let packed = entry.o.packed { return packed }
    guard entry.o.absent & 4 == 0, let face = entry.o.face, face.o.size >= FileCache.leastPacked,
      face.o.size <= FileCache.largestPacked, MediaType.isCompressible(face.o.type.bytes)
    else { return nil }
    entry.o.absent |= 4
    var bytes = ByteBuffer()
    var isMade = false
    if let file = face.o.file {
      var plain = ByteBuffer()
      do throws(Failure) { try file.o.append(0..<face.o.size, to: &plain) } catch { return nil }
      isMade = Gzip.append(plain.bytes, level: 6, to: &bytes)
    } else {
      isMade = Gzip.append(face.o.bytes.bytes, level: 6, to: &bytes)
    }
    guard isMade, Int64(bytes.count) < face.o.size else { return nil }
    let manner = FileFace.Manner(
      coding: "gzip", suffix: "-z", varies: true, now: loop.o.wallSeconds)
    let made = Ref<FileFace>(
      make: FileFace(
        nil, size: Int64(bytes.count), entry.o.facts, type: face.o.type.bytes,
        cacheControl: entry.o.mount.o.cacheControl.bytes, manner))
    guard let made else { return nil }
    if made.o.hasFailed {
      made.free()
      return nil
    }
    made.o.keep(bytes)
    entry.o.packed = made
    grow(by: made.o.bytes.count)
    return made
  }
}

extension Ref where Object == FileCache {
  static func make(_ loop: Ref<Loop>, _ server: Ref<Server>) -> Ref<FileCache>? {
    var entries = List<Ref<FileEntry>?>()
    for _ in 0..<FileCache.size where !entries.append(nil) { return nil }
    guard let timer = Ref<Timer>(make: Timer()),
      let made = Ref(make: FileCache(loop, server, timer, entries))
    else { return nil }
    unsafe made.o.start(made.opaque)
    return made
  }
}
