#!/usr/bin/env python3
"""A server under attack, and an honest client beside it: all that the client asks
succeeds, and the attackers are bounded by the limits. The client's latencies are measured
and reported; nothing is asked of them.

    attack_test.py [ATTACKERS]    `make attack` has 5,000 of them
"""
# ctest: nosanitize timeout=600
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

import reliability
from common import check, report

ATTACKERS = 500
# The one that takes the most memory comes twice: what it leaves must not add up.
ATTACKS = ["none", "slow_heads", "slow_bodies", "slow_readers", "ping_flood", "range_flood",
           "storm", "slow_readers"]
SLOW = {"slow_heads": "timed_out", "slow_bodies": "timed_out", "slow_readers": "cut_off"}
PROGRAM = os.path.join(reliability.BIN, "attack_run")
QUIET_SECONDS = 2  # of the measurement without an attack
FILES_KEPT = 8  # that each thread of the server may keep open, of those that were asked for
KEPT_AGAIN = 1.25  # the memory that a second attack leaves, by that of the first


class Server:
    def __init__(self, folder):
        self.process = subprocess.Popen([PROGRAM, "serve", folder], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        self.port = self.process.stdout.readline().strip()

    def figures(self):
        self.process.stdin.write("\n")
        return json.loads(self.process.stdout.readline())

    def settled(self):
        """The figures once nobody is connected."""
        until = time.monotonic() + 30
        while True:
            figures = self.figures()
            if figures["connections"] == 0 or time.monotonic() > until:
                return figures

    def end(self):
        self.process.stdin.close()
        return self.process.wait(60)


def run_attack(name, server, attackers):
    before = server.figures()
    honest = subprocess.Popen([PROGRAM, "honest", server.port], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    figures = {}
    if name == "none":
        time.sleep(QUIET_SECONDS)  # this is how long is measured
    else:
        attack = subprocess.run([PROGRAM, name, server.port, str(attackers)],
                                stdout=subprocess.PIPE, text=True, timeout=300)
        check(f"{name}: status of the attack", 0, attack.returncode)
        figures = json.loads(attack.stdout or "{}")
    peak = server.figures()
    output, _ = honest.communicate(timeout=60)
    check(f"{name}: status of the honest client", 0, honest.returncode)
    figures["honest"] = json.loads(output or "{}")
    after = server.settled()
    check(f"{name}: connections afterwards", 0, after["connections"])
    check(f"{name}: {after['descriptors']} descriptors afterwards", True,
          after["descriptors"] <= before["descriptors"] + FILES_KEPT)
    check(f"{name}: handles afterwards", before["handles"], after["handles"])
    if name in SLOW:
        bounded = after[SLOW[name]] - before[SLOW[name]]
        check(f"{name}: all ended by the server", attackers, figures.get("ended_by_server"))
        check(f"{name}: {bounded} by the limit", True, bounded >= attackers)
        figures["by_the_limit"] = bounded
    figures["peak_kib"] = peak["peak_kib"]
    figures["resident_kib"] = after["resident_kib"]
    return figures


def main():
    attackers = int(sys.argv[1]) if len(sys.argv) > 1 else ATTACKERS
    room = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if room < attackers + 200:
        print(f"needed: {attackers + 200} file descriptors, of which there are {room}")
        return 77
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        reliability.fill(folder + "/served")
        server = Server(folder + "/served")
        for name in ATTACKS:
            label = name + "_again" if name in results else name
            results[label] = run_attack(name, server, attackers)
            print(label, json.dumps(results[label], sort_keys=True))
        once, again = (results["slow_readers" + which]["resident_kib"]
                       for which in ("", "_again"))
        check(f"{once} KiB, then {again}", True, again <= once * KEPT_AGAIN)
        check("status of the server", 0, server.end())
    reliability.figures("attack", {"attackers": attackers, "attacks": results})
    return report("attack_test")


if __name__ == "__main__":
    sys.exit(main())
