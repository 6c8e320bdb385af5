"""The measurements of the HTTP client beside libcurl and bare sockets, all against the
same nginx. Each program measures itself and returns plain numbers."""

import json
import os
import shutil
import statistics
import subprocess
from dataclasses import dataclass

import measure
import servers

SECTIONS = ("client-sequential", "client-parallel", "client-memory", "client-download")
PARALLEL = 64
REQUESTS = 20_000
MEMORY = 10_000  # GETs
DOWNLOAD = 1 << 30


@dataclass
class Program:
    name: str
    what: str
    source: str
    way: str = ""  # Apus: its first argument
    parallel: bool = True  # whether it can have many in flight
    sequential: bool = True
    download: bool = True
    download_depth: int = 0
    binary: str = ""
    version: str = ""
    skipped: str = ""

    def command(self, port, path, count, depth):
        url = f"http://127.0.0.1:{port}{path}"
        target = [str(port), path] if self.source == "client_bare.c" else [url]
        return [self.binary, *([self.way] if self.way else []), *target, str(count), str(depth)]


def catalogue():
    return [
        Program("bare", "a fixed request on kept sockets, blocking or by epoll: the floor",
                "client_bare.c"),
        Program("libcurl", "an easy handle that is used again; in flight: a multi handle",
                "client_curl.c"),
        Program("libcurl-64k", "the download with a buffer of 64 KiB, as the others have",
                "client_curl.c", parallel=False, sequential=False, download_depth=-1),
        Program("apus-blocking", "Apus, one worker thread; main's thread runs its loop",
                "client_apus.c", "blocking", parallel=False),
        Program("apus-worker", "Apus, callbacks on one worker thread", "client_apus.c", "worker",
                sequential=False, download=False),
        Program("apus-threadless", "Apus without threads: all on main's", "client_apus.c",
                "threadless"),
    ]


def prepare(program, apus):
    flags = []
    if program.source == "client_curl.c":
        if not servers.has_header("curl/curl.h"):
            program.skipped = "not installed"
            return
        flags = ["-lcurl"]
        program.version = servers.header_version("curl/curlver.h", "LIBCURL_VERSION")
    elif program.way:
        if apus is None:
            program.skipped = "the library is not built"
            return
        flags = apus[0]
        program.version = servers.version_of(servers.Server("", "", "apus_"), apus)
    program.binary = os.path.join(servers.BUILD, program.source[:-2])
    problem = servers.compile_c(program.source, program.binary, *flags, "-pthread")
    if problem:
        program.skipped = "does not build: " + problem


def run_once(program, port, path, count, depth):
    result = json.loads(measure.run_load(program.command(port, path, count, depth), 120))
    result["cpu"] = (result["user"] + result["system"]) / result["requests"] * 1e6
    result["rate"] = result["requests"] / result["seconds"]
    return result


def rounds_of(arguments, chosen, say, section, one):
    """Interleaved rounds; who begins moves on from round to round."""
    rounds, failed = {}, {}
    for number in range(arguments.rounds):
        turn = number % max(1, len(chosen))
        for program in chosen[turn:] + chosen[:turn]:
            if program.name in failed:
                continue
            try:
                result = one(program)
            except (RuntimeError, OSError, ValueError, subprocess.TimeoutExpired) as problem:
                failed[program.name] = str(problem)
                say(f"  {section}: {program.name}: {problem}")
                continue
            rounds.setdefault(program.name, []).append(result)
            say(f"  {section} {number + 1}/{arguments.rounds} {program.name:16}"
                f"{result['rate']:10.1f}/s {result['cpu']:10.2f} µs  "
                f"{result['peak_kib'] / 1024:6.1f} MiB")
    return {program.name: summary(rounds[program.name], rounds)
            for program in chosen if program.name in rounds and program.name not in failed}


def summary(own, rounds):
    """Medians, and the medians of the ratios to the others of the same round."""
    result = {key: statistics.median(each[key] for each in own)
              for key in ("rate", "cpu", "own", "seconds", "before_kib", "after_kib", "peak_kib")
              if key in own[0]}
    total = sum(each["user"] + each["system"] for each in own)
    share = sum(each["user"] for each in own) / total if total else 0
    result["user"], result["system"] = result["cpu"] * share, result["cpu"] * (1 - share)
    result["spread"] = (min(each["cpu"] for each in own), max(each["cpu"] for each in own))
    for key, other in (("bare", "bare"), ("curl", "libcurl")):
        pairs = list(zip(own, rounds.get(other, [])))
        result[key] = statistics.median(a["cpu"] / b["cpu"] for a, b in pairs) if pairs else None
        result[key + "_time"] = statistics.median(
            a["seconds"] / b["seconds"] for a, b in pairs) if pairs else None
    return result


def large_file(running):
    """A file of holes, where nginx finds it."""
    folder = os.path.join(running.folder, "files")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "large")
    with open(path, "wb") as file:
        file.truncate(DOWNLOAD)
    return path


def run(arguments, scratch, apus, say):
    chosen = [program for program in catalogue()]
    for program in chosen:
        prepare(program, apus)
        if program.skipped:
            say(f"skipped: {program.name}: {program.skipped}")
    figures = {"programs": chosen, "arguments": arguments,
               "pinned": servers.cores() is not None}
    chosen = [program for program in chosen if not program.skipped]
    nginx = next(server for server in servers.catalogue() if server.name == "nginx")
    servers.prepare(nginx, apus)
    if nginx.skipped:
        say("skipped: the client: nginx is " + nginx.skipped)
        return figures
    figures["nginx"] = nginx.version
    wanted = arguments.sections
    with servers.Running(nginx, scratch) as running:
        port = running.port
        if "client-sequential" in wanted:
            figures["sequential"] = rounds_of(
                arguments, [each for each in chosen if each.sequential], say, "sequential",
                lambda program: run_once(program, port, "/", REQUESTS, 1))
        if "client-parallel" in wanted:
            figures["parallel"] = rounds_of(
                arguments, [each for each in chosen if each.parallel], say, "parallel",
                lambda program: run_once(program, port, "/", 2 * REQUESTS, PARALLEL))
        if "client-memory" in wanted:
            figures["memory"] = rounds_of(
                arguments, [each for each in chosen if each.sequential], say, "memory",
                lambda program: run_once(program, port, "/", MEMORY, 1))
        if "client-download" in wanted:
            figures["download"] = download(arguments, chosen, running, say)
    return figures


def whole(program, running):
    """A download with the CPU of both ends: the kernel charges what it does on the
    loopback interface to one or the other, so that only the sum compares."""
    before = running.cpu()[0]
    result = run_once(program, running.port, "/files/large", 1, program.download_depth)
    if result["bytes"] != DOWNLOAD:
        raise RuntimeError(f"{result['bytes']} bytes came")
    result["own"] = result["cpu"]
    result["cpu"] += (running.cpu()[0] - before) * 1e6
    return result


def download(arguments, chosen, running, say):
    """One GET of a large file; holes need no disk, but pages of the cache."""
    if shutil.disk_usage(running.folder).free < 2 * DOWNLOAD:
        say("skipped: the download: there is too little room")
        return {}
    path = large_file(running)
    try:
        return rounds_of(arguments, [each for each in chosen if each.download], say, "download",
                         lambda program: whole(program, running))
    finally:
        os.unlink(path)
