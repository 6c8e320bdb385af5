// What a server can be told, with its defaults. The header and the README have
// the same table.

struct ServerOptions {
  var workers: Int32 = -1
  var dispatch = Dispatch.tick
  var listener = Listener.Options()
  var limits = RequestLimits()
  var maxConnections: Int64 = 100_000
  var maxPipelined: Int32 = 64
  var maxPending: Int64 = 65_536
  var maxPendingBytes: Int64 = 256 * 1024 * 1024
  var highWater: Int64 = 256 * 1024
  var descriptorReserve: Int64 = 32
  /// Milliseconds; 0: none.
  var headerTimeout: Int64 = 10_000
  var bodyTimeout: Int64 = 30_000
  /// Bytes a second that a body must come to on average; 0: any. And until that counts.
  var bodyRate: Int64 = 240
  var bodyGrace: Int64 = 5_000
  var writeTimeout: Int64 = 30_000
  var keepAliveTimeout: Int64 = 60_000
  var drainTimeout: Int64 = 5_000
  /// Until a ticket for an upgrade is used.
  var upgradeTimeout: Int64 = 10_000

  var forms = FormOptions()

  // ---- channels
  var messages = MessageReceiver.Limits()
  var deflates = true
  var pingInterval: Int64 = 30_000
  var channelHighWater: Int64 = 1024 * 1024
  /// Bytes of messages that may wait, and one message more.
  var channelInbox: Int64 = 1024 * 1024
  /// For the peer's Close.
  var channelCloseTimeout: Int64 = 5_000

  // ---- events
  var heartbeat: Int64 = 15_000
  /// What becomes of a writer whose client reads too slowly.
  var closesWhenSlow = false
  var originPolicy = OriginPolicy.same

  /// How long a connection may linger so that a refusal is read.
  static var lingerTimeout: Int64 { 2_000 }
}

/// Which pages may open a WebSocket.
enum OriginPolicy: Int32 {
  case same = 0
  case any = 1
  case list = 2
}

enum Dispatch: Int32 {
  case tick = 0
  case worker = 1
}
