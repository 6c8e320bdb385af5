#!/usr/bin/env bash
# lua_test.sh - the library in Lua, whose numbers are doubles: builds a small C
# module, serves with it, and asks with curl. Skipped (77) where there is no Lua.
# ctest: nosanitize
set -euo pipefail

for tool in lua5.4 curl pkg-config; do
  command -v "$tool" >/dev/null || { echo "skipped: no $tool"; exit 77; }
done
pkg-config --exists lua5.4 || { echo "skipped: no headers of Lua 5.4"; exit 77; }

folder=$(mktemp -d)
server=
cleanup() {
  if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi
  rm -rf "$folder"
}
trap cleanup EXIT

# shellcheck disable=SC2046 # the flags are words
"${CC:-cc}" -std=c11 -O1 -Wall -Wextra -Werror -shared -fPIC -o "$folder/lua_apus.so" \
  $(pkg-config --cflags lua5.4) "-I$APUS_PREFIX/include" \
  "$APUS_SOURCE/ctests/src/lua/lua_apus.c" \
  "$APUS_LIBRARY" "-Wl,-rpath,$(dirname "$APUS_LIBRARY")"

requests=5
mkfifo "$folder/output"
LUA_CPATH="$folder/?.so" lua5.4 "$APUS_SOURCE/ctests/src/lua/lua_test.lua" "$requests" \
  >"$folder/output" &
server=$!
exec 3<"$folder/output"
read -r port <&3
right=0
for number in $(seq "$requests"); do
  reply=$(curl -sS --max-time 20 "http://127.0.0.1:$port/request/$number")
  if [ "$reply" = "lua says /request/$number" ]; then
    right=$((right + 1))
  else
    echo "WRONG request $number: $reply"
  fi
done
read -r last <&3
wait "$server"
server=
echo "$last"
echo "lua_test: requests run $requests, right $right"
[ "$right" = "$requests" ]
