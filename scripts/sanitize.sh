#!/usr/bin/env bash
# Runs the C tests against a library with a sanitizer in it: an optimized build
# for threads, a debug build for addresses.
#
#   scripts/sanitize.sh thread|address [CTEST ARGUMENT...]
#   scripts/sanitize.sh thread|address --jitter ROUNDS [TEST...]
#
# With --jitter the threads of the tests that start servers sleep at random places
# (ctests/scripts/jitter.py): a race that is one in thousands shows itself in minutes.
#
# The test programs carry the sanitizer too. Left out are the tests that read
# sources only, and those that are marked nosanitize.
set -euo pipefail

case "${1:-}" in
  thread | address) sanitizer=$1 ;;
  *)
    echo "usage: $0 thread|address [CTEST ARGUMENT...]" >&2
    exit 2
    ;;
esac
shift
cd "$(dirname "$0")/.."

swiftc=$(command -v swiftc) || { echo "swiftc is not on PATH" >&2; exit 1; }
toolchain=$(dirname "$(dirname "$(readlink -f "$swiftc")")")
runtime=$toolchain/lib/swift/linux
build=build/$sanitizer
stage=$PWD/build/stage-$sanitizer

cmake -S . -B "$build" -DAPUS_SANITIZE="$sanitizer" >/dev/null
cmake --build "$build"
rm -rf "$stage"
cmake --install "$build" --prefix "$stage" >/dev/null

# A C compiler with the sanitizer in it, also for the tests that call one.
# Swift's libdispatch comes along with its sanitizer runtime.
export CC=$PWD/$build/cc
cat >"$CC" <<WRAPPER
#!/bin/sh
exec "$toolchain/bin/clang" -fsanitize=$sanitizer -fno-omit-frame-pointer -fuse-ld=lld \\
  -Wno-unused-command-line-argument "\$@" \\
  "-L$runtime" -ldispatch -lBlocksRuntime "-Wl,-rpath,$runtime"
WRAPPER
chmod +x "$CC"
cmake -S ctests -B "build/ctests-$sanitizer" -DCMAKE_C_COMPILER="$CC" \
  -DCMAKE_PREFIX_PATH="$stage" -DAPUS_SANITIZE="$sanitizer" >/dev/null
cmake --build "build/ctests-$sanitizer"

export TSAN_OPTIONS="second_deadlock_stack=1${TSAN_OPTIONS:+ $TSAN_OPTIONS}"
export ASAN_OPTIONS="detect_leaks=1 detect_stack_use_after_return=1${ASAN_OPTIONS:+ $ASAN_OPTIONS}"
if [ "${1:-}" = --jitter ]; then
  shift
  export APUS_SOURCE=$PWD APUS_BIN=$PWD/build/ctests-$sanitizer
  exec python3 ctests/scripts/jitter.py "$@"
fi
ctest --test-dir "build/ctests-$sanitizer" -j3 -LE 'rules|nosanitize' --output-on-failure \
  --timeout 300 "$@"
