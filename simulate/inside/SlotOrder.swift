// Compiled into the library for the simulator alone: the table behind the handles, as it is
// when a run begins.

import CInside

/// What is ended all at once is ended in the order of its places, and which of those are free
/// hangs on all runs before.
@_cdecl("inside_slots") func insideSlots(_ count: Int32) {
  var places: [UInt32] = []
  var nothing: UInt8 = 0
  unsafe withUnsafeMutablePointer(to: &nothing) { object in
    for _ in 0..<count {
      guard let place = unsafe Slots.take(.request, UnsafeMutableRawPointer(object), { _ in })
      else { break }
      places.append(place)
    }
  }
  for place in places.sorted() { Slots.give(place) }
}
