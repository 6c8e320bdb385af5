#!/usr/bin/env python3
"""Sends each case of data/hostile.jsonl to a live server, in every way in which a
network may cut it up, and checks the reaction (see data/README.md for both):

  U1  one write, byte by byte, split at each CR and LF, split at random: the same
  U2  with another request behind it, which a refused case must not reach
  U3  afterwards a new connection is served; at the end the server's descriptors
      and memory are what they were
  U4  a refused request never reaches a handler
  U5  each reply is parsed by a strict client (h11, and checks of our own)

Over TCP the kernel may join pieces again, so that the cases also go over a Unix
socket on which a piece is sent only when the one before it has been read.

APUS_SEED repeats a run; APUS_CASES=RL01,HS04 runs only these."""
# ctest: timeout=300
import base64
import fcntl
import json
import os
import random
import re
import select
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

try:
    import h11
except ImportError:
    sys.exit("hostile_test needs the Python package h11, which is not installed")
import hostile_websocket

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = int(os.environ.get("APUS_SEED") or random.randrange(1 << 32))
DEADLINE = 20
CANARY = b"GET /canary HTTP/1.1\r\nHost: a\r\n\r\n"
SIOCOUTQ = 0x5411
LONG = 4096


class Wrong(Exception):
    """What a case did otherwise than expected."""


class Server:
    """A hostile_server in a process of its own. What it frees of large messages goes
    back to the system, so that a leak is seen beside it."""

    def __init__(self, mode, path, root):
        program = os.path.join(os.environ["APUS_BIN"], "hostile_server")
        self.process = subprocess.Popen([program, mode, path] + ([root] if root else []),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env=dict(os.environ, MALLOC_MMAP_THRESHOLD_="65536"))
        self.port = int(self.process.stdout.readline())
        self.path = path
        self.counts_channels = mode != "pull"

    def connect(self, unix):
        if unix:
            peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            peer.connect(self.path)
        else:
            peer = socket.create_connection(("127.0.0.1", self.port))
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.settimeout(DEADLINE)
        return peer

    def count(self, port):
        """Handler calls and canaries of a client port, then both in all; over a
        new connection, which has to get its 200 (U3)."""
        with self.connect(False) as peer:
            peer.sendall(b"GET /count?port=%d HTTP/1.1\r\nHost: a\r\n\r\n" % port)
            replies = Replies(b"GET")
            while not replies.done:
                data = peer.recv(65536)
                if not data:
                    raise Wrong("a new connection is closed without a reply")
                replies.feed(data)
            if replies.done[0].status != 200:
                raise Wrong(f"a new connection gets {replies.done[0].status}")
            return [int(word) for word in replies.done[0].body.split()]

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1))

    def stop(self):
        self.process.stdin.close()
        if self.process.wait(60) != 0:
            raise Wrong(f"the server ended with {self.process.returncode}")


class Reply:
    def __init__(self, event):
        self.status = event.status_code
        self.headers = [(bytes(name).lower(), bytes(value)) for name, value in event.headers]
        self.body = b""

    def values(self, name):
        return [value for other, value in self.headers if other == name]

    @property
    def closes(self):
        return any(word.strip().lower() == b"close"
                   for value in self.values(b"connection") for word in value.split(b","))


class Replies:
    """Parses a stream of replies with h11, one h11 connection for each."""

    def __init__(self, method):
        self.method = method
        self.interim, self.done = [], []
        self.rest = b""
        self.parser = None

    def begin(self):
        self.parser = h11.Connection(h11.CLIENT)
        request = h11.Request(method=self.method, target="/", headers=[("Host", "a")])
        self.parser.send(request)
        self.parser.send(h11.EndOfMessage())
        self.reply, self.head_checked = None, False

    def feed(self, data):
        self.rest += data
        if self.parser is None:
            if not self.rest:
                return
            self.begin()
            self.pending = self.rest
        else:
            self.pending = data
        try:
            self.parser.receive_data(self.pending)
            self.take()
        except h11.RemoteProtocolError as error:
            raise Wrong(f"a reply that h11 refuses ({error}): {self.rest[:200]!r}")

    def take(self):
        while True:
            event = self.parser.next_event()
            if event in (h11.NEED_DATA, h11.PAUSED):
                return
            if isinstance(event, h11.InformationalResponse):
                self.check_head()
                self.interim.append(event.status_code)
                self.rest = self.rest[self.rest.index(b"\r\n\r\n") + 4:]
            elif isinstance(event, h11.Response):
                self.check_head()
                self.reply = Reply(event)
            elif isinstance(event, h11.Data):
                self.reply.body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self.finish()
                return

    def check_head(self):
        """h11 takes a bare LF; we don't."""
        head = self.rest[:self.rest.index(b"\r\n\r\n") + 4]
        if re.search(rb"(?<!\r)\n|\r(?!\n)", head):
            raise Wrong(f"a reply with a bare CR or LF: {head!r}")

    def finish(self):
        reply, trailing = self.reply, self.parser.trailing_data[0]
        framing = reply.values(b"content-length") + reply.values(b"transfer-encoding")
        if len(framing) != (0 if reply.status in (204, 304) else 1):
            raise Wrong(f"a reply of {reply.status} is framed by {framing}")
        if reply.status < 500 and len(reply.values(b"date")) != 1:
            raise Wrong(f"a reply of {reply.status} without one Date")
        if b"secret" in reply.body or b"root:" in reply.body:
            raise Wrong("bytes from outside the folder")
        self.done.append(reply)
        self.parser, self.rest = None, b""
        self.method = b"GET"
        if trailing:
            self.feed(trailing)

    def end(self):
        if self.parser is not None:
            raise Wrong(f"half a reply: {self.rest[:200]!r}")


class Case:
    def __init__(self, line):
        data = json.loads(line)
        self.id = data["id"]
        self.bytes = base64.b64decode(data["bytes"])
        self.method = b"HEAD" if self.bytes.startswith(b"HEAD ") else b"GET"
        self.continues = False
        self.folder = data.get("folder", False)
        self.deflate = data.get("deflate", False)
        self.upgraded = data.get("websocket", False)
        self.is_websocket = self.upgraded or "101" in data["expect"]
        self.expect = data["expect"]
        if self.is_websocket:
            return
        self.forms = []
        for form in data["expect"].split("|"):
            if form.startswith("100+"):
                self.continues, form = True, form[4:]
            self.forms.append([] if form == "close" else form.split(" then "))
        self.most = max(len(form) for form in self.forms)


def pieces(case, way, chance):
    data = case.bytes
    if way == "one":
        return [data]
    if way == "bytes" and len(data) <= LONG:
        return [data[at:at + 1] for at in range(len(data))]
    if way == "lines" and len(data) <= LONG:
        return [piece for piece in re.split(rb"(?<=[\r\n])|(?=[\r\n])", data) if piece]
    cuts = sorted(chance.randrange(1, len(data)) for _ in range(min(12, len(data) - 1)))
    return [data[a:b] for a, b in zip([0] + cuts, cuts + [len(data)])]


class Run:
    """One case over one connection."""

    def __init__(self, server, case, way, canary, unix):
        self.server, self.case, self.way = server, case, way
        self.canary, self.unix = canary, unix
        self.replies = Replies(case.method)
        self.ended = False

    def name(self):
        return (f"{self.case.id} {self.way}{' with canary' if self.canary else ''}"
                f"{' over the Unix socket' if self.unix else ''}")

    def check(self):
        chance = random.Random(f"{SEED} {self.name()}")
        parts = pieces(self.case, self.way, chance)
        if self.canary and not self.case.continues:
            parts = parts[:-1] + [parts[-1] + CANARY] if self.way == "one" else parts + [CANARY]
        with self.server.connect(self.unix) as self.peer:
            self.port = 0 if self.unix else self.peer.getsockname()[1]
            for part in parts:
                self.send(part)
            if self.case.continues:
                self.await_continue()
            self.receive()
        calls, canaries, _, _ = self.server.count(self.port)
        problems = [self.mismatch(form, calls, canaries) for form in self.case.forms]
        if all(problems):
            raise Wrong("; or ".join(problems) + f" [{self.describe(calls, canaries)}]")
        return calls, canaries

    def describe(self, calls, canaries):
        statuses = [f"{reply.status}{'x' if reply.closes else ''}" for reply in self.replies.done]
        return (f"replies {statuses}, interim {self.replies.interim}, "
                f"{'closed' if self.ended else 'open'}, handler calls {calls}, "
                f"canaries {canaries}")

    def send(self, part):
        """What the server no longer wants to read is not our problem."""
        try:
            self.peer.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            return
        limit = time.monotonic() + DEADLINE
        while self.unix and self.unread() and not self.readable():
            if time.monotonic() > limit:
                raise Wrong("the server does not read")

    def unread(self):
        answer = fcntl.ioctl(self.peer, SIOCOUTQ, struct.pack("i", 0))
        return struct.unpack("i", answer)[0] != 0

    def readable(self):
        return bool(select.select([self.peer], [], [], 0)[0])

    def await_continue(self):
        while not self.replies.interim and not self.ended:
            self.receive_some()
        if self.replies.interim != [100] or self.replies.done:
            raise Wrong(f"no 100 but {self.replies.interim} {len(self.replies.done)}")
        self.send(b"hello" + (CANARY if self.canary else b""))

    def receive_some(self):
        try:
            data = self.peer.recv(65536)
        except socket.timeout:
            raise Wrong(f"nothing came for {DEADLINE} s after "
                        f"{[reply.status for reply in self.replies.done]}")
        if data:
            self.replies.feed(data)
        else:
            self.ended = True
            self.replies.end()

    def receive(self):
        """All that is to come: up to the close where a reply announces it, else
        the replies that are due, with that of the canary."""
        due = self.case.most + (1 if self.canary else 0)
        while not self.ended:
            done = self.replies.done
            if len(done) >= due and not done[-1].closes:
                break
            self.receive_some()
        if not self.ended and self.readable():
            self.receive_some()
            if not self.ended:
                raise Wrong("more comes than was asked for")

    def mismatch(self, form, calls, canaries):
        """Why this form did not come true; None if it did."""
        done = self.replies.done
        refused = not form or form[-1].endswith("x") and form[-1] != "2xx"
        closed = refused or (len(done) >= len(form) and done[len(form) - 1].closes)
        canary = self.canary and not closed
        if len(done) != len(form) + (1 if canary else 0):
            return f"{len(done)} replies"
        for want, reply in zip(form, done):
            if not status_matches(want, reply):
                return f"{reply.status}{'x' if reply.closes else ''} for {want}"
        if any(reply.closes for reply in done[:-1]):
            return "a reply behind Connection: close"
        if closed != self.ended:
            return "closed" if self.ended else "not closed"
        if canary and (done[-1].status, done[-1].body) != (200, b"canary"):
            return f"the canary gets {done[-1].status}"
        if canaries != (1 if canary else 0):
            return f"the canary was called {canaries} times"
        if calls > sum(want == "2xx" for want in form):
            return f"handlers were called {calls} times"
        return None


class WebSocketRun(Run):
    """One case of frames, or of a handshake that opens a WebSocket."""

    def check(self):
        chance = random.Random(f"{SEED} {self.name()}")
        with self.server.connect(self.unix) as self.peer:
            self.port = 0 if self.unix else self.peer.getsockname()[1]
            peer = hostile_websocket.Peer(self.peer, self.case.deflate)
            try:
                if self.case.upgraded:
                    self.send(hostile_websocket.request(self.case.deflate))
                    peer.take_head()
                for part in pieces(self.case, self.way, chance):
                    self.send(part)
                if not self.case.upgraded:
                    peer.take_head()
                problem = peer.problem(self.case.expect, self.send)
            except hostile_websocket.Broken as broken:
                problem = str(broken)
        calls, canaries = self.count_opened(not problem)
        if calls > 1 or canaries:
            problem = f"handler calls {calls}, canaries {canaries}"
        if problem:
            raise Wrong(problem)
        return calls, canaries

    def count_opened(self, is_open):
        """The peer may have its 101, and be gone again, before on_open is called."""
        calls, canaries, _, _ = self.server.count(self.port)
        limit = time.monotonic() + DEADLINE
        while is_open and self.server.counts_channels and not calls:
            if time.monotonic() > limit:
                raise Wrong("on_open was not called")
            calls, more, _, _ = self.server.count(self.port)
            canaries += more
        return calls, canaries


def status_matches(want, reply):
    if want == "2xx":
        return 200 <= reply.status <= 299
    if want.endswith("x"):
        return reply.status == int(want[:-1]) and reply.closes
    return reply.status == int(want)


class Total:
    def __init__(self):
        self.lock = threading.Lock()
        self.run = self.right = 0

    def attempt(self, run):
        """Runs it; returns its handler calls and canaries."""
        try:
            result = run.check()
            right = True
        except Wrong as wrong:
            print(f"WRONG {run.name()}: {wrong}", flush=True)
            result, right = (0, 0), False
        except (OSError, ValueError, h11.ProtocolError) as error:
            print(f"WRONG {run.name()}: {type(error).__name__}: {error}", flush=True)
            result, right = (0, 0), False
        with self.lock:
            self.run += 1
            self.right += right
        return result


def run_all(total, server, cases, ways, unix):
    runs = []
    for way in ways:
        for case in cases:
            if case.is_websocket:
                runs.append(WebSocketRun(server, case, way, False, unix))
            else:
                runs += [Run(server, case, way, canary, unix) for canary in (False, True)]
    if unix:  # its clients have no ports, so one at a time
        return [total.attempt(run) for run in runs]
    with ThreadPoolExecutor(6) as pool:
        return list(pool.map(total.attempt, runs))


def eventually(what, condition):
    limit = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > limit:
            raise Wrong(what)
        time.sleep(0.01)


def check_balance(server, results, descriptors, resident):
    """No call came late; descriptors and memory are what they were."""
    _, _, calls, canaries = server.count(0)
    seen = [sum(column) for column in zip(*results)]
    if [calls, canaries] != seen:
        raise Wrong(f"handler calls and canaries {[calls, canaries]}, seen {seen}")
    eventually(f"descriptors: {server.descriptors()}, were {descriptors}",
               lambda: server.descriptors() <= descriptors)
    grown = server.resident() - resident
    if grown > 16384 and not os.environ.get("APUS_SANITIZE"):
        raise Wrong(f"the server grew by {grown} KiB")
    print(f"descriptors {server.descriptors()} (were {descriptors}), memory {grown:+} KiB")


def make_root(folder):
    """What the cases of a served folder suppose; nothing of the rest may come out."""
    root = os.path.join(folder, "root")
    for name in ("dir", ".git", "../outside"):
        os.makedirs(os.path.join(root, name))
    for name in (".htpasswd", ".git/config", "dir/.hidden", "../outside/passwd"):
        with open(os.path.join(root, name), "w") as file:
            file.write("secret")
    with open(os.path.join(root, "file.txt"), "w") as file:
        file.write("0123456789" * 10)
    os.symlink("../outside", os.path.join(root, "link"))
    os.symlink("../..", os.path.join(root, "dir", "up"))
    os.symlink("../outside/passwd", os.path.join(root, "file.txt.gz"))
    os.mkfifo(os.path.join(root, "fifo"))
    return root


def run_mode(total, cases, mode, ways, unix_ways, folder, root=None):
    before = total.right
    server = Server(mode, os.path.join(folder, mode + ("-folder" if root else "")), root)
    server.count(0)
    descriptors = server.descriptors()
    results = run_all(total, server, cases, ["one"], False)
    resident = server.resident()
    results += run_all(total, server, cases, ways, False)
    results += run_all(total, server, cases, unix_ways, True)
    total.run += 1
    try:
        check_balance(server, results, descriptors, resident)
        server.stop()
        total.right += 1
    except Wrong as wrong:
        print(f"WRONG at the end of {mode}: {wrong}")
    print(f"{mode}{' with a folder' if root else ''}: {total.right - before} right", flush=True)


def main():
    print(f"seed {SEED}")
    with open(os.path.join(HERE, "..", "data", "hostile.jsonl")) as lines:
        cases = [Case(line) for line in lines]
    wanted = os.environ.get("APUS_CASES")
    if wanted:
        cases = [case for case in cases if case.id in wanted.split(",")]
    total = Total()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="apus-") as folder:
        root = make_root(folder)
        for place in (None, root):
            chosen = [case for case in cases if case.folder == bool(place)]
            if not chosen:
                continue
            run_mode(total, chosen, "worker",
                     ["bytes", "lines", "random 1", "random 2", "random 3"],
                     ["bytes", "lines", "random 4"], folder, place)
            for mode in ("tick", "threadless", "pull"):
                run_mode(total, chosen, mode, [], [], folder, place)
    print(f"{time.monotonic() - started:.0f} s")
    print(f"hostile_test: {len(cases)} cases, run {total.run}, right {total.right}")
    return 0 if total.right == total.run else 1


if __name__ == "__main__":
    sys.exit(main())
