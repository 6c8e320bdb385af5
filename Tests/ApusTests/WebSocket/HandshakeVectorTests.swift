// The vectors of Vectors/WebSocket/handshake-*.md through ServerHandshake and
// ClientHandshake.

import Testing

@testable import Apus

@Suite struct HandshakeVectorTests {
  @Test func canBeRead() throws {
    let vectors = try HandshakeVector.load()
    #expect(vectors.count >= 100)
    #expect(Set(vectors.map(\.testDescription)).count == vectors.count)
  }

  @Test(arguments: HandshakeVector.all)
  func givesItsLog(_ vector: HandshakeVector) {
    #expect(vector.run() == vector.log)
  }
}
