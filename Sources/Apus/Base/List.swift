// A growing list of plain values with one owner: listeners, routes, events. Its
// memory may be refused, and it never copies itself, as an Array might. It takes 16 bytes,
// empty ones too, of which a request has many.

@safe struct List<Element>: ~Copyable {
  private var base: UnsafeMutablePointer<Element>?
  private var stored: UInt32 = 0
  private var room: UInt32 = 0

  init() { unsafe base = nil }

  deinit {
    guard let base = unsafe base else { return }
    unsafe base.deinitialize(count: count)
    unsafe deallocate(UnsafeMutableRawPointer(base))
  }

  private(set) var count: Int {
    get { Int(stored) }
    set { stored = UInt32(truncatingIfNeeded: newValue) }
  }
  var isEmpty: Bool { stored == 0 }

  /// The caller has checked the index against `count`.
  subscript(index: Int) -> Element {
    get {
      // Memory is there for every element that counts.
      unsafe base.unsafelyUnwrapped[index]
    }
    set {
      guard index >= 0, index < count, let base = unsafe base else { return }
      unsafe base[index] = newValue
    }
  }

  /// False when there is no memory.
  @inline(__always)
  mutating func append(_ element: Element) -> Bool {
    guard stored < room || grow() else { return false }
    if let base = unsafe base { unsafe (base + count).initialize(to: element) }
    count &+= 1
    return true
  }

  @inline(never)
  private mutating func grow() -> Bool {
    let size = max(4, Int(room) &* 2)
    let bytes = size.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
    guard !bytes.overflow, let newRoom = UInt32(exactly: size),
      let memory = unsafe reallocate(
        base.map { UnsafeMutableRawPointer($0) }, bytes: bytes.partialValue)
    else { return false }
    unsafe base = memory.assumingMemoryBound(to: Element.self)
    room = newRoom
    return true
  }

  mutating func removeLast() -> Element? {
    guard count > 0, let base = unsafe base else { return nil }
    count &-= 1
    return unsafe (base + count).move()
  }

  mutating func removeFirst(_ number: Int) {
    guard number > 0, number <= count, let base = unsafe base else { return }
    unsafe base.deinitialize(count: number)
    unsafe base.update(from: base + number, count: count &- number)
    count &-= number
  }

  mutating func removeAll() {
    if let base = unsafe base { unsafe base.deinitialize(count: count) }
    count = 0
  }
}
