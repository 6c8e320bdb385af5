// Public suffixes, below which anybody may have a name and for which no cookie may be
// set: the rules of publicsuffix.org in the form of its list, as systems install it.
// Without the list, or where it has no rule, the last label of a name is one.

@safe struct PublicSuffixes: ~Copyable {
  /// Each rule's labels in ASCII, behind a byte that says how long they are.
  private var rules = ByteBuffer()
  /// A hash table. An entry is where a rule starts plus one, and below that three bits
  /// of what is said of it; 0: empty.
  private var table = List<UInt32>()
  private(set) var count = 0

  private static var normal: UInt32 { 1 }
  /// There is a rule with "*." before the name.
  private static var wildcard: UInt32 { 2 }
  /// There is a rule with "!" before the name.
  private static var exception: UInt32 { 4 }

  /// Of a host's name, and of a rule's.
  static var longestName: Int { 255 }
  static var longestFile: Int { 8 << 20 }

  /// No rules.
  init() {}

  /// The rules of a list. Lines that are no rules are passed over; without memory there
  /// are fewer.
  init(list: Bytes) {
    let list = list.extracting(first: PublicSuffixes.longestFile)
    var name = ByteBuffer()
    var index = 0
    while index < list.count {
      let end = list.first(10, from: index) ?? list.count
      take(line: list.extracting(index..<end), &name)
      index = end &+ 1
    }
  }

  /// Those of the system's list, read when they are first asked for; nil without memory.
  static let shared: Ref<PublicSuffixes>? = {
    var file = ByteBuffer()
    let path: StaticString = "/usr/share/publicsuffix/public_suffix_list.dat"
    guard FileContents.append(path, most: longestFile, to: &file) else {
      return Ref(make: PublicSuffixes())
    }
    return Ref(make: PublicSuffixes(list: file.bytes))
  }()

  // ---- asking

  /// Where the public suffix of a name starts; nil for what is no name. One dot may
  /// stand at its end.
  func start(in name: Bytes) -> Int? {
    let dot = UInt8(ascii: ".")
    var end = name.count
    if end > 0, name[end &- 1] == dot { end &-= 1 }
    guard end > 0, end <= PublicSuffixes.longestName else { return nil }
    var hash = PublicSuffixes.emptyHash
    var labelEnd = end
    var previous = end
    var suffix = end
    var isSettled = false
    var isBelowWildcard = true  // of "*", the rule for what has no other
    while true {
      var index = labelEnd
      while index > 0, name[index &- 1] != dot {
        index &-= 1
        hash = PublicSuffixes.mixed(hash, name[index].lowercased)
      }
      if index == labelEnd { return nil }
      let found = kind(of: name.extracting(index..<end), hash)
      if !isSettled {
        if isBelowWildcard || found & PublicSuffixes.normal != 0 { suffix = index }
        if found & PublicSuffixes.exception != 0 {
          suffix = previous
          isSettled = true
        }
      }
      if index == 0 { return suffix }
      isBelowWildcard = found & PublicSuffixes.wildcard != 0
      hash = PublicSuffixes.mixed(hash, dot)
      previous = index
      labelEnd = index &- 1
    }
  }

  /// Whether a name is one; so is what is no name.
  func contains(_ name: Bytes) -> Bool { (start(in: name) ?? 0) == 0 }

  // ---- the table

  private static var emptyHash: UInt32 { 2_166_136_261 }

  /// FNV-1a, over a name from its end on: so each of its suffixes is met on the way.
  private static func mixed(_ hash: UInt32, _ byte: UInt8) -> UInt32 {
    (hash ^ UInt32(byte)) &* 16_777_619
  }

  private static func hash(_ name: Bytes) -> UInt32 {
    var hash = emptyHash
    var index = name.count
    while index > 0 {
      index &-= 1
      hash = mixed(hash, name[index].lowercased)
    }
    return hash
  }

  /// What the rules say of a name; 0: nothing.
  private func kind(of name: Bytes, _ hash: UInt32) -> UInt32 {
    if table.isEmpty { return 0 }
    return table[place(of: name, hash)] & 7
  }

  /// Where in the table a name is, or would be. There is always an empty entry.
  private func place(of name: Bytes, _ hash: UInt32) -> Int {
    let mask = table.count &- 1
    // The low bits alone are too much alike.
    var place = Int(hash ^ hash >> 15) & mask
    while table[place] != 0, !rule(table[place]).equalsIgnoringCase(name) {
      place = (place &+ 1) & mask
    }
    return place
  }

  @_lifetime(borrow self)
  private func rule(_ entry: UInt32) -> Bytes {
    let start = Int(entry >> 3) &- 1
    let bytes = rules.bytes
    guard start >= 0, start < bytes.count else { return Span() }
    let end = min(start &+ 1 &+ Int(bytes[start]), bytes.count)
    return bytes.extracting((start &+ 1)..<end)
  }

  // ---- reading the list

  private mutating func take(line: Bytes, _ name: inout ByteBuffer) {
    var end = 0
    while end < line.count, line[end] > 32 { end &+= 1 }
    var start = 0
    var kind = PublicSuffixes.normal
    if end > 0, line[0] == UInt8(ascii: "!") {
      kind = PublicSuffixes.exception
      start = 1
    } else if end > 1, line[0] == UInt8(ascii: "*"), line[1] == UInt8(ascii: ".") {
      kind = PublicSuffixes.wildcard
      start = 2
    }
    let text = line.extracting(start..<end)
    if text.count == 0 || (text.count > 1 && text[0] == 47 && text[1] == 47) { return }
    name.truncate(to: 0)
    if PublicSuffixes.append(text, to: &name) { add(name.bytes, kind) }
  }

  private static func append(_ text: Bytes, to name: inout ByteBuffer) -> Bool {
    var index = 0
    while index <= text.count {
      let end = text.first(UInt8(ascii: "."), from: index) ?? text.count
      let label = text.extracting(index..<end)
      // "*" inside a rule is allowed by the form, and no rule has it.
      if label.count == 0 || label.first(UInt8(ascii: "*")) != nil { return false }
      if index > 0 { name.append(".") }
      guard Punycode.append(label: label, to: &name), name.count <= longestName else {
        return false
      }
      index = end &+ 1
    }
    return !name.failed
  }

  private mutating func add(_ name: Bytes, _ kind: UInt32) {
    guard count &* 4 < table.count &* 3 || grow() else { return }
    let place = place(of: name, PublicSuffixes.hash(name))
    if table[place] == 0 {
      let entry = UInt32(truncatingIfNeeded: rules.count &+ 1) << 3
      guard rules.reserve(name.count &+ 1) else { return }
      rules.append(UInt8(truncatingIfNeeded: name.count))
      rules.append(name)
      table[place] = entry
      count &+= 1
    }
    table[place] |= kind
  }

  private func placeAgain(_ entry: UInt32) -> Int {
    let name = rule(entry)
    return place(of: name, PublicSuffixes.hash(name))
  }

  private mutating func grow() -> Bool {
    var old = List<UInt32>()
    let size = max(1024, table.count &* 2)
    for _ in 0..<size where !old.append(0) { return false }
    swap(&old, &table)
    for index in 0..<old.count where old[index] != 0 {
      let place = placeAgain(old[index])
      table[place] = old[index]
    }
    return true
  }
}
