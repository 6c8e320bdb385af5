#!/usr/bin/env bash
# How much of Sources/Apus the tests of Tests/ run, by folder, into
# build/reliability/coverage.json. A build of its own: build/coverage.
set -euo pipefail
cd "$(dirname "$0")/.."
toolchain=$(dirname "$(dirname "$(readlink -f "$(command -v swiftc)")")")
scratch=build/coverage
mkdir -p build/reliability
swift test --enable-code-coverage --scratch-path "$scratch"
profile=$(find "$scratch" -name default.profdata | head -n 1)
program=$(find "$scratch" -name '*.xctest' -type f | head -n 1)
"$toolchain/bin/llvm-cov" export -summary-only -instr-profile "$profile" "$program" \
  >build/coverage.json
python3 - <<'END'
import collections
import json
import re

KINDS = ("lines", "regions", "functions")
folders = collections.defaultdict(lambda: {kind: [0, 0] for kind in KINDS})
with open("build/coverage.json") as file:
    files = json.load(file)["data"][0]["files"]
for each in files:
    found = re.search(r"/Sources/Apus/(\w+)/", each["filename"])
    if not found:
        continue
    for kind in KINDS:
        for index, what in enumerate(("count", "covered")):
            folders[found[1]][kind][index] += each["summary"][kind][what]
figures = {name: {kind: round(100 * covered / max(count, 1), 1)
                  for kind, (count, covered) in kinds.items()}
           for name, kinds in sorted(folders.items())}
with open("build/reliability/coverage.json", "w") as file:
    json.dump(figures, file, indent=1)
    file.write("\n")
for name, kinds in figures.items():
    print(f"{name}: " + ", ".join(f"{kind} {share} %" for kind, share in kinds.items()))
END
