"""The measurements of WebSocket: echoes, one to many, idle channels. Each takes the
servers and returns plain numbers."""

import copy
import os
import shutil
import subprocess

import measure
import servers

SIZE, LARGE, PUBLISHED = 20, 16384, 64  # bytes of a message
SUBSCRIBERS = 1000
BURSTS = (1, 16)  # messages that everyone gets at once
SECTIONS = ("ws-echo", "ws-publish", "ws-idle", "ws-allocations", "ws-syscalls",
            "ws-unmask")
UNMASKED = (20, 125, 1024, 16384, 1 << 20)  # bytes of a payload

# The orders that bench/apus_publish.c and bench/ws_reference.c take, by what they are.
WAYS = {"reference, a send each": "s", "reference, a send for all": "p",
        "in a callback, one by one": "s", "in a callback, publish": "p",
        "in a thread, one by one": "S", "in a thread, publish": "P"}


def echo_loads(arguments):
    """(channels, bytes of a message, messages at once)"""
    few, many = arguments.connections, SUBSCRIBERS
    return [(few, SIZE, 1), (many, SIZE, 1), (few, SIZE, arguments.depth), (few, LARGE, 1),
            (many, LARGE, 1)]


def load_of(channels, size, depth, number, unit="requests", go=None):
    """A function from a port to steps of a load."""
    def steps(port):
        command = [measure.tool("ws_load"), port, channels, size, depth, unit, number, "step"]
        return measure.Steps(command + ([f"go={go}"] if go else []),
                             number if unit == "requests" else None)
    return steps


def timed_round(arguments, channels, size, depth, go=None):
    """A function that runs one round with a server that runs."""
    steps_of = load_of(channels, size, depth, arguments.seconds, "seconds", go)

    def one_round(running):
        with steps_of(running.port) as steps:
            return measure.step_round(running, steps)
    return one_round


def give_threads(chosen, channels):
    """civetweb gets a thread for each channel, and some for those that just end."""
    for server in chosen:
        if server.name == "civetweb":
            server.arguments = (str(channels + 8),)


def echo(arguments, chosen, scratch, throughput):
    """In rounds of a second, as many as there are seconds: what a machine is quick at changes
    within a few of them, and the ratios are those of a round."""
    short = copy.copy(arguments)
    short.rounds, short.seconds = arguments.rounds * arguments.seconds, 1
    arguments = short
    results = {}
    for load in echo_loads(arguments):
        give_threads(chosen, load[0])
        results[load] = throughput(arguments, chosen, scratch,
                                   "echo " + " ".join(map(str, load)),
                                   timed_round(arguments, *load))
    return results


def publish(arguments, chosen, apus, scratch, say):
    """Rounds of all ways to send to many, by burst and way."""
    publisher = servers.publisher()
    servers.prepare(publisher, apus)
    reference = next((s for s in chosen if s.name == "reference"), None)
    results = {}
    with running_or_none(publisher, scratch) as apus_runs, \
            running_or_none(reference, scratch) as reference_runs:
        for burst in BURSTS:
            rounds, ways = {}, list(WAYS)
            for number in range(arguments.rounds):
                turn = number % len(ways)
                for way in ways[turn:] + ways[:turn]:
                    running = reference_runs if way.startswith("reference") else apus_runs
                    if running is None:
                        continue
                    try:
                        result = timed_round(arguments, SUBSCRIBERS, PUBLISHED, burst,
                                             WAYS[way])(running)
                    except (RuntimeError, OSError, ZeroDivisionError) as problem:
                        say(f"  publish {burst}: {way}: {problem}")
                        rounds[way] = None
                        ways = [other for other in ways if other != way]
                        break
                    rounds.setdefault(way, []).append(result)
                    say(f"  publish {burst:2} {number + 1}/{arguments.rounds} {way:26}"
                        f"{result['rate']:10.0f}/s {result['cpu']:7.2f} µs"
                        f"{result['others'] * 100:4.0f} % others")
            results[burst] = summaries({way: rounds[way] for way in WAYS if rounds.get(way)})
    return results


def summaries(rounds):
    """Each way beside others: how many times their messages for the same CPU time."""
    results = {}
    for way, own in rounds.items():
        place = way.partition(",")[0]
        beside = f"{place}, a send each" if place == "reference" else f"{place}, one by one"
        results[way] = measure.summary(own, rounds.get(beside))
        for key, other in (("times", beside), ("bare", "reference, a send each")):
            ratio = measure.summary(own, rounds.get(other))["ratio"]
            results[way][key] = 1 / ratio if ratio else None
    return results


class running_or_none:
    """A server that runs, or None if it cannot."""

    def __init__(self, server, scratch):
        usable = server is not None and not server.skipped
        self.running = servers.Running(server, scratch) if usable else None

    def __enter__(self):
        return self.running and self.running.__enter__()

    def __exit__(self, *_):
        if self.running:
            self.running.end()


def idle(arguments, chosen, scratch, each):
    """Memory by the number of channels and by whether they have permessage-deflate."""
    def one(server, count, kind):
        if not server.idle:
            return {"failed": "one thread for each channel; not tried"}
        if kind == "deflate" and server.name == "reference":
            return {"failed": "it has no permessage-deflate"}
        before = server.arguments
        if kind == "deflate" and server.name == "libwebsockets":
            server.arguments = ("deflate",)
        try:
            return measure.idle_memory(server, scratch, count, kind)
        finally:
            server.arguments = before

    few = max(1, arguments.idle // 10)
    return {(count, kind): each(
        chosen, f"idle {count} {kind}",
        lambda server, count=count, kind=kind: one(server, count, kind))
        for count, kind in ((few, "websocket"), (arguments.idle, "websocket"),
                            (arguments.idle, "deflate"))}


def allocations(arguments, chosen, scratch, each):
    give_threads(chosen, arguments.connections)
    return each(chosen, "allocations", lambda server: measure.allocations(
        server, scratch, load_of(arguments.connections, SIZE, 1, 100_000), 100_000))


def system_calls(arguments, chosen, apus, scratch, each, say):
    """By (channels, messages at once) for the echoes, and by (burst, way) for one to
    many."""
    if not shutil.which("strace"):
        say("skipped: system calls: strace is not installed")
        return {}
    count = 1600
    give_threads(chosen, arguments.connections)
    results = {}
    for channels, depth in ((1, 1), (1, arguments.depth), (arguments.connections, 1),
                            (arguments.connections, arguments.depth)):
        rounded = count // (channels * depth) * channels * depth or channels * depth
        results[channels, depth] = each(
            chosen, f"syscalls {channels} {depth}", lambda server: measure.system_calls(
                server, scratch, load_of(channels, SIZE, depth, rounded), rounded))
    publisher = servers.publisher()
    servers.prepare(publisher, apus)
    for burst in BURSTS:
        channels = arguments.connections
        number = channels * burst * 10
        for way, letter in WAYS.items():
            if not way.startswith("reference"):
                found = each([publisher], f"syscalls {burst} {way}: ",
                             lambda server: measure.system_calls(
                                 server, scratch,
                                 load_of(channels, PUBLISHED, burst, number, go=letter), number))
                results[burst, way] = found.get(publisher.name, {"failed": publisher.skipped})
    return results


def unmask(say):
    """GB/s by the size of a payload; none without a Swift compiler."""
    binary = measure.tool("unmask")
    sources = [os.path.join(servers.BENCH, "unmask.swift"),
               os.path.join(servers.ROOT, "Sources", "Apus", "WebSocket", "Mask.swift")]
    if not shutil.which("swiftc"):
        say("skipped: unmasking: there is no swiftc")
        return {}
    built = subprocess.run(["swiftc", "-O", "-wmo", "-parse-as-library", "-swift-version", "6",
                            "-enable-experimental-feature", "Lifetimes", "-o", binary, *sources],
                           capture_output=True, text=True)
    if built.returncode != 0:
        say(f"skipped: unmasking: {built.stderr.strip().splitlines()[0]}")
        return {}
    results = {size: float(measure.run_load([binary, str(size)], 10)) for size in UNMASKED}
    say("  unmask " + "  ".join(f"{size}: {rate:.1f} GB/s" for size, rate in results.items()))
    return results


def run(arguments, scratch, chosen, apus, throughput, each, say):
    """All sections that are asked for; throughput and each are those of run.py."""
    figures = {"servers": chosen, "arguments": arguments, "pinned": servers.cores() is not None}
    wanted = arguments.sections
    if "ws-echo" in wanted:
        figures["echo"] = echo(arguments, chosen, scratch, throughput)
    if "ws-publish" in wanted:
        figures["publish"] = publish(arguments, chosen, apus, scratch, say)
    if "ws-idle" in wanted:
        figures["idle"] = idle(arguments, chosen, scratch, each)
    if "ws-allocations" in wanted:
        figures["allocations"] = allocations(arguments, chosen, scratch, each)
    if "ws-syscalls" in wanted:
        figures["syscalls"] = system_calls(arguments, chosen, apus, scratch, each, say)
    if "ws-unmask" in wanted:
        figures["unmask"] = unmask(say)
    return figures
