"""Turns the figures into Markdown."""

import datetime
import os
import re

import servers

KIB = 1024
DISTURBED = 0.05  # the share of the machine that other programs may have

INTRODUCTION = """\
# Benchmarks

This page is written by `bench/run.sh`, which builds everything, measures, and
stops by itself; `bench/run.sh --help` lists what can be varied.
"""

METHOD = """\
## How it is measured

- Every server answers `GET /` with the same status, 13 bytes of text, and the
  field `X-Bench: 1`, beside the fields that it adds of its own accord. `h2o-file`
  reads its answer from a file in memory; the others hold it.
- *reference* is no HTTP server: it looks for the ends of heads and sends a fixed
  answer. It stands for the cost of the system calls alone.
- Each server has one thread for its work; Apus with tick dispatch has two, its
  worker and the one that ticks; civetweb needs one for each connection.
- All servers run during all rounds of a load and get it one after another, in an
  order that shifts with each round. Rates and CPU times are medians over the
  rounds. "× reference" is the median of the ratio to the reference in the same
  round; so are the ratios in the table of targets, as the machine is not as quick in
  all of them.
- CPU is the time that the scheduler gave to all threads of the server, divided by
  the requests. Its split into user and system comes from the kernel's clock ticks,
  over the sum of all rounds: treat differences below 0.1 µs as noise.
- CPU per request also depends on how busy a server is: one that waits between
  requests is woken more often for fewer of them. "Busy" is the share of one core
  that it used; well below 100 % the load, not the server, was the limit.
- Keep-alive is loaded by `wrk -t1`. On one core wrk does not keep the quickest
  servers busy, which makes them look dearer than they are; *saturated* is the same
  load by `bench/pipeline.c`, which does. Pipelining is by that program as well: it
  sends a batch in one write, and the next when all its replies are in.
- Idle memory is the growth of `VmRSS` from a fresh server to one that holds all
  those connections, each of which has had one request; so it also holds what the
  server's first requests ever touched. What a server allocates for connections to
  come is in its figure before them: nginx does so. Memory that the kernel holds is
  not counted.
- Allocations are calls of malloc, calloc, realloc and the aligned ones, over
  100,000 requests after as many to warm up.
- System calls are counted by strace over 2,000 requests on open connections. strace
  slows a server down, so that each wait finds more to do: with 64 connections the
  waits per request are fewer than in a free run.
"""


def table(header, rows, texts=1):
    """A Markdown table whose first columns are text, and the others numbers."""
    widths = [max(len(str(row[i])) for row in [header] + rows) for i in range(len(header))]

    def line(cells):
        padded = [str(cell).ljust(width) if i < texts else str(cell).rjust(width)
                  for i, (cell, width) in enumerate(zip(cells, widths))]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * width if i < texts else "-" * (width - 1) + ":"
            for i, width in enumerate(widths)]
    return "\n".join([line(header), line(rule)] + [line(row) for row in rows]) + "\n"


def server_table(figures, results, header, cells):
    """A table with a row for each server, and below it why one has no figures. Why
    one was skipped altogether stands in the list of the servers."""
    rows, notes = [], []
    for server in figures["servers"]:
        result = results.get(server.name)
        if result is not None and "failed" not in result:
            rows.append([server.name] + cells(result))
            continue
        rows.append([server.name, "skipped" if server.skipped else "none"] +
                    [""] * (len(header) - 2))
        if not server.skipped:
            notes.append(f"- {server.name}: {(result or {}).get('failed', 'not measured')}\n")
    return table(header, rows) + ("\n" + "".join(notes) if notes else "")


# ---- the sections


def throughput_section(figures, section, title, unit="requests/s"):
    def cells(result):
        ratio = f"{result['ratio']:.2f}" if result["ratio"] else "-"
        low, high = result["spread"]
        return [f"{result['rate']:,.0f}", f"{result['cpu']:.2f}", f"{low:.2f} to {high:.2f}",
                f"{result['user']:.2f}", f"{result['system']:.2f}", ratio,
                f"{result['busy'] * 100:.0f} %"]

    header = ["server", unit, "CPU µs", "range", "user µs", "system µs", "× reference",
              "busy"]
    results = figures[section]
    others = [result["others"] for result in results.values() if "others" in result]
    return f"## {title}\n\n" + server_table(figures, results, header, cells) + disturbance(others)


def disturbance(others):
    """A warning, where other programs had more than a little of the machine."""
    if not others or max(others) <= DISTURBED:
        return ""
    return f"\nDisturbed: other programs used up to {max(others) * 100:.0f} % of the " \
        "machine during these rounds.\nThe ratios hold better than the rates.\n"


def idle_section(figures):
    def cells(result):
        return [f"{result['bytes_each'] / KIB:.2f}", f"{result['before_kib'] / KIB:.1f}",
                f"{result['after_kib'] / KIB:.1f}"]

    count = figures["arguments"].idle
    header = ["server", "KiB each", "RSS before, MiB", "after, MiB"]
    return f"## {count:,} idle connections\n\n" + \
        server_table(figures, figures["idle"], header, cells)


def allocations_section(figures):
    def cells(result):
        return [f"{result['each']:.4f}", f"{result['calls']:,}"]

    return "## Allocations per request\n\n" + server_table(
        figures, figures["allocations"], ["server", "each", "in 100,000"], cells)


def system_calls_section(figures):
    kinds = ["receive", "send", "wait", "other"]
    text = "## System calls per request\n"
    for count, results in figures["syscalls"].items():
        text += f"\n{connections(count).capitalize()}:\n\n" + server_table(
            figures, results, ["server"] + kinds,
            lambda result: [f"{result[kind]:.2f}" for kind in kinds])
    text += "\nBy name, with one connection:\n\n"
    for name, result in figures["syscalls"].get(1, {}).items():
        if "names" in result:
            text += f"- {name}: " + ", ".join(
                f"{call} {each:.2f}" for call, each in result["names"].items()
                if each >= 0.005) + "\n"
    return text


def connections(count):
    return f"{count} connection" + ("" if count == 1 else "s")


def library_section(figures):
    rows = [[name, f"{result['load_ms']:.2f}",
             f"{result['size'] / 1e6:.2f}" if result["size"] else "-"]
            for name, result in figures["library"].items()]
    if "apus" not in figures["library"]:
        rows.insert(0, ["apus", "skipped", ""])
    return "## The library\n\n`dlopen` in a fresh process, the median of 20, and the size of the " \
        "stripped file. The others\nload what they depend on as files of their own.\n\n" + \
        table(["library", "load ms", "size MB"], rows)


# ---- targets


def value(figures, section, server, key):
    result = figures.get(section, {}).get(server) or {}
    return result.get(key)


def targets(figures):
    """(what, target, figure or None, whether it is met)"""
    def at_most(what, figure, limit, shown, unit=""):
        return what, f"≤ {shown}", figure, figure is not None and figure <= limit, unit

    rows = []
    for section, load in (("keepalive", "keep-alive"), ("saturated", "saturated")):
        rows.append(at_most(f"CPU, {load}, of the reference's",
                            value(figures, section, "apus-worker", "ratio"), 1.08, "1.08", "×"))
        cpu = value(figures, section, "apus-worker", "cpu")
        for peer in ("nginx", "h2o", "h2o-file", "libmicrohttpd"):
            times = value(figures, section, peer, "apus")
            if times is not None:
                rows.append((f"CPU, {load}, of {peer}'s", "< 1", times, times < 1, "×"))
        rows.append(at_most(f"user CPU, {load}", value(figures, section, "apus-worker", "user"),
                            0.6, "0.6 µs", "µs"))
        # The same limit where h2o takes 0.95 µs and nginx 1.4: machines differ.
        user = value(figures, section, "apus-worker", "user")
        for peer, limit, text in (("h2o", 0.6 / 0.95, "0.63"), ("nginx", 0.6 / 1.4, "0.43")):
            theirs = value(figures, section, peer, "user")
            if theirs:
                rows.append(at_most(f"user CPU, {load}, of {peer}'s",
                                    user / theirs if user else None, limit, text, "×"))
        tick = value(figures, section, "apus-tick", "cpu")
        rows.append(at_most(f"CPU, {load}, tick dispatch of worker's",
                            tick / cpu if tick and cpu else None, 2, "2", "×"))
    rows.append(at_most("CPU, pipelined, of the reference's",
                        value(figures, "pipelined", "apus-worker", "ratio"), 1.4, "1.4", "×"))
    for count, results in figures.get("syscalls", {}).items():
        for kind in ("receive", "send"):
            figure = results.get("apus-worker", {}).get(kind)
            rows.append((f"{kind} calls, {connections(count)}", "1", figure,
                         figure is not None and abs(figure - 1) < 0.005, ""))
    # Fewer than one in a thousand requests is what timers and the like may do.
    each = value(figures, "allocations", "apus-worker", "each")
    rows.append(("allocations per request", "0", each, each is not None and each < 0.001, ""))
    idle = value(figures, "idle", "apus-worker", "bytes_each")
    rows.append(at_most("idle connection", idle / KIB if idle is not None else None, 1.5,
                        "1.5 KiB", "KiB"))
    load, size = (value(figures, "library", "apus", key) for key in ("load_ms", "size"))
    rows.append(("load time", "< 5 ms", load, load is not None and load < 5, "ms"))
    rows.append(at_most("size, stripped", size / 1e6 if size else None, 6.5, "6.5 MB", "MB"))
    return rows


def digits(what):
    return 4 if what.startswith("allocations") else 2


def targets_table(found):
    rows = []
    for what, target, figure, met, unit in found:
        shown = "not measured" if figure is None else f"{figure:.{digits(what)}f} {unit}".strip()
        rows.append([what, target, shown, "-" if figure is None else "yes" if met else "no"])
    return "## Targets of Apus\n\nWith worker dispatch, unless it says otherwise.\n\n" + \
        table(["what", "target", "measured", "met"], rows)


# ---- the page


def system_facts(pinned):
    """Two lines of a list: the day and the machine; the kernel and the compiler."""
    model = "unknown"
    with open("/proc/cpuinfo") as file:
        found = re.search(r"model name\s*:\s*(.*)", file.read())
        model = found[1] if found else model
    kernel = re.match(r"[\d.]*\d", os.uname().release)
    where = "the server on one, the load on another" if pinned else \
        "shared by the server and the load"
    return [f"- {datetime.date.today().isoformat()}; {os.uname().machine}, {model}, "
            f"{os.cpu_count()} cores: {where}",
            f"- Linux {kernel[0] if kernel else ''}, "
            f"{servers.output(servers.CC, '--version').splitlines()[0]}"]


LAYOUT = """\
- Release builds of Apus are laid out by a profile of loads like these (`make profile`); what
  comes from Debian is as Debian builds it."""


def machine(figures, rounds, load=""):
    """The machine, what a round was, and the servers; load names the load program."""
    day, system = system_facts(figures["pinned"])
    lines = [day, LAYOUT, system + load, rounds, ""]
    rows = [[server.name, server.what, "skipped: " + server.skipped if server.skipped
             else server.version] for server in figures["servers"]]
    return "## Machine and servers\n\n" + "\n".join(lines) + "\n" + \
        table(["server", "what it is", "version"], rows, texts=3)


def unchecked(*command):
    """The output of a program that ends with an error when asked its version."""
    import subprocess
    try:
        result = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return ""
    return result.stdout + result.stderr


def http_machine(figures):
    arguments = figures["arguments"]
    wrk = re.search(r"wrk (\S+)", unchecked("wrk", "-v"))
    return machine(figures, f"- Rounds: {arguments.rounds} of {arguments.seconds} s, "
                   f"{arguments.connections} connections, {arguments.depth} requests at once "
                   "where pipelined", f", wrk {wrk[1] if wrk else 'unknown'}")


def markdown(figures):
    arguments = figures["arguments"]
    parts = [INTRODUCTION, targets_table(targets(figures))]
    for section, title in (("keepalive", "Keep-alive"), ("saturated", "Keep-alive, saturated"),
                           ("pipelined", f"Pipelined, {arguments.depth} deep")):
        if section in figures:
            parts.append(throughput_section(
                figures, section, f"{title}, {arguments.connections} connections"))
    for section, write in (("idle", idle_section), ("allocations", allocations_section),
                           ("syscalls", system_calls_section), ("library", library_section)):
        if figures.get(section):
            parts.append(write(figures))
    return "\n".join(parts + [http_machine(figures), METHOD])
