// What can be set for all requests of a client, and for each of them. Times are in
// milliseconds; 0: no limit.

struct FetchOptions {
  var connectTimeout: Int64 = 60_000
  var responseTimeout: Int64 = 300_000
  var idleTimeout: Int64 = 300_000
  var totalTimeout: Int64 = 0
  var redirects: Int32 = 10
  var allowsDowngrade = false
  /// Bytes of a body that is collected, after decoding.
  var maxBody: Int64 = 64 * 1024 * 1024
  var decodes = true
  var expects = false
  var keepsAlive = true
  var usesCookies = true
  var retries: Int32 = 0
  var retryDelay: Int64 = 500
}

/// Of a client as a whole.
struct PoolOptions {
  var mostPerOrigin: Int32 = 64
  var most: Int32 = 512
  var mostWaiting: Int32 = 10_000
  var idleTimeout: Int64 = 60_000
}
