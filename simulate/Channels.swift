// The host's side of WebSocket channels: it echoes every message, and counts what it is told.

import CApus
import CSystem

final class ChannelWork {
  let channel: apus_channel
  let script: WebSocketScript
  var handled = 0
  var closes = 0
  /// Messages that the channel had no room for.
  var waiting: [(opcode: Int32, bytes: [UInt8])] = []
  var isKept = false
  var isEnded = false
  var isPulled = false
  init(_ channel: apus_channel, _ script: WebSocketScript) {
    self.channel = channel
    self.script = script
  }
}

extension Application {
  func makeChannels() {
    let opened = isPulling ? nil : self.opened
    let route = apus_server_websocket(server, "/socket/:id", opened, context(), drop)
    set(route, "websocket")
    if !isPulling {
      set(apus_server_on_message(server, route, heard, context(), drop), "on_message")
      set(apus_server_on_close(server, route, closed, context(), drop), "on_close")
    }
    let limits = world.limits
    set(apus_server_set_ping_interval(server, limits.ping), "ping")
    set(apus_server_set_channel_close_timeout(server, limits.close), "close timeout")
    set(apus_server_set_channel_high_water(server, limits.highWater), "channel high water")
    set(apus_server_set_channel_inbox(server, limits.highWater), "inbox")
  }

  func endChannels() { channels = [:] }

  private var opened: apus_open_fn {
    { _, channel, request in
      guard let application = world.application else { return }
      guard let id = numberOf(request), let script = world.sockets[id] else {
        return world.fail("a channel of nobody")
      }
      world.check(application.channels[channel] == nil, "a channel is opened twice")
      let work = ChannelWork(channel, script)
      application.channels[channel] = work
      world.note("channel", id)
      guard application.enter() else { return }
      application.prepare(work)
    }
  }

  func prepare(_ work: ChannelWork) {
    let drained: apus_channel_fn = { _, channel in
      guard let application = world.application, application.enter(),
        let work = application.channels[channel]
      else { return }
      world.check(work.closes == 0, "a drain behind the close")
      application.sendWaiting(work)
    }
    let own = apus_channel_on_drain(work.channel, drained, context(), drop)
    world.check(
      own == 0 || own == Int32(APUS_E_CLOSED) || world.isLack(own), "on_drain gives \(own)")
    if world.chance.once(in: 2) { _ = apus_channel_subscribe(work.channel, "topic") }
    if !work.isPulled, world.chance.once(in: 6) {
      work.isKept = apus_channel_keep(work.channel) == 0
    }
    if world.chance.once(in: 6) { _ = apus_channel_ping(work.channel, "abc", 3) }
    if world.chance.once(in: 16) {
      work.script.hasHostEnded = true
      world.hostLater(world.chance.size(upTo: 300_000)) { [self] in
        if !isGone, !work.isEnded { cut(work) }
      }
    }
  }

  /// The host wants no more of it.
  private func cut(_ work: ChannelWork) {
    if world.chance.once(in: 2) {
      let result = apus_channel_close(work.channel, 1000, nil, 0)
      world.check(
        result == 0 || result == Int32(APUS_E_CLOSED) || world.isLack(result),
        "closing a channel gives \(result)")
    } else {
      work.isEnded = true
      channels[work.channel] = nil
      world.check(apus_channel_destroy(work.channel) == 1, "a channel has gone untold")
    }
  }

  private var heard: apus_message_fn {
    { _, channel, opcode, data, length in
      guard let application = world.application else { return }
      guard let work = application.channels[channel] else {
        return world.fail("a message of a channel that has ended")
      }
      guard application.enter(), !work.isEnded else { return }
      application.echo(work, opcode, UnsafeRawBufferPointer(start: data, count: length))
    }
  }

  func echo(_ work: ChannelWork, _ opcode: Int32, _ bytes: UnsafeRawBufferPointer) {
    let script = work.script
    world.note("message", script.id, work.handled)
    world.check(work.closes == 0, "a message behind the close")
    world.check(work.handled < script.forbidden, "a message behind a broken frame")
    guard work.handled < script.sent.count else { return world.fail("a message of nobody") }
    world.check(
      bytes.elementsEqual(script.sent[work.handled]),
      "channel \(script.id): message \(work.handled) is not what was sent")
    work.handled += 1
    work.waiting.append((opcode, Array(bytes)))
    sendWaiting(work)
    if world.chance.once(in: 5) {
      world.topics += 1
      let text = WebSocketScript.topic(world.topics)
      Buffers.handed(text.utf8.count)
      let result = apus_server_publish(server, "topic", 1, text, text.utf8.count, 0)
      world.check(result >= 0 || world.isLack(result), "publishing gives \(result)")
    }
    if !work.isEnded, world.chance.once(in: 40) {
      script.hasHostEnded = true
      cut(work)
    }
  }

  private func sendWaiting(_ work: ChannelWork) {
    while let next = work.waiting.first, !work.isEnded, !isGone {
      Buffers.handed(next.bytes.count)
      let result =
        next.opcode == 1
        ? apus_channel_send_text(work.channel, next.bytes, next.bytes.count)
        : apus_channel_send_binary(work.channel, next.bytes, next.bytes.count)
      if result == Int32(APUS_E_FULL) {
        work.script.wasFull = true
        return
      }
      if world.isLack(result) {
        // It was not sent, and may be later.
        return world.hostLater(10_000) { [self] in if work.closes == 0 { sendWaiting(work) } }
      }
      world.check(
        result == 0 || result == Int32(APUS_E_CLOSED) || world.isLack(result),
        "sending on a channel gives \(result)")
      work.waiting.removeFirst()
    }
  }

  private var closed: apus_closed_fn {
    { _, channel, code, _, _ in
      guard let application = world.application else { return }
      world.check(!application.isGone, "a close of a server that is destroyed")
      guard let work = application.channels[channel] else {
        return world.fail("a close of a channel that has ended")
      }
      work.closes += 1
      world.note("closed", work.script.id, Int(code))
      world.check(work.closes == 1, "a channel is closed twice")
      application.channels[channel] = nil
      work.isEnded = true
      if work.isKept {
        world.check(apus_channel_is_alive(channel) == 1, "a kept channel has gone")
        world.check(apus_channel_destroy(channel) == 1, "a kept channel cannot be destroyed")
      }
      _ = application.enter()
    }
  }
}
