// Which end of a WebSocket connection somebody is.

/// The numbers are those of the C interface.
enum Role: Int32 {
  case client = 0
  case server = 1
}
