// HandshakeKey and ProtocolList: the values that a client sends.

import Testing

@testable import Apus

@Suite struct HandshakeKeyTests {
  /// RFC 6455 §1.3.
  @Test func theExampleOfTheRFC() {
    let key = Array("dGhlIHNhbXBsZSBub25jZQ==".utf8)
    let random = Array("the sample nonce".utf8)
    #expect(written { _ = HandshakeKey.append(random: random.span, to: &$0) } == string(key.span))
    #expect(HandshakeKey.isValid(key.span) == true)
    let input = written { HandshakeKey.appendInput(key: key.span, to: &$0) }
    let digest = SHA1.digest(Array(input.utf8))
    #expect(digest.prefix(4) == [0xB3, 0x7A, 0x4F, 0x2C])
    #expect(
      written { _ = HandshakeKey.appendAccept(digest: digest.span, to: &$0) }
        == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
  }

  @Test func wrongSizes() {
    var buffer = ByteBuffer()
    for count in [0, 15, 17, 19, 21] {
      let bytes = [UInt8](repeating: 1, count: count)
      #expect(HandshakeKey.append(random: bytes.span, to: &buffer) == false)
      #expect(HandshakeKey.appendAccept(digest: bytes.span, to: &buffer) == false)
    }
    #expect(buffer.isEmpty == true)
  }

  @Test func protocols() {
    var list = ProtocolList()
    #expect(list.isValid == true)
    #expect(with("chat, superchat") { list.take($0) } == true)
    #expect(with("third") { list.take($0) } == true)
    #expect(list.count == 3)
    #expect(string(list[1]) == "superchat")
    #expect(string(list[3]) == "")
    #expect(string(list[-1]) == "")
    #expect(with("third") { list.index(of: $0) } == 2)
    #expect(with("Third") { list.index(of: $0) } == nil)
    #expect(written { list.append(to: &$0) } == "chat, superchat, third")
    #expect(with("chat") { list.take($0) } == false)
    #expect(with("fourth") { list.take($0) } == false)
    #expect(list.isValid == false)
  }
}
