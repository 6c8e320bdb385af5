// A folder's requests: from the path to the file, in the form that the client would
// rather have, to the folder's page, or to a status.

extension Ref where Object == Worker {
  /// On the loop's thread, for a request that is routed to a folder and in its turn, or
  /// soon to be.
  @inline(never)
  func answerFromFolder(_ exchange: Ref<Exchange>) {
    guard let route = exchange.o.route, let mount = route.o.mount else {
      return exchange.completeOrBreak(404)
    }
    if o.files == nil { o.files = .make(o.loop, o.server) }
    guard let files = o.files else { return exchange.completeOrBreak(503) }
    var isAgain = false
    while true {
      do throws(Failure) {
        return try answer(exchange, route, mount, files)
      } catch {
        if error.code == .descriptors, !isAgain {
          // Those of files that nobody reads now are let go.
          files.o.clear()
          isAgain = true
          continue
        }
        return exchange.fail(error)
      }
    }
  }

  private func answer(
    _ exchange: Ref<Exchange>, _ route: Ref<Route>, _ mount: Ref<Mount>, _ files: Ref<FileCache>
  ) throws(Failure) {
    if route.o.isMountEdge { return try exchange.redirectToFolder() }
    guard exchange.o.captures.count > 0 else { throw .notThere }
    let capture = exchange.o.captures[0]
    let raw = exchange.rawPath
    let start = Int(capture.start)
    let bytes = raw.bytes
    var rest = bytes.extracting(start..<(start &+ Int(capture.count)))
    let isFolder = rest.isEmpty || rest[rest.count &- 1] == UInt8(ascii: "/")
    if isFolder, !rest.isEmpty {
      rest = rest.extracting(0..<(rest.count &- 1))
      if rest.isEmpty { throw .notThere }
    }
    var path = ByteBuffer()
    guard mount.o.append(path: rest, to: &path), path.terminate() else { throw .notThere }
    let entry = try files.o.entry(mount, path.bytes)
    if let face = entry.o.face {
      if isFolder { throw .notThere }
      return try exchange.reply(from: pick(face, of: entry, exchange, mount, files))
    }
    guard isFolder else { return try exchange.redirectToFolder() }
    try answerFolder(exchange, mount, files, &path)
  }

  private func answerFolder(
    _ exchange: Ref<Exchange>, _ mount: Ref<Mount>, _ files: Ref<FileCache>,
    _ path: inout ByteBuffer
  ) throws(Failure) {
    let count = path.count
    for index in 0..<mount.o.indexNames.count {
      if count > 0 { path.append("/") }
      path.append(mount.o.indexNames[index].o.bytes)
      if path.failed { throw .noMemory }
      do throws(Failure) {
        let entry = try files.o.entry(mount, path.bytes)
        if let face = entry.o.face {
          return try exchange.reply(from: pick(face, of: entry, exchange, mount, files))
        }
      } catch {
        if error.code != .notFound { throw error }
      }
      path.truncate(to: count)
    }
    guard mount.o.lists else { throw .notThere }
    try exchange.reply(listing: mount, path.bytes)
  }

  /// The form of a file that suits the client (RFC 9110 §12.5.3).
  private func pick(
    _ face: Ref<FileFace>, of entry: Ref<FileEntry>, _ exchange: Ref<Exchange>,
    _ mount: Ref<Mount>, _ files: Ref<FileCache>
  ) -> Ref<FileFace> {
    guard mount.o.usesSiblings || mount.o.compresses else { return face }
    let name = Text("Accept-Encoding")
    guard let value = exchange.field(name.bytes) else { return face }
    let accepted = AcceptEncoding(value.bytes)
    if mount.o.usesSiblings {
      if accepted.takesBrotli, let found = files.o.sibling(of: entry, .br) { return found }
      if accepted.takesGzip, let found = files.o.sibling(of: entry, .gzip) { return found }
    }
    guard mount.o.compresses, accepted.takesGzip else { return face }
    return files.o.packed(entry) ?? face
  }
}

extension Failure {
  fileprivate static var notThere: Failure { Failure(.notFound, "there is no such file") }
}

extension Ref where Object == Exchange {
  /// The same path with a slash behind it.
  fileprivate func redirectToFolder() throws(Failure) {
    var location = ByteBuffer()
    let path = rawPath
    location.append(path.bytes)
    location.append("/")
    if o.head.hasQuery {
      location.append("?")
      let query = query
      location.append(query.bytes)
    }
    let name = Text("Location")
    try setField(name.bytes, location.bytes, replacing: true)
    o.reply.status = 301
    try complete(Bytes())
  }

  /// A status for why there is no file.
  fileprivate func fail(_ failure: Failure) {
    o.output.clear()
    o.parcels.clear()
    o.holds.remove(.file)
    switch failure.code {
    case .notFound: completeOrBreak(404)
    case .permission: completeOrBreak(403)
    case .descriptors, .memory: completeOrBreak(503)
    default: completeOrBreak(500)
    }
  }

  fileprivate func reply(listing mount: Ref<Mount>, _ path: Bytes) throws(Failure) {
    var page = ByteBuffer()
    let shown = o.path
    try Listing.append(mount, at: path, shown: shown.bytes, to: &page)
    try setType(Text("text/html; charset=utf-8"))
    let name = Text("X-Content-Type-Options")
    let value = Text("nosniff")
    try setField(name.bytes, value.bytes, replacing: true)
    let policy = Text("Content-Security-Policy")
    let none = Text("default-src 'none'; style-src 'unsafe-inline'")
    try setField(policy.bytes, none.bytes, replacing: true)
    if !mount.o.cacheControl.isEmpty {
      let control = Text("Cache-Control")
      try setField(control.bytes, mount.o.cacheControl.bytes, replacing: true)
    }
    try complete(page.bytes)
  }
}
