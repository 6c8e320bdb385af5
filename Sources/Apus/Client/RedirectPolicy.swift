// Whether and how a redirection is followed: RFC 9110 §15.4, and where that leaves a
// choice, what browsers do (the Fetch standard, §4.4). A function of what is known and
// nothing else.

enum RedirectPolicy {
  enum Scheme {
    case http
    case https
    case other
  }

  struct Situation {
    /// Of the response, which has a Location.
    var status: Int32
    /// Of the request that was answered.
    var method: Int32
    var hasBody = false
    /// Whether the body, if there is one, can be sent again.
    var isBodyRepeatable = true
    /// Whether the new URL has the same scheme, host and port as the one before.
    var isSameOrigin = true
    /// Whether credentials and cookies that the host set by hand were sent this time. Once
    /// lost they do not come back.
    var hasCredentials = true
    var from = Scheme.https
    var to = Scheme.https
    /// Whether "https" may lead to "http".
    var allowsDowngrade = false
    /// Redirections that were followed before, and how many may be.
    var followed = 0
    var limit = RedirectPolicy.usualLimit
  }

  /// As in the Fetch standard.
  static var usualLimit: Int { 20 }

  struct Follow: Equatable {
    var method: Method
    /// Otherwise the fields that are about the body go too.
    var keepsBody: Bool
    /// Authorization, Cookie and Proxy-Authorization as the host set them.
    var keepsCredentials: Bool

    enum Method: Equatable {
      case same
      case get
    }
  }

  static var otherScheme: Failure {
    Failure(.unsupported, "the redirection leads to a scheme that is neither http nor https")
  }

  /// How to follow; nil: the response is what the host gets.
  static func decide(_ now: Situation) throws(Failure) -> Follow? {
    guard isRedirection(now.status) else { return nil }
    if now.followed >= now.limit {
      throw Failure(.tooLarge, "there are too many redirections")
    }
    if now.to == .other {
      throw otherScheme
    }
    if now.from == .https, now.to == .http, !now.allowsDowngrade {
      throw Failure(.permission, "the redirection leads from https to http")
    }
    let becomesGet = becomesGet(now.status, now.method)
    let keepsBody = now.hasBody && !becomesGet
    if keepsBody, !now.isBodyRepeatable {
      throw Failure(.state, "the redirection wants the body again, which is gone")
    }
    return Follow(
      method: becomesGet ? .get : .same, keepsBody: keepsBody,
      keepsCredentials: now.hasCredentials && now.isSameOrigin)
  }

  /// 300 is a choice, 304 an answer, 305 and 306 are of the past.
  static func isRedirection(_ status: Int32) -> Bool {
    switch status {
    case 301, 302, 303, 307, 308: true
    default: false
    }
  }

  /// §15.4.2 and §15.4.3 let POST become GET; §15.4.4 has all become GET but HEAD.
  private static func becomesGet(_ status: Int32, _ method: Int32) -> Bool {
    switch status {
    case 301, 302: method == Method.post
    case 303: method != Method.get && method != Method.head
    default: false
    }
  }
}
