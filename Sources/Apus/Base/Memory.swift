// Memory that may be refused. Swift's own allocation traps when there is none,
// and a peer can make us ask for much; so every size that a peer has a say in
// goes through here, and its caller handles nil.

import CSystem

@unsafe func allocate(bytes: Int) -> UnsafeMutableRawPointer? {
  guard bytes >= 0 else { return nil }
  return unsafe sys_allocate(bytes)
}

@unsafe func allocateZeroed(bytes: Int) -> UnsafeMutableRawPointer? {
  guard bytes >= 0 else { return nil }
  return unsafe sys_allocate_zeroed(bytes)
}

@unsafe func reallocate(_ memory: UnsafeMutableRawPointer?, bytes: Int)
  -> UnsafeMutableRawPointer?
{
  guard bytes >= 0 else { return nil }
  return unsafe sys_reallocate(memory, bytes)
}

@unsafe func deallocate(_ memory: UnsafeMutableRawPointer?) {
  unsafe sys_free(memory)
}
