// The keys that session tickets are sealed with (RFC 5077 §4): one that is in use, and
// those before it, for tickets that are still about. They follow each other by time.

import COpenSSL

@safe struct TLSTickets: ~Copyable {
  /// A name, a key for the cipher and one for the MAC.
  static var keySize: Int { 80 }
  static var mostKeys: Int { 3 }

  /// The newest first.
  private var keys = ByteBuffer()
  private var madeAt: Int64 = 0
  /// Seconds for which tickets are made with one key; 0: for ever.
  var period: Int64 = 12 * 3600
  /// The host's own, which time does not change.
  private var isGiven = false

  init() {}

  /// How long a session may be taken up again: as long as its key is there.
  var sessionLifetime: Int { period == 0 ? 86_400 : Int(min(period &* 2, 7 * 86_400)) }

  /// A new key is the first.
  mutating func rotate(now: Int64) -> Bool {
    var new = ByteBuffer()
    guard Crypto.appendRandom(TLSTickets.keySize, to: &new) else { return false }
    let kept = min(keys.count, (TLSTickets.mostKeys &- 1) &* TLSTickets.keySize)
    new.append(keys.bytes.extracting(0..<kept))
    if new.failed { return false }
    swap(&new, &keys)
    madeAt = now
    return true
  }

  /// Keys of the host's, shared by several servers; they are not followed by others.
  mutating func set(_ bytes: Bytes) throws(Failure) {
    guard bytes.count > 0, bytes.count % TLSTickets.keySize == 0,
      bytes.count <= TLSTickets.mostKeys &* TLSTickets.keySize
    else { throw Failure(.argument, "ticket keys are 1 to 3 times 80 bytes") }
    var new = ByteBuffer()
    new.append(bytes)
    if new.failed { throw .noMemory }
    swap(&new, &keys)
    period = 0
    isGiven = true
  }

  /// Prepares sealing a ticket: notes the key's name. False: there is no key.
  @unsafe mutating func seal(
    _ name: UnsafeMutablePointer<UInt8>, _ iv: UnsafeMutablePointer<UInt8>,
    _ cipher: OpaquePointer?, _ mac: OpaquePointer?, now: Int64
  ) -> Bool {
    if keys.isEmpty || (period > 0 && !isGiven && now &- madeAt >= period) {
      guard rotate(now: now) else { return false }
    }
    guard let key = unsafe keys.pointer, unsafe ssl_random(iv, 16) == 1 else { return false }
    unsafe name.update(from: key, count: 16)
    return unsafe tls_ticket_keys(cipher, mac, key + 16, key + 48, iv, 1) == 1
  }

  /// Prepares opening one: 1, 2 where a new ticket is due, 0 where the key is gone.
  @unsafe func open(
    _ name: UnsafeMutablePointer<UInt8>, _ iv: UnsafeMutablePointer<UInt8>,
    _ cipher: OpaquePointer?, _ mac: OpaquePointer?
  ) -> Int32 {
    guard let first = unsafe keys.pointer else { return 0 }
    var place = 0
    while place < keys.count {
      let key = unsafe first + place
      if unsafe CRYPTO_memcmp(key, name, 16) == 0 {
        let isReady = unsafe tls_ticket_keys(cipher, mac, key + 16, key + 48, iv, 0) == 1
        return isReady ? (place == 0 ? 1 : 2) : -1
      }
      place &+= TLSTickets.keySize
    }
    return 0
  }
}
