// What is asked of a topic, on its way to the loop: as mail of its own, by the way that all
// threads share, as what is published goes. So what a thread publishes does not overtake its
// own request to join before it, nor the other way round.

/// To join a topic, or to leave it.
struct TopicRequest {
  let topic: Ref<Topic>
  let joins: Bool
}

/// What was asked for and not done yet, in order. Behind the lock of who has asked.
struct TopicRequests: ~Copyable {
  private var list = List<TopicRequest>()
  /// Of how many the mail has come: they may be done.
  private var due: UInt32 = 0

  init() {}

  /// False without memory.
  mutating func append(_ request: TopicRequest) -> Bool { list.append(request) }

  mutating func mailCame() { due &+= 1 }

  /// The next one that is due, or of all.
  mutating func take(all: Bool) -> TopicRequest? {
    guard !list.isEmpty, all || due > 0 else { return nil }
    let request = list[0]
    list.removeFirst(1)
    if due > 0 { due &-= 1 }
    if list.isEmpty { list = List<TopicRequest>() }
    return request
  }
}

/// The mail of one request.
@safe struct TopicErrand: ~Copyable {
  /// Runs on the loop's thread, with the object.
  nonisolated(unsafe) private let run: @convention(c) (UnsafeMutableRawPointer) -> Void
  nonisolated(unsafe) private let object: UnsafeMutableRawPointer
  fileprivate var mail: Ref<Mail>? = nil

  fileprivate init(
    _ object: UnsafeMutableRawPointer, _ run: @convention(c) (UnsafeMutableRawPointer) -> Void
  ) {
    unsafe self.object = unsafe object
    unsafe self.run = unsafe run
  }

  fileprivate func go() {
    let run = unsafe run
    unsafe run(object)
  }
}

extension Ref where Object == TopicErrand {
  /// Made, and not on its way yet.
  static func make(
    _ object: UnsafeMutableRawPointer, _ run: @convention(c) (UnsafeMutableRawPointer) -> Void
  ) throws(Failure) -> Ref<TopicErrand> {
    guard let errand = unsafe Ref<TopicErrand>(make: TopicErrand(object, run)) else {
      throw .noMemory
    }
    errand.o.mail = unsafe Ref<Mail>(make: Mail(errand.opaque, arrive))
    if errand.o.mail == nil {
      errand.free()
      throw .noMemory
    }
    return errand
  }

  /// The caller holds the lock behind which the requests are, so that both have one order.
  func post(to worker: Ref<Worker>) {
    if let mail = o.mail { worker.o.loop.o.mailbox.post(mail) }
  }

  func end() {
    o.mail?.free()
    free()
  }
}

/// The worker's thread.
private func arrive(_ object: UnsafeMutableRawPointer) {
  let errand = unsafe Ref<TopicErrand>(opaque: object)
  errand.o.go()
  errand.end()
}
