// A host without callbacks: it takes requests and channels as events, and messages and events
// of streams when it likes.

import CApus
import CSystem

extension Application {
  /// What a tick is for other hosts: takes all events that there are.
  func pull(_ timeout: Int32) {
    var timeout = timeout
    while !isGone {
      var event = apus_event()
      let result = apus_server_next(server, &event, timeout)
      world.say("next: \(result)")
      world.check(
        result >= 0 || isGone || (result == Int32(APUS_E_STATE) && !isRunning),
        "taking an event gives \(result)")
      if result <= 0 || isGone { return }
      timeout = 0
      take(event)
    }
  }

  private func take(_ event: apus_event) {
    world.note("event", Int(event.kind))
    world.statistics.pulled += 1
    switch Int(event.kind) {
    case APUS_EVENT_REQUEST: take(request: event.handle)
    case APUS_EVENT_CHANNEL: take(channel: event.handle)
    case APUS_EVENT_MESSAGE: receive(event.handle, all: world.chance.once(in: 2))
    case APUS_EVENT_CLOSE: ended(event.handle)
    case APUS_EVENT_DRAIN:
      world.check(apus_channel_is_alive(event.handle) == 1, "room in a channel that has gone")
    default: world.fail("an event of kind \(event.kind)")
    }
  }

  // ---- requests

  private func take(request: apus_request) {
    guard let plan = planOf(request) else {
      _ = apus_request_destroy(request)
      return
    }
    began(plan)
    checkBody(plan, request)
    if plan.kind == .later {
      owe(.request(request))
      return replyLater(plan, request)
    }
    respond(plan, request)
    _ = apus_request_destroy(request)
  }

  // ---- channels

  private func take(channel: apus_channel) {
    guard let path = apus_channel_path(channel),
      let id = Int(String(cString: path).split(separator: "/").last ?? ""),
      let script = world.sockets[id]
    else { return world.fail("a channel of nobody") }
    world.check(channels[channel] == nil, "a channel comes twice")
    world.note("channel", id)
    let work = ChannelWork(channel, script)
    work.isPulled = true
    channels[channel] = work
    if world.chance.once(in: 2) {
      let result = apus_channel_set_events(channel, 1)
      world.check(result == 0 || result == Int32(APUS_E_CLOSED), "set_events gives \(result)")
    } else {
      // It may come too late for a peer that closes.
      script.wasFull = true
      receiveLater(work)
    }
    prepare(work)
  }

  /// The host looks now and then, and what comes waits for that.
  private func receiveLater(_ work: ChannelWork) {
    world.hostLater(world.chance.size(upTo: 500_000)) { [self] in
      if isGone || work.isEnded { return }
      let result = receive(work.channel, all: world.chance.once(in: 2))
      if isGone || work.isEnded { return }
      if result == Int32(APUS_E_CLOSED) { finish(work) } else { receiveLater(work) }
    }
  }

  /// Receives what waits, or one message of it; the code that ends it.
  @discardableResult
  private func receive(_ channel: apus_channel, all: Bool) -> Int32 {
    guard let work = channels[channel] else {
      world.fail("an event of a channel that has ended")
      return 0
    }
    while !isGone, !work.isEnded {
      var message = apus_message()
      let result = apus_channel_recv(channel, &message, 0)
      world.check(
        result >= 0 || result == Int32(APUS_E_CLOSED) || world.isLack(result),
        "receiving gives \(result)")
      if result <= 0 { return result }
      echo(
        work, message.opcode, UnsafeRawBufferPointer(start: message.data, count: message.length))
      if !all { return 1 }
    }
    return 0
  }

  private func ended(_ channel: apus_channel) {
    guard let work = channels[channel] else {
      return world.fail("a close of a channel that has ended")
    }
    // Messages may wait behind it.
    let result = receive(channel, all: true)
    if isGone || work.isEnded { return }
    world.check(
      result == Int32(APUS_E_CLOSED) || world.isLack(result), "a closed channel gives \(result)")
    finish(work)
  }

  private func finish(_ work: ChannelWork) {
    work.closes += 1
    world.note("closed", work.script.id)
    channels[work.channel] = nil
    work.isEnded = true
    world.check(apus_channel_destroy(work.channel) == 1, "a channel of the host's has gone")
  }
}

extension Client {
  /// Looks now and then whether something waits for a host that has no callbacks.
  func poll(until isOver: @escaping () -> Bool, _ look: @escaping () -> Void) {
    world.hostLater(world.chance.size(upTo: 500_000)) { [self] in
      if isHostGone || isOver() { return }
      look()
      poll(until: isOver, look)
    }
  }

  /// Nobody brings anything any more.
  var isStopped: Bool { isOnServer && !(world.application?.isRunning ?? false) }

  func receive(_ plan: ChannelPlan) {
    if isStopped {
      plan.isEnded = true
      world.check(apus_channel_destroy(plan.channel) == 1, "a client's channel has gone")
      return done()
    }
    while !isHostGone, !plan.isEnded {
      var message = apus_message()
      let result = apus_channel_recv(plan.channel, &message, 0)
      world.check(
        result >= 0 || result == Int32(APUS_E_CLOSED) || isEnding || world.isLack(result),
        "receiving gives \(result)")
      if result <= 0 || plan.isEnded { return }
      world.statistics.pulled += 1
      hear(plan, UnsafeRawBufferPointer(start: message.data, count: message.length))
    }
  }

  func take(_ plan: SourcePlan) {
    while !isHostGone, !plan.isEnded {
      var (id, data): (UnsafePointer<CChar>?, UnsafePointer<CChar>?) = (nil, nil)
      var length = 0
      let result = apus_source_next(plan.source, 0, nil, &id, &data, &length)
      if isHostGone { return }
      if result < 0 { return gaveUp(plan, result) }
      if result == 0 { return }
      world.statistics.pulled += 1
      hear(plan, id, UnsafeRawBufferPointer(start: data, count: length))
    }
  }
}
