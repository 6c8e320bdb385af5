// What media types say about the bytes that have them.

extension MediaType {
  /// Whether bytes of a type, which may have parameters, become clearly smaller when they
  /// are compressed.
  static func isCompressible(_ type: Bytes) -> Bool {
    var end = type.first(UInt8(ascii: ";")) ?? type.count
    end = type.trimmed(0..<end).upperBound
    let bare = type.extracting(0..<end)
    if starts(bare, "text/") || ends(bare, "+json") || ends(bare, "+xml") { return true }
    return bare.equalsLowercase("application/json") || bare.equalsLowercase("application/xml")
      || bare.equalsLowercase("application/javascript") || bare.equalsLowercase("application/wasm")
      || bare.equalsLowercase("application/x-ndjson") || bare.equalsLowercase("application/yaml")
      || bare.equalsLowercase("application/toml") || bare.equalsLowercase("application/sql")
      || bare.equalsLowercase("application/rtf") || bare.equalsLowercase("font/ttf")
      || bare.equalsLowercase("font/otf") || bare.equalsLowercase("image/bmp")
      || bare.equalsLowercase("image/vnd.microsoft.icon")
  }

  /// Appends the value of Content-Type for a file: text is taken to be UTF-8.
  static func append(ofFile name: Bytes, to buffer: inout ByteBuffer) {
    let type = of(fileName: name)
    buffer.append(type.bytes)
    if starts(type.bytes, "text/") { buffer.append("; charset=utf-8") }
  }

  private static func starts(_ type: Bytes, _ text: StaticString) -> Bool {
    let count = text.utf8CodeUnitCount
    return type.count >= count && type.extracting(0..<count).equalsLowercase(text)
  }

  private static func ends(_ type: Bytes, _ text: StaticString) -> Bool {
    let start = type.count &- text.utf8CodeUnitCount
    return start >= 0 && type.extracting(start..<type.count).equalsLowercase(text)
  }
}
