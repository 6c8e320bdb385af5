#!/usr/bin/env bash
# Builds libapus.so with the thread sanitizer, optimized as it ships.
#
#   scripts/build-thread.sh OUT.so
#
# swiftc makes LLVM IR, and clang instruments that: Swift 6.3's own
# -sanitize=thread also marks accesses of Swift variables, and fails ("Invalid
# bitcast") at a write through one addressor that lies behind another.
set -euo pipefail

. "$(dirname "$0")/toolchain.sh"
base=${out%.so}

"$swiftc" "${module[@]}" -suppress-warnings -wmo -O -g \
  -emit-ir "${sources[@]}" -o "$base.plain.ll"

# The pass leaves alone what does not ask for it. A cache of a witness table
# (...WL) or of a type (...ML) is read before it is made, on purpose: such a load
# is marked as atomic, which makes no difference to the processor. Without -O1,
# clang gets the register of Swift errors wrong.
sed -e 's/^\(attributes #[0-9]* = {\)/\1 sanitize_thread/' \
  -e 's/= load ptr, ptr \(@"[^"]*[WM]L"\), align/= load atomic ptr, ptr \1 acquire, align/' \
  "$base.plain.ll" >"$base.ll"
"$toolchain/bin/clang" -fsanitize=thread -O1 -g -fPIC -Wno-override-module \
  -c "$base.ll" -o "$base.o"
if ! nm "$base.o" | grep __tsan_write8 >/dev/null; then
  echo "the thread sanitizer was not applied" >&2
  exit 1
fi

"$swiftc" -emit-library -sanitize=thread -use-ld=lld -Xlinker "-soname=libapus.so.$abi" \
  "$base.o" -lz -lssl -lcrypto -o "$out"
rm -f "$base.plain.ll" "$base.ll" "$base.o"
