"""Turns the figures of files that are served into Markdown."""

import files
import report

INTRODUCTION = """\
# Benchmarks of files

This page is written by `bench/run.sh`, which builds everything, measures, and
stops by itself; `bench/run.sh --sections files` writes this page alone. The
page for the server is [benchmarks](benchmarks.md).
"""

METHOD = """\
## How it is measured

- Each server serves the same files of random bytes from a memory file system, with one
  worker, over connections that are kept, loaded by wrk with one thread.
- CPU is the server's own, user and system, divided by the requests. Figures are medians
  over the rounds, in which the servers take turns; "× nginx" is the median of the ratios
  to nginx in the same round.
- On the loopback interface the kernel charges some of the receiver's work to the sender, and
  some of the sender's to the receiver: what of each depends on how much the server hands over
  at a time. "With the load's" is the CPU of the server and of wrk together.
"""

TITLES = {"files-1k": "1 KiB", "files-100k": "100 KiB", "files-10m": "10 MiB, 8 connections"}


def section_of(figures, section):
    rows = []
    for name, result in figures[section].items():
        if "failed" in result:
            rows.append([name, result["failed"], "", "", "", "", "", "", ""])
            continue
        low, high = result["spread"]
        rows.append([name, f"{result['rate']:,.0f}", f"{result['cpu']:.2f}",
                     f"{low:.2f} to {high:.2f}", f"{result['user']:.2f}",
                     f"{result['system']:.2f}",
                     *(f"{result[key]:.2f}" if result[key] else "-"
                       for key in ("ratio", "both", "ratio of both"))])
    return f"## {TITLES[section]}\n\n" + report.table(
        ["server", "requests/s", "CPU µs", "range", "user µs", "system µs", "× nginx",
         "with the load's", "× nginx"], rows)


def markdown(figures):
    parts = [INTRODUCTION]
    parts += [section_of(figures, section) for section in files.SECTIONS if section in figures]
    parts.append(METHOD)
    skipped = [f"- {server.name}: {server.skipped}" for server in figures["servers"]
               if server.skipped]
    if skipped:
        parts.append("## Left out\n\n" + "\n".join(skipped) + "\n")
    arguments = figures["arguments"]
    parts.append(report.machine(
        figures, f"- {arguments.rounds} rounds of {arguments.seconds} s with wrk over "
        f"{arguments.connections} connections, but for the largest file."))
    return "\n".join(parts)
