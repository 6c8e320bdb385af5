#!/usr/bin/env bash
# The folders of Sources/Apus are layers: each compiles with those above it in
# the list and nothing else, so that no reference can point upward. A protocol
# folder needs Base and Text alone. Who may import what is checked as well.
#
# ctest: rules
set -euo pipefail
top=${APUS_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$top/Sources/Apus"

layers=(Base Text HTTP1 WebSocket SSE Multipart Compression IO Server Client ABI)
protocols=" HTTP1 WebSocket SSE Multipart Compression "
# Modules that a folder may import. Synchronization brings the atomics.
declare -A allowed=([Base]="CSystem Synchronization" [Compression]="CZlib"
  [IO]="CSystem COpenSSL Synchronization"
  [Server]="Synchronization" [Client]="Synchronization" [ABI]="CApus Synchronization")

failed=0
checked=0
fail() { echo "FAILED: $1"; failed=1; }

sources() { # sources FOLDER...: the files, of those folders that there are
  local folder
  for folder in "$@"; do
    if [ -d "$folder" ]; then find "$folder" -name '*.swift'; fi
  done | LC_ALL=C sort
}

# Type-checks a layer, with what it may know of beside it.
check() { # check WHAT LAYER FOLDER...
  local what=$1 layer=$2 files output
  shift 2
  mapfile -t files < <(sources "$layer" | sed 's/^/-primary-file\n/'; sources "$@")
  checked=$((checked + 1))
  output=$(swiftc -frontend -typecheck -swift-version 6 -parse-as-library -module-name Apus \
    -enable-experimental-feature Lifetimes -suppress-warnings \
    -I "$top/include" -I "$top/Sources/CSystem" -I "$top/Sources/CZlib" -I "$top/Sources/COpenSSL" \
    "${files[@]}" 2>&1) || {
    fail "$what does not compile:"
    grep -E '^[^ ]+: error:' <<<"$output" | head -n 10
  }
}

for folder in */; do
  [[ " ${layers[*]} " == *" ${folder%/} "* ]] || fail "Sources/Apus/$folder is no layer"
done
loose=$(find . -maxdepth 1 -name '*.swift')
[ -z "$loose" ] || fail "a source outside the layers: $loose"

below=()  # the layers that stand above it in the list
for layer in "${layers[@]}"; do
  # All of them together are the library, whose build has shown it.
  if [ "$layer" = "${layers[-1]}" ]; then continue; fi
  if [ -n "$(sources "$layer")" ]; then
    if [[ $protocols == *" $layer "* ]]; then
      check "$layer with Base and Text" "$layer" Base Text
    else
      check "$layer with what is above it (${below[*]:-nothing})" "$layer" "${below[@]}"
    fi
  fi
  below+=("$layer")
done
[ "$checked" -gt 0 ] || fail "no layer found"

imports=0
pattern='^\s*(@[A-Za-z_()]+\s+|(public|internal|private|fileprivate|package)\s+)*import\s'
while IFS=: read -r file line text; do
  layer=${file%%/*}
  module=$(awk '{ print $NF }' <<<"$text")
  imports=$((imports + 1))
  [[ " ${allowed[$layer]:-} " == *" $module "* ]] ||
    fail "Sources/Apus/$file:$line: $layer must not import $module"
done < <(find . -name '*.swift' -printf '%P\n' | LC_ALL=C sort | xargs grep -nHE "$pattern")

echo "layers: $checked layers compile with those above alone; $imports imports in order"
exit $failed
