// Responses that are not the end: redirections, and challenges. The loop's thread.

import Synchronization

extension Ref where Object == Fetch {
  /// Whether the response is the host's, or another request follows.
  func decide(_ bytes: Bytes) {
    o.run.plan = .give
    let status = o.run.head.status
    if status == 408, isStale {
      o.run.wantsFresh = true
      o.run.plan = .follow
      return
    }
    // RFC 9110 §10.1.1: the same without the expectation.
    if status == 417, o.run.isExpecting, canSendAgain || o.run.isWithheld {
      o.run.isUnexpecting = true
      o.run.plan = .follow
      return
    }
    if status == 401 {
      if answers(bytes) { o.run.plan = .follow }
      return
    }
    if status == 407 {
      if answersProxy(bytes) { o.run.plan = .follow }
      return
    }
    guard o.options.redirects > 0, RedirectPolicy.isRedirection(status) else { return }
    let name = Text("location")
    guard let field = o.run.head.field(name.bytes, in: bytes) else { return }
    do throws(Failure) {
      try redirect(to: bytes.extracting(field.value))
    } catch {
      finish(error)
    }
  }

  /// Whether a 408 may be older than the request: the server gave the connection up as
  /// the request was under way (RFC 9110 §15.5.9).
  private var isStale: Bool {
    guard let link = o.run.link, link.o.uses > 0, !o.run.head.persists else { return false }
    return mayRepeat
  }

  // ---- redirections, RFC 9110 §15.4

  private func redirect(to location: Bytes) throws(Failure) {
    var next: WebURL
    do throws(Failure) {
      next = try WebURL(location, at: o.run.target, .lenient)
    } catch {
      switch error.code {
      case .argument: throw Failure(.protocolBroken, "the redirection's Location is no URL")
      case .unsupported: throw RedirectPolicy.otherScheme
      default: throw error
      }
    }
    if let loop = o.worker?.o.loop { try secure(&next, now: loop.o.wallSeconds) }
    let carries = o.run.sendsBody && o.body.isThere
    let situation = RedirectPolicy.Situation(
      status: o.run.head.status, method: Method.number(o.run.method.bytes), hasBody: carries,
      isBodyRepeatable: o.body.canRepeat, isSameOrigin: next.hasOrigin(of: o.run.target),
      hasCredentials: o.run.isHome, from: kind(o.run.target), to: kind(next),
      allowsDowngrade: o.options.allowsDowngrade, followed: Int(o.run.redirects),
      limit: Int(o.options.redirects))
    guard let follow = try RedirectPolicy.decide(situation) else { return }
    if follow.method == .get {
      o.run.method.truncate(to: 0)
      o.run.method.append("GET")
    }
    if !follow.keepsBody {
      o.run.sendsBody = false
      locked { o.isAsking = false }
    }
    o.run.isHome = follow.keepsCredentials
    o.run.redirects &+= 1
    o.run.plan = .follow
    swap(&o.run.target, &next)
  }

  private func kind(_ url: borrowing WebURL) -> RedirectPolicy.Scheme {
    switch url.scheme {
    case .http: .http
    case .https: .https
    default: .other
    }
  }

  // ---- challenges, RFC 9110 §11

  /// Whether there is an answer that was not given yet.
  private func answers(_ bytes: Bytes) -> Bool {
    guard o.run.isHome, o.run.credentials.scheme != .none, canSendAgain,
      !o.run.fields.has("authorization")
    else { return false }
    var challenges = Challenges()
    let name = Text("www-authenticate")
    var number = 0
    while let field = o.run.head.field(name.bytes, number: number, in: bytes) {
      challenges.take(bytes.extracting(field.value))
      number &+= 1
    }
    switch challenges.choice(o.run.credentials.allowed) {
    case .basic:
      // Those of a URL were sent unasked.
      if o.run.sendsBasic || o.run.credentials.scheme == .url || o.run.digest != nil {
        return false
      }
      o.run.sendsBasic = true
      return true
    case .digest: return answers(challenges.takeDigest())
    default: return false
    }
  }

  private func answers(_ challenge: consuming DigestChallenge) -> Bool {
    // The second time only if the nonce alone was at fault.
    if let old = o.run.digest {
      guard challenge.isStale, o.run.stale < 3 else { return false }
      o.run.stale &+= 1
      o.run.digest = nil
      old.free()
    }
    var nonce = ByteBuffer()
    guard Digest.appendNonce(to: &nonce), let made = Digest(challenge, nonce: nonce.bytes) else {
      return false
    }
    o.run.digest = Ref<Digest>(make: made)
    return o.run.digest != nil
  }

  /// Adds the Authorization field, where there is one.
  func appendAuthorization(to output: inout ByteBuffer) throws(Failure) {
    guard o.run.isHome, o.run.credentials.scheme != .none, !o.run.fields.has("authorization")
    else { return }
    let start = output.count
    output.append("Authorization: ")
    let before = output.count
    if let digest = o.run.digest {
      var target = ByteBuffer()
      appendTarget(to: &target)
      try digest.o.append(
        method: o.run.method.bytes, target: target.bytes, user: o.run.credentials.user.bytes,
        password: o.run.credentials.password.bytes, to: &output)
    } else {
      switch o.run.credentials.scheme {
      case .bearer:
        try Credentials.appendBearer(token: o.run.credentials.password.bytes, to: &output)
      case .basic, .url: try appendBasic(to: &output)
      case .any where o.run.sendsBasic: try appendBasic(to: &output)
      default: break
      }
    }
    if output.count == before { output.truncate(to: start) } else { output.append("\r\n") }
  }

  private func appendBasic(to output: inout ByteBuffer) throws(Failure) {
    try Credentials.appendBasic(
      user: o.run.credentials.user.bytes, password: o.run.credentials.password.bytes,
      to: &output)
  }
}
