// Compiled into the library for the simulator alone: what each connection of a loop has in its
// buffers, held against the limits that the server was given.

import CInside

/// Adds up what is found, and notes the first limit that is passed.
private struct Weighing {
  var sum = inside_buffers_sum()
  let piece: Int

  mutating func add(_ buffer: borrowing ByteBuffer) { sum.bytes += Int64(buffer.capacity) }

  mutating func limit(_ found: Int, _ most: Int, _ what: StaticString) {
    if found <= most || sum.problem != nil { return }
    sum.problem = UnsafeRawPointer(what.utf8Start).assumingMemoryBound(to: CChar.self)
    sum.found = Int64(found)
    sum.most = Int64(most)
  }
}

@_cdecl("inside_buffers") func insideBuffers(
  _ loop: UnsafeMutableRawPointer?, _ piece: Int64,
  _ sum: UnsafeMutablePointer<inside_buffers_sum>?
) {
  guard let loop, let context = Ref<Loop>(opaque: loop).o.turnContext else { return }
  let worker = Ref<Worker>(opaque: context)
  var weighing = Weighing(piece: Int(piece))
  weighing.weigh(worker)
  sum?.pointee = weighing.sum
}

extension Weighing {
  fileprivate mutating func weigh(_ worker: Ref<Worker>) {
    let options = worker.o.server.o.options
    var next = worker.o.firstConnection
    while let connection = next {
      next = connection.o.nextOfWorker
      sum.connections += 1
      weigh(connection, options)
    }
    sum.exchanges = Int64(worker.o.outstanding + worker.o.pooled)
    limit(worker.o.pooled, Worker.poolSize, "exchanges in the pool")
    let spares = worker.o.loop.o.spareOutputs.count
    limit(spares, Loop.spareOutputCount, "spare buffers")
    for index in 0..<spares {
      let buffer = worker.o.loop.o.spareOutputs[index]
      let most = index < Loop.largeOutputCount ? Loop.largeOutputSize : Loop.smallOutputSize
      limit(buffer.o.capacity, most, "bytes of a spare buffer")
      add(buffer.o)
    }
    let queue = Int(worker.o.server.o.queue.bytes.load(ordering: .relaxed))
    limit(queue, Int(options.maxPendingBytes), "bytes of bodies that wait")
    sum.bytes += Int64(queue)
  }

  private mutating func weigh(_ connection: Ref<Connection>, _ options: ServerOptions) {
    let stream = connection.o.stream
    // What was read at once, behind a head that is not whole.
    limit(stream.o.input.count, Loop.readSize + options.limits.head, "bytes of input")
    add(stream.o.input)
    if let output = stream.o.output { add(output.o) }
    if let channel = connection.o.channel {
      weigh(channel, stream, options)
    } else {
      weighReplies(stream, options)
    }
    var count = 0
    var next = connection.o.first
    while let exchange = next {
      next = exchange.o.next
      count += 1
      weigh(exchange, options)
    }
    limit(count, Int(options.maxPipelined), "requests that wait")
  }

  /// Above the mark no request is taken. The last one was taken below it, and behind the mark
  /// stand its reply and those to what was asked before and not answered by then, with their
  /// heads and what frames them.
  private mutating func weighReplies(_ stream: Ref<Stream>, _ options: ServerOptions) {
    let waiting = stream.o.buffered - stream.o.stretchLeft
    if waiting <= Int(options.highWater) { return }
    let known = Int(simulate_replies(stream.o.descriptor))
    let most = (known < 0 ? piece : known) + 512 * Int(options.maxPipelined) + 4096
    limit(waiting, Int(options.highWater) + most, "bytes that wait to be sent")
  }

  private mutating func weigh(_ exchange: Ref<Exchange>, _ options: ServerOptions) {
    limit(
      exchange.o.body.count, Int(max(options.limits.body, options.forms.memory)),
      "bytes of a body")
    limit(
      exchange.o.incoming.count, Int(options.highWater) + Loop.readSize,
      "bytes of a body that waits for its handler")
    limit(
      exchange.o.output.count, Int(options.highWater) + piece + 4096,
      "bytes of a reply that wait")
    add(exchange.o.body)
    add(exchange.o.incoming)
    add(exchange.o.output)
    guard let events = exchange.o.writer.events else { return }
    limit(
      Int(events.o.weight), Int(exchange.o.writer.highWater + events.o.allowance) + piece + 512,
      "bytes of events that wait")
    sum.bytes += events.o.weight
  }

  private mutating func weigh(
    _ channel: Ref<Channel>, _ stream: Ref<Stream>, _ options: ServerOptions
  ) {
    limit(
      channel.o.output.count + stream.o.buffered, Int(channel.o.highWater) + piece + 4096,
      "bytes of messages that wait to be sent")
    // What is full takes no more: the last message alone may pass the mark.
    let known = Int(simulate_message(stream.o.descriptor))
    let message = known < 0 ? options.messages.message : known
    limit(
      Int(channel.o.inbox.bytes), Int(options.channelInbox) + message + 64,
      "bytes of messages that wait to be received")
    let waiting = Int(channel.o.waiting.load(ordering: .relaxed))
    limit(waiting, Int(options.channelInbox) + message + 512, "bytes of messages on their way")
    let longest = options.messages.message
    limit(channel.o.receiver.memory, max(longest + 1, MessageReceiver.kept), "bytes of a message")
    add(channel.o.output)
    add(channel.o.scratch)
    add(channel.o.postponed)
    sum.bytes += Int64(channel.o.receiver.memory) + channel.o.inbox.bytes
  }
}
