// Section 3 of the header: methods, statuses and opcodes by number and name.

import CApus

@_cdecl("apus_method_name")
public func apusMethodName(_ method: Int32) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    guard let name = Method.name(method) else {
      throw Failure(.notFound, "no method has this number")
    }
    return unsafe Text(name).characters
  }
}

@_cdecl("apus_method_number")
public func apusMethodNumber(_ name: UnsafePointer<CChar>?) -> Int32 {
  boundary { () throws(Failure) in
    let name = try unsafe text(name)
    guard name.bytes.isToken else { throw Failure(.argument, "a method is a token") }
    return Method.number(name.bytes)
  }
}

@_cdecl("apus_status_reason")
public func apusStatusReason(_ status: Int32) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    guard let reason = Status.reason(status) else {
      throw Failure(.notFound, "a status is 100 to 599")
    }
    return unsafe Text(reason).characters
  }
}

@_cdecl("apus_opcode_name")
public func apusOpcodeName(_ opcode: Int32) -> UnsafePointer<CChar>? {
  unsafe boundary(failing: nil) { () throws(Failure) in
    guard let name = Opcode.name(opcode) else {
      throw Failure(.notFound, "no opcode has this number")
    }
    return unsafe Text(name).characters
  }
}

@_cdecl("apus_opcode_is_control")
public func apusOpcodeIsControl(_ opcode: Int32) -> Int32 {
  boundary { () throws(Failure) in
    try check(opcode, in: 0...15)
    return Opcode.isControl(opcode) ? 1 : 0
  }
}
