#!/usr/bin/env bash
# Feeds the parsers with bytes that libFuzzer makes up, each target for so many seconds:
#
#   fuzz/run.sh 60 [TARGET...]
#
# APUS_FUZZ_SEED, where it is set, makes it the same bytes each time.
#
# The seeds are the bytes of the tests' vectors (fuzz/seeds.py), and the words of each
# target's format stand in fuzz/dictionaries. What is found interesting stays in
# build/fuzz/corpus/TARGET, so that the next run goes on from there; what breaks a target
# is build/fuzz/broken/TARGET-*, and:
#
#   APUS_FUZZ=TARGET build/fuzz/fuzz FILE
#
# runs it again. A fault that was mended gets a vector in Tests/ApusTests/Vectors. Each run
# adds its figures to build/reliability/fuzz.json.
#
# What is asked of a target: the same events at any split; what is written again is read as
# the same; nothing past a cap; twice the bytes do not cost four times as much
# (fuzz/FuzzWork.swift, which looks at one input of 256, and at all where APUS_FUZZ_WORK
# is set); no trap, and no byte read past the end.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:?how many seconds for each target?}
shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(request response reply chunked frames-server frames-client
  messages handshake inflate contents multipart form events event url set-cookie cookies ranges
  dates forwarded proxy)

mkdir -p build/fuzz/broken build/reliability
program=build/fuzz/fuzz
if [ ! -x "$program" ] ||
  [ -n "$(find Sources fuzz -newer "$program" -name '*.[hs]*' ! -name run.sh -print -quit)" ]; then
  echo "building the targets"
  fuzz/build.sh "$program"
fi
python3 fuzz/seeds.py build/fuzz/seeds

run() { # run TARGET
  local target=$1 corpus=build/fuzz/corpus/$1 log=build/fuzz/$1.log code=0
  local words=fuzz/dictionaries/$target.dict
  mkdir -p "$corpus"
  [ -f "$words" ] || words=fuzz/dictionaries/${target%%-*}.dict
  APUS_FUZZ=$target ASAN_OPTIONS=detect_leaks=0 SWIFT_BACKTRACE=enable=no \
    "$program" -max_total_time="$seconds" -max_len=2048 -timeout=10 -rss_limit_mb=2048 \
    -seed="${APUS_FUZZ_SEED:-0}" -print_final_stats=1 -dict="$words" \
    -artifact_prefix="build/fuzz/broken/$target-" "$corpus" "build/fuzz/seeds/$target" \
    >"$log" 2>&1 || code=$?
  flock build/fuzz/lock \
    python3 fuzz/summary.py "$target" "$log" "$code" build/reliability/fuzz.json
  if [ "$code" -ne 0 ]; then tail -n 40 "$log"; fi
  return "$code"
}

# As many at a time as there are processors.
failed=0
running=0
for target in "${targets[@]}"; do
  if [ "$running" -ge "$(nproc)" ]; then
    wait -n || failed=1
    running=$((running - 1))
  fi
  run "$target" &
  running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
  wait -n || failed=1
  running=$((running - 1))
done
exit $failed
