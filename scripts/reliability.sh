#!/usr/bin/env bash
# Runs a test of reliability by itself, longer than the test suite does.
#
#   scripts/reliability.sh soak_test.py 100000
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install-needs.sh test
make stage
cmake -S ctests -B build/ctests -DCMAKE_PREFIX_PATH="$PWD/build/stage" \
  -DAPUS_PREFIX="$PWD/build/stage" -DAPUS_BUILD="$PWD/build/release" -DAPUS_EMBEDDED=OFF
cmake --build build/ctests
script=ctests/scripts/$1
shift
export APUS_SOURCE=$PWD APUS_PREFIX=$PWD/build/stage APUS_BIN=$PWD/build/ctests
export APUS_LIBRARY=$PWD/build/stage/lib/libapus.so SWIFT_BACKTRACE=enable=no
exec build/venv/bin/python3 "$script" "$@"
