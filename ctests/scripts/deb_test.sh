#!/usr/bin/env bash
# The .deb as a system gets it: installed by dpkg with its dependencies looked at, used by
# programs without any path told, and removed without a trace. The system is this one, by
# way of an overlay, so that nothing of it changes.
#
# ctest: once nosanitize timeout=900
set -euo pipefail
top=${APUS_SOURCE:?}
build=${APUS_BUILD:-}
skip() { echo "skipped: $1"; exit 77; }
[ -n "$build" ] || skip "no build folder"
command -v dpkg >/dev/null || skip "no dpkg"
[ "$(id -u)" -eq 0 ] || skip "an overlay of the system is root's to make"

if [ "${1:-}" != inside ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  unshare -m sh -c "mount -t tmpfs none '$work' && mkdir '$work/a' '$work/b' '$work/c' &&
    mount -t overlay none -o 'lowerdir=/,upperdir=$work/a,workdir=$work/b' '$work/c'" \
    2>/dev/null || skip "no overlay can be mounted here"
  (cd "$build" && cpack -G DEB -B "$work/packages") >"$work/cpack" 2>&1 ||
    { tail -n 15 "$work/cpack"; exit 1; }
  unshare -m bash "$0" inside "$work"
  exit
fi

# ---- In a namespace of its own, whose mounts end with it

work=$2
deb=$(find "$work/packages" -maxdepth 1 -name '*.deb')
mkdir "$work/over"
mount -t tmpfs none "$work/over"
mkdir "$work/over/upper" "$work/over/work" "$work/over/root"
root=$work/over/root
mount -t overlay none -o "lowerdir=/,upperdir=$work/over/upper,workdir=$work/over/work" "$root"
mount --rbind /dev "$root/dev"
mount --rbind /proc "$root/proc"
mkdir "$root/user"
cp "$deb" "$root/user/apus.deb"
export LC_ALL=C HOME=/user
unset LD_LIBRARY_PATH PKG_CONFIG_PATH CMAKE_PREFIX_PATH

. "$top/ctests/scripts/checks.sh"
in_root() { chroot "$root" "$@"; }
# What differs from the system as it is, but for the notes that dpkg and ldconfig keep.
traces() {
  (cd "$work/over/upper" && find . -not -type d -printf '%P\n') |
    grep -vE '^(user/|var/lib/dpkg/|var/log/|var/cache/|etc/ld\.so\.cache|dev/|proc/)' || true
}

package=$(dpkg-deb -f "$deb" Package)
if dpkg -s "$package" >/dev/null 2>&1; then skip "$package is installed on this system"; fi
before=$(traces)

check "dpkg installs it" in_root dpkg -i /user/apus.deb
installed() { [ "$(in_root dpkg-query -W -f '${db:Status-Abbrev}' "$package")" = "ii " ]; }
check "dpkg has it as installed" installed
check "its files are whole" in_root dpkg -V "$package"
mode() { ! in_root dpkg -L "$package" | grep -vE '^/(\.|usr.*)?$'; }
check "it touches /usr alone" mode

version=$(sed -n 's/^#define APUS_VERSION_STRING "\(.*\)"/\1/p' "$top/include/apus.h")
says_version() { [[ $(in_root apus version) == "apus $version (library $version, "* ]]; }
check "the tool runs" says_version
cached() { in_root ldconfig -p | grep -E 'libapus\.so\.1 .*=> (/usr)?/lib/'; }
check "the loader knows the library" cached
cp "$top/examples/hello.c" "$root/user/hello.c"
check "C by pkg-config" in_root sh -ec \
  'cd /user && gcc -Wall -Werror -o hello hello.c $(pkg-config --cflags --libs apus)'
cat >"$root/user/CMakeLists.txt" <<'PROJECT'
cmake_minimum_required(VERSION 3.20)
project(user LANGUAGES C)
find_package(Apus CONFIG REQUIRED)
add_executable(by_cmake hello.c)
target_link_libraries(by_cmake PRIVATE Apus::apus)
PROJECT
check "C by find_package" in_root sh -ec \
  'cmake -S /user -B /user/build && cmake --build /user/build && ldd /user/build/by_cmake'
serves() { # serves PROGRAM
  mkfifo "$work/said"
  chroot "$root" "$1" 0 2>"$work/said" &
  local server=$! url answer
  read -r url <"$work/said"
  rm "$work/said"
  answer=$(in_root apus get -m 60 "$url" || true)
  kill "$server"
  wait "$server" || true
  [ "$answer" = "Hello from C" ]
}
check "the program serves, and the tool asks" serves /user/hello
check "that of CMake, too" serves /user/build/by_cmake

relocations() { ! readelf -V "$root/usr/lib/libapus.so.1" | grep -q GLIBC_ABI_DT_RELR ||
  dpkg-deb -f "$deb" Depends | grep -qE 'libc6 \(>= 2\.(3[6-9]|[4-9][0-9])\)'; }
check "it asks for a libc that reads its relocations" relocations
own() { ! dpkg-deb -f "$deb" Depends | grep -i apus; }
check "it does not depend on itself" own

check "dpkg removes it" in_root dpkg -r "$package"
left() { [ "$(traces)" = "$before" ] || { traces; return 1; }; }
check "no file is left" left
# It has a script that calls ldconfig behind its end, which dpkg keeps until a purge.
check "dpkg purges it" in_root dpkg -P "$package"
forgotten() { ! in_root dpkg-query -W "$package"; }
check "dpkg has forgotten it" forgotten
folders() { ! ls -d "$root"/usr/{share,lib/cmake,share/doc}/[aA]pus 2>/dev/null; }
check "no folder either" folders

echo "deb: $((checks - failed)) of $checks checks passed"
[ "$failed" -eq 0 ]
