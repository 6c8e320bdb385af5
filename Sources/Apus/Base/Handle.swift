// A handle: kind, generation and slot index in the low 52 bits of an integer.

enum Kind: UInt8, CaseIterable {
  case server = 1
  case client = 2
  case channel = 3
  case writer = 4
  case request = 5
  case response = 6
  case upgrade = 7
  case source = 8
  case fetch = 9

  var name: StaticString {
    switch self {
    case .server: "server"
    case .client: "client"
    case .channel: "channel"
    case .writer: "writer"
    case .request: "request"
    case .response: "response"
    case .upgrade: "upgrade"
    case .source: "source"
    case .fetch: "fetch"
    }
  }
}

struct Handle: Equatable {
  let bits: UInt64

  static var indexBits: UInt64 { 24 }
  static var largest: UInt64 { (1 << indexBits) &- 1 }  // of an index, and of a generation

  init(bits: UInt64) { self.bits = bits }

  init(kind: Kind, generation: UInt64, index: UInt64) {
    self.init(kind: kind.rawValue, generation: generation, index: index)
  }

  /// `kind` is one of a Kind.
  init(kind: UInt8, generation: UInt64, index: UInt64) {
    bits = UInt64(kind) << 48 | generation << Handle.indexBits | index
  }

  var kind: Kind? { bits >> 52 == 0 ? Kind(rawValue: UInt8(truncatingIfNeeded: bits >> 48)) : nil }
  var generation: UInt64 { (bits >> Handle.indexBits) & Handle.largest }
  var index: UInt64 { bits & Handle.largest }
}
