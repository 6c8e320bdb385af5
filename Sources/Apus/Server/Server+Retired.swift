// Workers that have stopped: each one's memory stays for as long as the host
// holds a request of its, or a thread that has just let go of one is still there.
//
// Contexts of callbacks are dropped on the way, and a drop may call anything: no
// lock is held then, and whoever runs it keeps the worker and the server.

import Synchronization

extension Ref where Object == Server {
  /// All workers have finished, or never began. The caller holds the lock.
  func retireWorkers() {
    while let worker = o.workers.removeLast() {
      for counter in Counter.allCases {
        o.pastCounters.add(counter, worker.o.counters.value(counter))
      }
      worker.freePool()
      worker.o.isRetired.store(true, ordering: .sequentiallyConsistent)
      worker.o.nextRetired = o.retired
      o.retired = worker
    }
    o.gathered.removeAll()
  }

  /// Frees what can be freed. The caller holds a pin, and no lock.
  func sweepRetired() {
    o.lock.lock()
    var next = o.retired
    o.retired = nil
    o.lock.unlock()
    while let worker = next {
      next = worker.o.nextRetired
      if freeRetired(worker) { continue }
      o.lock.lock()
      worker.o.nextRetired = o.retired
      o.retired = worker
      o.lock.unlock()
    }
  }

  /// Frees a stopped worker, if none of its requests is held any more and nobody
  /// is inside. The caller has taken it off the list.
  private func freeRetired(_ worker: Ref<Worker>) -> Bool {
    worker.settleRetired()
    guard worker.o.retiredLock.tryLock() else { return false }
    // In this order: who lets go of the last request came in before that.
    let isFree = worker.o.outstanding == 0 && worker.o.visitors.load(ordering: .acquiring) == 0
    worker.o.retiredLock.unlock()
    guard isFree else {
      // Somebody may have found the lock taken, and left this thread his mail.
      worker.settleRetired()
      return false
    }
    worker.freePool()
    worker.free()
    return true
  }

  /// Ends what the host still holds, for good. A call that is on its way in another
  /// thread is over soon: none of them waits.
  func endRetired() {
    endHandles()
    while let worker = o.retired {
      o.retired = worker.o.nextRetired
      while !freeRetired(worker) { Thread.yield() }
    }
  }

  /// Ends the handles of this server's channels.
  func endChannels() {
    Slots.forEach { slot, handle in
      guard handle.kind == .channel, case .held(let object, _) = Slots.pin(handle, .channel)
      else { return }
      if unsafe Ref<Channel>(opaque: object).o.server == self { _ = Slots.end(slot, handle) }
      Slots.unpin(slot)
    }
  }

  /// Ends the deferred requests, the writers and the tickets of this server.
  func endHandles() {
    Slots.forEach { slot, handle in
      guard let kind = handle.kind,
        kind == .request || kind == .writer || kind == .upgrade,
        case .held(let object, _) = Slots.pin(handle, kind)
      else { return }
      let exchange = unsafe Ref<Exchange>(opaque: object)
      if exchange.o.worker?.o.server == self {
        if kind == .writer {
          _ = exchange.endWriter(slot, handle)
        } else if kind == .upgrade {
          _ = exchange.destroyUpgrade()
        } else {
          _ = Slots.end(slot, handle)
        }
      }
      Slots.unpin(slot)
    }
  }
}

extension Ref where Object == Worker {
  /// Of a worker that has stopped: whatever thread lets go of one of its
  /// requests sees to the mail. One at a time; who finds another at it leaves it
  /// the rest.
  func settleRetired() {
    guard o.isRetired.load(ordering: .sequentiallyConsistent) else { return }
    while o.retiredLock.tryLock() {
      o.loop.o.mailbox.deliver()
      let exchange = o.firstEnding
      o.firstEnding = exchange?.o.next
      o.retiredLock.unlock()
      if let exchange {
        exchange.o.next = nil
        exchange.endCallbacks()
        o.retiredLock.lock()
        exchange.recycleIfFree()
        o.retiredLock.unlock()
      } else if o.loop.o.mailbox.isEmpty {
        return
      }
    }
  }

  /// True if an exchange has contexts that are dropped when the lock of a stopped
  /// worker was given up; then it comes back.
  func setAside(_ exchange: Ref<Exchange>) -> Bool {
    guard exchange.hasCallbacks, o.isRetired.load(ordering: .relaxed) else { return false }
    exchange.o.next = o.firstEnding
    o.firstEnding = exchange
    return true
  }
}
