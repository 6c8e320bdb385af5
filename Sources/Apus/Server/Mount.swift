// A folder under a prefix of the server's paths, with its options. Its requests are
// answered by the loops; the server's routes lead to it.

struct Mount: ~Copyable {
  let folder: Folder
  var indexNames = List<Ref<ByteBuffer>>()
  var lists = false
  var cacheControl = ByteBuffer()
  var usesSiblings = false
  var compresses = false
  var showsHidden = false

  static var mostIndexNames: Int { 8 }

  init(_ folder: consuming Folder) { self.folder = folder }

  deinit {
    for index in 0..<indexNames.count { indexNames[index].free() }
  }

  /// A list with commas; an empty one for none.
  mutating func setIndexNames(_ list: Bytes) throws(Failure) {
    var names = List<Ref<ByteBuffer>>()
    var elements = ListElements()
    var isGood = true
    while let range = elements.next(in: list), isGood {
      let name = list.extracting(range)
      guard Mount.isName(name), names.count < Mount.mostIndexNames,
        let kept = Ref(make: ByteBuffer())
      else {
        isGood = false
        break
      }
      kept.o.append(name)
      if !names.append(kept) { kept.free() }
    }
    if isGood { swap(&names, &indexNames) }
    for index in 0..<names.count { names[index].free() }
    if !isGood { throw Failure(.argument, "at most eight names without slashes") }
  }

  private static func isName(_ name: Bytes) -> Bool {
    name.count <= 255 && name.first(UInt8(ascii: "/")) == nil && !name.equals(".")
      && !name.equals("..")
  }

  /// Whether a reply depends on Accept-Encoding, for a type.
  func varies(_ type: Bytes) -> Bool {
    usesSiblings || (compresses && MediaType.isCompressible(type))
  }

  /// Appends the path beneath the folder that a request's rest of path names; false where
  /// it names nothing: segments that are empty, hidden, "." or "..", or hold a slash.
  func append(path rest: Bytes, to buffer: inout ByteBuffer) -> Bool {
    var start = rest.isEmpty ? 1 : 0
    while start <= rest.count {
      let end = rest.first(UInt8(ascii: "/"), from: start) ?? rest.count
      if !buffer.isEmpty { buffer.append("/") }
      let before = buffer.count
      guard Percent.decode(path: rest.extracting(start..<end), to: &buffer) else { return false }
      let bytes = buffer.bytes
      let name = bytes.extracting(before..<bytes.count)
      guard name.count > 0, name.count <= 255, name.first(UInt8(ascii: "/")) == nil,
        name.first(0) == nil, !isHidden(name)
      else { return false }
      start = end &+ 1
    }
    return true
  }

  /// RFC 8615's folder is made to be seen.
  private func isHidden(_ name: Bytes) -> Bool {
    guard name[0] == UInt8(ascii: ".") else { return false }
    if name.equals(".") || name.equals("..") { return true }
    return !showsHidden && !name.equals(".well-known")
  }
}

extension Ref where Object == Server {
  /// Serves a folder under a prefix; the number is that of the route, for its options.
  func mount(_ prefix: Bytes, _ path: Text) throws(Failure) -> Int32 {
    guard prefix.count > 0, prefix[0] == UInt8(ascii: "/"), prefix.count <= 1024 else {
      throw Failure(.argument, "a prefix is a path that starts with a slash")
    }
    for index in 1..<prefix.count
    where prefix[index &- 1] == 47 && (prefix[index] == 58 || prefix[index] == 42) {
      throw Failure(.argument, "a prefix has no parameters")
    }
    let hasSlash = prefix[prefix.count &- 1] == UInt8(ascii: "/")
    let bare = prefix.extracting(0..<(hasSlash ? prefix.count &- 1 : prefix.count))
    guard let mount = Ref<Mount>(make: Mount(try Folder(path))) else { throw .noMemory }
    guard o.mounts.append(mount) else {
      mount.free()
      throw .noMemory
    }
    var number: Int32 = 0
    do throws(Failure) {
      let index = Text("index.html")
      try mount.o.setIndexNames(index.bytes)
      var pattern = ByteBuffer()
      pattern.append(bare)
      pattern.append("/*")
      if pattern.failed { throw .noMemory }
      number = try add(mount, pattern.bytes, isEdge: false)
    } catch {
      o.mounts.removeLast()?.free()
      throw error
    }
    // A route of the host's own for the folder's name comes before this one.
    if bare.count > 0 {
      do throws(Failure) { _ = try add(mount, bare, isEdge: true) } catch {
        if error.code == .memory { throw error }
      }
    }
    return number
  }

  private func add(_ mount: Ref<Mount>, _ pattern: Bytes, isEdge: Bool) throws(Failure) -> Int32 {
    var route = unsafe Route(
      method: Method.get, methodName: ByteBuffer(), handler: .none, isStreamed: false)
    route.serve(mount, isEdge: isEdge)
    return try o.router.add(route, pattern: pattern)
  }

  /// The folder of a route.
  func mount(of number: Int32) throws(Failure) -> Ref<Mount> {
    guard number >= 0, Int(number) < o.router.routes.count,
      let mount = o.router.routes[Int(number)].o.mount
    else { throw Failure(.argument, "no folder has this number") }
    return mount
  }
}
