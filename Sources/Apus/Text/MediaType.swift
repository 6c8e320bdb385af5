// The media types of files by the extensions of their names: those of IANA's registry,
// and a few that are in use without being there.

/// A type with a NUL behind it, then its extensions; the most frequent types come first.
private var types: StaticString {
  """
  text/html\0 html htm
  text/css\0 css
  text/javascript\0 js mjs
  application/json\0 json map
  image/png\0 png
  image/jpeg\0 jpg jpeg jpe
  image/svg+xml\0 svg
  image/webp\0 webp
  font/woff2\0 woff2
  image/vnd.microsoft.icon\0 ico
  image/gif\0 gif
  text/plain\0 txt text log
  application/wasm\0 wasm
  application/pdf\0 pdf
  image/avif\0 avif
  video/mp4\0 mp4 m4v mpg4
  application/xml\0 xml
  font/woff\0 woff
  application/manifest+json\0 webmanifest
  application/zip\0 zip
  application/gzip\0 gz tgz
  audio/mpeg\0 mp3 mpga
  video/webm\0 webm
  text/csv\0 csv
  text/markdown\0 md markdown
  font/ttf\0 ttf
  font/otf\0 otf
  font/collection\0 ttc
  image/apng\0 apng
  image/bmp\0 bmp
  image/heic\0 heic
  image/heif\0 heif
  image/jxl\0 jxl
  image/tiff\0 tif tiff
  audio/aac\0 aac
  audio/flac\0 flac
  audio/midi\0 mid midi
  audio/mp4\0 m4a
  audio/ogg\0 oga ogg opus spx
  audio/wav\0 wav
  audio/webm\0 weba
  video/3gpp\0 3gp
  video/3gpp2\0 3g2
  video/matroska\0 mkv
  video/mp2t\0 ts
  video/mpeg\0 mpeg mpg mpe
  video/ogg\0 ogv
  video/quicktime\0 mov qt
  video/x-msvideo\0 avi
  application/dash+xml\0 mpd
  application/vnd.apple.mpegurl\0 m3u8
  text/vtt\0 vtt
  text/calendar\0 ics
  text/vcard\0 vcf
  text/tab-separated-values\0 tsv
  application/atom+xml\0 atom
  application/rss+xml\0 rss
  application/xhtml+xml\0 xhtml xht
  application/xslt+xml\0 xsl xslt
  application/geo+json\0 geojson
  application/ld+json\0 jsonld
  application/x-ndjson\0 ndjson
  application/yaml\0 yaml yml
  application/toml\0 toml
  application/sql\0 sql
  application/rtf\0 rtf
  application/epub+zip\0 epub
  application/msword\0 doc
  application/vnd.ms-excel\0 xls
  application/vnd.ms-powerpoint\0 ppt
  application/vnd.openxmlformats-officedocument.wordprocessingml.document\0 docx
  application/vnd.openxmlformats-officedocument.spreadsheetml.sheet\0 xlsx
  application/vnd.openxmlformats-officedocument.presentationml.presentation\0 pptx
  application/vnd.oasis.opendocument.text\0 odt
  application/vnd.oasis.opendocument.spreadsheet\0 ods
  application/vnd.oasis.opendocument.presentation\0 odp
  application/postscript\0 ps eps ai
  application/gpx+xml\0 gpx
  application/vnd.google-earth.kml+xml\0 kml
  model/gltf+json\0 gltf
  model/gltf-binary\0 glb
  model/obj\0 obj
  model/stl\0 stl
  application/java-archive\0 jar
  application/vnd.android.package-archive\0 apk
  application/vnd.debian.binary-package\0 deb
  application/x-rpm\0 rpm
  application/vnd.rar\0 rar
  application/vnd.sqlite3\0 sqlite sqlite3
  application/x-7z-compressed\0 7z
  application/x-bzip2\0 bz2
  application/x-sh\0 sh
  application/x-tar\0 tar
  application/x-xz\0 xz
  application/zstd\0 zst
  message/rfc822\0 eml

  """
}

enum MediaType {
  /// The type of a file, whose name may have folders before it. What has no extension,
  /// or one that is unknown, is application/octet-stream.
  static func of(fileName: Bytes) -> Text {
    var start = fileName.count
    while start > 0, fileName[start &- 1] != UInt8(ascii: "."),
      fileName[start &- 1] != UInt8(ascii: "/")
    {
      start &-= 1
    }
    // A dot that a name starts with hides the file, and is no extension's.
    guard start > 1, fileName[start &- 1] == UInt8(ascii: "."),
      fileName[start &- 2] != UInt8(ascii: "/"), fileName.count &- start <= 16
    else { return unknown }
    return of(extension: fileName.extracting(start..<fileName.count))
  }

  private static var unknown: Text { Text("application/octet-stream") }

  private static func of(extension name: Bytes) -> Text {
    let text = Text(types)
    let table = text.bytes
    var index = 0
    while let end = table.first(0, from: index), let last = table.first(10, from: end) {
      // Each extension has a space before it.
      var place = end &+ 1
      while place < last {
        var next = place &+ 1
        while next < last, table[next] != 32 { next &+= 1 }
        if table.extracting((place &+ 1)..<next).equalsIgnoringCase(name) {
          return unsafe Text(start: text.start + index, count: end &- index)
        }
        place = next
      }
      index = last &+ 1
    }
    return unknown
  }
}
