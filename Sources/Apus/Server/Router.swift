// Finds the route of a method and a path: a tree of path segments, where literal
// text wins over ":name" and that over "*name". What a branch promised and did
// not keep is given up for the next one, within a budget of steps.

struct Router: ~Copyable {
  static var longestPattern: Int { 64 }  // segments
  static var mostParameters: Int { 16 }
  static var budget: Int32 { 4096 }

  private let root: Ref<RouteNode>
  /// The nodes whose path is all literal, by the hash of that: most requests are
  /// found here, without the tree.
  private var exact = List<Ref<RouteNode>?>()
  private var exactCount = 0
  private(set) var routes = List<Ref<Route>>()

  init?() {
    guard let root = Ref(make: RouteNode()) else { return nil }
    self.root = root
  }

  deinit {
    root.free()
    for index in 0..<routes.count {
      unsafe routes[index].o.handler.end()
      unsafe routes[index].o.events.end()
      unsafe routes[index].o.channels?.o.listeners.end { drop, context in unsafe drop(context) }
      routes[index].free()
    }
  }

  // ---- adding

  /// Adds a route; its callback's context stays the caller's if it can't.
  mutating func add(_ route: consuming Route, pattern: Bytes) throws(Failure) -> Int32 {
    guard pattern.count > 0, pattern.count <= 4096, pattern[0] == UInt8(ascii: "/"),
      pattern.first(UInt8(ascii: "?")) == nil, pattern.first(UInt8(ascii: "#")) == nil
    else { throw Failure(.argument, "a pattern is a path: a slash first, no query or fragment") }
    var node = root
    var start = 1
    var segments = 0
    while start <= pattern.count {
      let end = pattern.first(UInt8(ascii: "/"), from: start) ?? pattern.count
      segments &+= 1
      guard segments <= Router.longestPattern else {
        throw Failure(.argument, "a pattern has at most 64 segments")
      }
      node = try step(
        from: node, pattern.extracting(start..<end), isLast: end == pattern.count, &route)
      start = end &+ 1
    }
    guard route.names.count <= Router.mostParameters else {
      throw Failure(.argument, "a pattern has at most 16 parameters")
    }
    for index in 0..<node.o.routes.count where isSame(routes[Int(node.o.routes[index])], route) {
      throw Failure(.state, "a route of this method and pattern exists")
    }
    if route.names.isEmpty { try addExact(node, pattern) }
    guard let kept = Ref(make: route) else { throw .noMemory }
    let number = Int32(truncatingIfNeeded: routes.count)
    guard routes.append(kept) else {
      kept.free()
      throw .noMemory
    }
    // The route first: a node must not have the number of a route that is not there.
    guard node.o.routes.append(number) else {
      routes.removeLast()?.free()
      throw .noMemory
    }
    return number
  }

  private mutating func addExact(_ node: Ref<RouteNode>, _ path: Bytes) throws(Failure) {
    if !node.o.path.isEmpty { return }
    if exactCount &* 2 >= exact.count {
      var larger = List<Ref<RouteNode>?>()
      for _ in 0..<max(8, exact.count &* 2) where !larger.append(nil) { throw .noMemory }
      swap(&larger, &exact)
      for index in 0..<larger.count {
        if let old = larger[index] { placeExact(old) }
      }
    }
    node.o.path.append(path)
    if node.o.path.failed {
      node.o.path.clear()
      throw .noMemory
    }
    node.o.pathHash = Router.hash(path, isEncoded: false)
    placeExact(node)
    exactCount &+= 1
  }

  private mutating func placeExact(_ node: Ref<RouteNode>) {
    let mask = exact.count &- 1
    var index = Int(node.o.pathHash) & mask
    while exact[index] != nil { index = (index &+ 1) & mask }
    exact[index] = node
  }

  @inline(__always)
  private func findExact(_ path: Bytes) -> Ref<RouteNode>? {
    let mask = exact.count &- 1
    guard mask >= 0 else { return nil }
    let hash = Router.hash(path, isEncoded: false)
    var index = Int(hash) & mask
    while let node = exact[index] {
      if node.o.pathHash == hash, path.equals(node.o.path.bytes) { return node }
      index = (index &+ 1) & mask
    }
    return nil
  }

  private func isSame(_ old: Ref<Route>, _ new: borrowing Route) -> Bool {
    guard old.o.method == new.method else { return false }
    return new.method != Method.other || old.o.methodName.bytes.equals(new.methodName.bytes)
  }

  private func step(
    from node: Ref<RouteNode>, _ segment: Bytes, isLast: Bool, _ route: inout Route
  ) throws(Failure) -> Ref<RouteNode> {
    guard segment.count > 0, segment[0] == UInt8(ascii: ":") || segment[0] == UInt8(ascii: "*")
    else { return try literal(of: node, segment) }
    let isRest = segment[0] == UInt8(ascii: "*")
    if isRest, !isLast { throw Failure(.argument, "*name must be the last segment") }
    if !isRest, segment.count == 1 { throw Failure(.argument, "a parameter needs a name") }
    let bare = segment.count == 1
    guard let name = Ref(make: ByteBuffer()) else { throw .noMemory }
    name.o.append(bare ? segment : segment.extracting(1..<segment.count))
    for index in 0..<route.names.count
    where route.names[index].o.bytes.equals(name.o.bytes) {
      name.free()
      throw Failure(.argument, "a pattern has two parameters of one name")
    }
    guard name.o.terminate(), !name.o.failed, route.names.append(name) else {
      name.free()
      throw .noMemory
    }
    if let next = isRest ? node.o.rest : node.o.parameter { return next }
    guard let next = Ref(make: RouteNode()) else { throw .noMemory }
    if isRest { node.o.rest = next } else { node.o.parameter = next }
    return next
  }

  private func literal(of node: Ref<RouteNode>, _ segment: Bytes) throws(Failure)
    -> Ref<RouteNode>
  {
    let hash = Router.hash(segment, isEncoded: false)
    if let found = Router.find(segment, hash, in: node, isEncoded: false) { return found }
    if node.o.literalCount &* 2 >= node.o.literals.count {
      guard Router.grow(node) else { throw .noMemory }
    }
    guard let child = Ref(make: RouteNode()) else { throw .noMemory }
    child.o.text.append(segment)
    if child.o.text.failed {
      child.free()
      throw .noMemory
    }
    child.o.hash = hash
    Router.place(child, in: node)
    node.o.literalCount &+= 1
    return child
  }

  private static func place(_ child: Ref<RouteNode>, in node: Ref<RouteNode>) {
    let mask = node.o.literals.count &- 1
    var index = Int(child.o.hash) & mask
    while node.o.literals[index] != nil { index = (index &+ 1) & mask }
    node.o.literals[index] = child
  }

  private static func grow(_ node: Ref<RouteNode>) -> Bool {
    var larger = List<Ref<RouteNode>?>()
    for _ in 0..<max(4, node.o.literals.count &* 2) where !larger.append(nil) { return false }
    var old = List<Ref<RouteNode>?>()
    swap(&old, &node.o.literals)
    swap(&larger, &node.o.literals)
    for index in 0..<old.count { if let child = old[index] { place(child, in: node) } }
    return true
  }

  // ---- finding

  enum Match {
    case found(Int32)
    case otherMethod
    case none
    case noMemory
  }

  /// One search: where it stands, and what it has found.
  private struct Search: ~Copyable {
    var method: Int32
    var isEncoded: Bool
    var steps = Router.budget
    var other = false
    var hasMemory = true

    mutating func keep(_ capture: Capture, in captures: inout List<Capture>) -> Bool {
      if !captures.append(capture) { hasMemory = false }
      return hasMemory
    }
  }

  /// The one route of a literal path, if its method is the listed one that is asked
  /// for: what most requests are answered by. Nil says nothing.
  @inline(__always)
  func findPlain(_ path: Bytes, method: Int32) -> Int32? {
    guard method >= 0, let node = findExact(path), node.o.routes.count == 1 else { return nil }
    let number = node.o.routes[0]
    return routes[Int(number)].o.method == method ? number : nil
  }

  /// The route for a path as sent; the parameters' places go to `captures`.
  func find(
    _ path: Bytes, isEncoded: Bool = true, method: Int32, name: Bytes,
    captures: inout List<Capture>
  ) -> Match {
    captures.removeAll()
    guard path.count > 0, path[0] == UInt8(ascii: "/") else { return .none }
    var search = Search(method: method, isEncoded: isEncoded)
    if !isEncoded, let node = findExact(path), let route = route(at: node, name, &search) {
      return .found(route)
    }
    if let route = visit(root, path, 1, name, &search, &captures) { return .found(route) }
    if !search.hasMemory { return .noMemory }
    return search.other ? .otherMethod : .none
  }

  private func visit(
    _ node: Ref<RouteNode>, _ path: Bytes, _ start: Int, _ name: Bytes, _ search: inout Search,
    _ captures: inout List<Capture>
  ) -> Int32? {
    if start > path.count { return route(at: node, name, &search) }
    search.steps &-= 1
    if search.steps < 0 { return nil }
    let end = path.first(UInt8(ascii: "/"), from: start) ?? path.count
    let segment = path.extracting(start..<end)
    if node.o.literalCount > 0 {
      let hash = Router.hash(segment, isEncoded: search.isEncoded)
      if let child = Router.find(segment, hash, in: node, isEncoded: search.isEncoded),
        let found = visit(child, path, end &+ 1, name, &search, &captures)
      {
        return found
      }
    }
    if let child = node.o.parameter, end > start {
      guard search.keep(Capture(from: start, to: end), in: &captures) else { return nil }
      if let found = visit(child, path, end &+ 1, name, &search, &captures) { return found }
      _ = captures.removeLast()
    }
    if let child = node.o.rest, let found = route(at: child, name, &search) {
      return search.keep(Capture(from: start, to: path.count), in: &captures) ? found : nil
    }
    return nil
  }

  /// The route of a node for the method: its own, GET's for HEAD, then any.
  private func route(at node: Ref<RouteNode>, _ name: Bytes, _ search: inout Search) -> Int32? {
    var best: Int32? = nil
    var rank = 0
    for index in 0..<node.o.routes.count {
      let number = node.o.routes[index]
      let route = routes[Int(number)]
      var own = 0
      if route.o.method == search.method {
        if route.o.method != Method.other || route.o.methodName.bytes.equals(name) { own = 3 }
      } else if route.o.method == Method.get, search.method == Method.head {
        own = 2
      } else if route.o.method == Router.anyMethod {
        own = 1
      }
      if own > rank {
        rank = own
        best = number
      }
    }
    if best == nil, !node.o.routes.isEmpty { search.other = true }
    return best
  }

  static var anyMethod: Int32 { -2 }

  /// Appends the methods that a path can be asked with, for Allow (RFC 9110
  /// §10.2.1); for "*", those of all routes.
  func appendAllow(_ path: Bytes, to buffer: inout ByteBuffer) {
    var captures = List<Capture>()
    let everywhere = path.count == 1 && path[0] == UInt8(ascii: "*")
    for number in 0..<Method.count {
      guard let name = Method.name(number), number != Method.connect else { continue }
      let known = Text(name)
      var isAllowed = number == Method.options
      if !isAllowed {
        if everywhere {
          isAllowed = hasRoute(for: number)
        } else if case .found = find(path, method: number, name: known.bytes, captures: &captures) {
          isAllowed = true
        }
      }
      if isAllowed { append(known.bytes, to: &buffer) }
    }
    for index in 0..<routes.count
    where routes[index].o.method == Method.other && isFirstOfMethod(index) {
      let name = routes[index].o.methodName.bytes
      var isAllowed = everywhere
      if case .found = find(path, method: Method.other, name: name, captures: &captures) {
        isAllowed = true
      }
      if isAllowed { append(name, to: &buffer) }
    }
  }

  /// Whether no earlier route has the method's name.
  private func isFirstOfMethod(_ index: Int) -> Bool {
    let name = routes[index].o.methodName.bytes
    for earlier in 0..<index
    where routes[earlier].o.method == Method.other
      && routes[earlier].o.methodName.bytes.equals(name)
    {
      return false
    }
    return true
  }

  private func hasRoute(for method: Int32) -> Bool {
    for index in 0..<routes.count {
      let own = routes[index].o.method
      if own == method || own == Router.anyMethod { return true }
      if own == Method.get, method == Method.head { return true }
    }
    return false
  }

  private func append(_ name: Bytes, to buffer: inout ByteBuffer) {
    if !buffer.isEmpty { buffer.append(", ") }
    buffer.append(name)
  }

  // ---- literals

  /// The next decoded byte of a segment, and how many bytes it stands for.
  @inline(__always)
  private static func byte(_ segment: Bytes, _ index: Int, _ isEncoded: Bool) -> (UInt8, Int) {
    if isEncoded, segment[index] == UInt8(ascii: "%"),
      let decoded = Percent.triplet(segment, at: index)
    {
      return (decoded, 3)
    }
    return (segment[index], 1)
  }

  /// FNV-1a over the decoded bytes.
  @inline(__always)
  private static func hash(_ segment: Bytes, isEncoded: Bool) -> UInt32 {
    var hash: UInt32 = 2_166_136_261
    var index = 0
    while index < segment.count {
      let (byte, width) = byte(segment, index, isEncoded)
      hash = (hash ^ UInt32(byte)) &* 16_777_619
      index &+= width
    }
    return hash
  }

  private static func find(
    _ segment: Bytes, _ hash: UInt32, in node: Ref<RouteNode>, isEncoded: Bool
  ) -> Ref<RouteNode>? {
    let mask = node.o.literals.count &- 1
    guard mask >= 0 else { return nil }
    var index = Int(hash) & mask
    while let child = node.o.literals[index] {
      if child.o.hash == hash, isEqual(segment, child.o.text.bytes, isEncoded) { return child }
      index = (index &+ 1) & mask
    }
    return nil
  }

  private static func isEqual(_ segment: Bytes, _ text: Bytes, _ isEncoded: Bool) -> Bool {
    if !isEncoded { return segment.equals(text) }
    var index = 0
    var place = 0
    while index < segment.count, place < text.count {
      let (byte, width) = byte(segment, index, isEncoded)
      if byte != text[place] { return false }
      index &+= width
      place &+= 1
    }
    return index == segment.count && place == text.count
  }
}
