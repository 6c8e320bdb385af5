#!/usr/bin/env bash
# Builds libapus in Embedded Swift: the same sources, no Swift runtime.
#
#   scripts/build-embedded.sh OUT.so     makes OUT.a as well
#
# All of Sources/Apus goes into one object, which clang links: swiftc would
# bring the runtime along. The flags mirror those of Package.swift, and
# CONTRIBUTING.md says what each is for. The archive has the same object, joined with
# the tables of Unicode that it needs; all names in it but those of apus.h are local.
set -euo pipefail

. "$(dirname "$0")/toolchain.sh"
triple=$(uname -m)-unknown-linux-gnu
tables=$toolchain/lib/swift/embedded/$triple
if [ ! -d "$tables" ]; then
  echo "this Swift toolchain has no Embedded Swift for $triple" >&2
  exit 1
fi

# Nothing to do if nothing is newer than the library; a folder is newer once a
# file in it has gone.
inputs=(Sources/Apus Sources/CSystem Sources/CZlib Sources/COpenSSL include cmake/apus.map
  scripts/build-embedded.sh scripts/toolchain.sh)
archive=${out%.so}.a
if [ -e "$out" ] && [ -e "$archive" ] && [ -z "$(find "${inputs[@]}" -newer "$out")" ]; then
  exit 0
fi

# What is of older sources must not be taken for up to date if something fails below.
rm -f "$out" "$archive"
object=${out%.so}.o
"$swiftc" "${module[@]}" -enable-experimental-feature Embedded -wmo -Osize \
  -Xfrontend -function-sections -c "${sources[@]}" -o "$object"

"$toolchain/bin/clang" -shared -fuse-ld=lld -o "$out" "$object" \
  -Wl,-soname="libapus.so.$abi" \
  -Wl,--version-script=cmake/apus.map -Wl,--no-undefined-version \
  -Wl,--icf=all -Wl,--gc-sections -Wl,-z,nodelete -Wl,-z,defs \
  -L"$tables" -lswiftUnicodeDataTables -lz -lssl -lcrypto -Wl,--as-needed -lm

# Groups are dissolved, or the linker of a program might take another object's instead.
ld -r --force-group-allocation -o "$object.all" "$object" -L"$tables" -lswiftUnicodeDataTables
sed -n 's/^ *\(apus_[a-z0-9_]*\);$/\1/p' cmake/apus.map >"$object.names"
objcopy --keep-global-symbols="$object.names" --strip-unneeded "$object.all" "$object"
ar rcsD "$archive" "$object"
rm -f "$object" "$object.all" "$object.names"
