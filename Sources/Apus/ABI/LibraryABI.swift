// Section 2 of the header: the library, its errors, its log and its live handles.

import CApus

@_cdecl("apus_version")
public func apusVersion() -> UnsafePointer<CChar>? {
  unsafe Text("0.1.0").characters
}

@_cdecl("apus_abi_version")
public func apusABIVersion() -> Int32 { 1 }

@_cdecl("apus_last_error")
public func apusLastError() -> Int32 { ThreadContext.error }

@_cdecl("apus_last_error_message")
public func apusLastErrorMessage() -> UnsafePointer<CChar>? { unsafe ThreadContext.message }

@_cdecl("apus_error_name")
public func apusErrorName(_ code: Int32) -> UnsafePointer<CChar>? {
  if code == 0 { return unsafe Text("APUS_OK").characters }
  return unsafe Text(Code(rawValue: code)?.name ?? "APUS_E_UNKNOWN").characters
}

@_cdecl("apus_error_message")
public func apusErrorMessage(_ code: Int32) -> UnsafePointer<CChar>? {
  if code == 0 { return unsafe Text("success").characters }
  return unsafe Text(Code(rawValue: code)?.message ?? "there is no such code").characters
}

@_cdecl("apus_set_log")
public func apusSetLog(
  _ function: apus_log_fn?, _ context: UnsafeMutableRawPointer?, _ drop: apus_drop_fn?
) -> Int32 {
  let callback = unsafe Callback(function, context, drop)
  let result: Int32 = boundary { () throws(Failure) in
    guard unsafe Log.set(callback) else {
      throw Failure(.state, "the log's function cannot change what it is")
    }
    return 0
  }
  if result < 0 { unsafe callback.end() }
  return result
}

@_cdecl("apus_handle_kind")
public func apusHandleKind(_ handle: UInt64) -> Int32 {
  boundary { () throws(Failure) in
    let handle = Handle(bits: handle)
    guard Slots.live(handle) != nil, let kind = handle.kind else { throw .deadHandle }
    return Int32(kind.rawValue)
  }
}

private func kind(_ number: Int32) throws(Failure) -> Kind? {
  if number == 0 { return nil }
  guard let small = UInt8(exactly: number), let kind = Kind(rawValue: small) else {
    throw Failure(.argument, "there is no such kind")
  }
  return kind
}

@_cdecl("apus_live_count")
public func apusLiveCount(_ number: Int32) -> Int32 {
  boundary { () throws(Failure) in
    let kind = try kind(number)
    var count: Int32 = 0
    Slots.forEach { _, handle in
      if kind == nil || handle.kind == kind { count &+= 1 }
    }
    return count
  }
}

@_cdecl("apus_live_next")
public func apusLiveNext(_ number: Int32, _ previous: UInt64) -> UInt64 {
  boundary(failing: 0) { () throws(Failure) in
    let kind = try kind(number)
    let start = previous == 0 ? 0 : Handle(bits: previous).index &+ 1
    return Slots.next(kind, from: start)?.bits ?? 0
  }
}

@_cdecl("apus_set_tag")
public func apusSetTag(_ handle: UInt64, _ tag: UnsafePointer<CChar>?) -> Int32 {
  boundary { () throws(Failure) in
    guard let slot = Slots.live(Handle(bits: handle)) else { throw .deadHandle }
    guard let tag = unsafe tag else {
      _ = Slots.setTag(slot, nil)
      return 0
    }
    let text = unsafe Text(characters: tag)
    guard Slots.setTag(slot, text.bytes) else { throw .noMemory }
    return 0
  }
}

@_cdecl("apus_tag")
public func apusTag(
  _ handle: UInt64, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int
) -> Int32 {
  boundary { () throws(Failure) in
    guard let slot = Slots.live(Handle(bits: handle)) else { throw .deadHandle }
    guard let buffer = unsafe buffer, capacity > 0 else {
      throw Failure(.argument, "there is no room for the tag")
    }
    return unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 64) { copy in
      guard let base = copy.baseAddress else { return 0 }
      let count = unsafe Slots.copyTag(slot, to: base)
      let kept = min(count, capacity &- 1)
      for index in 0..<kept { unsafe buffer[index] = CChar(bitPattern: base[index]) }
      unsafe buffer[kept] = 0
      return Int32(truncatingIfNeeded: count)
    }
  }
}

@_cdecl("apus_leak_report")
public func apusLeakReport(_ function: apus_leak_fn?, _ context: UnsafeMutableRawPointer?) -> Int32
{
  boundary { () throws(Failure) in
    guard let function = unsafe function else {
      throw Failure(.argument, "the function must not be NULL")
    }
    var count: Int32 = 0
    Slots.forEach { slot, handle in
      guard Slots.isOpen(slot), let kind = handle.kind else { return }
      count &+= 1
      unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 64) { tag in
        guard let base = tag.baseAddress else { return }
        _ = unsafe Slots.copyTag(slot, to: base)
        unsafe function(
          context, handle.bits, Int32(kind.rawValue), UInt32(truncatingIfNeeded: handle.index),
          UInt32(truncatingIfNeeded: handle.generation), (Clock.now &- slot.o.birth) / 1000,
          UnsafeRawPointer(base).assumingMemoryBound(to: CChar.self))
      }
    }
    return count
  }
}

@_cdecl("apus_leak_report_at_exit")
public func apusLeakReportAtExit(_ descriptor: Int32) -> Int32 {
  boundary { () throws(Failure) in
    guard descriptor >= -1 else { throw Failure(.argument, "not a descriptor") }
    Process.reportLeaks(to: descriptor)
    return 0
  }
}
