// The way of a channel's connection through a proxy, before its handshake. The loop's thread.

extension Ref where Object == ChannelClient {
  func startTunnel() {
    guard let connection = o.attempt, let output = connection.o.stream.writing() else {
      return failed(.noMemory)
    }
    o.stage = .tunnelling
    do throws(Failure) {
      let client = try o.channel.o.server.httpClient()
      let made = try Tunnel(
        client, by: o.route, to: o.host.bytes, port: o.port, answers: o.proxyAnswers)
      o.tunnel?.free()
      o.tunnel = Ref<Tunnel>(make: made)
      guard let tunnel = o.tunnel else { throw .noMemory }
      try tunnel.o.start(to: &output.o)
    } catch {
      return refused(by: error)
    }
    connection.o.stream.o.loop.addDirty(connection.o.stream)
  }

  /// What the proxy says; returns how much was taken.
  func takeTunnel(_ bytes: Bytes) -> Int {
    guard let connection = o.attempt, let tunnel = o.tunnel else { return bytes.count }
    var index = 0
    do throws(Failure) {
      guard let output = connection.o.stream.writing() else { throw .noMemory }
      let step = try tunnel.o.take(bytes, at: &index, to: &output.o)
      connection.o.stream.o.loop.addDirty(connection.o.stream)
      switch step {
      case .more: return index
      case .again:
        o.proxyAnswers = tunnel.o.answers
        dialAgain()
        return bytes.count
      case .open: break
      }
    } catch {
      refused(by: error)
      return bytes.count
    }
    o.tunnel = nil
    tunnel.free()
    goOn()
    return index
  }

  /// The peer sends no more, and the channel is not open.
  func inputEnded() {
    guard o.stage == .tunnelling else {
      return failed(Failure(.closed, "the server closed the connection in the handshake"))
    }
    guard let tunnel = o.tunnel, tunnel.o.mayGoOn else {
      return failed(Failure(.closed, "the proxy closed the connection"))
    }
    o.proxyAnswers = tunnel.o.answers
    dialAgain()
  }

  /// A proxy that forbids it will do so the next time, too.
  private func refused(by failure: Failure) {
    let isFinal = failure.code == .permission || failure.code == .argument
    failed(failure, isFinal: isFinal)
  }
}
