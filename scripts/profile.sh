#!/usr/bin/env bash
# Makes profile/apus.profdata: how often each branch of the library was taken under the loads
# of bench/. Release builds hand it to the compiler (Package.swift), which then puts side by
# side what runs often. Takes ten minutes, on a machine with nothing else to do.
#
# A function that has changed since is compiled as if there were no profile, and nothing
# else happens: it is worth making anew once the way of a request, a message or an event
# has changed.
set -euo pipefail
cd "$(dirname "$0")/.."
toolchain=$(dirname "$(dirname "$(readlink -f "$(command -v swiftc)")")")
runtime=$toolchain/lib/swift/clang/lib/linux/libclang_rt.profile-$(uname -m).a
folder=build/profile
stage=$PWD/$folder/stage

# ---- a library that counts, in the place of the staged one
APUS_PROFILE="" swift build -c release --product apus --scratch-path "$folder/swift" \
  -Xswiftc -Xfrontend -Xswiftc -ir-profile-generate \
  -Xlinker -u__llvm_profile_runtime -Xlinker "$runtime"
rm -rf "$stage" "$folder/counts"
cp -r build/stage "$stage"
for library in "$stage"/lib/libapus.so.*.*; do
  cp "$folder/swift/release/libapus.so" "$library"
done

# ---- the loads; each server and client adds its counts when it ends
mkdir -p "$folder/counts" profile
export LLVM_PROFILE_FILE=$PWD/$folder/counts/%m.profraw
bench/run.sh --prefix "$stage" --rounds 1 --seconds 2 --output "$folder/run.md" \
  --only apus-worker,apus-tick,apus-threadless \
  --sections keepalive,pipelined,ws-echo,ws-publish,files-1k,files-100k

# A browser's request has more fields than wrk's.
build/bench/apus_server 0 worker >"$folder/ready" &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
until grep -q ready "$folder/ready"; do sleep 0.1; done
read -r _ port <"$folder/ready"
wrk -t1 -c32 -d2s -H 'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101' \
  -H 'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' \
  -H 'Accept-Language: en-US,en;q=0.5' -H 'Accept-Encoding: gzip, deflate, br' \
  -H 'Cookie: session=0123456789abcdef; theme=dark' -H 'Referer: http://127.0.0.1/' \
  -H 'Connection: keep-alive' "http://127.0.0.1:$port/?a=1"
kill "$server"
wait "$server"
trap - EXIT

bench/run.sh --prefix "$stage" --rounds 1 --seconds 2 --output "$folder/run.md" \
  --sections client-sequential,client-parallel
bench/events.py --prefix "$stage" --rounds 1 --print >"$folder/events.md"

# Those of C files are known by the folder that they were built in: they would not be found.
"$toolchain/bin/llvm-profdata" merge -sparse --no-function=/ -o profile/apus.profdata \
  "$folder"/counts/*.profraw
"$toolchain/bin/llvm-profdata" show profile/apus.profdata
# Neither SwiftPM nor the compiler sees that it is another one.
rm -f .build/release/Apus.build/*.o
