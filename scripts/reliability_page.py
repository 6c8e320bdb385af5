#!/usr/bin/env python3
"""Writes docs/reliability.md of the figures in build/reliability/ and of the last run of the
tests in build/ctests: `make reliability` makes them all first. What has no figures is said
to have none."""
import json
import os
import platform
import re
import textwrap
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FIGURES = os.path.join(TOP, "build/reliability")
LOG = os.path.join(TOP, "build/ctests/Testing/Temporary/LastTest.log")
PROTOCOL = ["Text", "HTTP1", "WebSocket", "SSE", "Multipart", "Compression"]


def figures(name):
    try:
        with open(os.path.join(FIGURES, name + ".json")) as file:
            return json.load(file)
    except FileNotFoundError:
        return None


def kernel():
    """Its version, without what its builder has added."""
    return re.match(r"[\d.]*\d", platform.release())[0]


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |"
                              for row in rows])


def cases(log):
    """What the tests of bad input and of misuse say of themselves."""
    rows = []
    for name, what in (("hostile_test", "bytes that servers must survive"),
                       ("fetch_evil_test", "servers that clients must survive"),
                       ("tls_evil_test", "the same under TLS"),
                       ("misuse_test", "wrong handles and arguments, for each function")):
        block = re.search(rf"^\d+/\d+ Test: {name}$.*?^<end of output>$", log, re.M | re.S)
        words = re.findall(r"^.*\d+.*\bright\b.*$", block[0], re.M) if block else []
        rows.append((what, name, words[-1] if words else "not run"))
    return "## Cases\n\n" + table(("what", "test", "its last words"), rows)


def fuzz(found):
    rows = [(each["target"], f"{each['executions']:,}", each["seconds"],
             each.get("coverage", ""), each["findings"]) for each in found]
    return ("## Fuzzing\n\nBy libFuzzer, with the address sanitizer and exclusivity checks; the "
            "oracles stand in `fuzz/`.\n\n"
            + table(("target", "executions", "s", "edges", "findings"), rows))


def differential(found):
    rows = []
    for name, each in found["parsers"].items():
        apart = {what: count for what, count in each.items()
                 if what not in ("cases", "requests", "same")}
        rows.append((name, f"{each['cases']:,}", each.get("same", ""), sum(apart.values()),
                     ", ".join(f"{what} {count}" for what, count in sorted(
                         apart.items(), key=lambda item: -item[1])) or ""))
    return ("## Other parsers\n\nThe same requests to parsers of others. Each divergence has its "
            "reason and its clause in\n[ctests/data/divergences.json]"
            "(../ctests/data/divergences.json); one without fails the test.\n\n"
            + table(("parser", "cases", "same", "apart", "why"), rows))


def simulate(found):
    faults = ", ".join(f"{name} {count:,}" for name, count in sorted(found["faults"].items()))
    return (f"## Simulated network\n\n{found['seeds']:,} seeds, {found['broken']} broken: "
            f"{found['connections']:,} connections, {found['requests']:,} requests, "
            f"{found['messages']:,} messages, {found['events']:,} events, "
            f"{found['fetches']:,} fetches,\n{found['systemCalls']:,} system calls, "
            f"{found['checks']:,} invariants checked, {found['virtualSeconds']:,} s of virtual "
            f"time in {found['seconds']:.0f} s.\n\nFaults: {faults}.\n\n"
            "`make simulate SEED=n` runs one again.")


def faults(found):
    total = sum(each["injected"] for each in found["functions"].values())
    rows = [(name, f"{each['injected']:,}") for name, each in sorted(found["functions"].items())]
    return (f"## Faults of the system\n\nEach call of the library to the system, and its memory, "
            f"refused once at each place: {total:,} faults, {len(found['findings'])} findings.\n\n"
            + table(("what fails", "times"), rows))


def soak(found):
    rows = [(what, found[what]["first"], found[what]["last"], found[what]["rise"])
            for what in ("resident_kib", "descriptors", "threads", "handles")]
    return (f"## Soak\n\n{found['requests']:,} requests, {found['messages']:,} messages, "
            f"{found['connects']:,} connections, {found['hostile']:,} of them hostile, "
            f"{found['fetches']:,} fetches in {found['seconds']:.0f} s. The rise is over all of "
            "it, by least squares.\n\n" + table(("", "first", "last", "rise"), rows))


def attack(found):
    rows = []
    for name, each in found["attacks"].items():
        honest = each["honest"]
        rows.append((name.replace("_", " "), f"{each.get('attackers', 0):,}",
                     f"{each.get('ended_by_server', 0):,}", honest["requests"], honest["p50_us"],
                     honest["p99_us"], honest["most_us"], each["peak_kib"], each["in_use_kib"]))
    return ("## Under attack\n\nOne honest client beside them; all its requests were answered. "
            "Attackers, server and client share the machine.\n\n"
            + table(("attack", "clients", "ended", "honest requests", "p50 µs", "p99 µs", "most µs",
                     "peak KiB", "in use after, KiB"), rows))


def coverage(found):
    rows = [(("**" + name + "**") if name in PROTOCOL else name,
             *(f"{kinds[kind]} %" for kind in ("lines", "regions", "functions")))
            for name, kinds in found.items()]
    return ("## Coverage\n\nOf `Sources/Apus` by the tests of `Tests/` alone; `ctests/` runs the "
            "library as it ships, and is not\ncounted. The protocol folders are those in bold. "
            "Regions are what Swift's compiler tells of branches.\n\n"
            + table(("folder", "lines", "regions", "functions"), rows))


def hygiene(found):
    stacks = figures("stacks") or {}
    growth = ", ".join(f"{name} {kib} KiB" for name, kib in found["growth_kib"].items())
    text = (f"## The host\n\n{found['lives']:,} starts and stops let resident memory grow by: "
            f"{growth}. {found['checks']:,} checks of signals, descriptors, forks, streams, "
            "directories.")
    if stacks:
        text += (f"\n\nOf a stack of {stacks['stack']:,} bytes the deepest use was "
                 f"{max(stacks['server'], stacks['client']):,}.")
    return text


def wrapped(part):
    """Lines of prose of 96 columns at most; tables stay as they are."""
    return "\n\n".join(
        paragraph if paragraph.startswith(("|", "#", "<"))
        else textwrap.fill(" ".join(paragraph.split()), 96, break_on_hyphens=False)
        for paragraph in part.split("\n\n"))


def main():
    log = ""
    if os.path.exists(LOG):
        with open(LOG, errors="replace") as file:
            log = file.read()
    parts = ["# Reliability\n\n"
             "<!-- no snippet: all of it is figures, which a program writes -->\n\n"
             "Written by `make reliability`, which runs all of it; each section is of the last "
             "run of its test. What is promised stands in [SECURITY.md](../SECURITY.md), which "
             "bugs were found on the way in [CHANGELOG.md](../CHANGELOG.md).\n\n"
             f"{time.strftime('%Y-%m-%d')}, Linux {kernel()}, {os.cpu_count()} cores."]
    parts.append(cases(log))
    for name, write in (("fuzz", fuzz), ("differential", differential), ("simulate", simulate),
                        ("faults", faults), ("hygiene", hygiene), ("soak", soak),
                        ("attack", attack), ("coverage", coverage)):
        found = figures(name)
        parts.append(write(found) if found else f"## {name.capitalize()}\n\nNo figures.")
    with open(os.path.join(TOP, "docs/reliability.md"), "w") as file:
        file.write("\n\n".join(map(wrapped, parts)) + "\n")
    print("docs/reliability.md")


main()
