#!/usr/bin/env bash
# The header compiles alone and twice over, without a warning, in each version
# of C and C++ that it promises, with each compiler there is.
#
# ctest: rules
set -euo pipefail
top=${APUS_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

printf '#include <apus.h>\n#include <apus.h>\nint main(void) { return APUS_OK; }\n' >"$work/use.c"
printf '#include <apus.h>\n#include <apus.h>\nint main() { return APUS_OK; }\n' >"$work/use.cc"

both=(-I "$top/include" -fsyntax-only -Wall -Wextra -Werror -pedantic -pedantic-errors -Wshadow
  -Wconversion -Wundef -Wredundant-decls)
only_c=(-Wstrict-prototypes -Wold-style-definition -Wmissing-prototypes)
only_cxx=(-Wold-style-cast -Wzero-as-null-pointer-constant)
# Everything that clang knows, but for what any C header must trip over.
clang_all=(-Weverything -Wno-c++98-compat-pedantic -Wno-declaration-after-statement
  -Wno-pre-c++17-compat -Wno-unknown-warning-option -Wno-pre-c2x-compat)

passed=0
failed=0
try() {
  if "$@" >"$work/out" 2>&1; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: $*"
    sed 's/^/    /' "$work/out"
  fi
}

for compiler in gcc clang; do
  command -v "$compiler" >/dev/null || { echo "header: no $compiler here"; continue; }
  more=()
  if [ "$compiler" = clang ]; then more=("${clang_all[@]}"); fi
  for standard in c99 c11 c17 c2x; do
    try "$compiler" -x c "-std=$standard" "${both[@]}" "${only_c[@]}" "${more[@]}" "$work/use.c"
  done
done
for compiler in g++ clang++; do
  command -v "$compiler" >/dev/null || { echo "header: no $compiler here"; continue; }
  more=()
  if [ "$compiler" = clang++ ]; then more=("${clang_all[@]}"); fi
  for standard in c++11 c++14 c++17 c++20 c++23; do
    try "$compiler" -x c++ "-std=$standard" "${both[@]}" "${only_cxx[@]}" "${more[@]}" \
      "$work/use.cc"
  done
done

echo "header: $passed of $((passed + failed)) compilations clean"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
