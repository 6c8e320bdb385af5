struct ContentDecoder: ~Copyable {
  static func make(_ b: Bytes) throws(Failure) -> Ref<ContentDecoder>? { nil }
  mutating func decode(_ b: Bytes, at i: inout Int, to o: inout ByteBuffer) throws(Failure) {
    i = b.count
  }
  mutating func finish() throws(Failure) {}
}
