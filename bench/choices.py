#!/usr/bin/env python3
"""Measures two choices of Apus's event loop against what else could have been built.

The variants are those of bench/choices.c, a bare epoll loop: so the figures are
those of the choice, with nothing of Apus in them. Only the loopback interface is
used; everything is bounded in time, and only processes that were started here are
ended.
"""

import argparse
import json
import os
import random
import selectors
import signal
import socket
import statistics
import struct
import sys
import tempfile
import time

import choices_page
import measure
import servers

PLACINGS = ("handed", "any", "shared", "reuseport")
SECTIONS = ("reading", "balance", "load", "visits", "stall")
REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def parse_arguments():
    parser = argparse.ArgumentParser(prog="bench/choices.py", description=__doc__.splitlines()[0])
    parser.add_argument("--sections", metavar="NAMES", default=",".join(SECTIONS),
                        help="measurements, of " + ",".join(SECTIONS) +
                        "; fewer than all: nothing is written unless --output says where")
    parser.add_argument("--rounds", type=int, default=40, help="interleaved rounds (40)")
    parser.add_argument("--seconds", type=float, default=0.25,
                        help="of each load in a round (0.25)")
    parser.add_argument("--connections", type=int, default=64, help="of the loads (64)")
    parser.add_argument("--depth", type=int, default=16, help="of pipelining (16)")
    parser.add_argument("--visits", type=int, default=5000,
                        help="short connections in a round (5000)")
    parser.add_argument("--repeats", type=int, default=100, help="of balance (100)")
    parser.add_argument("--stalls", type=int, default=30, help="stalls in each case (30)")
    parser.add_argument("--output", help="the Markdown file (docs/choices.md)")
    parser.add_argument("--json", help="also writes the figures here")
    arguments = parser.parse_args()
    arguments.sections = arguments.sections.split(",")
    for name in arguments.sections:
        if name not in SECTIONS:
            parser.error(f"no measurement is called {name}")
    if min(arguments.rounds, arguments.connections, arguments.depth, arguments.visits // 16,
           arguments.repeats, arguments.stalls) < 1 or arguments.seconds <= 0:
        parser.error("numbers are from 1, and visits from 16")
    if arguments.output is None and set(arguments.sections) == set(SECTIONS):
        arguments.output = os.path.join(servers.ROOT, "docs", "choices.md")
    return arguments


def say(text):
    print(text, flush=True)


def variant(name, reading, placing, threads):
    server = servers.Server(name, "", "choices.c", arguments=(reading, placing, str(threads)))
    server.binary = measure.tool("choices")
    return server


def build():
    servers.build_tools()
    for source in ("choices.c", "visits.c"):
        problem = servers.compile_c(source, measure.tool(source[:-2]), "-pthread")
        if problem:
            raise SystemExit(f"bench: {source}: {problem}")


# ---- the loads


def connect(port):
    """A connection that will end with a reset, which leaves no port in TIME_WAIT."""
    peer = socket.create_connection(("127.0.0.1", port), timeout=5)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return peer


def visits(port, count, at_once):
    text = measure.run_load([measure.tool("visits"), str(port), str(count), str(at_once)], 60)
    return json.loads(text)


def count_calls(port):
    """The receives, sends and waits so far of the thread that answers: of all, if
    there is but one. strace would slow the server down, and so change the counts."""
    with connect(port) as peer:
        peer.sendall(REQUEST.replace(b" / ", b" /calls "))
        return [int(count) for count in peer.recv(100).split()]


def thread_times(running):
    """The CPU time of each thread, in ns."""
    times = {}
    for thread in running.threads():
        with open(f"/proc/{running.process.pid}/task/{thread}/schedstat") as file:
            times[thread] = int(file.read().split()[0])
    return times


def imbalance(parts):
    """How much more the fullest has than it would if all had the same."""
    return max(parts) * len(parts) / sum(parts)


def interleaved(arguments, scratch, what, variants, load):
    """Rounds of a load in which each variant has its turn; who begins moves on from
    round to round. Ratios are to the first variant, in the same round."""
    running, rounds = [], {}
    try:
        for one in variants:
            running.append(servers.Running(one, scratch).__enter__())
            load(running[-1].port)  # warms it up
        for number in range(arguments.rounds):
            turn = number % len(running)
            for one in running[turn:] + running[:turn]:
                result = one_round(one, load)
                rounds.setdefault(one.server.name, []).append(result)
                say(f"  {what} {number + 1}/{arguments.rounds} {one.server.name:18}"
                    f"{result['rate']:10.0f}/s {result['cpu']:7.2f} µs"
                    f"{result['others'] * 100:4.0f} % others")
    finally:
        for one in running:
            one.end()
    first = rounds[variants[0].name]
    return {one.name: summary(rounds[one.name], first) for one in variants}


def one_round(running, load):
    calls, times = count_calls(running.port), thread_times(running)
    result = measure.round_of(running, load)
    times = [time - times[thread] for thread, time in thread_times(running).items()]
    calls = [after - before for before, after in zip(calls, count_calls(running.port))]
    result["imbalance"] = imbalance(times)
    result["calls"] = [count / result["requests"] for count in calls]
    return result


def interval(values):
    """Where the median of sorted values lies with 95 % confidence, by their ranks."""
    rank = max(0, int(len(values) / 2 - 0.98 * len(values) ** 0.5))
    return values[rank], values[-1 - rank]


def summary(rounds, first):
    result = measure.summary(rounds, first)
    result["calls"] = [statistics.median(counts) for counts in zip(*(r["calls"] for r in rounds))]
    ratios = sorted(r["cpu"] / f["cpu"] for r, f in zip(rounds, first))
    result["interval"] = interval(ratios)
    result["imbalance"] = statistics.median(r["imbalance"] for r in rounds)
    result["most others"] = max(r["others"] for r in rounds)
    return result


# ---- the first choice


def measure_reading(arguments, scratch):
    """The second "level" is the same program again: what it differs is noise."""
    variants = [variant("level", "level", "handed", 1),
                variant("level again", "level", "handed", 1),
                variant("short", "short", "handed", 1), variant("drain", "drain", "handed", 1)]
    results = {}
    for depth in (1, arguments.depth):
        results[depth] = interleaved(
            arguments, scratch, f"depth {depth}", variants,
            lambda port, depth=depth: measure.pipelined(
                port, arguments.connections, depth, arguments.seconds))
    return results


# ---- the second choice


def measure_balance(arguments, scratch):
    """By placing, threads and connections: the imbalance of connections that stay,
    and of those that are left when half of twice as many have gone."""
    results, chance = [], random.Random(1)
    for threads in (2, 4, 8):
        for placing in ("handed", "any", "shared", "reuseport"):
            with servers.Running(variant(placing, "level", placing, threads), scratch) as running:
                for count in (64, 1000):
                    stay, left = [], []
                    for _ in range(arguments.repeats):
                        seen = visits(running.port, 2 * count, 2 * count)["threads"]
                        names = "0123456789abcdef"[:threads]
                        stay.append(imbalance([seen[:count].count(n) for n in names]))
                        rest = chance.sample(seen, count)
                        left.append(imbalance([rest.count(n) for n in names]))
                    results.append({"placing": placing, "threads": threads, "connections": count,
                                    "stay": spread(stay), "left": spread(left)})
                    say(f"  balance {placing:10} {threads} threads, {count:4} connections: "
                        f"{results[-1]['stay'][0]:.2f} and {results[-1]['left'][0]:.2f}")
    return results


def spread(values):
    """The mean, and what 99 of 100 do not exceed."""
    values = sorted(values)
    return statistics.mean(values), values[max(0, -(-len(values) * 99 // 100) - 1)]


def two_threads():
    names = {"handed again": "handed"}
    return [variant(name, "level", names.get(name, name), 2)
            for name in ("handed", "handed again") + PLACINGS[1:]] + \
        [variant("one thread", "level", "handed", 1)]


def measure_load(arguments, scratch):
    return interleaved(arguments, scratch, "load", two_threads(), lambda port: measure.pipelined(
        port, arguments.connections, 1, arguments.seconds))


def measure_visits(arguments, scratch):
    def load(port):
        result = visits(port, arguments.visits, 16)
        return result["requests"], result["seconds"]
    variants = two_threads() + [variant(f"{placing}, 8 threads", "level", placing, 8)
                                for placing in ("handed", "any")]
    return interleaved(arguments, scratch, "visits", variants, load)


# ---- a thread that stalls

STALL_THREADS = 4
NEW_CONNECTIONS = 40  # one each millisecond, so that all fall into the 50 ms
LATE = 0.005


def connection_on(port, thread):
    """A connection that this thread of the server serves."""
    for _ in range(1000):
        peer = connect(port)
        peer.sendall(REQUEST)
        if f"X-Thread: {thread}\r\n".encode() in peer.recv(4096):
            return peer
        peer.close()
    raise RuntimeError(f"the kernel gives thread {thread} no connection")


def one_stall(port, thread):
    """How long new connections wait for their answer while a thread sleeps."""
    sleeper = None
    if thread is not None:
        sleeper = connection_on(port, thread)
        sleeper.sendall(REQUEST.replace(b" / ", b" /stall "))
        time.sleep(0.002)
    waits, opened = [], 0
    start = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        while len(waits) < NEW_CONNECTIONS and time.perf_counter() < start + 2:
            due = start + opened * 0.001
            if opened < NEW_CONNECTIONS and time.perf_counter() >= due:
                begin = time.perf_counter()
                peer = connect(port)
                peer.sendall(REQUEST)
                selector.register(peer, selectors.EVENT_READ, begin)
                opened += 1
                continue
            left = due - time.perf_counter() if opened < NEW_CONNECTIONS else 0.1
            for key, _ in selector.select(max(0, left)):
                waits.append(time.perf_counter() - key.data)
                selector.unregister(key.fileobj)
                key.fileobj.close()
    if sleeper:
        sleeper.recv(4096)
        sleeper.close()
    if len(waits) < NEW_CONNECTIONS:
        raise RuntimeError("connections were not answered")
    return waits


def measure_stall(arguments, scratch):
    cases = [("handed", None), ("handed", 0), ("handed", 1), ("any", 0), ("any", 1),
             ("shared", 0), ("shared", 1), ("reuseport", 0), ("reuseport", 1)]
    running, results = {}, []
    try:
        for placing in PLACINGS:
            running[placing] = servers.Running(
                variant(placing, "level", placing, STALL_THREADS), scratch).__enter__()
        waits = [[] for _ in cases]
        for _ in range(arguments.stalls):
            for seen, (placing, thread) in zip(waits, cases):
                seen.append(one_stall(running[placing].port, thread))
    finally:
        for one in running.values():
            one.end()
    for seen, (placing, thread) in zip(waits, cases):
        every = [wait for repeat in seen for wait in repeat]
        results.append({"placing": placing, "thread": thread,
                        "late": sum(wait > LATE for wait in every) / len(every),
                        "mean": statistics.mean(every) * 1e3,
                        "median": statistics.median(every) * 1e3,
                        "longest": statistics.median(max(repeat) for repeat in seen) * 1e3})
        say(f"  stall {placing:10} thread {thread}: {results[-1]['late'] * 100:.0f} % late")
    return results


def main():
    arguments = parse_arguments()
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, lambda *_: sys.exit("bench: ended before it was done"))
    # Nothing here should take this long; if something hangs, this ends it.
    signal.alarm(int(600 + arguments.rounds * 20 * (arguments.seconds + 2)))
    build()
    figures = {"arguments": arguments, "pinned": servers.cores() is not None}
    with tempfile.TemporaryDirectory(prefix="apus-bench-") as scratch:
        for section in SECTIONS:
            if section in arguments.sections:
                figures[section] = globals()["measure_" + section](arguments, scratch)
    if set(arguments.sections) == set(SECTIONS):
        text = choices_page.markdown(figures)
        say("\n" + text)
        if arguments.output:
            with open(arguments.output, "w") as file:
                file.write(text)
            say(f"written: {os.path.relpath(arguments.output)}")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({key: value for key, value in figures.items() if key != "arguments"},
                      file, indent=1)


if __name__ == "__main__":
    main()
