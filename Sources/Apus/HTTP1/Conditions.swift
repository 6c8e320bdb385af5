// What the conditional fields of a request make of its reply, in the order of RFC 9110
// §13.2.2.

struct Conditions {
  enum Verdict: Equatable {
    /// The method goes on; whether a Range field counts.
    case perform(ranges: Bool)
    /// 304 and 412.
    case notModified
    case failed
  }

  /// The representation's: its tag, which may be weak, and when it was changed, in seconds
  /// since 1970.
  let tag: Text
  let modified: Int64
  /// GET or HEAD.
  let isRead: Bool

  /// `field` gives the value of a request's field by its name.
  func judge(_ field: (StaticString) -> Text?) -> Verdict {
    if let list = field("if-match") {
      if !EntityTag.isIn(list.bytes, tag.bytes, weakly: false) { return .failed }
    } else if let text = field("if-unmodified-since"), let date = HTTPDate.parse(text.bytes) {
      if modified > date { return .failed }
    }
    if let list = field("if-none-match") {
      if EntityTag.isIn(list.bytes, tag.bytes, weakly: true) {
        return isRead ? .notModified : .failed
      }
    } else if isRead, let text = field("if-modified-since"), let date = HTTPDate.parse(text.bytes) {
      if modified <= date { return .notModified }
    }
    guard let text = field("if-range") else { return .perform(ranges: true) }
    return .perform(ranges: isSame(text.bytes))
  }

  /// RFC 9110 §13.1.5: a tag that is the same and strong, or the very date.
  private func isSame(_ text: Bytes) -> Bool {
    if text.count > 0, text[0] == UInt8(ascii: "\"") { return text.equals(tag.bytes) }
    return HTTPDate.parse(text) == modified
  }
}
