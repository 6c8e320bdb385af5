// The page of a folder's contents: folders first, by name, with sizes and dates. It brings
// its own style and asks for nothing else.

enum Listing {
  static func append(
    _ mount: Ref<Mount>, at path: Bytes, shown: Bytes, to page: inout ByteBuffer
  ) throws(Failure) {
    var name = ByteBuffer()
    name.append(path)
    if name.isEmpty { name.append(".") }
    guard name.terminate(), let start = unsafe name.pointer else { throw .noMemory }
    let folder = try mount.o.folder.open(unsafe Text(start: start, count: name.count))
    defer { folder.release() }
    var arena = Arena()
    var entries = List<Folder.Entry>()
    let isWhole = try mount.o.folder.entries(
      of: folder, at: path, showHidden: mount.o.showsHidden, in: &arena, to: &entries)
    sort(&entries)
    page.append(
      """
      <!doctype html>
      <html lang="en"><head><meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>
      """)
    escape(shown, to: &page)
    page.append("</title>\n<style>")
    page.append(style)
    page.append("</style></head>\n<body><main>\n<h1>")
    escape(shown, to: &page)
    page.append("</h1>\n<table><thead><tr><th>Name<th>Size<th>Changed</tr></thead><tbody>\n")
    if path.count > 0 {
      page.append("<tr><td><a class=\"up\" href=\"../\">Up</a><td><td></tr>\n")
    }
    for index in 0..<entries.count { append(entries[index], to: &page) }
    page.append("</tbody></table>\n")
    if entries.isEmpty { page.append("<p>Nothing is in this folder.</p>\n") }
    if !isWhole { page.append("<p>There is more than is shown.</p>\n") }
    page.append("</main></body></html>\n")
    if page.failed { throw .noMemory }
  }

  private static func append(_ entry: Folder.Entry, to page: inout ByteBuffer) {
    let name = entry.name
    let isFolder = entry.facts.isFolder
    page.append(isFolder ? "<tr><td><a class=\"folder\" href=\"./" : "<tr><td><a href=\"./")
    Percent.encode(name.bytes, .component, to: &page)
    page.append(isFolder ? "/\">" : "\">")
    escape(name.bytes, to: &page)
    page.append(isFolder ? "/</a><td><td>" : "</a><td>")
    if !isFolder {
      append(size: entry.facts.size, to: &page)
      page.append("<td>")
    }
    page.append("<time>")
    HTTPDate.appendShort(entry.facts.seconds, to: &page)
    page.append("</time></tr>\n")
  }

  /// "812 B", "1.4 KiB".
  static func append(size: Int64, to page: inout ByteBuffer) {
    if size < 1024 {
      page.append(decimal: max(size, 0))
      page.append(" B")
      return
    }
    // Tenths of the unit, rounded.
    var unit: Int64 = 1024
    var step = 0
    while step < 4, size / 1024 >= unit {
      unit &*= 1024
      step &+= 1
    }
    let rest = size % unit
    var tenths = size / unit &* 10 &+ (rest / (unit / 1024) &* 10 &+ 512) / 1024
    if tenths >= 10_240, step < 4 {
      tenths = 10
      step &+= 1
    }
    page.append(decimal: tenths / 10)
    if tenths < 1000 {
      page.append(".")
      page.append(decimal: tenths % 10)
    }
    switch step {
    case 0: page.append(" KiB")
    case 1: page.append(" MiB")
    case 2: page.append(" GiB")
    case 3: page.append(" TiB")
    default: page.append(" PiB")
    }
  }

  static func escape(_ text: Bytes, to page: inout ByteBuffer) {
    for index in 0..<text.count {
      switch text[index] {
      case UInt8(ascii: "&"): page.append("&amp;")
      case UInt8(ascii: "<"): page.append("&lt;")
      case UInt8(ascii: ">"): page.append("&gt;")
      case UInt8(ascii: "\""): page.append("&quot;")
      case UInt8(ascii: "'"): page.append("&#39;")
      case 0..<32, 127: page.append("&#xFFFD;")
      default: page.append(text[index])
      }
    }
  }

  // ---- order

  /// Folders first, then by name without regard to case.
  private static func isBefore(_ left: Folder.Entry, _ right: Folder.Entry) -> Bool {
    if left.facts.isFolder != right.facts.isFolder { return left.facts.isFolder }
    let (first, second) = (left.name, right.name)
    let (a, b) = (first.bytes, second.bytes)
    var index = 0
    while index < a.count, index < b.count {
      if a[index].lowercased != b[index].lowercased {
        return a[index].lowercased < b[index].lowercased
      }
      index &+= 1
    }
    if a.count != b.count { return a.count < b.count }
    for index in 0..<a.count where a[index] != b[index] { return a[index] < b[index] }
    return false
  }

  /// Heapsort: in place, and no list is its bad case.
  private static func sort(_ list: inout List<Folder.Entry>) {
    var start = list.count / 2
    while start > 0 {
      start &-= 1
      sink(start, list.count, &list)
    }
    var end = list.count
    while end > 1 {
      end &-= 1
      let last = list[end]
      list[end] = list[0]
      list[0] = last
      sink(0, end, &list)
    }
  }

  private static func sink(_ start: Int, _ end: Int, _ list: inout List<Folder.Entry>) {
    var place = start
    while true {
      var child = place &* 2 &+ 1
      if child >= end { return }
      if child &+ 1 < end, isBefore(list[child], list[child &+ 1]) { child &+= 1 }
      if !isBefore(list[place], list[child]) { return }
      let moved = list[place]
      list[place] = list[child]
      list[child] = moved
      place = child
    }
  }

  private static var style: StaticString {
    """
    :root{color-scheme:light dark;--line:#8884;--soft:#777}
    body{margin:0;font:16px/1.5 system-ui,sans-serif}
    main{max-width:56rem;margin:0 auto;padding:1.5rem 1rem}
    h1{font-size:1.25rem;font-weight:600;overflow-wrap:anywhere}
    table{width:100%;border-collapse:collapse}
    th{text-align:left;font-weight:500;font-size:.85rem;color:var(--soft)}
    th,td{padding:.45rem .5rem;border-bottom:1px solid var(--line)}
    td:first-child{overflow-wrap:anywhere}
    th+th,td+td{text-align:right;white-space:nowrap;color:var(--soft);
    font-variant-numeric:tabular-nums}
    a{color:LinkText;text-decoration:none}a:hover{text-decoration:underline}
    .folder,.up{font-weight:600}
    @media(max-width:34rem){th:last-child,td:last-child{display:none}}
    """
  }
}
