#!/usr/bin/env python3
"""Clients that are slow, silent, greedy or gone, against a server with short time
limits and small numbers: each limit has its one visible reaction, the server goes
on serving others, and gives everything back. What is checked is what happens and
in which order, never when: every wait here is for an event, up to a generous
deadline."""
# ctest: timeout=300
import os
import re
import select
import socket
import struct
import subprocess
import sys
import time

DEADLINE = 30
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
COUNT_CONNECTIONS, COUNT_REFUSED_TIMEOUT, COUNT_REFUSED_BUSY = 0, 8, 12
COUNT_TIMEOUT_IDLE, COUNT_TIMEOUT_WRITE, COUNT_ACCEPT_PAUSES = 13, 14, 15
figures = {"run": 0, "right": 0}


class Wrong(Exception):
    """What went otherwise than expected."""


def need(condition, what):
    if not condition:
        raise Wrong(what)


def eventually(condition, what):
    limit = time.monotonic() + DEADLINE
    while not condition():
        need(time.monotonic() < limit, "never: " + what)
        time.sleep(0.005)


class Peer:
    """A client connection that reads replies."""

    def __init__(self, port, window=None):
        self.socket = socket.socket()
        if window:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        data = self.socket.recv(65536)
        self.data += data
        return data

    def reply(self):
        """Status, head and body of the next reply; None at the end."""
        while b"\r\n\r\n" not in self.data:
            if not self.receive():
                need(not self.data, f"half a reply: {self.data[:200]!r}")
                return None
        head, self.data = self.data.split(b"\r\n\r\n", 1)
        length = int(re.search(rb"(?i)\r\ncontent-length: (\d+)", head).group(1))
        while len(self.data) < length:
            need(self.receive(), "half a body")
        body, self.data = self.data[:length], self.data[length:]
        return int(head.split(b" ")[1]), head, body

    def ask(self, target="/"):
        self.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        reply = self.reply()
        need(reply and reply[0] == 200, f"{target} gets {reply and reply[0]}")
        return reply[2]

    def expect_refusal(self, status):
        reply = self.reply()
        need(reply, f"closed without {status}")
        need(reply[0] == status, f"{reply[0]} instead of {status}")
        need(re.search(rb"(?i)\r\nconnection: close", reply[1]), "no Connection: close")
        need(not self.data and self.receive() == b"", "more after the refusal")

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Server:
    def __init__(self, mode, **options):
        program = os.path.join(os.environ["APUS_BIN"], "limits_server")
        words = [f"{name}={value}" for name, value in options.items()]
        self.process = subprocess.Popen([program, mode, *words], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.stdin.close()
        code = self.process.wait(60)
        need(kind or code == 0, f"the server ended with {code}")

    def peer(self, window=None):
        return Peer(self.port, window)

    def counter(self, number):
        with self.peer() as peer:
            return int(peer.ask(f"/counter/{number}"))

    def counts(self, number, value):
        eventually(lambda: self.counter(number) >= value, f"counter {number} at {value}")

    def serves(self):
        with self.peer() as peer:
            need(peer.ask() == b"ok", "no ok")

    def status(self, name):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(rf"{name}:\s+(\d+) kB", status.read()).group(1))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


# ---- time -----------------------------------------------------------------------

def silent(mode):
    """Silent connections, new or after a request, are closed without a reply."""
    with Server(mode, keep_alive_ms=300) as server:
        with server.peer() as fresh, server.peer() as used:
            need(used.ask() == b"ok", "no ok")
            need(fresh.receive() == b"", "a silent connection gets a reply")
            need(used.receive() == b"", "an idle connection gets a reply")
        server.counts(COUNT_TIMEOUT_IDLE, 2)
        server.serves()


def slow_head(mode):
    """A head that stops, or comes byte by byte, gets 408; others are served."""
    with Server(mode, header_ms=400) as server:
        with server.peer() as stopped, server.peer() as dripping:
            stopped.send(b"GET / HTTP/1.1\r\nHost: ")
            drip(dripping, b"GET / HTTP/1.1\r\nHost: a\r\n", b"A: b\r\n")
            stopped.expect_refusal(408)
            dripping.expect_refusal(408)
        server.counts(COUNT_REFUSED_TIMEOUT, 2)
        server.serves()


def drip(peer, start, more):
    """Sends start, then more again and again, byte by byte, until a reply comes."""
    limit = time.monotonic() + DEADLINE
    for byte in start + more * 10000:
        need(time.monotonic() < limit, "dripping is not refused")
        if select.select([peer.socket], [], [], 0.03)[0]:
            return
        peer.send(bytes([byte]))


def stalled_body(mode):
    """A body that stalls, whole or streamed, counted or chunked, gets 408."""
    with Server(mode, body_ms=300) as server:
        framings = [b"Content-Length: 100\r\n\r\nhalf",
                    b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n64\r\nno"]
        for target in (b"/", b"/stream"):
            for framing in framings:
                with server.peer() as peer:
                    peer.send(b"POST " + target + b" HTTP/1.1\r\nHost: a\r\n" + framing)
                    peer.expect_refusal(408)
        server.counts(COUNT_REFUSED_TIMEOUT, 4)
        server.serves()


POST = b"POST %s HTTP/1.1\r\nHost: a\r\n"
SIZED = b"Content-Length: %d\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


def slow_body(mode):
    """A body that drips, at once or after a start in haste, gets 408."""
    with Server(mode, body_ms=1000, body_rate=1000) as server:
        for target in (b"/", b"/stream"):
            with server.peer() as sized, server.peer() as chunked, server.peer() as hasty:
                hasty.send(POST % target + SIZED % 1000000 + bytes(500000))
                drip(sized, POST % target + SIZED % 1000000, b"x")
                drip(chunked, POST % target + CHUNKED, b"1\r\nx\r\n")
                drip(hasty, b"", b"x")
                for peer in (sized, chunked, hasty):
                    peer.expect_refusal(408)
        server.counts(COUNT_REFUSED_TIMEOUT, 6)
        server.serves()


def steady_body(mode):
    """A body that is slow and keeps the rate is taken, as is one without a rate."""
    for rate in (2, 0):
        with Server(mode, body_ms=30000, body_rate=rate) as server:
            with server.peer() as peer:
                peer.send(POST % b"/stream" + SIZED % 50)
                for _ in range(50):
                    if select.select([peer.socket], [], [], 0.03)[0]:
                        break
                    peer.send(b"x")
                reply = peer.reply()
                need(reply and reply[2] == b"50", f"50 bytes at ease get {reply}")


def reader_stops(mode):
    """A client that takes nothing of its reply is reset."""
    with Server(mode, write_ms=400) as server:
        with server.peer(window=8192) as peer:
            peer.send(b"GET /bytes/16000000 HTTP/1.1\r\nHost: a\r\n\r\n")
            server.counts(COUNT_TIMEOUT_WRITE, 1)
            read = 0
            try:
                while data := peer.socket.recv(65536):
                    read += len(data)
                raise Wrong(f"an end, not a reset, after {read} bytes")
            except ConnectionResetError:
                need(read < 16000000, "all of it came")
        server.serves()


def slow_reader(mode):
    """A client that takes its reply slowly, but takes it, gets all of it."""
    with Server(mode, write_ms=10000, keep_alive_ms=300) as server:
        with server.peer(window=8192) as peer:
            peer.send(b"GET /bytes/400000 HTTP/1.1\r\nHost: a\r\n\r\n")
            read = 0
            while read < 400000:
                data = peer.socket.recv(4096)
                need(data, f"cut off after {read} bytes")
                read += len(data)
        server.serves()


# ---- numbers --------------------------------------------------------------------

def connections(mode):
    """One connection above the limit gets 503; when another leaves there is room."""
    with Server(mode, max_connections=4) as server:
        peers = [server.peer() for _ in range(4)]
        for peer in peers:
            need(peer.ask() == b"ok", "no ok")
        for _ in range(3):
            with server.peer() as peer:
                peer.expect_refusal(503)
        need(int(peers[0].ask(f"/counter/{COUNT_REFUSED_BUSY}")) == 3, "not counted")
        peers.pop().socket.close()
        eventually(lambda: answers(server), "room for another connection")
        for peer in peers:
            need(peer.ask() == b"ok", "no ok")
            peer.socket.close()


def answers(server):
    with server.peer() as peer:
        try:
            peer.send(GET)
            reply = peer.reply()
        except ConnectionError:
            return False
        return reply is not None and reply[0] == 200


def descriptors(mode):
    """With the descriptors at an end the server pauses accepting and goes on
    serving; it accepts again when there are some."""
    workers = [0] if mode == "threadless" else [1, 2, 4]
    for options in ({"nofile": nofile, "reserve": reserve, "workers": count}
                    for count in workers for nofile, reserve in ((64, 32), (40, 0))):
        with Server(mode, **options) as server:
            with server.peer() as control:
                need(control.ask() == b"ok", "no ok")
                peers = [server.peer() for _ in range(60)]
                for peer in peers:
                    peer.send(GET)
                eventually(lambda: int(control.ask(f"/counter/{COUNT_ACCEPT_PAUSES}")) >= 1,
                           "a pause")
                # Each worker may find out by the connection that it accepts.
                most = options["nofile"] - options["reserve"] + max(1, options["workers"])
                need(server.descriptors() <= most,
                     f"{server.descriptors()} descriptors with {options}")
                for peer in peers:  # each that leaves makes room for one that waits
                    reply = peer.reply()
                    need(reply and reply[2] == b"ok", f"no ok but {reply}")
                    peer.socket.close()
                need(control.ask() == b"ok", "no ok")
            server.serves()


# ---- rudeness -------------------------------------------------------------------

def resets(mode):
    """Resets at every stage of a request: nothing is left of them."""
    stages = [b"", b"GET / HT", GET, GET * 20, GET[:-2] + b"Content-Length: 50\r\n\r\nhalf",
              b"POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhalf",
              b"GET /bytes/9000000 HTTP/1.1\r\nHost: a\r\n\r\n", b"BAD\r\n\r\n"]
    with Server(mode) as server:
        server.serves()
        before = server.descriptors()
        for number in range(400):
            peer = server.peer()
            peer.send(stages[number % len(stages)])
            if number % 3 == 0 and number % len(stages) > 1:
                select.select([peer.socket], [], [], 0.001)
            peer.reset()
        server.serves()
        with server.peer() as control:
            eventually(lambda: int(control.ask(f"/counter/{COUNT_CONNECTIONS}")) == 1,
                       "only one connection open")
        eventually(lambda: server.descriptors() <= before, "the descriptors are back")


def unread_pipeline(mode):
    """100,000 pipelined requests whose replies aren't read: the server stops
    reading them. Read at last, each has its reply."""
    count, size = 100000, 1000
    request = f"GET /bytes/{size} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    with Server(mode) as server:
        with server.peer() as peer:
            peer.send(request)
            _, head, _ = peer.reply()
            length = len(head) + 4 + size
            before = server.status("VmRSS")
            rest = push(peer, memoryview(request * count))
            need(len(rest) > 0, "the server has read all of it")
            need_small(server.status("VmHWM") - before)
            server.serves()
            pull(peer, rest, length * count)
            need_small(server.status("VmHWM") - before)
        server.serves()


def need_small(grown):
    """A sanitizer has memory of its own, which grows."""
    need(grown < 32 * 1024 or os.environ.get("APUS_SANITIZE"), f"the server grew by {grown} KiB")


def push(peer, data):
    """Sends until the server takes no more; returns what is left."""
    peer.socket.setblocking(False)
    while len(data) and select.select([], [peer.socket], [], 0.5)[1]:
        try:
            data = data[peer.socket.send(data[:65536]):]
        except BlockingIOError:
            continue
    return data


def pull(peer, rest, total):
    """Sends the rest and reads replies of so many bytes in all."""
    got, heads, tail = 0, 0, b""
    limit = time.monotonic() + 2 * DEADLINE
    while got < total:
        need(time.monotonic() < limit, f"{got} of {total} bytes came")
        readable, writable, _ = select.select([peer.socket], [peer.socket] if rest else [], [],
                                              DEADLINE)
        need(readable or writable, f"silence after {got} of {total} bytes")
        if readable:
            data = peer.socket.recv(1 << 20)
            need(data, f"closed after {got} of {total} bytes")
            got += len(data)
            data = tail + data
            heads += data.count(b"HTTP/1.1 200 OK\r\n")
            tail = data[-16:]
        if writable:
            rest = rest[peer.socket.send(rest[:65536]):]
    need(got == total, f"{got} bytes instead of {total}")
    need(heads == 100000, f"{heads} replies")


def main():
    tests = [silent, slow_head, stalled_body, slow_body, steady_body, reader_stops,
             slow_reader, connections, descriptors, resets, unread_pipeline]
    wanted = sys.argv[1:]
    for mode in ("worker", "tick", "threadless"):
        for test in tests:
            if wanted and test.__name__ not in wanted:
                continue
            figures["run"] += 1
            try:
                test(mode)
                figures["right"] += 1
                print(f"ok    {mode} {test.__name__}: {test.__doc__.splitlines()[0]}", flush=True)
            except (Wrong, OSError) as error:
                print(f"WRONG {mode} {test.__name__}: {type(error).__name__} {error}", flush=True)
    print(f"timeouts_test: cases run {figures['run']}, right {figures['right']}")
    return 0 if figures["run"] == figures["right"] else 1


if __name__ == "__main__":
    sys.exit(main())
