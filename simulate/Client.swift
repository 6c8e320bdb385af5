// The host's client of a run: fetches and channels on a client of its own, or on the server
// under test. Each is told of as often as it must be.

import CApus
import CSystem

final class Client {
  private(set) var client: apus_client = 0
  private(set) var isGone = false
  private var isStarted = false
  private let mischief: Int
  private(set) var left = 0
  let isOnServer: Bool

  init() {
    mischief = world.chance.pick([0, 0, 5, 20])
    isOnServer = world.chance.once(in: 4)
  }

  /// Where fetches live.
  var place: UInt64 { host }
  private var host: UInt64 { isOnServer ? world.application?.server ?? 0 : client }

  var isHostGone: Bool { isOnServer ? world.application?.isGone ?? true : isGone }

  func make() {
    if !isOnServer {
      client = apus_client_make()
      world.check(client != 0, "no client")
      set(apus_client_set_workers(client, 0), "workers")
      set(apus_client_set_dispatch(client, Int32(world.chance.below(2))), "dispatch")
      let times: [Int32] = [0, 500, 60_000]
      set(apus_client_set_idle_connection_timeout(client, world.chance.pick(times)), "idle time")
      let most = Int32(world.chance.pick([1, 2, 6]))
      set(apus_client_set_max_connections(client, most, 100, 1000), "connections")
    }
    let fetches = world.chance.below(8)
    let channels = world.chance.below(3)
    let sources = world.chance.below(2)
    left = fetches + channels + sources
    for _ in 0..<fetches {
      let plan = world.fetchPlan()
      world.hostLater(world.chance.size(upTo: 800_000)) { [self] in
        Memory.withPlenty { begin(plan) }
      }
    }
    for _ in 0..<channels {
      let plan = world.channelPlan()
      world.hostLater(world.chance.size(upTo: 800_000)) { [self] in Memory.withPlenty { open(plan) }
      }
    }
    for _ in 0..<sources {
      let plan = world.sourcePlan()
      world.hostLater(world.chance.size(upTo: 800_000)) { [self] in Memory.withPlenty { open(plan) }
      }
    }
  }

  private func set(_ result: Int32, _ what: StaticString) {
    world.check(result >= 0, "\(what) of a client gives \(result)")
  }

  /// Whether the host of the fetches runs, and so whether a call may fail for that.
  var isEnding: Bool {
    isHostGone || (isOnServer && (world.isServerEnding || !(world.application?.isRunning ?? false)))
  }

  func start() { isStarted = true }

  // ---- driving

  var isRunning: Bool { !isOnServer && !isGone && isStarted }

  var isReady: Bool {
    guard let descriptor = world.table[apus_client_event_fd(client)] else {
      world.fail("a client without an event descriptor")
      return false
    }
    return descriptor.readiness & SYS_POLL_IN != 0
  }

  func tick(_ timeout: Int32) {
    let result = apus_client_tick(client, timeout)
    world.check(result >= 0 || isGone, "a client's tick gives \(result)")
  }

  // ---- fetches

  private func begin(_ plan: FetchPlan) {
    if isEnding { return done() }
    isStarted = true
    world.statistics.fetches += 1
    let fetch = apus_fetch_make(host, plan.method, plan.url(0))
    world.check(fetch != 0, "no fetch: \(apus_last_error())")
    if fetch == 0 { return done() }
    plan.fetch = fetch
    set(apus_fetch_set_connect_timeout(fetch, plan.limits.connect), "limit")
    set(apus_fetch_set_response_timeout(fetch, plan.limits.response), "limit")
    set(apus_fetch_set_idle_timeout(fetch, plan.limits.idle), "limit")
    if !plan.upload.isEmpty {
      set(apus_fetch_set_body(fetch, plan.upload, plan.upload.count, "a/b"), "body")
    }
    let context = UnsafeMutableRawPointer(bitPattern: plan.id + 1)
    set(apus_fetch_on_complete(fetch, completed, context, nil), "on_complete")
    set(apus_fetch_on_response(fetch, responded, context, nil), "on_response")
    if !plan.collects { set(apus_fetch_on_body(fetch, heard, context, nil), "on_body") }
    plan.started = world.now
    plan.troublesBefore = world.troubles
    world.note("fetch", plan.id)
    let result = apus_fetch_start(fetch)
    world.check(result == 0, "a fetch does not start: \(result)")
    if result != 0 { return done() }
    if world.chance.once(in: 16) {
      world.hostLater(world.chance.size(upTo: 400_000)) { [self] in giveUp(plan) }
    }
  }

  private static func plan(_ context: UnsafeMutableRawPointer?) -> FetchPlan? {
    let index = Int(bitPattern: context) - 1
    return index >= 0 && index < world.fetches.count ? world.fetches[index] : nil
  }

  /// A fetch that is not wanted any more.
  private func giveUp(_ plan: FetchPlan) {
    if isHostGone || plan.completions > 0 || plan.isDestroyed { return }
    plan.isCancelled = true
    if world.chance.once(in: 2) {
      world.note("cancel", plan.id)
      set(apus_fetch_cancel(plan.fetch), "cancel")
    } else {
      world.note("destroy", plan.id)
      plan.isDestroyed = true
      world.check(apus_fetch_destroy(plan.fetch) == 1, "a fetch has ended by itself")
      done()
    }
  }

  private func enter(_ plan: FetchPlan, _ what: StaticString) -> Bool {
    world.note(what, plan.id)
    world.check(!isHostGone, "a fetch is told of whose client is destroyed")
    world.check(!plan.isDestroyed, "a fetch is told of that is destroyed")
    world.check(plan.completions == 0, "fetch \(plan.id): news behind its completion")
    guard mischief > 0, world.chance.once(in: mischief) else { return true }
    switch world.chance.below(5) {
    case 0: giveUp(plan)
    case 1:
      plan.isPaused = true
      _ = apus_fetch_pause(plan.fetch)
      world.hostLater(world.chance.size(upTo: 300_000)) { [self] in
        if !isHostGone, !plan.isDestroyed { _ = apus_fetch_resume(plan.fetch) }
      }
    case 2: _ = apus_fetch_state(plan.fetch)
    case 3:
      // Where news are queued it may be done by now, and could start anew.
      if isOnServer, world.application?.isPulling ?? true { break }
      world.check(apus_fetch_start(plan.fetch) < 0, "a running fetch starts")
    default: _ = apus_fetch_wait(plan.fetch, 0)
    }
    return !plan.isDestroyed
  }

  private let responded: apus_fetch_response_fn = { context, _, response in
    guard let client = world.client, let plan = Client.plan(context) else { return }
    plan.responses += 1
    guard client.enter(plan, "response") else { return }
    world.check(plan.responses == 1, "fetch \(plan.id) has two responses")
    world.check(apus_response_status(response) == Int32(plan.status), "a response's status")
  }

  private let heard: apus_fetch_body_fn = { context, _, data, length in
    guard let client = world.client, let plan = Client.plan(context) else { return }
    plan.body.append(contentsOf: UnsafeRawBufferPointer(start: data, count: length))
    world.check(plan.due.starts(with: plan.body), "fetch \(plan.id): wrong bytes of its body")
    _ = client.enter(plan, "body")
  }

  private let completed: apus_fetch_complete_fn = { context, _, response, result in
    guard let client = world.client, let plan = Client.plan(context) else { return }
    client.completed(plan, response, result)
  }

  private func completed(_ plan: FetchPlan, _ response: apus_response, _ result: Int32) {
    world.note("complete", plan.id, Int(result))
    world.check(!isHostGone, "a completion of a client that is destroyed")
    world.check(!plan.isDestroyed, "a completion of a fetch that is destroyed")
    plan.completions += 1
    world.check(plan.completions == 1, "fetch \(plan.id) is completed twice")
    if result == 0, plan.collects {
      var length = 0
      let data = apus_response_body(response, &length)
      plan.body = Array(UnsafeRawBufferPointer(start: data, count: length))
    }
    if !isEnding { plan.check(Int(result), Int(apus_response_status(response))) }
    done()
    // Now or later; some are left to their client.
    switch world.chance.below(3) {
    case 0: destroy(plan)
    case 1: world.hostLater(world.chance.below(1000)) { [self] in destroy(plan) }
    default: break
    }
  }

  private func destroy(_ plan: FetchPlan) {
    if plan.isDestroyed || isHostGone { return }
    plan.isDestroyed = true
    world.check(apus_fetch_destroy(plan.fetch) == 1, "a fetch has ended by itself")
  }

  func done() { left -= 1 }

  /// Nothing takes longer than its limits say.
  func checkTimes() {
    // A source may hold the only connection for as long as it likes.
    if isHostGone || world.hasJumped || !world.sources.allSatisfy(\.isEnded) { return }
    for plan in world.fetches
    where plan.started > 0 && plan.completions == 0 && !plan.isDestroyed && !plan.isPaused {
      let time = world.now - plan.started
      if time > plan.longest + Int64(world.fetches.count) * plan.longest {
        world.fail("fetch \(plan.id) \(plan.behaviour) goes on for \(time / 1000) ms")
      }
    }
  }

  // ---- the end

  func destroy() {
    if isGone { return }
    isGone = true
    if isOnServer || client == 0 { return }
    world.note("client destroyed")
    world.check(apus_client_destroy(client) == 1, "destroying a client")
  }
}

extension Client {
  // ---- channels

  fileprivate func open(_ plan: ChannelPlan) {
    if isEnding { return done() }
    isStarted = true
    let channel = apus_channel_make(isOnServer ? world.application?.server ?? 0 : client)
    world.check(channel != 0, "no channel: \(apus_last_error())")
    if channel == 0 { return done() }
    plan.channel = channel
    let context = UnsafeMutableRawPointer(bitPattern: plan.id + 1)
    set(apus_channel_set_reconnect(channel, plan.reconnects, 100, 1000), "reconnect")
    set(apus_channel_set_deflate(channel, plan.offersDeflate ? 1 : 0), "deflate")
    set(apus_channel_set_max_message(channel, world.limits.message), "largest message")
    set(apus_channel_set_connect_timeout(channel, 3000), "connect timeout")
    set(apus_channel_on_open(channel, channelOpened, context, nil), "on_open")
    if !plan.isPulled {
      set(apus_channel_on_message(channel, channelHeard, context, nil), "on_message")
    }
    set(apus_channel_on_close(channel, channelClosed, context, nil), "on_close")
    plan.troublesBefore = world.troubles
    let result = apus_channel_open(channel, "ws://10.0.1.1:8001/channel/\(plan.id)")
    world.check(result == 0, "a channel does not open: \(result)")
    if result != 0 { return done() }
    if plan.isPulled { poll(until: { plan.isEnded }, { [self] in receive(plan) }) }
  }

  private static func channel(_ context: UnsafeMutableRawPointer?) -> ChannelPlan? {
    let index = Int(bitPattern: context) - 1
    return index >= 0 && index < world.channels.count ? world.channels[index] : nil
  }

  private var channelOpened: apus_channel_fn {
    { context, _ in
      guard let client = world.client, let plan = Client.channel(context) else { return }
      plan.opens += 1
      world.note("channel open", plan.id)
      world.check(!client.isHostGone, "a channel opens whose client is destroyed")
      world.check(plan.closes == 0, "a channel opens that is closed")
      world.check(plan.opens <= plan.connections, "a channel opens without a connection")
      // Echoes of the connection before may still wait to be received.
      if plan.isPulled { plan.older += plan.sent[plan.returned...] }
      plan.returned = 0
      plan.sent = []
      client.send(plan)
    }
  }

  private func send(_ plan: ChannelPlan) {
    if plan.isEnded || isHostGone { return }
    if plan.sent.count == plan.target {
      let result = apus_channel_close(plan.channel, 1000, nil, 0)
      world.check(
        result == 0 || result == Int32(APUS_E_CLOSED) || world.isLack(result),
        "a close gives \(result)")
      if world.isLack(result) { sendLater(plan) }
      return
    }
    let size = world.chance.size(upTo: world.chance.pick([500, 50_000]))
    let most = max(1, min(size, Int(world.limits.message)))
    let message = WebSocketScript.message(
      plan.id + 500, plan.opens * 20 + plan.sent.count, most, isText: false)
    Buffers.handed(message.count)
    let result = apus_channel_send_binary(plan.channel, message, message.count)
    world.check(
      result == 0 || result == Int32(APUS_E_CLOSED) || result == Int32(APUS_E_STATE)
        || world.isLack(result),
      "a client's channel sends: \(result)")
    if result == 0 {
      plan.sent.append(message)
      world.statistics.messages += 1
    } else if result != Int32(APUS_E_CLOSED), world.lacks > 0 {
      sendLater(plan)
    }
  }

  /// Once there may be memory again.
  private func sendLater(_ plan: ChannelPlan) {
    let opens = plan.opens
    world.hostLater(10_000) { [self] in if plan.opens == opens { send(plan) } }
  }

  private var channelHeard: apus_message_fn {
    { context, _, _, data, length in
      guard let client = world.client, let plan = Client.channel(context) else { return }
      client.hear(plan, UnsafeRawBufferPointer(start: data, count: length))
    }
  }

  func hear(_ plan: ChannelPlan, _ bytes: UnsafeRawBufferPointer) {
    world.note("channel message", plan.id)
    world.check(!isHostGone, "a message of a client that is destroyed")
    world.check(plan.closes == 0, "a message behind the close")
    if let index = plan.older.firstIndex(where: { bytes.elementsEqual($0) }) {
      plan.older.removeFirst(index + 1)
      return
    }
    guard plan.returned < plan.sent.count else { return world.fail("an echo of nothing") }
    world.check(bytes.elementsEqual(plan.sent[plan.returned]), "a wrong echo")
    plan.returned += 1
    send(plan)
  }

  private var channelClosed: apus_closed_fn {
    { context, channel, code, _, _ in
      guard let client = world.client, let plan = Client.channel(context) else { return }
      world.note("channel closed", plan.id, Int(code))
      plan.closes += 1
      world.check(!client.isHostGone, "a close of a client that is destroyed")
      world.check(plan.closes == 1, "a client's channel is closed twice")
      let hasTrouble =
        plan.hasTrouble || world.hasJumped || world.troubles != plan.troublesBefore
        || client.isEnding
      world.check(code == 1000 || hasTrouble, "a client's channel is closed with \(code)")
      client.done()
      plan.isEnded = true
      world.check(apus_channel_destroy(channel) == 1, "a client's channel has ended by itself")
    }
  }
}
