#!/usr/bin/env bash
# What the library exports is what the header promises, and nothing else: the
# dynamic symbols, the version script and the prototypes are one list.
#
# ctest: nosanitize
set -euo pipefail
: "${APUS_LIBRARY:?the path of libapus.so}"
top=${APUS_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C

# The version node is itself an absolute symbol (A); it is not an export.
nm -D --defined-only "$APUS_LIBRARY" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' |
  sort >"$work/library"
sed -n 's/^ *\([A-Za-z_][A-Za-z0-9_]*\);.*/\1/p' "$top/cmake/apus.map" | sort >"$work/map"
echo '#include <apus.h>' | gcc -std=c11 -I "$top/include" -fsyntax-only -aux-info "$work/aux" -x c -
sed -n 's/^.*apus\.h:[0-9]*:.* \**\(apus_[a-z0-9_]*\) (.*/\1/p' "$work/aux" | sort >"$work/header"

failed=0
fail() { echo "FAILED: $1"; failed=1; }
compare() {
  diff "$work/$1" "$work/$2" >"$work/diff" || {
    fail "$1 (<) and $2 (>) differ:"
    grep '^[<>]' "$work/diff"
  }
}

count=$(wc -l <"$work/header")
[ "$count" -gt 0 ] || fail "no prototype found in apus.h"
strangers=$(grep -v '^apus_' "$work/library" || true)
[ -z "$strangers" ] || fail "exported, but not of Apus: $strangers"
nm -D --defined-only "$APUS_LIBRARY" | awk '$2 !~ /^[TA]$/ { print $3 }' >"$work/data"
[ ! -s "$work/data" ] || fail "exported, but not a function: $(cat "$work/data")"
compare library map
compare header map
# No prototype may have been missed.
marked=$(grep -c '^APUS_API ' "$top/include/apus.h" || true)
[ "$marked" -eq "$count" ] || fail "$marked prototypes carry APUS_API, $count were found"

echo "exports: $(wc -l <"$work/library") symbols, $(wc -l <"$work/map") in the version script," \
  "$count prototypes"
exit $failed
