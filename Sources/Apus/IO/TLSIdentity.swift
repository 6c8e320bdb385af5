// A certificate with its chain and its private key, in PEM, from memory or from files.

import COpenSSL

typealias PasswordFunction =
  @convention(c) (
    UnsafeMutableRawPointer?, UnsafePointer<CChar>?, UnsafeMutablePointer<CChar>?, Int
  )
  -> Int32

struct TLSIdentity: ~Copyable {
  var chain = ByteBuffer()
  var key = ByteBuffer()
  /// What the host is told when it is asked for a password: a path, or nothing.
  var keyName = ByteBuffer()

  static var most: Int { 1024 * 1024 }

  init(chain: Bytes, key: Bytes) throws(Failure) {
    self.chain.append(chain)
    self.key.append(key)
    guard !self.chain.failed, !self.key.failed, keyName.terminate() else { throw .noMemory }
  }

  init(chainPath: Text, keyPath: Text) throws(Failure) {
    try TLSIdentity.read(chainPath, to: &chain)
    try TLSIdentity.read(keyPath, to: &key)
    keyName.append(keyPath.bytes)
    guard keyName.terminate() else { throw .noMemory }
  }

  /// The files of a folder by their usual names: "server.crt" and "server.key".
  static func ofFolder(_ path: Text, certificate: StaticString, key: StaticString)
    throws(Failure) -> TLSIdentity
  {
    var chainPath = ByteBuffer()
    var keyPath = ByteBuffer()
    chainPath.append(path.bytes)
    chainPath.append(certificate)
    keyPath.append(path.bytes)
    keyPath.append(key)
    guard chainPath.terminate(), keyPath.terminate(), let chain = unsafe chainPath.pointer,
      let secret = unsafe keyPath.pointer
    else { throw .noMemory }
    return try unsafe TLSIdentity(
      chainPath: Text(start: chain, count: chainPath.count),
      keyPath: Text(start: secret, count: keyPath.count))
  }

  /// The key leaves no trace.
  deinit { if let start = unsafe key.pointer { unsafe OPENSSL_cleanse(start, key.count) } }

  /// All of a file that is not large.
  static func read(_ path: Text, to buffer: inout ByteBuffer) throws(Failure) {
    let file = try FileReader(path)
    guard file.size <= Int64(most), buffer.reserve(Int(file.size) &+ 1) else {
      throw Failure(.tooLarge, "the file is larger than 1 MiB")
    }
    while buffer.count <= most {
      if try file.read(4096, at: Int64(buffer.count), to: &buffer) == 0 { return }
    }
    throw Failure(.tooLarge, "the file is larger than 1 MiB")
  }

  /// Gives them to a context.
  @unsafe func apply(
    to context: OpaquePointer, password: Callback<PasswordFunction>
  ) throws(Failure) {
    ERR_clear_error()
    let hasChain = unsafe chain.bytes.withUnsafeBufferPointer {
      unsafe tls_context_chain(context, $0.baseAddress, $0.count)
    }
    guard hasChain == 1 else { throw TLS.failure("this is no certificate chain in PEM") }
    var asked = unsafe Asked(password: password, name: keyName.pointer)
    let hasKey = unsafe withUnsafeMutablePointer(to: &asked) { asked in
      unsafe key.bytes.withUnsafeBufferPointer {
        unsafe tls_context_key(context, $0.baseAddress, $0.count, askForPassword, asked)
      }
    }
    if hasKey == 1 { return }
    if asked.wasRefused {
      ERR_clear_error()
      throw Failure(.tls, "the private key is encrypted, and there is no password for it")
    }
    throw TLS.failure("the private key cannot be used with this certificate")
  }
}

@safe private struct Asked {
  let password: Callback<PasswordFunction>
  let name: UnsafeMutablePointer<UInt8>?
  var wasRefused = false

  init(password: Callback<PasswordFunction>, name: UnsafeMutablePointer<UInt8>?) {
    unsafe self.password = unsafe password
    unsafe self.name = unsafe name
  }
}

private func askForPassword(
  _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int32, _ writes: Int32,
  _ context: UnsafeMutableRawPointer?
) -> Int32 {
  guard let asked = unsafe context?.assumingMemoryBound(to: Asked.self) else { return -1 }
  let password = unsafe asked.pointee.password
  let name = unsafe asked.pointee.name.map {
    unsafe UnsafePointer(UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
  }
  let count = unsafe password.function?(password.context, name, buffer, Int(capacity)) ?? -1
  if count < 0 || count > capacity {
    unsafe asked.pointee.wasRefused = true
    return -1
  }
  return count
}
