#!/usr/bin/env bash
# Feeds the parsers with bytes that libFuzzer makes up, each target for so many seconds:
#
#   fuzz/run.sh 60 [TARGET...]
#
# The seeds are the bytes of the tests' vectors (fuzz/seeds.py). What is found interesting
# stays in build/fuzz/corpus/TARGET, so that the next run goes on from there; what breaks
# a target is build/fuzz/broken/TARGET-*, and:
#
#   APUS_FUZZ=TARGET build/fuzz/fuzz FILE
#
# runs it again. A fault that was mended gets a vector in Tests/ApusTests/Vectors.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:?how many seconds for each target?}
shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(request response chunked frames-server frames-client url
  set-cookie forwarded proxy)

mkdir -p build/fuzz/broken
program=build/fuzz/fuzz
if [ -z "$(find "$program" -newer fuzz/Fuzz.swift 2>/dev/null)" ] ||
  [ -n "$(find Sources fuzz -newer "$program" -name '*.[hs]*' -print -quit)" ]; then
  echo "building the targets"
  # The layers without a socket, as one module, with exclusivity checked too.
  swiftc -O -g -parse-as-library -module-name Apus -swift-version 6 -suppress-warnings \
    -enable-experimental-feature Lifetimes -sanitize=fuzzer,address -use-ld=lld \
    -I Sources/CSystem -I Sources/CZlib -o "$program" \
    Sources/Apus/{Base,Text,HTTP1,WebSocket,Compression}/*.swift fuzz/*.swift -lz -ldl
fi
python3 fuzz/seeds.py build/fuzz/seeds

failed=0
for target in "${targets[@]}"; do
  corpus=build/fuzz/corpus/$target
  mkdir -p "$corpus"
  log=build/fuzz/$target.log
  code=0
  APUS_FUZZ=$target ASAN_OPTIONS=detect_leaks=0 "$program" -max_total_time="$seconds" \
    -max_len=2048 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/broken/$target-" "$corpus" "build/fuzz/seeds/$target" \
    >"$log" 2>&1 || code=$?
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  cover=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1)
  echo "$target: ${runs:-?} runs in $seconds s, ${cover:-no cover}, exit $code"
  if [ "$code" -ne 0 ]; then
    failed=1
    tail -n 40 "$log"
  fi
done
exit $failed
