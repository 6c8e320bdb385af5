// Section 9 of the header: from a request to a channel.

import CApus

/// The ticket of a handle, with the lock of its request.
@inline(__always)
private func withUpgrade<Result>(
  _ handle: UInt64, _ body: (Ref<Exchange>) throws(Failure) -> Result
) throws(Failure) -> Result {
  switch Slots.pin(Handle(bits: handle), .upgrade) {
  case .held(let object, let slot):
    defer { Slots.unpin(slot) }
    let exchange = unsafe Ref<Exchange>(opaque: object)
    return try exchange.locked { () throws(Failure) in try body(exchange) }
  default: throw .deadHandle
  }
}

@_cdecl("apus_upgrade_make")
public func apusUpgradeMake(_ request: UInt64) -> UInt64 {
  boundary(failing: 0) { () throws(Failure) in
    try withRequest(request) { exchange throws(Failure) in
      try exchange.checkUnreplied()
      guard exchange.o.upgrade == nil else {
        throw Failure(.state, "the request has its ticket already")
      }
      if exchange.o.hasLeft { throw Failure(.closed, "the client has gone") }
      do throws(Failure) {
        return try exchange.makeUpgrade().bits
      } catch {
        // A refusal that was the answer.
        if exchange.o.isReplied { exchange.afterReply() }
        throw error
      }
    }
  }
}

@_cdecl("apus_upgrade_destroy")
public func apusUpgradeDestroy(_ handle: UInt64) -> Int32 {
  boundary(failing: 0) { () throws(Failure) in
    switch Slots.pin(Handle(bits: handle), .upgrade) {
    case .held(let object, let slot):
      defer { Slots.unpin(slot) }
      guard unsafe Ref<Exchange>(opaque: object).destroyUpgrade() else { throw .deadHandle }
      return 1
    default: throw .deadHandle
    }
  }
}

@_cdecl("apus_upgrade_is_alive")
public func apusUpgradeIsAlive(_ handle: UInt64) -> Int32 {
  Slots.isAlive(Handle(bits: handle), .upgrade) && !Process.isForked ? 1 : 0
}

@_cdecl("apus_upgrade_accept")
public func apusUpgradeAccept(_ handle: UInt64, _ subprotocol: UnsafePointer<CChar>?) -> UInt64 {
  boundary(failing: 0) { () throws(Failure) in
    try withUpgrade(handle) { exchange throws(Failure) in
      let name = unsafe subprotocol.map { unsafe Text(characters: $0) } ?? Text("")
      return try exchange.acceptUpgrade(subprotocol: name.bytes).o.handle.bits
    }
  }
}

@_cdecl("apus_upgrade_refuse")
public func apusUpgradeRefuse(_ handle: UInt64, _ status: Int32) -> Int32 {
  boundary { () throws(Failure) in
    try withUpgrade(handle) { exchange throws(Failure) in
      try check(status, in: 300...599)
      try exchange.refuseUpgrade(status)
      return 0
    }
  }
}

@_cdecl("apus_upgrade_set_frames")
public func apusUpgradeSetFrames(_ handle: UInt64, _ on: Int32) -> Int32 {
  boundary { () throws(Failure) in
    try withUpgrade(handle) { exchange throws(Failure) in
      try check(on, in: 0...1)
      try exchange.checkUpgrade().o.givesFrames = on == 1
      return 0
    }
  }
}

@_cdecl("apus_upgrade_protocol_count")
public func apusUpgradeProtocolCount(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    try withUpgrade(handle) { exchange throws(Failure) in
      Int32(truncatingIfNeeded: try exchange.checkUpgrade().o.protocols.count)
    }
  }
}

@_cdecl("apus_upgrade_protocol_at")
public func apusUpgradeProtocolAt(_ handle: UInt64, _ index: Int32) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    unsafe try withUpgrade(handle) { exchange throws(Failure) in
      let upgrade = try exchange.checkUpgrade()
      guard let text = unsafe upgrade.o.protocols.terminated(Int(index)) else {
        throw Failure(.notFound, "the client offers no more")
      }
      return unsafe text.characters
    }
  }
}
