// Compressing the body of a reply, where its handler has asked for that.

extension Ref where Object == Connection {
  /// Writes the head of such a reply: with a body in gzip, if the client takes that and
  /// the body gains by it, and as it is otherwise.
  @inline(never)
  func writeCompressed(_ exchange: Ref<Exchange>, _ body: Bytes) {
    exchange.o.reply.setCompression(false)
    guard case .length(let length) = exchange.o.framing, exchange.isWorthCompressing(length) else {
      return writeHead(of: exchange, with: body)
    }
    exchange.addVary()
    guard exchange.takesGzip else { return writeHead(of: exchange, with: body) }
    if exchange.o.isHead {
      // What the body would come to is not known without it (RFC 9110 §9.3.2).
      exchange.o.framing = .none
      return writeHead(of: exchange)
    }
    var packed = ByteBuffer()
    var worked = false
    if body.isEmpty {
      worked = Gzip.append(exchange.o.output.bytes, level: 6, to: &packed)
    } else {
      worked = Gzip.append(body, level: 6, to: &packed)
    }
    guard worked, Int64(packed.count) < length, exchange.addCoding() else {
      return writeHead(of: exchange, with: body)
    }
    exchange.o.framing = .length(Int64(packed.count))
    exchange.o.bodyBytes = Int64(packed.count)
    if body.isEmpty {
      swap(&packed, &exchange.o.output)
      return writeHead(of: exchange)
    }
    writeHead(of: exchange, with: packed.bytes)
  }
}

extension Ref where Object == Exchange {
  fileprivate static var leastCompressed: Int64 { 1024 }
  fileprivate static var mostCompressed: Int64 { 16 * 1024 * 1024 }

  /// Whether a body, which is whole, is of a size and a type that gain.
  fileprivate func isWorthCompressing(_ length: Int64) -> Bool {
    guard o.isReplied, !o.writer.hasBegun, length >= Ref.leastCompressed,
      length <= Ref.mostCompressed,
      o.parcels.isEmpty
    else { return false }
    return isOfGain
  }

  /// Whether it is of a type that gains, and not coded yet.
  private var isOfGain: Bool {
    guard o.reply.status != 206, !o.reply.has(Text("Content-Encoding")),
      !o.reply.has(Text("Content-Range"))
    else { return false }
    let name = Text("Content-Type")
    var type = ByteBuffer()
    o.reply.value(name.bytes, to: &type)
    return MediaType.isCompressible(type.bytes)
  }

  fileprivate func addVary() {
    let vary = Text("Vary: Accept-Encoding\r\n")
    o.reply.add(lines: vary.bytes)
  }

  /// False without memory: then the body must go as it is.
  fileprivate func addCoding() -> Bool {
    let coding = Text("Content-Encoding: gzip\r\n")
    o.reply.add(lines: coding.bytes)
    return !o.reply.fields.failed
  }

  /// A body of no known length begins, whose handler has asked for this: from its first
  /// byte on it is in gzip, if the client takes that. Without memory it stays as it is.
  @inline(never)
  func startCompression() {
    o.reply.setCompression(false)
    guard isOfGain else { return }
    addVary()
    guard takesGzip, !o.isHead, let made = Gzip(level: 6), let gzip = Ref<Gzip>(make: made) else {
      return
    }
    if addCoding() { o.writer.gzip = gzip } else { gzip.free() }
  }

  var takesGzip: Bool {
    let name = Text("Accept-Encoding")
    guard let value = field(name.bytes) else { return false }
    return AcceptEncoding(value.bytes).takesGzip
  }
}

extension ReplyHead {
  fileprivate func has(_ name: Text) -> Bool { has(name.bytes) }
}
