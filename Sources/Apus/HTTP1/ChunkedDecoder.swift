// The chunked transfer coding, RFC 9112 §7.1, byte by byte up to the trailer
// section, in strict grammar: no space around a size, extensions as the ABNF has
// them and within limits, CR and LF where they belong.

struct ChunkedDecoder {
  private enum State: UInt8 {
    case size
    case extensionName
    case extensionValueStart
    case extensionToken
    case extensionQuoted
    case extensionEscaped
    case extensionAfterQuoted
    case sizeLF
    case data
    case dataCR
    case dataLF
    case trailers
  }

  private var state = State.size
  private var digits = 0
  private var size: Int64 = 0
  private var nameCount = 0
  private var extensionCount = 0
  private var extensionTotal = 0
  private let isOfResponse: Bool

  init(isOfResponse: Bool = false) { self.isOfResponse = isOfResponse }

  enum Step {
    case more
    case data(Range<Int>)
    case trailers
    case refused(Refusal)
  }

  /// Takes bytes from an index on: a piece of content, or what came of it. `room`
  /// is how much more content the limit allows.
  mutating func next(_ bytes: Bytes, at index: inout Int, room: Int64) -> Step {
    while index < bytes.count {
      if state == .data {
        let count = min(Int64(bytes.count &- index), size)
        let start = index
        index &+= Int(count)
        size &-= count
        if size == 0 { state = .dataCR }
        return .data(start..<index)
      }
      if let refusal = take(bytes[index], room: room) { return .refused(refusal) }
      index &+= 1
      if state == .trailers { return .trailers }
    }
    return .more
  }

  private mutating func take(_ byte: UInt8, room: Int64) -> Refusal? {
    switch state {
    case .size: return takeSize(byte, room: room)
    case .sizeLF:
      guard byte == 10 else { return .bad("A CR stands without its LF in a chunk's head.") }
      state = size == 0 ? .trailers : .data
      digits = 0
      extensionCount = 0
    case .dataCR:
      guard byte == 13 else { return .bad("A chunk's data is longer than its size.") }
      state = .dataLF
    case .dataLF:
      guard byte == 10 else { return .bad("A CR stands without its LF behind a chunk.") }
      state = .size
    case .data, .trailers: break
    default: return takeExtension(byte)
    }
    return nil
  }

  /// RFC 9112 §7.1: chunk-size = 1*HEXDIG, here at most 16 of them.
  private mutating func takeSize(_ byte: UInt8, room: Int64) -> Refusal? {
    if let digit = byte.hexValue {
      digits &+= 1
      if digits == 1 { size = 0 }
      guard digits <= 16 else { return .bad("A chunk's size is too long.") }
      // Past 2^59 another digit would overflow; no limit is that high.
      guard size < 1 << 58 else { return .bodyTooLong }
      size = size << 4 | Int64(digit)
      return nil
    }
    guard digits > 0 else { return .bad("A chunk starts with its size.") }
    if size > room { return .bodyTooLong }
    return endOfPart(byte)
  }

  /// What may stand behind a size, an extension's name or its value.
  private mutating func endOfPart(_ byte: UInt8) -> Refusal? {
    switch byte {
    case 13: state = .sizeLF
    case UInt8(ascii: ";"):
      state = .extensionName
      nameCount = 0
    default: return .bad("A chunk's head is malformed.")
    }
    return nil
  }

  /// RFC 9112 §7.1.1: *( ";" chunk-ext-name [ "=" chunk-ext-val ] ).
  private mutating func takeExtension(_ byte: UInt8) -> Refusal? {
    extensionCount &+= 1
    // A response has them in each chunk, for as long as it goes on.
    if !isOfResponse { extensionTotal &+= 1 }
    if extensionCount > RequestLimits.extensionOfChunk || extensionTotal > RequestLimits.extensions
    {
      return .bad("A chunk's extensions are too long.")
    }
    switch state {
    case .extensionName:
      if byte.isToken {
        nameCount &+= 1
        return nil
      }
      guard nameCount > 0 else { return .bad("A chunk extension has no name.") }
      if byte == UInt8(ascii: "=") {
        state = .extensionValueStart
        return nil
      }
      return endOfPart(byte)
    case .extensionValueStart:
      if byte == 34 {
        state = .extensionQuoted
      } else if byte.isToken {
        state = .extensionToken
      } else {
        return .bad("A chunk extension's value is malformed.")
      }
    case .extensionToken:
      return byte.isToken ? nil : endOfPart(byte)
    case .extensionQuoted:
      if byte == 34 {
        state = .extensionAfterQuoted
      } else if byte == 92 {
        state = .extensionEscaped
      } else if !byte.isFieldValue {
        return .bad("A chunk extension's value holds a control character.")
      }
    case .extensionEscaped:
      guard byte.isFieldValue else { return .bad("A chunk extension's value is malformed.") }
      state = .extensionQuoted
    default:
      return endOfPart(byte)
    }
    return nil
  }
}
