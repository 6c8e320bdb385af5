// The example: a server and a client.

import Dispatch
import Glibc

struct Failure: Error {
  let message: String
}

/// Writes to a descriptor, whole.
func write(_ bytes: [UInt8], to descriptor: Int32 = 1) {
  var start = 0
  while start < bytes.count {
    let count = bytes[start...].withUnsafeBytes {
      Glibc.write(descriptor, $0.baseAddress, $0.count)
    }
    if count < 0 { return }
    start += count
  }
}

func report(_ line: String) { write([UInt8]("\(line)\n".utf8), to: 2) }

func serve() throws {
  let server = try Server()
  try server.get("/hello/:name") { request in
    try request.text(200, "Hello, \(request.param("name") ?? "")!\n")
  }
  try server.get("/fail") { _ in throw Failure(message: "on purpose") }
  try server.events("/events") { writer, _ in
    for id in 1...3 { try writer.event(id: "\(id)", "tick \(id)") }
    try writer.end()
  }
  try server.webSocket("/echo") { channel, message in try channel.send(message) }
  write([UInt8]("http://127.0.0.1:\(try server.listen("127.0.0.1", 0))/\n".utf8))
  // It ends with its input.
  DispatchQueue.global().async {
    while readLine() != nil {}
    server.stop()
  }
  try server.run()
}

func talk(_ url: String, _ text: String) throws {
  let socket = try Socket(url)
  try socket.send(.text(text))
  write(try socket.receive().bytes + [10])
  try socket.close()
}

let arguments = CommandLine.arguments.dropFirst() + [""]
do {
  switch (arguments[1], CommandLine.argc) {
  case ("serve", 2): try serve()
  case ("get", 3): write(try get(arguments[2]).body)
  case ("ws", 4): try talk(arguments[2], arguments[3])
  default: throw Failure(message: "usage: example serve | get URL | ws URL TEXT")
  }
} catch let failure as Failure {
  report(failure.message)
  exit(1)
} catch {
  report("\(error)")
  exit(1)
}
