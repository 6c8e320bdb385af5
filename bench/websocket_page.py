"""Turns the figures of WebSocket into Markdown."""

import report
import websocket

INTRODUCTION = """\
# Benchmarks of WebSocket

This page is written by `bench/run.sh`, which builds everything, measures, and
stops by itself; `bench/run.sh --sections websocket` writes this page alone. The
page for HTTP is [benchmarks](benchmarks.md).
"""

METHOD = """\
## How it is measured

- Every server echoes binary messages. `bench/ws_load.c` opens the channels, sends
  masked messages, and compares every byte that comes back. Where several go at
  once, they are one write, and the next write follows when all echoes are in.
- *reference* is no WebSocket server: it unmasks frames into a buffer and sends that,
  all frames of one read in one send. It checks nothing and knows no control frames.
- Each server has one thread for its work; Apus with tick dispatch has two, its
  worker and the one that ticks; civetweb needs one for each channel. libwebsockets
  writes from the callback that brings a message, which is its cheapest way.
- All servers run during all rounds of a load and get it one after another, in an
  order that shifts with each round. Rates and CPU times are medians over the
  rounds. "× reference" is the median of the ratio to the reference in the same
  round. The channels are opened, and each used once, before a round begins.
- CPU is the time that the scheduler gave to all threads of the server, divided by
  the messages. Its split into user and system comes from the kernel's clock ticks,
  over the sum of all rounds: treat differences below 0.1 µs as noise.
- "Busy" is the share of one core that a server used; well below 100 % the load, not
  the server, was the limit.
- One to many: a text on a further channel is the order to send to all channels, and
  the next order follows when all messages have come. "One by one" is a loop over
  the channels, with a send for each message and channel. "× one by one" is how many
  times the messages are delivered for the same CPU time. The reference has the
  frames ready and only makes the system calls: one for each message and channel, or
  one for each channel. "× a bare loop" compares with the former, and so does "× one by
  one" for the reference itself. Apus puts what waits for a channel into one system
  call, published or not.
- Idle memory is the growth of `VmRSS` from a fresh server to one that holds all
  those channels, each of which has echoed one message; so it also holds what the
  server's first messages ever touched. Memory that the kernel holds is not counted.
- Allocations are calls of malloc, calloc, realloc and the aligned ones, over
  100,000 messages after as many to warm up.
- System calls are counted by strace on open channels. strace slows a server down,
  so that each wait finds more to do.
- Unmasking cannot be told from outside from the copies that the kernel makes of the
  same bytes. `bench/unmask.swift` is compiled together with the library's own
  source and runs alone, on payloads that the cache holds, up to its size.
"""


def bytes_text(size):
    return f"{size // 1024} KiB" if size % 1024 == 0 else f"{size} bytes"


def channels(count):
    return f"{count:,} channel" + ("" if count == 1 else "s")


def at_once(depth):
    return "" if depth == 1 else f", {depth} at once"


def echo_section(figures):
    parts = []
    for (count, size, depth), results in figures["echo"].items():
        parts.append(report.throughput_section(
            dict(figures, load=results), "load",
            f"Echo of {bytes_text(size)}{at_once(depth)}, {channels(count)}", "messages/s"))
    return "\n".join(parts)


def publish_section(figures):
    text = f"## One to many: {websocket.PUBLISHED} bytes to {channels(websocket.SUBSCRIBERS)}\n"
    header = ["way", "messages/s", "per CPU second", "CPU µs", "range", "× one by one",
              "× a bare loop", "busy"]
    others = []
    for burst, results in figures["publish"].items():
        rows = []
        for way, result in results.items():
            low, high = result["spread"]
            others.append(result["others"])
            rows.append([way, f"{result['rate']:,.0f}", f"{1e6 / result['cpu']:,.0f}",
                         f"{result['cpu']:.2f}", f"{low:.2f} to {high:.2f}",
                         *(f"{result[key]:.2f}" if result[key] else "-"
                           for key in ("times", "bare")), f"{result['busy'] * 100:.0f} %"])
        text += f"\n{burst_text(burst)}:\n\n" + report.table(header, rows)
    return text + report.disturbance(others)


def burst_text(burst):
    return "One message at a time" if burst == 1 else f"{burst} messages at a time"


def idle_section(figures):
    def cells(result):
        return [f"{result['bytes_each'] / report.KIB:.2f}",
                f"{result['before_kib'] / report.KIB:.1f}",
                f"{result['after_kib'] / report.KIB:.1f}"]

    header = ["server", "KiB each", "RSS before, MiB", "after, MiB"]
    text = "## Idle channels\n"
    for (count, kind), results in figures["idle"].items():
        extension = "with" if kind == "deflate" else "without"
        text += f"\n{channels(count)}, {extension} permessage-deflate:\n\n" + \
            report.server_table(figures, results, header, cells)
    return text


def allocations_section(figures):
    return "## Allocations per message\n\n" + report.server_table(
        figures, figures["allocations"], ["server", "each", "in 100,000"],
        lambda result: [f"{result['each']:.4f}", f"{result['calls']:,}"])


def system_calls_section(figures):
    kinds = ["receive", "send", "wait", "other"]

    def cells(result):
        return [f"{result[kind]:.3f}" for kind in kinds]

    text, rows, notes = "## System calls per message\n", [], []
    for (count, how), results in figures["syscalls"].items():
        if not isinstance(how, str):
            text += f"\nEcho, {channels(count)}{at_once(how)}:\n\n" + report.server_table(
                figures, results, ["server"] + kinds, cells)
        elif "failed" in results:
            notes.append(f"- {how}: {results['failed']}\n")
        else:
            rows.append([burst_text(count) + ", " + how] + cells(results))
    text += f"\nOne to {channels(figures['arguments'].connections)}:\n\n"
    return text + report.table(["way"] + kinds, rows) + "".join(notes)


def unmask_section(figures):
    return "## Unmasking\n\n" + report.table(
        ["payload", "GB/s"], [[bytes_text(size), f"{rate:.1f}"]
                              for size, rate in figures["unmask"].items()])


# ---- targets


def targets(figures):
    """(what, target, figure or None, whether it is met, unit)"""
    arguments = figures["arguments"]
    echoes = figures.get("echo", {})

    def value(results, name, key):
        return (results.get(name) or {}).get(key)

    def at_most(what, figure, limit, shown, unit):
        return what, f"≤ {shown}", figure, figure is not None and figure <= limit, unit

    rows = []
    for count in (arguments.connections, websocket.SUBSCRIBERS):
        results = echoes.get((count, websocket.SIZE, 1), {})
        what = f"CPU, echo of 20 bytes, {channels(count)}"
        rows.append(at_most(f"{what}, of the reference's", value(results, "apus-worker", "ratio"),
                            1.05, "1.05", "×"))
        times = value(results, "libwebsockets", "apus")
        if times is not None:
            rows.append((f"{what}, of libwebsockets'", "< 1", times, times < 1, "×"))
    for count in (1, arguments.connections):
        calls = figures.get("syscalls", {}).get((count, arguments.depth), {})
        receive, send = (value(calls, "apus-worker", key) for key in ("receive", "send"))
        rows.append(at_most(f"sends for each read, {arguments.depth} at once, {channels(count)}",
                            send / receive if receive else None, 1.005, "1", ""))
    rate = figures.get("unmask", {}).get(websocket.LARGE)
    rows.append((f"unmasking, {bytes_text(websocket.LARGE)}", "≥ 10 GB/s", rate,
                 rate is not None and rate >= 10, "GB/s"))
    for burst, results in sorted(figures.get("publish", {}).items(), reverse=True):
        for place in ("in a thread", "in a callback"):
            times = value(results, f"{place}, publish", "times")
            what = f"publish, {place}, {burst_text(burst)[0].lower()}{burst_text(burst)[1:]}"
            bare = value(results, f"{place}, publish", "bare")
            for label, ratio in ((", of a bare loop's sends", bare), (", of one by one", times)):
                rows.append((what + label, "≥ 3", ratio, ratio is not None and ratio >= 3, "×"))
    for (count, kind), results in figures.get("idle", {}).items():
        if kind == "websocket":
            each = value(results, "apus-worker", "bytes_each")
            rows.append(at_most(f"idle channel, of {count:,}, without deflate",
                                None if each is None else each / report.KIB, 2, "2 KiB", "KiB"))
    each = value(figures.get("allocations", {}), "apus-worker", "each")
    rows.append(("allocations per message", "0", each, each is not None and each < 0.001, ""))
    return rows


def markdown(figures):
    arguments = figures["arguments"]
    parts = [INTRODUCTION, report.targets_table(targets(figures))]
    for section, write in (("echo", echo_section), ("publish", publish_section),
                           ("idle", idle_section), ("allocations", allocations_section),
                           ("syscalls", system_calls_section), ("unmask", unmask_section)):
        if figures.get(section):
            parts.append(write(figures))
    rounds = (f"- Rounds: {arguments.rounds} of {arguments.seconds} s, of echoes "
              f"{arguments.rounds * arguments.seconds} of 1 s")
    return "\n".join(parts + [report.machine(figures, rounds), METHOD])
