#!/usr/bin/env bash
# What a user gets: the installed tree, moved or not, serves C and C++ programs
# by find_package and by pkg-config; the library needs little and carries no
# trace of where it was built; the archives hold the right files.
#
# ctest: nosanitize timeout=900
set -euo pipefail
top=${APUS_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
embedded=${APUS_EMBEDDED:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C
unset LD_LIBRARY_PATH PKG_CONFIG_PATH CMAKE_PREFIX_PATH DESTDIR

. "$top/ctests/scripts/checks.sh"

build=${APUS_BUILD:-}
if [ -z "$build" ]; then
  build=$work/build
  cmake -S "$top" -B "$build" -DAPUS_EMBEDDED="${embedded:-OFF}" >"$work/configure" 2>&1
  cmake --build "$build" >>"$work/configure" 2>&1 || { cat "$work/configure"; exit 1; }
fi

# ---- The installed tree -----------------------------------------------------

version=$(sed -n 's/^#define APUS_VERSION_STRING "\(.*\)"/\1/p' "$top/include/apus.h")
abi=$(sed -n 's/^#define APUS_ABI_VERSION \([0-9]*\).*/\1/p' "$top/include/apus.h")
documents=()
for document in CHANGELOG.md LICENSE README.md; do
  if [ -e "$top/$document" ]; then documents+=("share/doc/apus/$document"); fi
done
# A page for each section of the header and for each function.
manual=(share/man/man7/apus.7 share/man/man1/apus.1)
for page in "$top"/man/*.3; do manual+=("share/man/man3/${page##*/}"); done
for name in $(sed -n 's/^ *\(apus_[a-z0-9_]*\);.*/\1/p' "$top/cmake/apus.map"); do
  manual+=("share/man/man3/$name.3")
done
archive=()
if grep -q '^APUS_STATIC:BOOL=ON' "$build/CMakeCache.txt"; then
  archive=(lib/libapus.a lib/pkgconfig/apus-static.pc)
fi
printf '%s\n' bin/apus include/apus.h include/apus.hpp \
  include/apus/{base,channel,client,request,server}.hpp lib/cmake/Apus/ApusConfig.cmake \
  lib/cmake/Apus/ApusConfigVersion.cmake lib/libapus.so "lib/libapus.so.$abi" \
  "lib/libapus.so.$version" lib/pkgconfig/apus.pc share/apus/apus.abi.json \
  share/bash-completion/completions/apus "${archive[@]}" \
  "${documents[@]}" "${manual[@]}" | sort -u >"$work/expected"
# The files of a tree, less the folder that its prefix adds.
holds() { # holds TREE
  (cd "$1" && find . -not -type d -printf '%P\n' | sort) | diff "$work/expected" -
}

prefix=$work/prefix
mkdir "$prefix"
cmake --install "$build" --prefix "$prefix" >"$work/install"
check "the prefix holds the expected files" holds "$prefix"
check "the installed header is that of the sources" \
  cmp "$prefix/include/apus.h" "$top/include/apus.h"

# The page of a function points to one that is there.
stubs_lead_somewhere() {
  (cd "$prefix/share/man" && cat man3/apus_server_make.3 && grep -rhE '^\.so ' man3 | sort -u |
    while read -r _ page; do grep -q '^\.TH' "$page" || exit 1; done)
}
check "manual pages of functions lead somewhere" stubs_lead_somewhere

# ---- Programs outside the tree ----------------------------------------------

mkdir "$work/user"
cat >"$work/user/use.c" <<'SOURCE'
#include <apus.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  apus_server server = apus_server_make();
  if (server == 0 || apus_server_destroy(server) != 1) return 1;
  if (apus_abi_version() != APUS_ABI_VERSION) return 2;
  if (strcmp(apus_version(), APUS_VERSION_STRING) != 0) return 3;
  puts(apus_version());
  return 0;
}
SOURCE
sed 's/(void)/()/' "$work/user/use.c" >"$work/user/use.cc"
cat >"$work/user/CMakeLists.txt" <<'PROJECT'
cmake_minimum_required(VERSION 3.20)
project(user LANGUAGES C CXX)
find_package(Apus 0.1 CONFIG REQUIRED)
if(NOT Apus_VERSION VERSION_EQUAL EXPECTED)
  message(FATAL_ERROR "found ${Apus_VERSION}, not ${EXPECTED}")
endif()
add_executable(use_c use.c)
add_executable(use_cxx use.cc)
target_link_libraries(use_c PRIVATE Apus::apus)
target_link_libraries(use_cxx PRIVATE Apus::apus)
PROJECT

by_find_package() { # by_find_package PREFIX
  rm -rf "$work/user/build"
  cmake -S "$work/user" -B "$work/user/build" -DCMAKE_PREFIX_PATH="$1" -DEXPECTED="$version" &&
    cmake --build "$work/user/build" &&
    grep -q "^Apus_DIR:PATH=$1/" "$work/user/build/CMakeCache.txt" &&
    "$work/user/build/use_c" && "$work/user/build/use_cxx"
}
by_pkg_config() { # by_pkg_config PREFIX
  local flags
  flags=$(PKG_CONFIG_PATH=$1/lib/pkgconfig pkg-config --cflags --libs "apus = $version") &&
    [[ $flags == *"-I$1/"* && $flags == *"-L$1/"* ]] &&
    gcc -std=c99 -Wall -Werror "$work/user/use.c" -o "$work/user/c" $flags &&
    g++ -std=c++11 -Wall -Werror "$work/user/use.cc" -o "$work/user/cxx" $flags &&
    LD_LIBRARY_PATH=$1/lib "$work/user/c" && LD_LIBRARY_PATH=$1/lib "$work/user/cxx"
}
other_version() { # other_version PREFIX: a version that it is not
  ! PKG_CONFIG_PATH=$1/lib/pkgconfig pkg-config --exists 'apus >= 99' &&
    sed 's/Apus 0.1/Apus 99/' "$work/user/CMakeLists.txt" >"$work/other/CMakeLists.txt" &&
    ! cmake -S "$work/other" -B "$work/other/build" -DCMAKE_PREFIX_PATH="$1"
}
mkdir "$work/other"
check "C and C++ by find_package" by_find_package "$prefix"
check "C and C++ by pkg-config" by_pkg_config "$prefix"
check "another version is refused" other_version "$prefix"

moved=$work/elsewhere/apus
mkdir "$work/elsewhere"
mv "$prefix" "$moved"
check "C and C++ by find_package, once moved" by_find_package "$moved"
check "C and C++ by pkg-config, once moved" by_pkg_config "$moved"
no_old_path() { ! grep -rF "$prefix" "$moved/lib/cmake" "$moved/lib/pkgconfig"; }
check "no file remembers the first prefix" no_old_path
# Packagers give absolute folders, too.
absolute_folders() {
  local build=$work/absolute
  cmake -S "$top" -B "$build" -DAPUS_EMBEDDED="${embedded:-OFF}" \
    -DCMAKE_INSTALL_PREFIX=/opt/apus -DCMAKE_INSTALL_LIBDIR=/opt/apus/lib64 \
    -DCMAKE_INSTALL_INCLUDEDIR=/opt/apus/include/apus-0 &&
    grep -qx 'prefix=${pcfiledir}/../..' "$build/apus.pc" &&
    grep -qx 'libdir=${prefix}/lib64' "$build/apus.pc" &&
    grep -qx 'includedir=${prefix}/include/apus-0' "$build/apus.pc" &&
    grep -qF '${PACKAGE_PREFIX_DIR}/lib64' "$build/ApusConfig.cmake" &&
    grep -rqF 'ORIGIN/../lib64' "$build"
}
outside_the_prefix() {
  ! cmake -S "$top" -B "$work/outside" -DAPUS_EMBEDDED="${embedded:-OFF}" \
    -DCMAKE_INSTALL_PREFIX=/opt/apus -DCMAKE_INSTALL_LIBDIR=/opt/apus-lib >"$work/refused" 2>&1 &&
    tr -s ' \n' ' ' <"$work/refused" | grep -q 'not below the prefix'
}
check "absolute folders of an installation" absolute_folders
check "a folder outside of the prefix is refused" outside_the_prefix
tool() { [[ $("$1/bin/apus" version) == "apus $version (library $version, ABI $abi)" ]]; }
check "the tool runs, once moved" tool "$moved"

# ---- The library ------------------------------------------------------------

library=$moved/lib/libapus.so.$version
readelf -dW "$library" >"$work/dynamic"
ldd "$library" >"$work/needs" 2>/dev/null
known='linux-vdso|ld-linux[^ ]*|libc|libm|libgcc_s|libstdc\+\+|libssl|libcrypto|libz'
only_known() { ! grep -vE "^\s*([^ ]*/)?($known)\.so" "$work/needs"; }
check "it needs only the system's libraries" only_known
for needed in libssl.so.3 libcrypto.so.3 libz.so.1; do
  check "it needs $needed" grep -qF "Shared library: [$needed]" "$work/dynamic"
done
check "its soname" grep -qF "Library soname: [libapus.so.$abi]" "$work/dynamic"
check "it is never unloaded" grep -qE 'FLAGS_1.*NODELETE' "$work/dynamic"
own_runpath() { ! grep -E '\((RUNPATH|RPATH)\)' "$work/dynamic" | grep -vF '[$ORIGIN]'; }
check "its RUNPATH is nothing but \$ORIGIN" own_runpath
stripped() { ! readelf -SW "$library" | grep -E '\.(symtab|debug_info)'; }
check "it is stripped" stripped
limit=6500000
if [ -n "$embedded" ]; then limit=1000000; fi
size=$(stat -c %s "$library")
check "$size bytes, of $limit" test "$size" -le "$limit"
swiftc=$(command -v swiftc || true)
toolchain=$(dirname "$(dirname "$(readlink -f "${swiftc:-/none/bin/swiftc}")")")
no_trace() { ! grep -aoF -e "$toolchain" -e "$top/" "$library" "$moved/bin/apus"; }
check "neither it nor the tool knows where it was built" no_trace

# ---- The archives -----------------------------------------------------------

(cd "$build" && cpack -B "$work/packages") >"$work/cpack" 2>&1 || {
  failed=$((failed + 1))
  echo "FAILED: cpack"
  tail -n 15 "$work/cpack"
}
mkdir "$work/tar" "$work/deb"
tarball=$(find "$work/packages" -maxdepth 1 -name '*.tar.gz')
check "one .tar.gz" test -f "$tarball"
check "the .tar.gz unpacks" tar xzf "$tarball" -C "$work/tar" --strip-components=1
check "the .tar.gz holds the expected files" holds "$work/tar"
check "C and C++ against the .tar.gz" by_find_package "$work/tar"
check "the tool of the .tar.gz runs" tool "$work/tar"
if command -v dpkg-deb >/dev/null; then
  deb=$(find "$work/packages" -maxdepth 1 -name '*.deb')
  check "one .deb" test -f "$deb"
  check "the .deb unpacks" dpkg-deb -x "$deb" "$work/deb"
  check "the .deb holds the expected files" holds "$work/deb/usr"
  check "C and C++ against the .deb" by_pkg_config "$work/deb/usr"
  dpkg-deb -f "$deb" >"$work/control"
  check "the .deb has its version" grep -qx "Version: $version" "$work/control"
  if command -v dpkg-shlibdeps >/dev/null; then
    for package in libc6 libssl3 zlib1g; do
      check "the .deb depends on $package" grep -q "^Depends:.*$package" "$work/control"
    done
  fi
fi

echo "package: $((checks - failed)) of $checks checks passed; $size bytes, needs" \
  "$(awk '{ print $1 }' "$work/needs" | sed 's|.*/||' | tr '\n' ' ')"
[ "$failed" -eq 0 ]
