#!/usr/bin/env python3
"""What one server takes for one request and another for two is how requests are smuggled:
so the same bytes go to this library's parser and to those of h11, node (llhttp) and Go
(net/http), and the requests that come of them are compared: how many, and the method,
target, fields and body of each.

  differential_test.py [--cases N] [--seed S] [--only NUMBER]

Where they differ, ctests/data/divergences.json must have the reason, with the clause; a
difference that it does not know fails, with the bytes. The figures are written to
build/reliability/differential.json."""
# ctest: once nosanitize timeout=300
import argparse
import collections
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time

from common import SOURCE, check, report, skipped
from differential_cases import Maker

try:
    import h11
except ImportError:
    h11 = None

HERE = os.path.dirname(os.path.abspath(__file__))
BATCH = 4000
# What the parsers keep apart from the other fields, or leave out.
APART = {b"host", b"content-length", b"transfer-encoding", b"trailer"}

Request = collections.namedtuple("Request", "method target body fields start end")
Result = collections.namedtuple("Result", "requests state words end")


def cut(requests):
    """Behind these it is no HTTP any more, or another connection."""
    for place, request in enumerate(requests):
        if request.method == b"CONNECT" or any(name == b"upgrade" for name, _ in request.fields):
            return requests[:place + 1]
    return requests


def kept(fields):
    fields = [(name.lower(), value.strip(b" \t")) for name, value in fields]
    return tuple(sorted(field for field in fields if field[0] not in APART))


def read(line):
    """A line that a parser has written, as parse_requests.c says."""
    texts, words = line.decode("utf-8", "replace").split("|", 1)
    requests, end = [], 0
    for text in texts.split():
        parts = text.split(",")
        method, target, body = (bytes.fromhex(part) for part in parts[:3])
        fields = [tuple(map(bytes.fromhex, field.split(":"))) for field in parts[3].split(";")
                  if field]
        start, end = end, int(parts[4]) if len(parts) > 4 else 0
        requests.append(Request(method, target, body, kept(fields), start, end))
    state, _, sentence = words.partition(" ")
    return Result(cut(requests), state, sentence.strip(), end)


def ask(command, cases):
    data = b"".join(struct.pack(">I", len(case)) + case for case in cases)
    run = subprocess.run(command, input=data, stdout=subprocess.PIPE, timeout=240, check=False)
    lines = run.stdout.split(b"\n")[:-1]
    check(f"{os.path.basename(command[-1])} ends well, with a line for each case",
          (0, len(cases)), (run.returncode, len(lines)))
    return [read(line) for line in lines]


def by_h11(case):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 17)
    requests, head, body = [], None, b""
    try:
        connection.receive_data(case)
        connection.receive_data(b"")
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                head, body = event, b""
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                requests.append(Request(head.method, head.target, body, kept(head.headers), 0, 0))
                connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE:
                    return Result(cut(requests), "ok", "", 0)
                connection.start_next_cycle()
            else:
                return Result(cut(requests), "ok", "", 0)
    except h11.RemoteProtocolError as error:
        return Result(cut(requests), "bad", str(error), 0)
    except h11.LocalProtocolError as error:
        # A tunnel, whose reply would be another.
        return Result(cut(requests), "ok", str(error), 0)


class Known:
    """The differences that have a reason."""

    def __init__(self):
        with open(os.path.join(HERE, "..", "data", "divergences.json"), encoding="utf-8") as file:
            self.entries = json.load(file)
        for entry in self.entries:
            entry["pattern"] = re.compile(entry.get("bytes", "").encode("latin-1"), re.DOTALL)
            entry["earlier"] = re.compile(entry.get("before", "").encode("latin-1"), re.DOTALL)
            entry["theirs"] = re.compile(entry.get("they_say", ""))
        self.met = collections.Counter()

    def find(self, peer, kind, data, ours, theirs):
        """The name of a difference, by the bytes before it and those of it."""
        for entry in self.entries:
            if (peer in entry["peers"] and kind == entry["kind"]
                    and re.search(entry.get("we_say", ""), ours.words)
                    and entry["theirs"].search(theirs.words) and entry["earlier"].search(data[0])
                    and entry["pattern"].search(data[1])):
                self.met[entry["id"], peer] += 1
                return entry["id"]
        return None


def difference(ours, theirs):
    """The first request of which they make something else: what kind of difference it is,
    and where the bytes are that it is about."""
    for mine, other in zip(ours.requests, theirs.requests):
        for part in ("method", "target", "body", "fields"):
            if getattr(mine, part) != getattr(other, part):
                return part, mine.start, mine.end
    count = len(theirs.requests)
    if len(ours.requests) > count:
        return "laxer", ours.requests[count].start, ours.requests[count].end
    if len(ours.requests) < count:
        return "stricter", ours.end, None
    return None, 0, 0


def without_asterisk(ours, theirs):
    """Go's server answers OPTIONS * by itself, and nobody sees it; nor that it may have
    been the last that is looked at."""
    last = ours.requests[-1] if ours.requests else None
    ours = ours._replace(requests=[one for one in ours.requests if one.target != b"*"])
    if last and last.target == b"*" and any(name == b"upgrade" for name, _ in last.fields):
        theirs = theirs._replace(requests=theirs.requests[:len(ours.requests)])
    return ours, theirs


def compare(first, cases, results, known, figures, seed):
    mine = results.pop("apus")
    for peer, theirs in results.items():
        for number, case in enumerate(cases):
            ours, other = mine[number], theirs[number]
            if peer == "go":
                ours, other = without_asterisk(ours, other)
            kind, start, end = difference(ours, other)
            figures[peer]["cases"] += 1
            figures[peer]["requests"] += len(theirs[number].requests)
            if kind is None:
                figures[peer]["same"] += 1
                continue
            name = known.find(peer, kind, (case[:start], case[start:end]), ours, other)
            figures[peer][name or "unlisted"] += 1
            if name is None:
                check(f"case {first + number} of seed {seed}, {peer}: {kind}\n  bytes {case!r}\n"
                      f"  of them {case[start:end]!r}\n  ours {mine[number]}\n"
                      f"  {peer} {theirs[number]}",
                      "listed", "unlisted")


def peers(folder):
    """How each of the other parsers is run."""
    commands = {}
    if shutil.which("node"):
        commands["node"] = ["node", os.path.join(HERE, "peer_requests.js")]
    else:
        skipped.append("node: there is none")
    if shutil.which("go"):
        program = os.path.join(folder, "peer_requests")
        subprocess.run(["go", "build", "-o", program, os.path.join(HERE, "peer_requests.go")],
                       check=True, cwd=folder, timeout=240,
                       env=dict(os.environ, GOCACHE=os.path.join(folder, "cache"),
                                GO111MODULE="off", GOFLAGS=""))
        commands["go"] = [program]
    else:
        skipped.append("go: there is none")
    return commands


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--cases", type=int, default=int(os.environ.get("APUS_CASES") or 4000))
    options.add_argument("--seed", default=os.environ.get("APUS_SEED") or "1")
    options.add_argument("--only", type=int)
    options = options.parse_args()
    started = time.monotonic()
    known = Known()
    figures = collections.defaultdict(collections.Counter)
    numbers = range(options.cases) if options.only is None else [options.only]
    with tempfile.TemporaryDirectory(prefix="apus-") as folder:
        commands = peers(folder)
        if h11 is None:
            skipped.append("h11: there is none")
            if not commands:
                print("skipped: there is no other parser to compare with")
                return 77
        commands["apus"] = [os.path.join(os.environ["APUS_BIN"], "parse_requests")]
        for first in range(0, len(numbers), BATCH):
            batch = numbers[first:first + BATCH]
            cases = [Maker(options.seed, number).bytes() for number in batch]
            results = {peer: ask(command, cases) for peer, command in commands.items()}
            if h11 is not None:
                results["h11"] = [by_h11(case) for case in cases]
            figures["apus"]["cases"] += len(cases)
            figures["apus"]["requests"] += sum(len(one.requests) for one in results["apus"])
            compare(batch[0], cases, results, known, figures, options.seed)
    check("each parser takes requests", [], [peer for peer in figures
                                             if not figures[peer]["requests"]])
    figures = {peer: dict(figure.most_common()) for peer, figure in figures.items()}
    folder = os.path.join(SOURCE, "build", "reliability")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "differential.json"), "w", encoding="utf-8") as file:
        json.dump({"seed": options.seed, "seconds": round(time.monotonic() - started, 1),
                   "parsers": figures}, file, indent=1)
        file.write("\n")
    for peer, figure in figures.items():
        print(f"{peer}: {figure}")
    return report("differential_test")


if __name__ == "__main__":
    sys.exit(main())
