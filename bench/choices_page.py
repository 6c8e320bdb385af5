"""Turns the figures of choices.py into Markdown. What follows from them is worked
out from them too, so that the page says no more than was measured."""

import textwrap

import report

THREADS = 4  # of the rows of balance that decide, and of the stalls
CONNECTIONS = 64

INTRODUCTION = """\
# Two choices of the event loop

Apus watches TCP connections with edge-triggered epoll, one read for each event, and hands
connections round over its workers, whichever of them accepts. This page holds both against
what else could have been built. `bench/choices.py` writes it in less than ten minutes;
`--help` lists what can be varied. It needs gcc and Python, and not the library: the
variants are those of `bench/choices.c`, a bare epoll loop with a canned answer, where a
choice shows more than in a server that also parses.
"""

READING = """\
## Level or edge

What is measured: one thread, {connections} connections, {rounds} rounds of {seconds} s by
`bench/pipeline.c`.

- *level* reads once for each event. What it leaves is reported again.
- *short* is edge-triggered and reads until a read does not fill its buffer of 16 KiB.
- *drain* is edge-triggered and reads until the kernel has nothing more (`EAGAIN`), as
  epoll's manual has it.
- *level again* is the same program as *level*, once more: by how much it differs is what
  the noise of this machine makes of nothing.

"× level" is the median of the ratios of CPU to *level* in the same round, and "95 %" the
interval in which that median lies with this confidence. Calls are the program's own count,
for each request.
"""

READING_REASONS = """\
Apus was level-triggered first, and is *short* now, by measurements of the whole server, old
and new in turns, that no script repeats: 0.97 of the CPU with keep-alive (24 rounds of 2 s),
0.94 and 1.00 with echoes over 64 WebSockets (36 and 30 rounds), 1.02 over 1,000 (16 rounds).
That is a gain of some hundredths, about as much as this machine can show.

An edge-triggered loop must keep, for each connection, that there may be more to read when
it stops early: Apus has the poller tell it again (`EPOLL_CTL_MOD`) after a read that filled
its space. It must look for the peer's end and for urgent data apart from the bytes
(`EPOLLRDHUP`, `EPOLLPRI`), or what stands behind them is never told. Either way an
`epoll_ctl` is paid when reading stops and goes on, and when the kernel takes no more; neither
happens in these loads. A connection that waits to send, one with TLS, and a Unix socket are
level-triggered still.
"""

PLACING = """\
## Handing round, or a listening socket for each thread

- *handed*: thread 0 accepts and hands connections round, by a queue and an eventfd for
  each thread. This is what Apus did first.
- *any*: the same, but all threads watch the listening socket (`EPOLLEXCLUSIVE`), and
  whichever is awake accepts and hands round. This is what Apus does, since *handed* was
  found to be weak below.
- *shared*: all threads watch the listening socket, and who accepts a connection keeps it.
- *reuseport*: a listening socket for each thread (`SO_REUSEPORT`); the kernel chooses one
  by a hash of the addresses and ports.
"""

BALANCE = """\
### Balance

What is measured: {repeats} times so many connections are opened, and the answers tell which
thread serves each. The figure is the number on the fullest thread, divided by what it
would have if all had the same; where each connection asks for as much as another, that is
the imbalance of load. *Stay*: the connections stay, as those of a proxy or a
load do. *Left*: twice as many came, and half of them, chosen at random, have gone. "99 %"
is what 99 of 100 tries do not exceed.
"""

LOAD = """\
### CPU per request

What is measured: two threads on one core, {connections} connections, {rounds} rounds of
{seconds} s. "× handed" and "95 %" are as above, and *handed again* shows the noise once more;
*one thread* is *handed* with no other thread to hand to.
"""

VISITS = """\
### Accepting

What is measured: connections that make one request each and are closed by a reset, 16 at
a time, {visits:,} a round; the server's CPU for one, from accepting it to closing it. The
two threads share a core here, so that waking the other one costs a switch; on a core of
its own it would cost an interrupt instead. "Busiest thread" is its CPU, divided by the mean
of all.
"""

STALL = """\
### A thread that stalls

What is measured: one of {threads} threads sleeps for 50 ms in a request, as one does whose
callback waits for a disk. Meanwhile 40 connections are opened, one each millisecond, and
the time to the answer is taken; {stalls} times. "Late" are those that wait for longer than
5 ms. Connections that the thread serves already wait in any case. In Apus callbacks run on
workers with worker dispatch only: with tick and pull, a worker has nothing to wait for.
"""

METHOD = """\
## How it is measured

- All variants run during all rounds of a load and get it one after another, in an order
  that shifts with each round.
- CPU is the time that the scheduler gave to the server's threads. Its split into user and
  system comes from clock ticks, over the sum of all rounds: treat differences below
  0.1 µs as noise.
- Rates depend on what else the machine does; CPU does so less. "Others" is the share of
  the machine that other programs had: the median round and the worst.
- Only two cores, and one of them for the load: what threads cost each other on cores of
  their own (caches, locks, interrupts) is not in these figures.
"""


def percent(share):
    return f"{share * 100:.0f} %"


def paragraph(text):
    words = " ".join(text.split()).replace(" %", "\0%").replace("× ", "×\0")
    return "\n" + textwrap.fill(words, 92, break_long_words=False,
                                break_on_hyphens=False).replace("\0", " ") + "\n"


def ratio_cells(result):
    low, high = result["interval"]
    return [f"{result['ratio']:.2f}", f"{low:.2f} to {high:.2f}"]


def noise_line(results):
    middle = max(result["others"] for result in results.values())
    worst = max(result["most others"] for result in results.values())
    return f"\nOther programs had {percent(middle)} of the machine in the median round, and " \
        f"{percent(worst)} in the worst.\n"


# ---- the first choice


def reading_section(figures):
    arguments = figures["arguments"]
    text = READING.format(**vars(arguments))
    for depth, results in figures["reading"].items():
        rows = []
        for name, result in results.items():
            receives, sends, waits = (f"{count:.3f}" for count in result["calls"])
            rows.append([name, f"{result['rate']:,.0f}", f"{result['cpu']:.2f}",
                         f"{result['user']:.2f}", f"{result['system']:.2f}"] +
                        ratio_cells(result) + [receives, sends, waits, percent(result["busy"])])
        what = "Keep-alive" if depth == 1 else f"Pipelined, {depth} deep"
        text += f"\n{what}:\n\n" + report.table(
            ["variant", "requests/s", "CPU µs", "user µs", "system µs", "× level", "95 %",
             "recv", "send", "wait", "busy"], rows) + noise_line(results)
    return text + paragraph("What follows: " + reading_verdict(figures)) + "\n" + READING_REASONS


def compared(result, control):
    """What a ratio to the first variant says, in the light of the same program's
    ratio to itself."""
    low, high = result["interval"]
    noise = abs(control["ratio"] - 1)
    if low <= 1 <= high or abs(result["ratio"] - 1) <= noise:
        return f"costs the same within the noise (× {low:.2f} to {high:.2f})"
    more = "more" if result["ratio"] > 1 else "less"
    return f"costs {percent(abs(result['ratio'] - 1))} {more} (× {low:.2f} to {high:.2f})"


def reading_verdict(figures):
    parts = []
    for depth, results in figures["reading"].items():
        load = "with keep-alive" if depth == 1 else "with pipelining"
        short, drain = (compared(results[name], results["level again"])
                        for name in ("short", "drain"))
        parts.append(f"{load}, *short* {short}, and *drain* {drain}")
    return "; ".join(parts) + ". *drain* makes a second receive for each batch, which finds " \
        "nothing; in turn it sometimes finds the next batch there, and waits less often."


# ---- the second choice


def balance_section(figures):
    rows = [[row["placing"], row["threads"], row["connections"],
             *(f"{value:.2f}" for value in (*row["stay"], *row["left"]))]
            for row in figures["balance"]]
    handed, kernel = (balance_of(figures, placing) for placing in ("handed", "reuseport"))
    return BALANCE.format(**vars(figures["arguments"])) + "\n" + report.table(
        ["variant", "threads", "connections", "stay, mean", "99 %", "left, mean", "99 %"],
        rows) + paragraph(f"""
        What follows: with {THREADS} threads and {CONNECTIONS} connections that stay, *reuseport*
        gives the fullest thread {kernel['stay'][0]:.2f} times its share on average and up to
        {kernel['stay'][1]:.2f} times; handing round gives it {handed['stay'][0]:.2f}. Where
        connections come and go, handing round keeps part of that lead ({handed['left'][0]:.2f}
        against {kernel['left'][0]:.2f}), and with many connections there is little to gain.
        Threads that all accept for themselves (*shared*) are the worst: the one that is awake
        gets the most.""")


def balance_of(figures, placing):
    return next(row for row in figures["balance"] if row["placing"] == placing and
                row["threads"] == THREADS and row["connections"] == CONNECTIONS)


def load_section(figures):
    results = figures["load"]
    rows = [[name, f"{result['rate']:,.0f}", f"{result['cpu']:.2f}"] + ratio_cells(result) +
            [percent(result["busy"])] for name, result in results.items()]
    verdict = compared(results["reuseport"], results["handed again"])
    return LOAD.format(**vars(figures["arguments"])) + "\n" + report.table(
        ["variant", "requests/s", "CPU µs", "× handed", "95 %", "busy"],
        rows) + noise_line(results) + paragraph(f"""
        What follows: a request by *reuseport* {verdict}. Once a connection has its thread, how
        it got there is not paid for again.""")


def cores_when_full(figures):
    """The cores' worth of short connections that 8 threads do when one is full."""
    return 8 / figures["visits"]["handed, 8 threads"]["imbalance"]


def visits_section(figures):
    results = figures["visits"]
    rows = [[name, f"{result['rate']:,.0f}", f"{result['cpu']:.1f}",
             f"{1e6 / result['cpu']:,.0f}"] + ratio_cells(result) +
            [f"{result['imbalance']:.2f}", percent(result["busy"])]
            for name, result in results.items()]
    kernel, anyone = (compared(results[name], results["handed again"])
                      for name in ("reuseport", "any"))
    return VISITS.format(**vars(figures["arguments"])) + "\n" + report.table(
        ["variant", "connections/s", "CPU µs each", "per CPU second", "× handed", "95 %",
         "busiest thread", "busy"], rows) + noise_line(results) + paragraph(f"""
        What follows: a connection by *reuseport* {kernel}, and by *any* {anyone}. But who
        accepts for all has more to do than others. Were nothing but such connections served,
        with a core for each of 8 threads, thread 0 would be full when all of them together do
        {cores_when_full(figures):.1f} cores' worth of work (worked out from how the threads
        share one core). By *any* a thread that is busy leaves accepting to the others, so that
        its busiest thread tells of no such limit. With connections of many requests this is out
        of sight.""")


def stall_section(figures):
    rows = []
    for row in figures["stall"]:
        who = "none" if row["thread"] is None else "that accepts" \
            if row["thread"] == 0 and row["placing"] == "handed" else f"thread {row['thread']}"
        rows.append([row["placing"], who, percent(row["late"]), f"{row['mean']:.1f}",
                     f"{row['median']:.1f}", f"{row['longest']:.1f}"])
    late = {(row["placing"], row["thread"]): row["late"] for row in figures["stall"]}
    handed = (late["handed", 0] + (THREADS - 1) * late["handed", 1]) / THREADS
    kernel = (late["reuseport", 0] + (THREADS - 1) * late["reuseport", 1]) / THREADS
    anyone = (late["any", 0] + (THREADS - 1) * late["any", 1]) / THREADS
    return STALL.format(threads=THREADS, **vars(figures["arguments"])) + "\n" + report.table(
        ["variant", "stalls", "late", "mean ms", "median ms", "longest ms"], rows,
        texts=2) + paragraph(f"""
        What follows: a thread that sleeps holds up the connections that it is given, whether
        they wait in its queue or in its listening socket. But *handed* has one thread that
        holds up all of them, the one that accepts: {percent(late['handed', 0])} are late when
        it stalls. With any thread as likely to stall as another, {percent(handed)} of new
        connections are late by *handed*, {percent(kernel)} by *reuseport*, and
        {percent(anyone)} by *any*, which hands round too.""")


# ---- the page


def decisions(figures):
    """(the choice, what would overturn it, the figure, whether it stands)"""
    rows = []
    for depth, results in figures["reading"].items():
        load = "keep-alive" if depth == 1 else "pipelined"
        best = min(("level", "drain"), key=lambda name: results[name]["ratio"])
        ratio = results[best]["ratio"] / results["short"]["ratio"]
        rows.append([f"edge-triggered, {load}", "another at 0.95 × its CPU or less",
                     f"{ratio:.2f} × ({best})", ratio > 0.95])
    worst = balance_of(figures, "reuseport")["stay"][1]
    rows.append(["handed round: balance", "reuseport within 1.10 in 99 of 100",
                 f"{worst:.2f}", worst > 1.1])
    ratio = figures["load"]["reuseport"]["ratio"]
    rows.append(["handed round: requests", "reuseport at 0.95 × its CPU or less",
                 f"{ratio:.2f} ×", ratio > 0.95])
    ratio = figures["visits"]["reuseport"]["ratio"]
    rows.append(["handed round: accepting", "reuseport at 0.80 × its CPU or less",
                 f"{ratio:.2f} ×", ratio > 0.8])
    late = next(row["late"] for row in figures["stall"]
                if row["placing"] == "handed" and row["thread"] == 0)
    rows.append(["one thread accepts: stalls", "half of new connections late or more",
                 percent(late), late < 0.5])
    cores = cores_when_full(figures)
    rows.append(["one thread accepts: 8 cores", "full at less than half of their work",
                 f"{cores:.1f} of 8", cores >= 4])
    return [row[:3] + ["yes" if row[3] else "no"] for row in rows]


def outcome(figures):
    """The table's upshot in words."""
    rows = decisions(figures)

    def stands(choice):
        return all(row[3] == "yes" for row in rows if row[0].startswith(choice))

    text = "Edge triggering with one read stands. " if stands("edge") else \
        "Edge triggering with one read does not stand: another way is cheaper. "
    text += "So does handing round, against a socket for each thread. " if stands("handed") else \
        "Handing round does not stand against a socket for each thread in all points. "
    if stands("one thread"):
        return paragraph(text + "Nor would it be a loss if one thread accepted.")
    return paragraph(text + """That one thread alone accepts does not in all points: it holds up
        all new connections when it stalls, and it is the first to be full where connections are
        short. So in Apus it is now whichever worker is awake that accepts, and connections are
        handed round as before (*any*): the balance is kept, and a stall holds up no more of them
        than with a socket for each thread. That no thread is full first is likely too, but two
        cores cannot show it.""")


def markdown(figures):
    arguments = figures["arguments"]
    facts = report.system_facts(figures["pinned"]) + [
        f"- {arguments.rounds} rounds of {arguments.seconds:g} s, or of {arguments.visits:,} "
        "connections; see below each table how much else the\n  machine did"]
    return "\n".join([
        INTRODUCTION,
        "## Do they stand\n\n" + report.table(
            ["choice", "what would overturn it", "measured", "stands"], decisions(figures),
            texts=2) + outcome(figures),
        reading_section(figures), PLACING, balance_section(figures), load_section(figures),
        visits_section(figures), stall_section(figures),
        "## Machine\n\n" + "\n".join(facts) + "\n", METHOD])
