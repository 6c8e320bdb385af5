#!/usr/bin/env python3
"""Measures streams of events with bench/events.c, and writes docs/benchmarks-events.md.

Usage: events.py [--rounds N] [--prefix FOLDER] [--print]

FOLDER is where the library is installed (build/stage)."""
import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOADS = ((100, 1600), (1000, 480), (10000, 160))

TEXT = """\
# Benchmarks of Server-Sent Events

This page is written by `bench/events.py`, which builds `bench/events.c`, measures, and
stops by itself.

## Targets of Apus

{targets}

## One event to many

An event of 100 bytes (of which 92 are its data) is published to a topic of so many streams,
one at a time, and 16 at a time. {rounds}; "deliveries/s" are for each
second of CPU time of the server's process, and µs are CPU time for each delivery.

{fan}

A connection costs one `send()` in a turn of the loop, however many events there are for it:
the first columns are the price of that call, of which user space has a small part, and the
others that of the events themselves. The bare loop does nothing but that call, with as many
bytes, for each of as many sockets: nothing that sends each event to each client at once can
do more than that for a second of CPU time on the machine.

## Memory

{memory}

## How it is measured

- One process serves, with one worker and worker dispatch; the clients are in another
  process, and read all that comes. The machine has {cores} cores, and other programs ran on
  it: by how much rates were disturbed show the ranges.
- Idle memory is the growth of the resident set of the server's process, for each stream,
  after each had one event, beside a stream that was there before.
- A stalled reader reads nothing while 40,000 events are published, with a high-water mark of
  64 KiB; what is told is the growth of the resident set meanwhile for each of 64 such
  readers, each with a topic of its own, with 100 others that read.
"""


def build(prefix, folder):
    program = os.path.join(folder, "events")
    libraries = os.path.join(prefix, "lib")
    subprocess.run(["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program,
                    os.path.join(TOP, "bench", "events.c"), "-I", os.path.join(prefix, "include"),
                    "-L", libraries, "-lapus", "-Wl,-rpath," + libraries], check=True)
    return program


def run_once(*words):
    said = subprocess.run([str(word) for word in words], check=True, text=True,
                          stdout=subprocess.PIPE, timeout=600).stdout.split()
    return {said[at]: float(said[at + 1]) for at in range(0, len(said), 2)}


def run(program, connections, events):
    bare = run_once(program, connections, events, "bare")
    found = run_once(program, connections, events)
    return {**found, "bare": bare["rate1"], "share": found["rate1"] / bare["rate1"]}


def middle(rounds, name):
    return statistics.median(figures[name] for figures in rounds)


def span(rounds, name, form):
    values = [figures[name] for figures in rounds]
    return f"{min(values):{form}} to {max(values):{form}}"


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |",
             "| --- |" + " ---: |" * (len(heads) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def page(found, rounds):
    most = max(found)
    largest = found[most]
    targets = table(["what", "target", "measured", "met"], [
        [f"deliveries for a second of CPU, {most:,} streams, {name}", "≥ 500,000",
         f"{middle(largest, key):,.0f}",
         "yes" if middle(largest, key) >= 500_000 else "no"]
        for name, key in (("one event at a time", "rate1"), ("16 at a time", "rate16"))] + [
        [f"idle stream, of {most:,}", "≤ 2 KiB", f"{middle(largest, 'kib'):.2f} KiB",
         "yes" if middle(largest, "kib") <= 2 else "no"]])
    fan = table(["streams", "a bare loop", "deliveries/s, one", "range", "of the bare loop's", "µs",
                 "user", "deliveries/s, 16", "range", "µs", "user"], [
        [f"{count:,}", f"{middle(each, 'bare'):,.0f}", f"{middle(each, 'rate1'):,.0f}",
         span(each, "rate1", ",.0f"), f"{middle(each, 'share'):.0%}",
         f"{middle(each, 'us1'):.2f}", f"{middle(each, 'us1') - middle(each, 'kernel1'):.2f}",
         f"{middle(each, 'rate16'):,.0f}", span(each, "rate16", ",.0f"),
         f"{middle(each, 'us16'):.3f}", f"{middle(each, 'us16') - middle(each, 'kernel16'):.3f}"]
        for count, each in found.items()])
    memory = table(["streams", "idle, each", "range", "stalled reader, mark 64 KiB"], [
        [f"{count:,}", f"{middle(each, 'kib'):.2f} KiB", span(each, "kib", ".2f"),
         f"{middle(each, 'stalled'):.0f} KiB"] for count, each in found.items()])
    return TEXT.format(targets=targets, fan=fan, memory=memory,
                       rounds=f"Medians of {rounds} rounds" if rounds > 1 else "One round",
                       cores=os.cpu_count())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prefix", default=os.path.join(TOP, "build", "stage"))
    parser.add_argument("--print", action="store_true")
    arguments = parser.parse_args()
    if platform.system() != "Linux":
        sys.exit("events.py: for Linux alone")
    found = {count: [] for count, _ in LOADS}
    with tempfile.TemporaryDirectory(prefix="apus-bench-") as folder:
        program = build(arguments.prefix, folder)
        for number in range(arguments.rounds):
            for count, events in LOADS:
                found[count].append(run(program, count, events))
                print(f"{number + 1}/{arguments.rounds}", found[count][-1], flush=True)
    text = page(found, arguments.rounds)
    if arguments.print:
        return print(text)
    with open(os.path.join(TOP, "docs", "benchmarks-events.md"), "w") as file:
        file.write(text)


if __name__ == "__main__":
    main()
