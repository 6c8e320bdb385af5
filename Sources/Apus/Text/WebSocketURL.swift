// The URL of a WebSocket, RFC 6455 §3: one of the web with "ws:" or "wss:". The handshake
// has no place for user names, and a fragment never goes over the wire.

enum WebSocketURL {
  static var longest: Int { 8192 }

  static func parse(_ text: Bytes) throws(Failure) -> WebURL {
    if text.count > longest { throw Failure(.argument, "the URL is too long") }
    let url = try web(text)
    if !url.scheme.isWebSocket {
      throw Failure(.argument, "the URL is not one of a WebSocket")
    }
    if url.parts.hasCredentials {
      throw Failure(.argument, "the URL of a WebSocket holds a user name")
    }
    if url.parts.hasFragment {
      throw Failure(.argument, "the URL of a WebSocket holds a fragment")
    }
    return url
  }

  /// Whatever is wrong with it, the argument is.
  private static func web(_ text: Bytes) throws(Failure) -> WebURL {
    do throws(Failure) {
      return try WebURL(text)
    } catch {
      throw error.code == .memory ? error : Failure(.argument, error.message)
    }
  }
}
