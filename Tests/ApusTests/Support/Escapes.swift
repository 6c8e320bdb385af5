// Bytes as the vectors write them: printable ASCII stands for itself, \r \n \t \0
// \s (a space) \\ and \xHH for the rest, and \(abc*100) for a hundred times abc.

enum Escapes {
  struct Mistake: Error { let text: String }

  static func decode(_ text: some StringProtocol) throws -> [UInt8] {
    var result: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      if byte != UInt8(ascii: "\\") {
        result.append(byte)
        continue
      }
      guard let letter = rest.popFirst() else { throw Mistake(text: "a backslash ends: \(text)") }
      switch letter {
      case UInt8(ascii: "r"): result.append(13)
      case UInt8(ascii: "n"): result.append(10)
      case UInt8(ascii: "t"): result.append(9)
      case UInt8(ascii: "0"): result.append(0)
      case UInt8(ascii: "s"): result.append(32)
      case UInt8(ascii: "\\"): result.append(letter)
      case UInt8(ascii: "x"):
        let digits = String(decoding: rest.prefix(2), as: UTF8.self)
        guard digits.count == 2, let value = UInt8(digits, radix: 16) else {
          throw Mistake(text: "\\x takes two digits: \(text)")
        }
        result.append(value)
        rest = rest.dropFirst(2)
      case UInt8(ascii: "("): result += try repeated(&rest, of: String(text))
      default: throw Mistake(text: "unknown escape: \(text)")
      }
    }
    return result
  }

  /// What stands behind "\(" up to its ")"; the last "*" tells text from number.
  private static func repeated(_ rest: inout ArraySlice<UInt8>, of text: String) throws -> [UInt8] {
    guard let end = rest.firstIndex(of: UInt8(ascii: ")")),
      let star = rest[..<end].lastIndex(of: UInt8(ascii: "*")),
      let count = Int(String(decoding: rest[(star + 1)..<end], as: UTF8.self))
    else { throw Mistake(text: "a repetition is \\(text*number): \(text)") }
    let piece = try decode(String(decoding: rest[..<star], as: UTF8.self))
    rest = rest[(end + 1)...]
    return Array(repeatElement(piece, count: count).joined())
  }

  /// The same bytes as text; long runs of one byte are told by their number.
  static func encode(_ bytes: some Collection<UInt8>) -> String {
    var result = ""
    var rest = Array(bytes)[...]
    while let byte = rest.first {
      let run = rest.prefix { $0 == byte }.count
      rest = rest.dropFirst(run)
      let text = encode(byte)
      result += run > 20 ? "\\(\(text)*\(run))" : String(repeating: text, count: run)
    }
    return result
  }

  private static func encode(_ byte: UInt8) -> String {
    switch byte {
    case 13: return "\\r"
    case 10: return "\\n"
    case 9: return "\\t"
    case 0: return "\\0"
    case 92: return "\\\\"
    case 32...126: return String(UnicodeScalar(byte))
    default: return "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
  }
}
