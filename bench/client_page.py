"""Turns the figures of the HTTP client into Markdown."""

import client
import report

INTRODUCTION = """\
# Benchmarks of the HTTP client

This page is written by `bench/run.sh`, which builds everything, measures, and
stops by itself; `bench/run.sh --sections client` writes this page alone. The
page for the server is [benchmarks](benchmarks.md).
"""

METHOD = """\
## How it is measured

- All clients get the same answer, 13 bytes of text, from the same nginx, which has one
  process and `return 200`. They run one after another in each round, in an order that
  shifts with each round, each as a new process that measures itself.
- *bare* is no HTTP client: it sends a fixed request and looks for the end of the
  response. libcurl has one easy handle that is used again and again, and so keeps its
  connection; in flight it is a multi handle with `curl_multi_poll`.
- *apus-blocking* is a client as it is made: its worker thread does the I/O, but while
  nothing else goes on whoever waits in `apus_fetch_send()` runs the loop in its place,
  and no threads are switched. The others do the I/O on the thread that also has the
  callbacks.
- CPU is the process's user and system time by `getrusage`, divided by the requests,
  behind 500 to warm up. Figures are medians over the rounds; "× bare" and "× libcurl"
  are medians of the ratios of CPU to the other in the same round.
- Memory is `VmRSS` before the measured requests and behind them; the peak is `VmHWM`.
- The download is of a file of holes that nginx sends by sendfile. Its body is given in
  pieces to a function that counts bytes and keeps none. All read 64 KiB at a time but
  libcurl, which as it comes has 16 KiB; *libcurl-64k* has as much as the others.
- On the loopback interface the kernel charges its work to the sender or the receiver as
  it happens: from run to run a client's own CPU for the download moves by half, and that
  of nginx the other way. The ratios are therefore of the CPU of both together. The tables
  of small GETs have the client's own.
"""


def ratio(value):
    return f"{value:.2f}" if value else "-"


def rate_section(results, title):
    rows = []
    for name, result in results.items():
        low, high = result["spread"]
        rows.append([name, f"{result['rate']:,.0f}", f"{result['cpu']:.2f}",
                     f"{low:.2f} to {high:.2f}", f"{result['user']:.2f}",
                     f"{result['system']:.2f}", ratio(result["bare"]), ratio(result["curl"])])
    return f"## {title}\n\n" + report.table(
        ["client", "requests/s", "CPU µs", "range", "user µs", "system µs", "× bare", "× libcurl"],
        rows)


def mib(kib):
    return f"{kib / report.KIB:.1f}"


def memory_section(results):
    rows = [[name, mib(result["before_kib"]), mib(result["after_kib"]),
             f"{result['after_kib'] - result['before_kib']:,.0f}"]
            for name, result in results.items()]
    return f"## Memory over {client.MEMORY:,} GETs\n\n" + report.table(
        ["client", "RSS before, MiB", "after, MiB", "growth, KiB"], rows)


def download_section(results):
    rows = []
    for name, result in results.items():
        rows.append([name, f"{result['seconds']:.2f}", f"{result['own'] / 1e6:.2f}",
                     f"{result['cpu'] / 1e6:.2f}",
                     ratio(result["bare"]), ratio(result["curl"]), ratio(result["curl_time"]),
                     mib(result["peak_kib"])])
    return "## A download of 1 GiB\n\n" + report.table(
        ["client", "seconds", "CPU s", "with nginx's", "× bare", "× libcurl", "time × libcurl",
         "peak RSS, MiB"], rows)


def machine(figures):
    day, system = report.system_facts(figures["pinned"])
    day = day.replace("the load on another", "the clients on another")
    lines = [day, report.LAYOUT, system + f", nginx {figures.get('nginx', '')}",
             f"- Rounds: {figures['arguments'].rounds}", ""]
    rows = [[each.name, each.what, "skipped: " + each.skipped if each.skipped else each.version]
            for each in figures["programs"]]
    return "## Machine and clients\n\n" + "\n".join(lines) + "\n" + \
        report.table(["client", "what it is", "version"], rows, texts=3)


def markdown(figures):
    parts = [INTRODUCTION]
    if figures.get("sequential"):
        parts.append(rate_section(figures["sequential"], "GETs one after the other"))
    if figures.get("parallel"):
        parts.append(rate_section(figures["parallel"], f"GETs, {client.PARALLEL} in flight"))
    if figures.get("memory"):
        parts.append(memory_section(figures["memory"]))
    if figures.get("download"):
        parts.append(download_section(figures["download"]))
    return "\n".join(parts + [machine(figures), METHOD])
