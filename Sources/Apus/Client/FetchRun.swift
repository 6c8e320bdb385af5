// What a fetch is at while it runs. All of it is the loop's.

struct FetchRun: ~Copyable {
  enum Stage {
    /// Nobody has seen it yet.
    case fresh
    /// For a place in the pool.
    case waiting
    case dialing
    /// The way through a proxy is made.
    case tunnelling
    /// TLS is being agreed on.
    case securing
    case exchanging
    /// Before it is tried again.
    case delaying
    case over
  }

  /// What is to become of the response whose head is in.
  enum Plan {
    /// It is the host's.
    case give
    /// It is dropped, read to its end where its connection may be used again; then another
    /// request is sent.
    case follow
  }

  var stage = Stage.fresh
  var plan = Plan.give
  var target: WebURL
  /// Where the first request went: what is secret goes nowhere else.
  var isHome = true
  var method = ByteBuffer()
  /// The lines that the host has set, for its client or here.
  var fields = FieldLines()
  var sendsBody = true
  var credentials = FetchCredentials()
  /// What a challenge was answered with.
  var sendsBasic = false
  var digest: Ref<Digest>? = nil
  var stale = 0
  var redirects: Int32 = 0
  var retries: Int32 = 0

  // ---- the way
  var route = ProxyRoute()
  var tunnel: Ref<Tunnel>? = nil
  /// How often its proxy's challenges were answered.
  var proxyAnswers = 0
  var origin: Ref<PoolOrigin>? = nil
  var dialer: Ref<Dialer>? = nil
  /// Why there is no dialer.
  var undialled: Failure? = nil
  var link: Ref<Link>? = nil
  /// Another connection than one that has been idle.
  var wantsFresh = false

  // ---- the request under way
  var isHeadSent = false
  var isBodySent = false
  /// The body waits for leave to be sent (RFC 9110 §10.1.1).
  var waitsToSend = false
  /// It was told to wait for that; a server has refused to be asked (RFC 9110 §15.5.18).
  var isExpecting = false
  var isUnexpecting = false
  /// The answer came before leave was given: the body is not sent.
  var isWithheld = false
  /// Bytes of the body that the host gave.
  var given: Int64 = 0

  // ---- the response under way
  var head = ResponseHead()
  var isHeadIn = false
  var response: Ref<Response>? = nil
  var decoder: Ref<ContentDecoder>? = nil
  /// Reading has paused inside a piece that is decoded: what is left of it.
  var isDecoding = false
  var undecoded = ByteBuffer()
  var file: Ref<FileWriter>? = nil
  var dropped: Int64 = 0

  // ---- time, in microseconds of the loop's clock; 0: not set
  var started: Int64 = 0
  var deadline: Int64 = 0
  /// When something came or went last.
  var active: Int64 = 0
  /// When the way to the server was begun.
  var dialed: Int64 = 0
  /// When what waits goes on by itself.
  var resume: Int64 = 0
  var times = FetchTimes()

  init() { target = WebURL() }
  init(target: consuming WebURL) { self.target = target }

  deinit {
    decoder?.free()
    digest?.free()
    tunnel?.free()
    file?.free()
  }

  /// What is read of a response that nobody is to have, so that its connection can be
  /// used again.
  static var mostDropped: Int64 { 256 * 1024 }
  /// How long a server may take to give leave for a body.
  static var patience: Int64 { 1_000_000 }
}
