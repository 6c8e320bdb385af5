#!/usr/bin/env bash
# apus.hpp, by each compiler that is there and in C++17 and C++20: compiled without a
# warning and run; each header of it also alone, and once with sanitizers.
#
# ctest: once nosanitize
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source=$APUS_SOURCE/ctests/src/wrapper_test.cpp
flags=(-O0 -Wall -Wextra -Wpedantic -Werror "-I$APUS_PREFIX/include")
links=("$APUS_LIBRARY" "-Wl,-rpath,$(dirname "$APUS_LIBRARY")" -pthread)
runs=0

try() { # try COMPILER FLAG...
  local compiler=$1
  shift
  echo "$compiler $*"
  "$compiler" "${flags[@]}" "$@" -o "$folder/wrapper" "$source" "${links[@]}"
  timeout 120 "$folder/wrapper"
  runs=$((runs + 1))
}

for compiler in g++ clang++; do
  command -v "$compiler" >/dev/null || { echo "no $compiler here"; continue; }
  # Each header includes what it needs; one compiler is enough to see that.
  for header in "$APUS_PREFIX"/include/apus.hpp "$APUS_PREFIX"/include/apus/*.hpp; do
    if [ "$runs" != 0 ]; then break; fi
    echo "#include \"$header\"" >"$folder/alone.cpp"
    "$compiler" "${flags[@]}" -std=c++17 -fsyntax-only "$folder/alone.cpp"
  done
  try "$compiler" -std=c++17
  try "$compiler" -std=c++20
done
if [ "$runs" = 0 ]; then
  echo "skipped: no C++ compiler"
  exit 77
fi
echo 'int main() {}' >"$folder/empty.cpp"
if g++ -fsanitize=address,undefined -o "$folder/empty" "$folder/empty.cpp" 2>/dev/null; then
  try g++ -std=c++17 -g -fsanitize=address,undefined -fno-sanitize-recover=all
fi
