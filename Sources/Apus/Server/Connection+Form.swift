// Bodies of requests by their route: those of a route for forms have limits of their own,
// and are parsed as they arrive, so that no upload is in memory as a whole.

extension Ref where Object == Connection {
  /// A request with a body has its route: false if it was refused.
  @inline(never)
  func admitBody(_ exchange: Ref<Exchange>) -> Bool {
    let length = exchange.o.head.contentLength
    let forms = server.o.options.forms
    guard exchange.o.route?.o.isForm ?? false else {
      if length <= server.o.options.limits.body { return true }
      return refuseForm(.bodyTooLong, exchange)
    }
    if length > forms.whole { return refuseForm(.bodyTooLong, exchange) }
    o.machine.room = forms.whole
    let type = exchange.contentType()
    let field = type.bytes
    switch FormType(field) {
    case .urlencoded:
      return length <= forms.memory || refuseForm(.bodyTooLong, exchange)
    case .other:
      return refuseForm(Refusal(status: 415, reason: "This is no form."), exchange)
    case .malformed:
      return refuseForm(.bad("The form's boundary is missing or malformed."), exchange)
    case .multipart(let boundary):
      do throws(Failure) {
        _ = try exchange.makeForm(
          boundary: field.extracting(boundary), forms, isStreamed: true)
        return true
      } catch {
        _ = lose()
        return false
      }
    }
  }

  private func refuseForm(_ refusal: Refusal, _ exchange: Ref<Exchange>) -> Bool {
    refuse(refusal, exchange)
    return false
  }

  /// A piece of the body of a route for forms. The exchange may be gone behind this.
  @inline(never)
  func takeForm(_ exchange: Ref<Exchange>, _ piece: Bytes) {
    guard let form = exchange.o.form else {
      let count = exchange.o.body.count &+ piece.count
      if Int64(count) > server.o.options.forms.memory { return refuse(.bodyTooLong, exchange) }
      exchange.o.body.append(piece)
      if exchange.o.body.failed { _ = lose() }
      return
    }
    form.o.take(piece)
    if let failure = form.o.failure { refuse(Refusal(failure), exchange) }
  }

  /// The body is in: false if it was no form after all.
  @inline(never)
  func endForm(_ exchange: Ref<Exchange>) -> Bool {
    guard let form = exchange.o.form, form.o.isStreamed else { return true }
    form.o.complete()
    if let failure = form.o.failure {
      refuse(Refusal(failure), exchange)
      return false
    }
    form.o.give(to: &exchange.o.body)
    return true
  }
}

extension Refusal {
  /// What a form is refused with.
  fileprivate init(_ failure: Failure) {
    switch failure.code {
    case .protocolBroken: self.init(status: 400, reason: failure.message)
    case .tooLarge: self.init(status: 413, reason: failure.message)
    // RFC 4918 §11.5.
    case .full: self.init(status: 507, reason: "There is no room for this upload.")
    case .memory, .descriptors:
      self.init(status: 503, reason: "This server has no room for a form now.")
    default: self.init(status: 500, reason: "The form cannot be kept.")
    }
  }
}
