// Section 19 of the header: what servers and clients set of TLS alike.

import CApus

/// Exchanges the versions with others, by what each side has to change its settings.
func setVersions(
  _ least: Int32, _ most: Int32,
  _ change: ((inout TLSSettings) -> Void) throws(Failure) -> Void
) throws(Failure) {
  try check(least, in: 12...13)
  try check(most, in: least...13)
  var (low, high) = (least, most)
  try change {
    swap(&low, &$0.least)
    swap(&high, &$0.most)
  }
}

/// The same for one of the lists.
func setList(
  _ list: TLSSettings.List, _ text: Text,
  _ change: ((inout TLSSettings) -> Void) throws(Failure) -> Void
) throws(Failure) {
  var new = try TLSSettings.list(text.bytes)
  try change { $0.exchange(list, &new) }
}
