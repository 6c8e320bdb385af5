#!/usr/bin/env bash
# Runs the library on a simulated system: network, poller, clocks, threads and chance follow
# from a seed, and so does who connects, what is asked, and what goes wrong.
#
#   simulate/run.sh seeds FIRST COUNT   many runs; the figures: build/reliability/simulate.json
#   simulate/run.sh seed NUMBER         one run, with its trace
#
# The library is compiled whole and unchanged, but over simulate/system in place of
# Sources/CSystem, with its exclusivity checks on, and with simulate/inside, which looks at it.
set -euo pipefail
cd "$(dirname "$0")/.."
out=build/simulate
# What was freed is overwritten: a use of it shows.
export MALLOC_PERTURB_=165
mkdir -p $out build/reliability

newer() { # TARGET FOLDER...: whether something in the folders is newer than the target
  [ ! -e "$1" ] || [ -n "$(find "${@:2}" -newer "$1" -name '*.[hs]*' -print -quit)" ]
}
flags=(-O -gline-tables-only -parse-as-library -swift-version 6 -suppress-warnings
  -I simulate/system -I simulate/chance -I simulate/inside -I Sources/CZlib -I include)
if newer $out/apus.o Sources include simulate/system simulate/chance simulate/inside; then
  echo "building the library over the simulated system"
  swiftc "${flags[@]}" -c -wmo -module-name Apus -enable-experimental-feature Lifetimes \
    -o $out/apus.new.o Sources/Apus/*/*.swift simulate/inside/*.swift
  mv $out/apus.new.o $out/apus.o
fi
if newer $out/simulate simulate || [ $out/apus.o -nt $out/simulate ]; then
  echo "building the simulator"
  swiftc "${flags[@]}" -wmo -module-name Simulate -use-ld=lld -o $out/simulate.new \
    simulate/*.swift $out/apus.o -lssl -lcrypto -lz -ldl
  mv $out/simulate.new $out/simulate
fi
if [ "$1" = seeds ]; then
  exec $out/simulate seeds "$2" "$3" build/reliability/simulate.json
fi
exec $out/simulate "$@"
