#!/usr/bin/env python3
"""Every test of src/modes/ in every dispatch, while its threads sleep at random places
(src/shim/jitter_shim.c): so many rounds, each at two rates and with places of its own.
What fails then is a race, of the library's or of the test's.

    jitter.py [ROUNDS [NAME...]]    of all tests, or of some
"""
import concurrent.futures
import os
import re
import subprocess
import sys

BIN = os.environ["APUS_BIN"]
MODES = ["worker", "tick", "pull", "threadless"]
RATES = [(60, 200), (12, 400)]  # one place in so many, microseconds at most
AT_ONCE = 4
PATIENCE = 300  # seconds


def runs(rounds, names):
    folder = os.path.join(os.environ["APUS_SOURCE"], "ctests", "src", "modes")
    every = sorted(name[:-2] for name in os.listdir(folder) if name.endswith("_test.c"))
    for unknown in set(names) - set(every):
        sys.exit(f"jitter: there is no test {unknown}")
    for seed in range(rounds):
        for rate in RATES:
            for name in names or every:
                for mode in MODES:
                    yield name, mode, rate, seed


def run(what):
    """The words of a run that failed, or nothing."""
    name, mode, (one_in, longest), seed = what
    environment = dict(
        os.environ, LD_PRELOAD=os.path.join(BIN, "jitter_shim.so"), JITTER=str(one_in),
        JITTER_US=str(longest), JITTER_SEED=str(seed), SWIFT_BACKTRACE="enable=no")
    try:
        done = subprocess.run(
            [os.path.join(BIN, name), mode], env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False)
        status, words = done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        status, words = "late", late.stdout or b""
    if status == 0:
        return ""
    return (f"FAILED ({status}) JITTER={one_in} JITTER_US={longest} JITTER_SEED={seed} "
            f"{name} {mode}\n{words.decode(errors='replace')}")


def main():
    arguments = sys.argv[1:]
    rounds = 1
    if arguments and re.fullmatch(r"[0-9]+", arguments[0]):
        rounds = int(arguments.pop(0))
    count = failed = 0
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for words in pool.map(run, runs(rounds, arguments)):
            count += 1
            if words:
                failed += 1
                print(words, flush=True)
    print(f"jitter: {count} runs, {failed} failed")
    return 1 if failed or count == 0 else 0


sys.exit(main())
