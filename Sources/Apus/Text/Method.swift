// Request methods and their numbers (RFC 9110 §9; IANA's registry, and a few
// older ones). Names are case-sensitive.

enum Method {
  static var count: Int32 { 34 }

  /// The name of a number from 0 to 33.
  static func name(_ number: Int32) -> StaticString? {
    switch number {
    case 0: "DELETE"
    case 1: "GET"
    case 2: "HEAD"
    case 3: "POST"
    case 4: "PUT"
    case 5: "CONNECT"
    case 6: "OPTIONS"
    case 7: "TRACE"
    case 8: "COPY"
    case 9: "LOCK"
    case 10: "MKCOL"
    case 11: "MOVE"
    case 12: "PROPFIND"
    case 13: "PROPPATCH"
    case 14: "SEARCH"
    case 15: "UNLOCK"
    case 16: "BIND"
    case 17: "REBIND"
    case 18: "UNBIND"
    case 19: "ACL"
    case 20: "REPORT"
    case 21: "MKACTIVITY"
    case 22: "CHECKOUT"
    case 23: "MERGE"
    case 24: "M-SEARCH"
    case 25: "NOTIFY"
    case 26: "SUBSCRIBE"
    case 27: "UNSUBSCRIBE"
    case 28: "PATCH"
    case 29: "PURGE"
    case 30: "MKCALENDAR"
    case 31: "LINK"
    case 32: "UNLINK"
    case 33: "SOURCE"
    default: nil
    }
  }

  static var other: Int32 { -1 }
  static var delete: Int32 { 0 }
  static var get: Int32 { 1 }
  static var head: Int32 { 2 }
  static var post: Int32 { 3 }
  static var put: Int32 { 4 }
  static var connect: Int32 { 5 }
  static var options: Int32 { 6 }
  static var patch: Int32 { 28 }

  /// The number of a name, or `other`.
  @inline(__always)
  static func number(_ name: Bytes) -> Int32 {
    if name.count == 3, name[0] == 71, name[1] == 69, name[2] == 84 { return get }
    return search(name)
  }

  @inline(never)
  private static func search(_ name: Bytes) -> Int32 {
    var number: Int32 = 0
    while let known = Method.name(number) {
      if name.equals(known) { return number }
      number &+= 1
    }
    return other
  }
}
