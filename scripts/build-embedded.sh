#!/usr/bin/env bash
# Builds libapus.so in Embedded Swift: the same sources, no Swift runtime.
#
#   scripts/build-embedded.sh OUT.so
#
# All of Sources/Apus goes into one object, which clang links: swiftc would
# bring the runtime along. The flags mirror those of Package.swift, and
# CONTRIBUTING.md says what each is for.
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: $0 OUT.so" >&2
  exit 2
fi
mkdir -p "$(dirname "$1")"
out=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
cd "$(dirname "$0")/.."

swiftc=$(command -v swiftc) || { echo "swiftc is not on PATH" >&2; exit 1; }
toolchain=$(dirname "$(dirname "$(readlink -f "$swiftc")")")
triple=$(uname -m)-unknown-linux-gnu
tables=$toolchain/lib/swift/embedded/$triple
if [ ! -d "$tables" ]; then
  echo "this Swift toolchain has no Embedded Swift for $triple" >&2
  exit 1
fi

# Nothing to do if nothing is newer than the library; a folder is newer once a
# file in it has gone.
inputs=(Sources/Apus Sources/CSystem Sources/CZlib Sources/COpenSSL include cmake/apus.map
  scripts/build-embedded.sh)
if [ -e "$out" ] && [ -z "$(find "${inputs[@]}" -newer "$out")" ]; then
  exit 0
fi

mapfile -t sources < <(find Sources/Apus -name '*.swift' | LC_ALL=C sort)
object=${out%.so}.o
"$swiftc" \
  -enable-experimental-feature Embedded -enable-experimental-feature Lifetimes \
  -swift-version 6 -strict-memory-safety -wmo -O -enforce-exclusivity=unchecked \
  -parse-as-library -module-name Apus -I include \
  -I Sources/CSystem -I Sources/CZlib -I Sources/COpenSSL \
  -Xfrontend -function-sections \
  -c "${sources[@]}" -o "$object"

abi=$(sed -n 's/^#define APUS_ABI_VERSION \([0-9]*\).*/\1/p' include/apus.h)
"$toolchain/bin/clang" -shared -fuse-ld=lld -o "$out" "$object" \
  -Wl,-soname="libapus.so.$abi" \
  -Wl,--version-script=cmake/apus.map -Wl,--no-undefined-version \
  -Wl,--icf=all -Wl,--gc-sections -Wl,-z,nodelete -Wl,-z,defs \
  -L"$tables" -lswiftUnicodeDataTables -lz -lcrypto -Wl,--as-needed -lm
rm -f "$object"
