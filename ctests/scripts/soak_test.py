#!/usr/bin/env python3
"""A server under load for long: resident memory, descriptors, threads and handles stay
flat. helpers/soak_run.c makes the load: requests, WebSocket messages and connections, and
among them the cases of data/hostile.jsonl, one connection for a hundred requests.

    soak_test.py [SLICES]    a slice is 100 requests; `make soak` does 100,000 of them

Flat is: the straight line through a figure's samples, behind the first third, rises by no
more than LIMITS from its start to its end, however long it runs.
"""
# ctest: nosanitize timeout=600
import base64
import json
import os
import struct
import subprocess
import sys
import tempfile

import reliability
from common import check, report

SLICES = 10000
LIMITS = {"resident_kib": 2048, "descriptors": 4, "threads": 1, "handles": 8}


def write_cases(path):
    with open(os.path.join(reliability.SOURCE, "ctests/data/hostile.jsonl")) as lines, \
            open(path, "wb") as file:
        for line in lines:
            case = json.loads(line)
            data = base64.b64decode(case["bytes"])
            file.write(struct.pack("<BI", bool(case.get("websocket")), len(data)) + data)


def main():
    slices = int(sys.argv[1]) if len(sys.argv) > 1 else SLICES
    with tempfile.TemporaryDirectory() as folder:
        served = os.path.join(folder, "served")
        os.mkdir(served)
        reliability.fill(served)
        with open(os.path.join(served, "small.txt"), "w") as file:
            file.write("hello, and more")
        write_cases(os.path.join(folder, "hostile"))
        run = subprocess.run(
            [os.path.join(reliability.BIN, "soak_run"), served, str(slices),
             os.path.join(folder, "hostile")], stdout=subprocess.PIPE, text=True,
            timeout=120 + slices / 10)
    check("status", 0, run.returncode)
    if run.returncode == 0:
        figures = json.loads(run.stdout)
        print(json.dumps(figures, indent=1))
        reliability.figures("soak", dict(figures, limits=LIMITS))
        check("enough samples", True, figures["samples"] >= 10)
        for name, limit in LIMITS.items():
            check(f"{name} rises by {figures[name]['rise']}, of {limit}", True,
                  figures[name]["rise"] <= limit)
    return report("soak_test")


if __name__ == "__main__":
    sys.exit(main())
