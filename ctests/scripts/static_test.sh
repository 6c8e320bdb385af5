#!/usr/bin/env bash
# The archive, libapus.a: programs in C and C++ that need no libapus.so, by pkg-config and
# by find_package, which serve; and no name in it but those of the header.
#
# ctest: nosanitize
set -euo pipefail
prefix=${APUS_PREFIX:?}
top=${APUS_SOURCE:?}
archive=$prefix/lib/libapus.a
if [ ! -e "$archive" ]; then
  echo "skipped: this build has no libapus.a (APUS_STATIC=ON makes one)"
  exit 77
fi
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
export LC_ALL=C PKG_CONFIG_PATH=$prefix/lib/pkgconfig
unset LD_LIBRARY_PATH CMAKE_PREFIX_PATH

. "$top/ctests/scripts/checks.sh"

# ---- Names

nm -g --defined-only "$archive" | sed -n 's/^[0-9a-f]* T //p' | sort >"$work/names"
sed -n 's/^ *\(apus_[a-z0-9_]*\);$/\1/p' "$top/cmake/apus.map" | sort >"$work/wanted"
check "its functions are those of the header" diff "$work/wanted" "$work/names"
others() { ! nm -g --defined-only "$archive" | grep -E '^[0-9a-f]+ ' | grep -v ' T apus_'; }
check "it has no other global name" others
check "it has one object" test "$(ar t "$archive" | wc -l)" -eq 1

# ---- Programs

cp "$top/examples/hello.c" "$work/hello.c"
cat >"$work/use.cc" <<'SOURCE'
#include <apus.h>
int main() { return apus_server_destroy(apus_server_make()) == 1 ? 0 : 1; }
SOURCE
flags=$(pkg-config --cflags --libs apus-static)
check "C by pkg-config" gcc -std=c11 -Wall -Werror -o "$work/hello" "$work/hello.c" \
  -Wl,--gc-sections $flags
check "C++ by pkg-config" g++ -std=c++11 -Wall -Werror -o "$work/use" "$work/use.cc" $flags
check "the program in C++ runs" "$work/use"
private() { [[ " $(pkg-config --static --libs apus) " == *" -lssl -lcrypto -lz "* ]]; }
check "pkg-config --static tells of the other libraries" private
check "C in a shared library" gcc -shared -fPIC -o "$work/plugin.so" "$work/hello.c" $flags
alone() { ! ldd "$1" | grep -E 'libapus|libswift|libstdc'; }
check "the program needs no libapus.so" alone "$work/hello"
check "nor does the shared library" alone "$work/plugin.so"
size=$(stat -c %s "$work/hello")
check "the program has $size bytes, of 800000" test "$size" -le 800000

cat >"$work/CMakeLists.txt" <<'PROJECT'
cmake_minimum_required(VERSION 3.20)
project(user LANGUAGES C)
find_package(Apus CONFIG REQUIRED)
add_executable(hello_cmake hello.c)
target_link_libraries(hello_cmake PRIVATE Apus::static)
PROJECT
by_find_package() {
  cmake -S "$work" -B "$work/build" -DCMAKE_PREFIX_PATH="$prefix" &&
    cmake --build "$work/build" && alone "$work/build/hello_cmake"
}
check "C by find_package" by_find_package

# ---- It serves

serves() { # serves PROGRAM
  mkfifo "$work/said"
  "$1" 0 2>"$work/said" &
  server=$!
  local url
  read -r url <"$work/said"
  rm "$work/said"
  [ "$(curl -s --noproxy '*' --max-time 60 "$url")" = "Hello from C" ] || return 1
  kill "$server"
  wait "$server" || true
  server=
}
check "the program serves" serves "$work/hello"
check "that of CMake serves" serves "$work/build/hello_cmake"

echo "static: $((checks - failed)) of $checks checks passed; the program has $size bytes"
[ "$failed" -eq 0 ]
