// The encoder of RFC 3492 §6.3, for the labels of the list of public suffixes that
// are not ASCII. Hosts come here encoded already.

enum Punycode {
  private static var base: UInt32 { 36 }
  private static var least: UInt32 { 1 }
  private static var most: UInt32 { 26 }

  /// Appends a label as names in the DNS have it, "xn--" before it where it is not ASCII.
  /// False for what is not UTF-8, and for a label that is longer than any may be.
  static func append(label: Bytes, to buffer: inout ByteBuffer) -> Bool {
    if label.count == 0 || label.count > 255 { return false }
    if label.firstOutsideASCII(from: 0) == label.count {
      for index in 0..<label.count { buffer.append(label[index].lowercased) }
      return label.count <= 63
    }
    var scalars = List<UInt32>()
    var index = 0
    while index < label.count {
      guard let next = scalar(label, at: index), scalars.append(next.value) else { return false }
      index &+= next.count
    }
    let start = buffer.count
    buffer.append("xn--")
    return encode(scalars, to: &buffer) && buffer.count &- start <= 63
  }

  private static func encode(_ scalars: borrowing List<UInt32>, to buffer: inout ByteBuffer)
    -> Bool
  {
    var basic = 0
    for index in 0..<scalars.count where scalars[index] < 128 {
      buffer.append(UInt8(truncatingIfNeeded: scalars[index]).lowercased)
      basic &+= 1
    }
    if basic > 0 { buffer.append("-") }
    var point: UInt32 = 128
    var delta: UInt32 = 0
    var bias: UInt32 = 72
    var handled = basic
    while handled < scalars.count {
      var next = UInt32.max
      for index in 0..<scalars.count where scalars[index] >= point {
        next = min(next, scalars[index])
      }
      let step = (next &- point).multipliedReportingOverflow(by: UInt32(handled &+ 1))
      let sum = delta.addingReportingOverflow(step.partialValue)
      if step.overflow || sum.overflow { return false }
      delta = sum.partialValue
      point = next
      for index in 0..<scalars.count {
        if scalars[index] < point { delta = delta &+ 1 }
        if scalars[index] == point {
          append(delta, bias, to: &buffer)
          bias = adapted(delta, handled &+ 1, isFirst: handled == basic)
          delta = 0
          handled &+= 1
        }
      }
      delta = delta &+ 1
      point = point &+ 1
    }
    return true
  }

  /// A number of variable length: digits of growing weight, the last below its threshold.
  private static func append(_ delta: UInt32, _ bias: UInt32, to buffer: inout ByteBuffer) {
    var rest = delta
    var place = base
    while true {
      let threshold = place <= bias ? least : min(max(place &- bias, least), most)
      if rest < threshold { break }
      buffer.append(digit(threshold &+ (rest &- threshold) % (base &- threshold)))
      rest = (rest &- threshold) / (base &- threshold)
      place = place &+ base
    }
    buffer.append(digit(rest))
  }

  private static func digit(_ value: UInt32) -> UInt8 {
    UInt8(truncatingIfNeeded: value < 26 ? value &+ 97 : value &+ 22)
  }

  /// §6.1.
  private static func adapted(_ delta: UInt32, _ points: Int, isFirst: Bool) -> UInt32 {
    var rest = isFirst ? delta / 700 : delta / 2
    rest = rest &+ rest / UInt32(max(points, 1))
    var bias: UInt32 = 0
    while rest > (base &- least) &* most / 2 {
      rest /= base &- least
      bias = bias &+ base
    }
    return bias &+ (base &- least &+ 1) &* rest / (rest &+ 38)
  }

  /// The scalar at an index and the number of its bytes; nil where UTF-8 has none.
  private static func scalar(_ text: Bytes, at index: Int) -> (value: UInt32, count: Int)? {
    let first = UInt32(text[index])
    if first < 0x80 { return (first, 1) }
    let count = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2
    if first < 0xC2 || first > 0xF4 || text.count &- index < count { return nil }
    var value = first & (0x7F >> UInt32(count))
    for place in 1..<count {
      let byte = UInt32(text[index &+ place])
      if byte & 0xC0 != 0x80 { return nil }
      value = value << 6 | byte & 0x3F
    }
    let isShortest = count == 2 || value >= (count == 3 ? 0x800 : 0x10000)
    if !isShortest || value > 0x10FFFF || (0xD800...0xDFFF).contains(value) { return nil }
    return (value, count)
  }
}
