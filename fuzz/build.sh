#!/usr/bin/env bash
# Builds the fuzz targets of a source tree into a program: fuzz/build.sh PROGRAM [SOURCES]
set -euo pipefail
program=$1
sources=${2:-$(cd "$(dirname "$0")/.." && pwd)}
# The layers without a socket, as one module, with exclusivity checked too.
swiftc -O -g -parse-as-library -module-name Apus -swift-version 6 -suppress-warnings \
  -enable-experimental-feature Lifetimes -sanitize=fuzzer,address -use-ld=lld \
  -I "$sources/Sources/CSystem" -I "$sources/Sources/CZlib" -o "$program.new" \
  "$sources"/Sources/Apus/{Base,Text,HTTP1,WebSocket,SSE,Multipart,Compression}/*.swift \
  "$sources"/fuzz/*.swift -lz -ldl
mv "$program.new" "$program"
