// Which content coding a client would rather have: RFC 9110 §12.5.3.

struct AcceptEncoding {
  /// Weights in thousandths; -1: not named.
  private var gzip = -1
  private var br = -1
  private var identity = -1
  private var other = -1

  init(_ value: Bytes) {
    var elements = ListElements()
    while let range = elements.next(in: value) { take(value.extracting(range)) }
  }

  private mutating func take(_ element: Bytes) {
    let end = element.first(UInt8(ascii: ";")) ?? element.count
    let name = element.extracting(element.trimmed(0..<end))
    let weight = AcceptEncoding.weight(
      element.extracting(min(end &+ 1, element.count)..<element.count))
    if name.equalsLowercase("gzip") || name.equalsLowercase("x-gzip") {
      gzip = weight
    } else if name.equalsLowercase("br") {
      br = weight
    } else if name.equalsLowercase("identity") {
      identity = weight
    } else if name.equals("*") {
      other = weight
    }
  }

  /// RFC 9110 §12.4.2: "q=" and up to three decimals; without one it is 1, and what is
  /// malformed counts for nothing.
  private static func weight(_ text: Bytes) -> Int {
    let value = text.extracting(text.trimmed(0..<text.count))
    if value.isEmpty { return 1000 }
    guard value.count >= 3, value.count <= 7, value[0] | 32 == UInt8(ascii: "q"),
      value[1] == UInt8(ascii: "="), value[2] == 48 || value[2] == 49
    else { return 0 }
    var weight = value[2] == 49 ? 1000 : 0
    if value.count == 3 { return weight }
    guard value[3] == UInt8(ascii: ".") else { return 0 }
    var place = 100
    for index in 4..<value.count {
      guard value[index].isDigit else { return 0 }
      weight &+= Int(value[index] &- 48) &* place
      place /= 10
    }
    return min(weight, 1000)
  }

  private func orOther(_ weight: Int) -> Int { weight >= 0 ? weight : max(other, 0) }

  /// What identity weighs: it is as good as the rest unless it is said to be less.
  private var plain: Int { identity >= 0 ? identity : other >= 0 ? other : 1 }

  /// Whether it is to be had, and at least as welcome as no coding.
  var takesBrotli: Bool { orOther(br) > 0 && orOther(br) >= plain && orOther(br) >= orOther(gzip) }
  var takesGzip: Bool { orOther(gzip) > 0 && orOther(gzip) >= plain }
}
