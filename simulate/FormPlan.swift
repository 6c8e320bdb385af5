// A form that a peer sends and a host reads part by part.

import CApus
import Glibc

struct FormPlan {
  struct Part {
    let name: String
    let fileName: String?
    let bytes: [UInt8]
  }

  let parts: [Part]
  static let boundary = "the-boundary-of-forms"

  init(_ id: Int) {
    let most = world.chance.once(in: 6) ? 60_000 : 1500
    parts = (0..<world.chance.within(1...4)).map { index in
      Part(
        name: "part \(index)", fileName: world.chance.once(in: 2) ? "file-\(index).bin" : nil,
        bytes: Plan.bytes(id + 31 * index, world.chance.size(upTo: most)))
    }
  }

  /// The body of its request, RFC 7578.
  var body: [UInt8] {
    var body: [UInt8] = []
    for part in parts {
      var head = "--\(FormPlan.boundary)\r\nContent-Disposition: form-data; name=\"\(part.name)\""
      if let name = part.fileName {
        head += "; filename=\"\(name)\"\r\nContent-Type: application/x-sim"
      }
      body += Array((head + "\r\n\r\n").utf8) + part.bytes + [13, 10]
    }
    return body + Array("--\(FormPlan.boundary)--\r\n".utf8)
  }

  /// Compares what the host is given with what was sent; false: memory was refused.
  func check(_ request: apus_request, _ id: Int) -> Bool {
    let count = apus_request_form_count(request)
    if world.isLack(count) { return false }
    world.check(count == Int32(parts.count), "form \(id): \(count) parts of \(parts.count)")
    for (index, part) in parts.enumerated() where count == Int32(parts.count) {
      let index = Int32(index)
      let name = apus_request_part_name(request, index, nil).map { String(cString: $0) }
      world.check(name == part.name, "form \(id): part \(index) is \(name ?? "without a name")")
      let file = apus_request_part_file_name(request, index, nil).map { String(cString: $0) }
      world.check(file == part.fileName, "form \(id): the file of part \(index) is wrong")
      let bytes = FormPlan.read(request, index)
      world.check(
        bytes == part.bytes && apus_request_part_length(request, index) == part.bytes.count,
        "form \(id): part \(index) has \(bytes.count) bytes of \(part.bytes.count), or wrong ones")
      var length = 0
      if let data = apus_request_part_data(request, index, &length) {
        world.check(
          UnsafeRawBufferPointer(start: data, count: length).elementsEqual(part.bytes),
          "form \(id): part \(index) in memory is wrong")
      } else {
        let error = apus_last_error()
        world.check(
          error == Int32(APUS_E_TOO_LARGE) || world.isLack(error),
          "form \(id): part \(index) gives \(error)")
        world.statistics.partsOnDisk += 1
      }
    }
    return true
  }

  private static func read(_ request: apus_request, _ index: Int32) -> [UInt8] {
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 + world.chance.size(upTo: 20_000))
    while true {
      let count = apus_request_part_read(
        request, index, Int64(bytes.count), &piece, piece.count)
      if count <= 0 { return bytes }
      bytes += piece[..<Int(count)]
    }
  }
}
