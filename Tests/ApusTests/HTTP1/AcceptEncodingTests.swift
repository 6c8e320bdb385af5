// Accept-Encoding and its weights.

import Testing

@testable import Apus

@Suite struct AcceptEncodingTests {
  @Test(arguments: [
    ("gzip", "gzip"), ("br", "br"), ("gzip, br", "br gzip"), ("gzip;q=0.5, br;q=0.4", "gzip"),
    ("gzip;q=0", ""), ("*", "br gzip"), ("*;q=0", ""), ("", ""), ("identity", ""),
    ("gzip;q=0.5, identity", ""), ("gzip;q=0.5, identity;q=0.5", "gzip"), ("x-gzip", "gzip"),
    ("GZIP ; Q=1.000", "gzip"), ("gzip;q=1.5", "gzip"), ("gzip;q=x", ""), ("gzip;q=", ""),
    ("gzip;q=0.001", "gzip"), ("br;q=0.9, gzip;q=0.8, *;q=0", "br gzip"), ("*, gzip;q=0", "br"),
    ("gzip;q=0.1234", ""), ("deflate, zstd", ""), ("gzip;foo=1", ""),
  ])
  func takes(_ value: String, _ expected: String) {
    let accepted = with(value) { AcceptEncoding($0) }
    var words: [String] = []
    if accepted.takesBrotli { words.append("br") }
    if accepted.takesGzip { words.append("gzip") }
    #expect(words.joined(separator: " ") == expected)
  }
}
