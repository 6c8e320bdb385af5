#!/usr/bin/env bash
# Installs what is missing on a Debian system.
#
#   scripts/install-needs.sh build|test|demo|bench|format|browser ...
#
# Nothing missing: nothing is done, and no root is needed. A Swift toolchain is
# not packaged by Debian; see https://www.swift.org/install/ for one.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
need_command() { command -v "$1" >/dev/null || missing+=("$2"); } # COMMAND PACKAGE
need_file() { compgen -G "$1" >/dev/null || missing+=("$2"); }       # PATTERN PACKAGE
PATH=$PATH:/usr/sbin # where nginx lies

build() {
  need_command cmake cmake
  need_command make make
  need_command pkg-config pkg-config
  need_command strip binutils
  need_command gcc gcc
  need_command g++ g++ # for its libstdc++, which Swift links
  need_file /usr/include/zlib.h zlib1g-dev
  need_file /usr/include/openssl/evp.h libssl-dev
}

tests() {
  build
  need_command curl curl
  need_command python3 python3
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
  need_command lua5.4 lua5.4
  need_file /usr/include/lua5.4/lua.h liblua5.4-dev
  need_command node nodejs
  need_file /usr/share/nodejs/ws/package.json node-ws
  need_command nginx nginx-light
  need_command haproxy haproxy
  need_file /usr/include/uv.h libuv1-dev
  need_command groff groff-base
  need_command systemd-socket-activate systemd
  need_command strace strace
  need_file /usr/share/publicsuffix/public_suffix_list.dat publicsuffix
  need_command testssl testssl.sh
  need_command dpkg-shlibdeps dpkg-dev
  need_command file file
  need_command man man-db # to read the manual as users do
  # The examples in other languages.
  need_command guile guile-3.0
  need_command luajit luajit
  need_command perl perl
  need_command php php-cli
  need_command ruby ruby
  perl -MFFI::Platypus -e 1 2>/dev/null || missing+=(libffi-platypus-perl)
}

bench() {
  build
  need_command python3 python3
  need_command wrk wrk
  need_command strace strace
  need_command nginx nginx-light
  need_file '/usr/include/*/curl/curl.h' libcurl4-openssl-dev
  need_file /usr/include/microhttpd.h libmicrohttpd-dev
  need_file /usr/include/libwebsockets.h libwebsockets-dev
  need_file /usr/include/civetweb.h libcivetweb-dev
  need_command h2o h2o
  need_file /usr/include/h2o.h libh2o-dev-common
  need_file '/usr/lib/*/libh2o-evloop.so' libh2o-evloop-dev
}

# For the examples in compiled languages.
languages() {
  need_command go golang-go
  need_command cargo cargo
  need_command rustc rustc
  need_file /usr/include/node/node_api.h libnode-dev
  need_command javac default-jdk-headless
  need_file /usr/share/java/jna.jar libjna-java
  need_command ocamlopt ocaml-nox
  need_command nim nim
  need_command ldc2 ldc
  need_command sbcl sbcl
  need_command fpc fp-compiler
  need_command gnatmake gnat
}

venv=
for what in "$@"; do
  case $what in
    build | demo) build ;;
    test) tests; languages; venv=build/venv ;;
    bench) bench ;;
    format) need_command clang-format clang-format ;;
    browser)
      need_command chromium chromium
      need_command certutil libnss3-tools ;;
    *)
      echo "usage: $0 build|test|demo|bench|format|browser ..." >&2
      exit 2
      ;;
  esac
done

if ! command -v swift >/dev/null; then
  echo "needed: a Swift toolchain, 6.2 or later, on PATH: https://www.swift.org/install/" >&2
  exit 1
fi

if [ ${#missing[@]} -gt 0 ]; then
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
  root=()
  if [ "$(id -u)" -ne 0 ]; then root=(sudo); fi
  if ! command -v apt-get >/dev/null || { [ ${#root[@]} -gt 0 ] && ! command -v sudo >/dev/null; }
  then
    echo "needed, and not to be had without apt-get and root: ${missing[*]}" >&2
    exit 1
  fi
  echo "Installing ${missing[*]}"
  "${root[@]}" apt-get update -q
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${missing[@]}"
fi

# The Python packages of the tests go into a folder of their own.
if [ -n "$venv" ]; then
  if ! cmp -s ctests/requirements.txt "$venv/requirements.txt"; then
    rm -rf "$venv" # which may be a link: what it leads to is not ours to clear
    python3 -m venv "$venv"
    "$venv/bin/python3" -m pip install -q --disable-pip-version-check \
      -r ctests/requirements.txt
    cp ctests/requirements.txt "$venv/requirements.txt"
  fi
fi
