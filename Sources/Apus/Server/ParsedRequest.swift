// A request from bytes, without a connection: the same machine, fed once.

import Synchronization

enum ParsedRequest {
  /// The request, and how many bytes it took.
  static func parse(_ bytes: Bytes) throws(Failure) -> (Ref<Exchange>, Int) {
    guard let exchange = Ref<Exchange>.make(worker: nil) else { throw .noMemory }
    do throws(Failure) {
      let count = try fill(exchange, bytes)
      exchange.o.shared.store(true, ordering: .releasing)
      exchange.o.isInputEnded = true
      exchange.o.receivedAt = Clock.now
      exchange.o.handle = Slots.live(
        exchange.o.slot, exchange.o.slotIndex, at: Clock.now, open: true)
      return (exchange, count)
    } catch {
      exchange.freeParsed()
      throw error
    }
  }

  private static func fill(_ exchange: Ref<Exchange>, _ bytes: Bytes) throws(Failure) -> Int {
    var machine = RequestMachine()
    let limits = RequestLimits()
    var index = 0
    while true {
      let step = machine.next(bytes, at: &index, head: &exchange.o.head, limits: limits)
      switch step {
      case .more:
        throw Failure(.state, "the bytes end before the request does")
      case .head(let range):
        guard exchange.keepHead(bytes.extracting(range)) else { throw .noMemory }
      case .body(let range):
        exchange.o.body.append(bytes.extracting(range))
        if exchange.o.body.failed { throw .noMemory }
      case .trailer(let field):
        guard exchange.keepTrailer(field, of: bytes) else { throw .noMemory }
      case .end:
        return index
      case .refused(let refusal):
        let isSize = refusal.status == 413 || refusal.status == 414 || refusal.status == 431
        throw Failure(isSize ? .tooLarge : .protocolBroken, refusal.reason)
      }
    }
  }
}
