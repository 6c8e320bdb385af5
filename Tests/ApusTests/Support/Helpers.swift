// Between the library's bytes and what a test likes to compare.

@testable import Apus

/// Calls a function with the bytes of a text.
func with<Result>(_ text: String, _ body: (Span<UInt8>) -> Result) -> Result {
  let bytes = Array(text.utf8)
  return body(bytes.span)
}

func array(_ bytes: Span<UInt8>) -> [UInt8] { bytes.withUnsafeBufferPointer { Array($0) } }

func string(_ bytes: Span<UInt8>) -> String { String(decoding: array(bytes), as: UTF8.self) }

func string(_ buffer: borrowing ByteBuffer) -> String { string(buffer.bytes) }

/// What a function appends to an empty buffer.
func written(_ body: (inout ByteBuffer) -> Void) -> String {
  var buffer = ByteBuffer()
  body(&buffer)
  return string(buffer)
}

extension StaticString {
  var text: String { String(describing: self) }
}
