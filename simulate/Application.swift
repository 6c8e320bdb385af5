// The host program of a run: it makes the server through apus.h, and its handlers answer as
// each request's plan says, at once or later, whole or in pieces. What callbacks it gets is
// counted: none too many, none too few.

import CApus
import CSystem

final class Application {
  private(set) var server: apus_server = 0
  private(set) var isGone = false
  private var contexts = 0
  private var dropped: [Int] = []
  private var connected: [UInt64: Int] = [:]
  private var disconnected: [UInt64: Int] = [:]
  /// Once in so many callbacks something unexpected is done in one; 0: never.
  private let mischief: Int
  let isDestroyedInside: Bool
  /// It takes events, and has no callbacks for what comes as such.
  let isPulling: Bool
  private var owed: [Owed] = []
  /// What there is of channels, by their handles.
  var channels: [apus_channel: ChannelWork] = [:]
  var streams: [apus_writer: EventWork] = [:]
  var topicWorks: [apus_writer: TopicWork] = [:]

  /// A handle of the host's that is to be ended.
  enum Owed {
    case request(apus_request)
    case writer(apus_writer)
  }

  init() {
    mischief = world.chance.pick([0, 0, 4, 20])
    isDestroyedInside = world.chance.once(in: 12)
    isPulling = world.chance.once(in: 4)
  }

  /// A context that must be dropped once.
  func context() -> UnsafeMutableRawPointer? {
    contexts += 1
    dropped.append(0)
    return UnsafeMutableRawPointer(bitPattern: contexts)
  }

  let drop: apus_drop_fn = { context in
    world.application?.drop(Int(bitPattern: context))
  }

  private func drop(_ context: Int) {
    world.check(context > 0 && context <= contexts, "a context is dropped that was not given")
    if context > 0, context <= contexts { dropped[context - 1] += 1 }
  }

  // ---- making

  func set(_ result: Int32, _ what: StaticString) {
    world.check(result >= 0, "\(what) gives \(result)")
  }

  func makeServer() {
    server = apus_server_make()
    world.check(server != 0, "no server")
    set(apus_server_set_workers(server, 0), "workers")
    set(apus_server_set_dispatch(server, isPulling ? 0 : Int32(world.chance.below(2))), "dispatch")
    let limits = world.limits
    set(apus_server_set_header_timeout(server, limits.headTime), "header timeout")
    set(apus_server_set_body_timeout(server, limits.bodyTime), "body timeout")
    set(apus_server_set_write_timeout(server, limits.write), "write timeout")
    set(apus_server_set_keep_alive_timeout(server, limits.keepAlive), "keep-alive timeout")
    set(apus_server_set_drain_timeout(server, limits.drain), "drain timeout")
    set(apus_server_set_max_pipelined(server, limits.pipelined), "pipelined")
    set(apus_server_set_max_head(server, limits.head), "head")
    set(apus_server_set_max_body(server, limits.body), "body")
    set(apus_server_set_max_message(server, limits.message), "message")
    set(apus_server_set_high_water(server, limits.highWater), "high water")
    set(apus_server_set_descriptor_reserve(server, 4), "reserve")
    let handle = isPulling ? nil : self.handle
    set(apus_server_get(server, "/plan/:id", handle, context(), drop), "route")
    set(apus_server_post(server, "/upload/:id", handle, context(), drop), "route")
    let post = Int32(APUS_POST)
    set(apus_server_route_stream(server, post, "/stream/:id", stream, context(), drop), "route")
    let forms = apus_server_route_form(server, post, "/form/:id", handle, context(), drop)
    set(forms, "route")
    set(apus_server_set_max_form(server, limits.form), "form")
    set(apus_server_set_form_memory(server, limits.formMemory), "form memory")
    set(apus_server_set_upload_folder(server, Fixture.folder), "folder")
    set(apus_server_on_connect(server, connect, context(), drop), "listener")
    set(apus_server_on_disconnect(server, disconnect, context(), drop), "listener")
    makeChannels()
    makeEvents()
    makeTopics()
    if world.chance.once(in: 3) {
      set(apus_server_on_reply(server, replied, context(), drop), "listener")
    }
    set(apus_server_listen(server, "127.0.0.1", 8080), "listen")
    set(apus_server_start(server), "start")
  }

  // ---- callbacks

  /// A callback has begun: it may be, and it may do what no callback is expected to.
  func enter() -> Bool {
    world.check(!isGone, "a callback of a server that is destroyed")
    if isGone { return false }
    guard mischief > 0, world.chance.once(in: mischief) else { return true }
    switch world.chance.below(6) {
    case 0: world.check(apus_server_tick(server, 0) == Int32(APUS_E_STATE), "a tick in a callback")
    case 1: _ = apus_server_wake(server)
    case 2: _ = apus_server_counter(server, Int32(APUS_COUNT_REQUESTS))
    case 3: _ = apus_live_count(0)
    case 4:
      world.check(
        apus_server_set_workers(server, 1) == Int32(APUS_E_STATE), "an option of a running server")
    default:
      if isDestroyedInside {
        world.statistics.add(.destroyedInCallback)
        world.note("destroyed inside")
        destroy()
      } else if world.chance.once(in: 10) {
        world.note("stopped inside")
        world.isServerEnding = true
        _ = apus_server_stop(server)
      }
    }
    return !isGone
  }

  func destroy() {
    world.isServerEnding = true
    endOwed()
    endChannels()
    endEvents()
    topicWorks = [:]
    let result = apus_server_destroy(server)
    world.check(result == 1, "destroying a live server gives \(result)")
    isGone = true
  }

  private let connect: apus_connection_fn = { _, _, connection, _, _ in
    guard let application = world.application, application.enter() else { return }
    application.connected[connection, default: 0] += 1
    world.check(application.connected[connection] == 1, "a connection is told of twice")
  }

  private let disconnect: apus_connection_fn = { _, _, connection, _, _ in
    guard let application = world.application else { return }
    world.check(!application.isGone, "a disconnect of a server that is destroyed")
    application.disconnected[connection, default: 0] += 1
    world.check(
      application.connected[connection] == 1 && application.disconnected[connection] == 1,
      "the end of a connection is told once, behind its beginning")
  }

  private let replied: apus_replied_fn = { _, request, status, _ in
    guard let application = world.application, application.enter() else { return }
    world.check(apus_request_method(request) >= 0, "a request that was replied to is gone")
  }

  private let handle: apus_handler_fn = { _, request in
    guard let application = world.application, let plan = planOf(request) else { return }
    guard application.enter() else { return }
    application.began(plan)
    application.checkBody(plan, request)
    application.respond(plan, request)
  }

  func checkBody(_ plan: Plan, _ request: apus_request) {
    if let form = plan.form {
      _ = form.check(request, plan.id)
    } else if plan.hasBody {
      var length = 0
      let data = apus_request_body(request, &length)
      let body = UnsafeRawBufferPointer(start: data, count: length)
      world.check(body.elementsEqual(plan.upload), "request \(plan.id): \(length) bytes of body")
    }
  }

  func began(_ plan: Plan) {
    plan.handled += 1
    world.note("handler", plan.id)
    world.check(plan.handled == 1, "request \(plan.id) is handled twice")
    world.check(!plan.isTooLarge || plan.kind == .stream, "request \(plan.id) has too large a body")
    world.check(!plan.isForbidden, "request \(plan.id) is handled behind a refused one")
  }

  // ---- answers

  func respond(_ plan: Plan, _ request: apus_request) {
    world.check(plan.isSent, "request \(plan.id) is handled before it has come")
    switch plan.kind {
    case .now, .upload, .form: reply(plan, request)
    case .later:
      world.check(apus_request_defer(request) == 0, "a request cannot be deferred")
      owe(.request(request))
      replyLater(plan, request)
    case .pieces, .measured, .broken: write(plan, request)
    case .file:
      _ = apus_reply_set_header(request, "X-Id", "\(plan.id)")
      took(apus_reply_file(request, world.filePath, nil), plan)
    case .nothing, .missing, .stream: break
    }
  }

  func replyLater(_ plan: Plan, _ request: apus_request) {
    world.hostLater(plan.delay) { [self] in
      if isGone { return }
      reply(plan, request)
      settle(.request(request))
      _ = apus_request_destroy(request)
    }
  }

  private func reply(_ plan: Plan, _ request: apus_request) {
    let body = plan.kind == .later || plan.kind == .now ? plan.body : plan.upload
    let named = apus_reply_set_header(request, "X-Id", "\(plan.id)")
    took(named, plan)
    if plan.isHostsLast { took(apus_reply_set_header(request, "Connection", "close"), plan) }
    let type = "application/octet-stream"
    Buffers.handed(body.count)
    took(apus_reply(request, 200, type, body, body.count), plan)
  }

  /// A call on a reply worked, or there was a reason.
  private func took(_ result: Int32, _ plan: Plan) {
    if result >= 0 || world.isLack(result) { return }
    world.check(
      result == Int32(APUS_E_CLOSED) || (isGone && result == Int32(APUS_E_HANDLE)),
      "request \(plan.id) \(plan.kind): a reply gives \(result)")
  }

  private let stream: apus_handler_fn = { _, request in
    guard let application = world.application, let plan = planOf(request) else { return }
    guard application.enter() else { return }
    application.began(plan)
    let upload = Upload(plan)
    let context = Unmanaged.passRetained(upload).toOpaque()
    let result = apus_request_on_body(
      request,
      { context, request, data, length, last in
        guard let context else { return }
        let upload = Unmanaged<Upload>.fromOpaque(context).takeUnretainedValue()
        let bytes = UnsafeRawBufferPointer(start: data, count: length)
        world.application?.took(upload, request, bytes, last)
      }, context, { if let context = $0 { Unmanaged<Upload>.fromOpaque(context).release() } })
    world.check(result == 0, "a body cannot be taken: \(result)")
    application.owe(.request(request))
  }

  private func took(
    _ upload: Upload, _ request: apus_request, _ bytes: UnsafeRawBufferPointer, _ last: Int32
  ) {
    let plan = upload.plan
    world.check(!upload.isOver, "request \(plan.id): bytes behind the last")
    guard enter() else { return }
    world.note("body", plan.id, bytes.count)
    upload.bytes.append(contentsOf: bytes)
    world.check(
      plan.upload.starts(with: upload.bytes), "request \(plan.id): wrong bytes of a body")
    if last == 0 { return }
    upload.isOver = true
    if last > 0 {
      world.check(upload.bytes.count == plan.upload.count, "request \(plan.id): a body is short")
      reply(plan, request)
    }
    settle(.request(request))
    _ = apus_request_destroy(request)
  }

  // ---- writers

  private func write(_ plan: Plan, _ request: apus_request) {
    _ = apus_reply_set_header(request, "X-Id", "\(plan.id)")
    let writer = apus_writer_make(request)
    if writer == 0 { return took(apus_last_error(), plan) }
    owe(.writer(writer))
    let work = Writing(plan, writer)
    let closing = context()
    took(
      apus_writer_on_close(
        writer,
        { _, writer in world.application?.closed(writer) }, closing, drop), plan)
    took(
      apus_writer_on_drain(
        writer, { _, writer in world.application?.drained(writer) }, nil, nil), plan)
    writings[writer] = work
    let length = plan.kind == .measured ? Int64(plan.size) : -1
    took(apus_writer_begin(writer, length), plan)
    goOn(work)
  }

  private var writings: [apus_writer: Writing] = [:]

  private func goOn(_ work: Writing) {
    let plan = work.plan
    if isGone || work.isOver { return }
    let least = max(1, plan.size / 20)
    while work.sent < work.target {
      let count = min(work.target - work.sent, least + world.chance.below(least * 4))
      let piece = Array(work.body[work.sent..<(work.sent + count)])
      Buffers.handed(count)
      let result = apus_writer_write(work.writer, piece, count)
      if result == Int32(APUS_E_FULL) { return }
      if result < 0 {
        took(result, plan)
        return end(work)
      }
      work.sent += count
      if world.chance.once(in: 3) {
        return world.hostLater(plan.delay / 8) { [self] in goOn(work) }
      }
    }
    if plan.kind == .broken {
      world.note("broken off", plan.id)
      took(apus_writer_abort(work.writer), plan)
    } else {
      took(apus_writer_end(work.writer), plan)
    }
    work.isOver = true
    if world.chance.once(in: 2) { end(work) }
  }

  private func drained(_ writer: apus_writer) {
    guard enter(), let work = writings[writer] else { return }
    world.check(!work.isOver || work.closes == 0, "a drain behind the close")
    goOn(work)
  }

  private func closed(_ writer: apus_writer) {
    guard enter() else { return }
    guard let work = writings[writer] else { return world.fail("a close of no writer") }
    work.closes += 1
    world.check(work.closes == 1, "request \(work.plan.id): its writer is closed twice")
    world.check(!work.isEnded, "a close behind the destruction of its writer")
    world.check(apus_writer_is_connected(writer) == 0, "a closed writer is connected")
    work.isOver = true
    if world.chance.once(in: 2) { return end(work) }
    // Some hosts destroy it later, or leave that to the server's end.
    if world.chance.once(in: 2) {
      world.hostLater(world.chance.below(2000)) { [self] in end(work) }
    }
  }

  private func end(_ work: Writing) {
    if work.isEnded || isGone { return }
    work.isEnded = true
    work.isOver = true
    settle(.writer(work.writer))
    world.check(apus_writer_destroy(work.writer) == 1, "a writer has ended by itself")
  }

  // ---- what the host owes

  var holdsSome: Bool { !owed.isEmpty || !streams.isEmpty || !topicWorks.isEmpty }

  func owe(_ owing: Owed) { owed.append(owing) }

  private func settle(_ paid: Owed) {
    owed.removeAll {
      switch ($0, paid) {
      case (.request(let one), .request(let other)): one == other
      case (.writer(let one), .writer(let other)): one == other
      default: false
      }
    }
  }

  /// Ends what the host has not ended: some before the server, some with it.
  private func endOwed() {
    for one in owed where world.chance.once(in: 2) {
      switch one {
      case .request(let request): _ = apus_request_destroy(request)
      case .writer(let writer): _ = apus_writer_destroy(writer)
      }
    }
    owed = []
  }

  // ---- the end

  /// Whether every handle and context has gone, and everything was told.
  func checkEnd() {
    for (index, count) in dropped.enumerated() {
      world.check(count == 1, "context \(index + 1) is dropped \(count) times")
    }
  }

  /// After a stop that was waited for.
  func checkStopped() {
    world.check(
      connected.count == disconnected.count,
      "\(connected.count) connections have come and \(disconnected.count) gone")
  }
}
