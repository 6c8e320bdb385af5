// Counters of a server. Each worker has a set that it alone writes, without
// locked instructions; a reader adds the sets up.

import Synchronization

enum Counter: Int32, CaseIterable {
  case connections = 0
  case accepted
  case requests
  case replies
  case bytesIn
  case bytesOut
  case pending
  case refusedSyntax
  case refusedTimeout
  case refusedBody
  case refusedTarget
  case refusedHead
  case refusedBusy
  case timeoutIdle
  case timeoutWrite
  case acceptPauses
  case errors
  case unheard
  case malformedForwards
  case refusedProxy
  case refusedMessage

  /// The counter of a refusal.
  init(status: Int32) {
    switch status {
    case 408: self = .refusedTimeout
    case 413: self = .refusedBody
    case 414: self = .refusedTarget
    case 431: self = .refusedHead
    case 503: self = .refusedBusy
    default: self = .refusedSyntax
    }
  }
}

extension Code {
  /// What listeners hear of a refusal.
  init(status: Int32) {
    switch status {
    case 408: self = .timeout
    case 413, 414, 431: self = .tooLarge
    case 500, 507: self = .io
    case 503: self = .full
    default: self = .protocolBroken
    }
  }
}

@safe struct Counters: ~Copyable {
  private let values: UnsafeMutablePointer<Atomic<Int64>>

  init?() {
    let count = Counter.allCases.count
    guard let memory = unsafe allocate(bytes: count &* MemoryLayout<Atomic<Int64>>.stride) else {
      return nil
    }
    unsafe values = memory.bindMemory(to: Atomic<Int64>.self, capacity: count)
    for index in 0..<count { unsafe (values + index).initialize(to: Atomic(0)) }
  }

  deinit { unsafe deallocate(UnsafeMutableRawPointer(values)) }

  /// The owner's thread alone.
  @inline(__always)
  func add(_ counter: Counter, _ amount: Int64 = 1) {
    let index = Int(counter.rawValue)
    let value = unsafe values[index].load(ordering: .relaxed)
    unsafe values[index].store(value &+ amount, ordering: .relaxed)
  }

  /// The owner's thread alone.
  func set(_ counter: Counter, _ value: Int64) {
    unsafe values[Int(counter.rawValue)].store(value, ordering: .relaxed)
  }

  func value(_ counter: Counter) -> Int64 {
    unsafe values[Int(counter.rawValue)].load(ordering: .relaxed)
  }
}
