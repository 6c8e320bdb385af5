// Why a call did not do what was asked: one of the result codes of the C
// interface, a sentence, and the operating system's error number where it has one.

struct Failure: Error {
  let code: Code
  let message: StaticString
  var number: Int32 = 0
  /// Words that belong behind the sentence, by their ticket; 0: none.
  var detail: UInt32 = 0

  init(_ code: Code, _ message: StaticString, number: Int32 = 0, detail: UInt32 = 0) {
    self.code = code
    self.message = message
    self.number = number
    self.detail = detail
  }
}

/// The result codes. Their numbers are frozen: they are the header's.
enum Code: Int32, CaseIterable {
  case handle = -1
  case argument = -2
  case state = -3
  case memory = -4
  case thread = -5
  case full = -6
  case timeout = -7
  case closed = -8
  case protocolBroken = -9
  case io = -10
  case tooLarge = -11
  case notFound = -12
  case addressInUse = -13
  case permission = -14
  case address = -15
  case fork = -16
  case descriptors = -17
  case unsupported = -18
  case tls = -19
  case certificate = -20
  case expired = -21
  case notYetValid = -22
  case selfSigned = -23
  case unknownIssuer = -24
  case wrongHost = -25
  case revoked = -26
  case weak = -27
  case pin = -28

  var name: StaticString {
    switch self {
    case .handle: "APUS_E_HANDLE"
    case .argument: "APUS_E_ARGUMENT"
    case .state: "APUS_E_STATE"
    case .memory: "APUS_E_MEMORY"
    case .thread: "APUS_E_THREAD"
    case .full: "APUS_E_FULL"
    case .timeout: "APUS_E_TIMEOUT"
    case .closed: "APUS_E_CLOSED"
    case .protocolBroken: "APUS_E_PROTOCOL"
    case .io: "APUS_E_IO"
    case .tooLarge: "APUS_E_TOO_LARGE"
    case .notFound: "APUS_E_NOT_FOUND"
    case .addressInUse: "APUS_E_ADDRESS_IN_USE"
    case .permission: "APUS_E_PERMISSION"
    case .address: "APUS_E_ADDRESS"
    case .fork: "APUS_E_FORK"
    case .descriptors: "APUS_E_DESCRIPTORS"
    case .unsupported: "APUS_E_UNSUPPORTED"
    case .tls: "APUS_E_TLS"
    case .certificate: "APUS_E_CERTIFICATE"
    case .expired: "APUS_E_EXPIRED"
    case .notYetValid: "APUS_E_NOT_YET_VALID"
    case .selfSigned: "APUS_E_SELF_SIGNED"
    case .unknownIssuer: "APUS_E_UNKNOWN_ISSUER"
    case .wrongHost: "APUS_E_WRONG_HOST"
    case .revoked: "APUS_E_REVOKED"
    case .weak: "APUS_E_WEAK"
    case .pin: "APUS_E_PIN"
    }
  }

  var message: StaticString {
    switch self {
    case .handle: "the handle is zero, stale, forged or of another kind"
    case .argument: "an argument is NULL, out of range or malformed"
    case .state: "the object is not in a state for this call"
    case .memory: "there is no memory left, or a table is full"
    case .thread: "the object belongs to another thread"
    case .full: "a queue is at its limit"
    case .timeout: "the time limit has passed"
    case .closed: "the peer has gone or the object was closed"
    case .protocolBroken: "the peer broke the protocol"
    case .io: "the operating system refused"
    case .tooLarge: "a limit on size was passed"
    case .notFound: "there is nothing of that name or index"
    case .addressInUse: "the address is in use"
    case .permission: "the operating system forbids it"
    case .address: "the address is not one of this machine"
    case .fork: "the process is the child of a fork"
    case .descriptors: "there are no file descriptors left"
    case .unsupported: "this build does not have it"
    case .tls: "a TLS handshake, or a certificate and its key, went wrong"
    case .certificate: "the peer's certificate is not good"
    case .expired: "a certificate of the peer's has expired"
    case .notYetValid: "a certificate of the peer's is not valid yet"
    case .selfSigned: "the peer's chain ends in a certificate that nobody vouches for"
    case .unknownIssuer: "the issuer of the peer's certificate is not known"
    case .wrongHost: "the peer's certificate is for another host"
    case .revoked: "a certificate of the peer's was revoked"
    case .weak: "a key or signature in the peer's chain is too weak"
    case .pin: "the peer's key is not the one that was pinned"
    }
  }
}

extension Failure {
  static var noMemory: Failure { Failure(.memory, "there is no memory left") }
  static var deadHandle: Failure { Failure(.handle, Code.handle.message) }
}
