// An event stream as it comes, in pieces that may end anywhere (WHATWG HTML §9.2.6,
// "Interpreting an event stream"). Bytes in, one event at a time out; what stands
// between two calls is a line that is not whole, and the fields of an event.

struct EventParser: ~Copyable {
  struct Limits {
    /// Bytes of a line, and of all the data of an event.
    var line = 1024 * 1024
    var data = 1024 * 1024
  }

  enum Step: Equatable {
    /// All bytes are taken.
    case more
    /// An event: its `type`, `data` and `lastID`, until the next call.
    case event
    /// The time to wait before connecting anew, in milliseconds.
    case retry(Int64)
  }

  static var longestID: Int { 4096 }

  var limits = Limits()
  /// "message" without a name of its own.
  private(set) var type = ByteBuffer()
  private(set) var data = ByteBuffer()
  /// The id that holds since the last event or blank line.
  private(set) var lastID = ByteBuffer()
  private var line = ByteBuffer()
  /// What an id field has set, and whether one has.
  private var nextID = ByteBuffer()
  private var hasNextID = false
  private var hasData = false
  /// An event was given: its fields go at the next call.
  private var isGiven = false
  /// A LF that comes next belongs to the CR before it.
  private var isAfterReturn = false
  /// Bytes of the byte order mark that were seen at the start; 3: it is behind us.
  private var mark = 0

  init() {}

  private static func markByte(_ index: Int) -> UInt8 {
    index == 0 ? 0xEF : index == 1 ? 0xBB : 0xBF
  }

  /// For another connection: what was not whole is dropped, the id stays.
  mutating func restart() {
    line.clear()
    clearEvent()
    isGiven = false
    nextID.clear()
    hasNextID = false
    isAfterReturn = false
    mark = 0
  }

  /// The id that is taken to be that of the last event.
  mutating func set(lastID id: Bytes) -> Bool {
    lastID.clear()
    lastID.append(id)
    return !lastID.failed
  }

  /// Goes on from an index. Call until `more`.
  mutating func next(_ bytes: Bytes, at index: inout Int) throws(Failure) -> Step {
    if isGiven {
      isGiven = false
      clearEvent()
    }
    if mark < 3 { try skipMark(bytes, at: &index) }
    while index < bytes.count {
      if isAfterReturn {
        isAfterReturn = false
        if bytes[index] == 10 {
          index &+= 1
          continue
        }
      }
      let end = EventParser.lineEnd(bytes, from: index)
      try keep(bytes.extracting(index..<end))
      if end == bytes.count {
        index = end
        break
      }
      isAfterReturn = bytes[end] == 13
      index = end &+ 1
      let step = try lineEnded()
      line.truncate(to: 0)
      if step != .more { return step }
    }
    return .more
  }

  private static func lineEnd(_ bytes: Bytes, from start: Int) -> Int {
    var index = start
    while index < bytes.count, bytes[index] != 10, bytes[index] != 13 { index &+= 1 }
    return index
  }

  /// One byte order mark at the very start is none of the stream's.
  private mutating func skipMark(_ bytes: Bytes, at index: inout Int) throws(Failure) {
    while mark < 3, index < bytes.count {
      if bytes[index] == EventParser.markByte(mark) {
        index &+= 1
        mark &+= 1
        continue
      }
      // It was none: what was seen of it belongs to the first line.
      for seen in 0..<mark { line.append(EventParser.markByte(seen)) }
      mark = 3
    }
  }

  private mutating func keep(_ piece: Bytes) throws(Failure) {
    guard line.count &+ piece.count <= limits.line else {
      throw Failure(.tooLarge, "a line of the event stream is longer than its limit")
    }
    line.append(piece)
    if line.failed { throw .noMemory }
  }

  private mutating func clearEvent() {
    type.truncate(to: 0)
    data.clear(keep: 4096)
    hasData = false
  }

  /// Takes the line, which is moved out for that.
  private mutating func lineEnded() throws(Failure) -> Step {
    if line.isEmpty { return try dispatch() }
    var whole = ByteBuffer()
    swap(&whole, &line)
    let step = try take(whole.bytes)
    swap(&whole, &line)
    if line.count > 4096 { line.clear() }
    return step
  }

  private mutating func take(_ line: Bytes) throws(Failure) -> Step {
    let colon = line.first(UInt8(ascii: ":")) ?? line.count
    let field = line.extracting(0..<colon)
    var start = min(colon &+ 1, line.count)
    if start < line.count, line[start] == 32 { start &+= 1 }
    let value = line.extracting(start..<line.count)
    // Names in other letters than these are no fields that are known.
    if field.equals("data") {
      try add(data: value)
    } else if field.equals("event") {
      type.truncate(to: 0)
      UTF8Repair.append(value, to: &type)
    } else if field.equals("id") {
      if value.first(0) == nil { take(id: value) }
    } else if field.equals("retry"), let time = EventParser.time(value) {
      return .retry(time)
    }
    if type.failed || nextID.failed || data.failed { throw .noMemory }
    return .more
  }

  /// Each event has a copy of it, however short it is itself: a long one is none.
  private mutating func take(id value: Bytes) {
    if value.count > EventParser.longestID { return }
    // Three bytes may come to stand for one that is wrong.
    if value.count > EventParser.longestID / 3 {
      var id = ByteBuffer()
      UTF8Repair.append(value, to: &id)
      if id.count > EventParser.longestID { return }
      swap(&id, &nextID)
    } else {
      nextID.truncate(to: 0)
      UTF8Repair.append(value, to: &nextID)
    }
    hasNextID = true
  }

  private mutating func add(data value: Bytes) throws(Failure) {
    if hasData { data.append(10) }
    hasData = true
    let isTooLong = data.count &+ value.count > limits.data
    // Three bytes may come to stand for one that is wrong.
    if !isTooLong { UTF8Repair.append(value, to: &data) }
    if isTooLong || data.count > limits.data {
      throw Failure(.tooLarge, "the data of an event is longer than its limit")
    }
  }

  /// Digits and nothing else; more than a day is a day.
  private static func time(_ text: Bytes) -> Int64? {
    guard text.count > 0 else { return nil }
    var time: Int64 = 0
    for index in 0..<text.count {
      guard text[index].isDigit else { return nil }
      time = min(time &* 10 &+ Int64(text[index] &- 48), 86_400_000)
    }
    return time
  }

  /// A blank line: the id holds from here on, and what has data is an event.
  private mutating func dispatch() throws(Failure) -> Step {
    if hasNextID {
      hasNextID = false
      swap(&lastID, &nextID)
    }
    guard hasData else {
      clearEvent()
      return .more
    }
    if type.isEmpty { type.append("message") }
    if type.failed { throw .noMemory }
    isGiven = true
    return .event
  }
}
