# What build-thread.sh and build-embedded.sh have in common; they source it. It
# leaves the caller at the top of the sources, with
#
#   out         the library to make, the caller's only argument
#   swiftc      the compiler, and toolchain, the folder that it is from
#   sources     those of the library
#   module      the flags that say how they are to be read
#   abi         the number in the soname
# shellcheck shell=bash disable=SC2034

if [ $# -ne 1 ]; then
  echo "usage: $0 OUT.so" >&2
  exit 2
fi
mkdir -p "$(dirname "$1")"
out=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
cd "$(dirname "$0")/.."

swiftc=$(command -v swiftc) || { echo "swiftc is not on PATH" >&2; exit 1; }
toolchain=$(dirname "$(dirname "$(readlink -f "$swiftc")")")

mapfile -t sources < <(find Sources/Apus -name '*.swift' | LC_ALL=C sort)
module=(-swift-version 6 -strict-memory-safety -enable-experimental-feature Lifetimes
  -enforce-exclusivity=unchecked -parse-as-library -module-name Apus
  -I include -I Sources/CSystem -I Sources/CZlib -I Sources/COpenSSL)
abi=$(sed -n 's/^#define APUS_ABI_VERSION \([0-9]*\).*/\1/p' include/apus.h)
