// What a server takes of forms: the limits of those that are parsed as they arrive.

struct FormOptions {
  /// Bytes of a whole body, of one part, and of what is in memory at a time.
  var whole: Int64 = 64 * 1024 * 1024
  var part: Int64 = .max
  var memory: Int64 = 1024 * 1024
  /// Parts or pairs.
  var parts: Int32 = 1000

  static var unlimited: Int64 { .max }
}
