// A growing list of plain values with one owner: listeners, routes, events. Its
// memory may be refused, and it never copies itself, as an Array might.

@safe struct List<Element>: ~Copyable {
  private var base: UnsafeMutablePointer<Element>?
  private(set) var count = 0
  private var capacity = 0

  init() { unsafe base = nil }

  deinit {
    guard let base = unsafe base else { return }
    unsafe base.deinitialize(count: count)
    unsafe deallocate(UnsafeMutableRawPointer(base))
  }

  var isEmpty: Bool { count == 0 }

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
    guard count < capacity || grow() else { return false }
    if let base = unsafe base { unsafe (base + count).initialize(to: element) }
    count &+= 1
    return true
  }

  @inline(never)
  private mutating func grow() -> Bool {
    let size = max(4, capacity &* 2)
    let bytes = size.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
    guard !bytes.overflow,
      let memory = unsafe reallocate(
        base.map { UnsafeMutableRawPointer($0) }, bytes: bytes.partialValue)
    else { return false }
    unsafe base = memory.assumingMemoryBound(to: Element.self)
    capacity = size
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
