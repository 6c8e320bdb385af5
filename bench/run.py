#!/usr/bin/env python3
"""Measures Apus beside a bare epoll loop and other servers; see --help.

Only the loopback interface is used, on ports that are free. Everything is
bounded in time, and only processes that were started here are ended.
"""

import argparse
import json
import os
import re
import shutil
import signal
import sys
import tempfile

import client
import client_page
import files
import files_page
import measure
import report
import servers
import websocket
import websocket_page

LOADS = ("keepalive", "saturated", "pipelined")
HTTP = LOADS + ("idle", "allocations", "syscalls", "library")
GROUPS = {"http": HTTP, "websocket": websocket.SECTIONS, "client": client.SECTIONS,
          "files": files.SECTIONS}
WRITERS = {"http": report, "websocket": websocket_page, "client": client_page,
           "files": files_page}
PAGES = {"http": "benchmarks.md", "websocket": "benchmarks-websocket.md",
         "client": "benchmarks-client.md", "files": "benchmarks-files.md"}


def parse_arguments():
    parser = argparse.ArgumentParser(prog="bench/run.sh", description=__doc__.splitlines()[0])
    names = [server.name for server in servers.catalogue()]
    parser.add_argument("--only", metavar="NAMES", help="servers, of " + ",".join(names) +
                        "; then no page is written unless --output says where")
    parser.add_argument("--sections", metavar="NAMES", default=",".join(GROUPS),
                        help="measurements: " + "; or ".join(
                            f"{group}, which is {','.join(names)}"
                            for group, names in GROUPS.items()) +
                        ". A group of which some are left out has its page not written")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (5)")
    parser.add_argument("--seconds", type=int, default=3, help="of each load in a round (3)")
    parser.add_argument("--connections", type=int, default=64, help="of the loads (64)")
    parser.add_argument("--depth", type=int, default=16, help="of pipelining (16)")
    parser.add_argument("--idle", type=int, default=10000, help="idle connections (10000)")
    parser.add_argument("--prefix", default=os.path.join(servers.ROOT, "build", "stage"),
                        help="where Apus is installed (build/stage); without it there, "
                        ".build/release/libapus.so is taken")
    parser.add_argument("--output", help="one Markdown file for all (" + ", ".join(
        f"docs/{page}" for page in PAGES.values()) + ")")
    parser.add_argument("--json", help="also writes the figures here")
    arguments = parser.parse_args()
    arguments.sections = [section for name in arguments.sections.split(",")
                          for section in GROUPS.get(name, (name,))]
    for name in arguments.only.split(",") if arguments.only else []:
        if name not in names:
            parser.error(f"no server is called {name}")
    for name in arguments.sections:
        if not any(name in group for group in GROUPS.values()):
            parser.error(f"no measurement is called {name}")
    if min(arguments.rounds, arguments.seconds, arguments.connections, arguments.depth,
           arguments.idle) < 1:
        parser.error("numbers are from 1")
    return arguments


def page_of(arguments, group):
    """The file that a group's page goes to, or None."""
    if arguments.output:
        return arguments.output
    complete = not arguments.only and set(GROUPS[group]) <= set(arguments.sections)
    return os.path.join(servers.ROOT, "docs", PAGES[group]) if complete else None


def say(text):
    print(text, flush=True)


def choose(arguments, apus, catalogue):
    wanted = arguments.only.split(",") if arguments.only else None
    chosen = [s for s in catalogue if wanted is None or s.name in wanted]
    for server in chosen:
        if server.name == "civetweb":
            server.arguments = (str(arguments.connections),)
        servers.prepare(server, apus)
        if server.skipped:
            say(f"skipped: {server.name}: {server.skipped}")
    return chosen


def http_round(arguments, section):
    """A function that runs one round of a load with a server that runs."""
    if section == "keepalive":
        def load(port):
            return measure.wrk(port, arguments.connections, arguments.seconds)
    else:
        depth = arguments.depth if section == "pipelined" else 1

        def load(port):
            return measure.pipelined(port, arguments.connections, depth, arguments.seconds)
    return lambda running: measure.round_of(running, load)


def throughput(arguments, chosen, scratch, section, one_round, against="reference"):
    """Rounds of one load, in which each server has its turn; who begins moves on
    from round to round."""
    running, rounds, failed = start_all(chosen, scratch)
    try:
        for number in range(arguments.rounds):
            turn = number % max(1, len(running))
            for one in running[turn:] + running[:turn]:
                name = one.server.name
                if name in failed:
                    continue
                try:
                    result = one_round(one)
                except (RuntimeError, OSError, ZeroDivisionError) as problem:
                    failed[name] = str(problem)
                    say(f"  {section}: {name}: {problem}")
                    continue
                rounds.setdefault(name, []).append(result)
                say(f"  {section} {number + 1}/{arguments.rounds} {name:16}"
                    f"{result['rate']:10.0f}/s {result['cpu']:7.2f} µs"
                    f"{result['others'] * 100:4.0f} % others")
    finally:
        for one in running:
            one.end()
    reference = None if against in failed else rounds.get(against)
    results = {name: measure.summary(r, reference)
               for name, r in rounds.items() if name not in failed}
    # How Apus stands to each of them, round by round.
    own = None if "apus-worker" in failed else rounds.get("apus-worker")
    for name, result in results.items():
        result["apus"] = own and measure.summary(own, rounds[name])["ratio"]
    results.update({name: {"failed": problem} for name, problem in failed.items()})
    return results


def start_all(chosen, scratch):
    """Starts each server and warms it up: the servers that run, an empty table of
    rounds, and why the others do not."""
    running, failed = [], {}
    for server in chosen:
        if server.skipped:
            continue
        one = servers.Running(server, scratch)
        try:
            one.__enter__()
            running.append(one)
            if not server.websocket:  # each round of those warms up by itself
                measure.pipelined(one.port, 16, 1, 0.3)
        except (RuntimeError, OSError) as problem:
            failed[server.name] = str(problem)
            say(f"  {server.name}: {problem}")
    return running, {}, failed


def each(chosen, section, function):
    """One measurement for each server in turn; a failure is a result as well."""
    results = {}
    for server in chosen:
        if server.skipped:
            continue
        try:
            results[server.name] = function(server)
            say(f"  {section} {server.name:16}{brief(results[server.name])}")
        except (RuntimeError, OSError, ValueError, KeyError) as problem:
            results[server.name] = {"failed": str(problem)}
            say(f"  {section}: {server.name}: {problem}")
    return results


def brief(result):
    return "  ".join(f"{key} {value:.2f}" for key, value in result.items()
                     if isinstance(value, (int, float)))


def measure_idle(arguments, chosen, scratch):
    def one(server):
        if not server.idle:
            return {"failed": "one thread per connection; not tried"}
        return measure.idle_memory(server, scratch, arguments.idle)
    return each(chosen, "idle", one)


def measure_allocations(arguments, chosen, scratch):
    return each(chosen, "allocations", lambda server: measure.allocations(
        server, scratch, measure.http_steps(arguments.connections, 100_000), 100_000))


def measure_system_calls(arguments, chosen, scratch):
    if not shutil.which("strace"):
        say("skipped: system calls: strace is not installed")
        return {}
    return {count: each(chosen, f"syscalls {count:2}", lambda server: measure.system_calls(
        server, scratch, measure.http_steps(count, 2000), 2000))
            for count in (1, arguments.connections)}


def measure_libraries(chosen, apus):
    """Of Apus, and of the libraries that the peers were linked with."""
    paths = {"apus": os.path.realpath(apus[1])} if apus else {}
    for server in chosen:
        if server.source.startswith("peer_") and not server.skipped:
            wanted = server.libraries[0].replace("-l", "lib") + ".so"
            found = re.search(rf"{re.escape(wanted)}\S* => (\S+)",
                              servers.output("ldd", server.binary))
            if found:
                paths[server.name] = os.path.realpath(found[1])
    return {name: measure.library_figures(path) for name, path in paths.items()}


def run_http(arguments, scratch, chosen, apus):
    if not shutil.which("wrk"):
        say("skipped: keepalive: wrk is not installed")
        arguments.sections = [s for s in arguments.sections if s != "keepalive"]
    figures = {"servers": chosen, "arguments": arguments, "pinned": servers.cores() is not None}
    for section in LOADS:
        if section in arguments.sections:
            figures[section] = throughput(arguments, chosen, scratch, section,
                                          http_round(arguments, section))
    if "idle" in arguments.sections:
        figures["idle"] = measure_idle(arguments, chosen, scratch)
    if "allocations" in arguments.sections:
        figures["allocations"] = measure_allocations(arguments, chosen, scratch)
    if "syscalls" in arguments.sections:
        figures["syscalls"] = measure_system_calls(arguments, chosen, scratch)
    if "library" in arguments.sections:
        figures["library"] = measure_libraries(chosen, apus)
    return figures


def run(arguments, scratch):
    """The figures of each group of which something is to be measured."""
    servers.build_tools()
    apus = servers.find_apus(os.path.abspath(arguments.prefix))
    found = {}
    for group, catalogue in (("http", servers.catalogue),
                             ("websocket", servers.websocket_catalogue)):
        if not set(GROUPS[group]) & set(arguments.sections):
            continue
        chosen = choose(arguments, apus, catalogue())
        active = sum(1 for server in chosen if not server.skipped)
        # Nothing here should take this long; if something hangs, this ends it.
        loads = len(LOADS) if group == "http" else 10
        signal.alarm(300 + active * (180 + arguments.rounds * loads * (arguments.seconds + 3)))
        if group == "http":
            found[group] = run_http(arguments, scratch, chosen, apus)
        else:
            found[group] = websocket.run(arguments, scratch, chosen, apus, throughput, each, say)
    if set(GROUPS["files"]) & set(arguments.sections):
        chosen = choose(arguments, apus, files.catalogue(scratch))
        signal.alarm(300 + 9 * arguments.rounds * (arguments.seconds + 3))
        found["files"] = files.run(arguments, scratch, chosen, throughput, say)
    if set(GROUPS["client"]) & set(arguments.sections):
        signal.alarm(300 + arguments.rounds * 240)
        found["client"] = client.run(arguments, scratch, apus, say)
    return found


def plain(figures):
    """The figures as JSON can hold them."""
    if isinstance(figures, dict):
        return {key if isinstance(key, str) else " ".join(map(str, key))
                if isinstance(key, tuple) else str(key): plain(value)
                for key, value in figures.items()
                if key not in ("servers", "programs", "arguments")}
    return figures


def main():
    arguments = parse_arguments()
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, lambda *_: sys.exit("bench: ended before it was done"))
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="apus-bench-", dir=memory) as scratch:
        os.chmod(scratch, 0o755)  # a server may give up its rights and read files here
        found = run(arguments, scratch)
    written = {}
    for group, figures in found.items():
        text = WRITERS[group].markdown(figures)
        say("\n" + text)
        written.setdefault(page_of(arguments, group), []).append(text)
    for page, texts in written.items():
        if page:
            with open(page, "w") as file:
                file.write("\n".join(texts))
            say(f"written: {os.path.relpath(page)}")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(plain(found), file, indent=1)


if __name__ == "__main__":
    main()
