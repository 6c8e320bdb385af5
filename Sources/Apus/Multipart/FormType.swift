// Which kind of form a body is, by its Content-Type.

enum FormType: Equatable {
  case urlencoded
  /// Where its boundary stands in the field.
  case multipart(boundary: Range<Int>)
  case other
  /// multipart/form-data whose boundary is missing, or not as RFC 2046 §5.1.1 has it.
  case malformed

  init(_ field: Bytes) {
    let end = field.first(UInt8(ascii: ";")) ?? field.count
    let essence = field.trimmed(0..<end)
    if field.extracting(essence).equalsLowercase("application/x-www-form-urlencoded") {
      self = .urlencoded
    } else if field.extracting(essence).equalsLowercase("multipart/form-data") {
      self = FormType.boundary(field, from: end)
    } else {
      self = .other
    }
  }

  private static func boundary(_ field: Bytes, from start: Int) -> FormType {
    var parameters = Parameters(from: start)
    var found: Range<Int>? = nil
    while true {
      switch parameters.next(in: field) {
      case .parameter(let name, let value):
        guard field.extracting(name).equalsLowercase("boundary") else { continue }
        guard found == nil, isBoundary(field.extracting(value)) else { return .malformed }
        found = value
      case .end:
        if let found { return .multipart(boundary: found) }
        return .malformed
      case .malformed:
        return .malformed
      }
    }
  }

  /// 1 to 70 bchars, of which the last is no space.
  private static func isBoundary(_ text: Bytes) -> Bool {
    guard text.count > 0, text.count <= 70, text[text.count &- 1] != 32 else { return false }
    for index in 0..<text.count {
      switch text[index] {
      case 32, 0x27...0x29, 0x2B...0x2F, 0x3A, 0x3D, 0x3F, 0x5F: continue
      case let byte: if !byte.isDigit, !byte.isLetter { return false }
      }
    }
    return true
  }
}
