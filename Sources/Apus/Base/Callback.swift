// A function of the host's with its context, and the drop function that ends the
// context exactly once.

typealias Drop = @convention(c) (UnsafeMutableRawPointer?) -> Void

@safe struct Callback<Function> {
  let function: Function?
  let context: UnsafeMutableRawPointer?
  let drop: Drop?

  init(_ function: Function?, _ context: UnsafeMutableRawPointer?, _ drop: Drop?) {
    self.function = function
    unsafe self.context = unsafe context
    unsafe self.drop = unsafe drop
  }

  static var none: Callback { unsafe Callback(nil, nil, nil) }

  var isSet: Bool { function != nil }

  /// Ends the context. The owner calls it once, and forgets the callback.
  func end() { if let drop = unsafe drop { unsafe drop(context) } }
}
