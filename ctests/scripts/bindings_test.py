#!/usr/bin/env python3
"""Drives the example of one language, examples/LANGUAGE/run, against peers that are
not Apus, so that all languages are held to the same:

    bindings_test.py LANGUAGE

    run check          0, or 77 and what of the toolchain is missing
    run build          builds into $APUS_OUT
    run serve          prints "http://127.0.0.1:PORT/" and serves until its input ends
    run get URL        prints the body of a response
    run ws URL TEXT    sends a message and prints the one that comes back
    run gc             "gc ok": callbacks and handles in the hands of a collector;
                       77 where the language has none

$APUS_PREFIX is where the library is installed."""
import os
import queue
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import aiohttp.web
import websockets.exceptions
import websockets.sync.client

from common import PATIENCE, SOURCE, Loop, check, check_in, report, skipped

BUILDING = 400  # seconds that a compiler may take
BYTES = bytes(range(256)) * 4096
WORDS = "Zwölf Boxkämpfer jagen Viktor 拳闘家 🥊"


class Example:
    """The example of a language, and a folder of its own for what it builds."""

    def __init__(self, language, out):
        self.script = os.path.join(SOURCE, "examples", language, "run")
        self.environment = dict(os.environ, APUS_OUT=out)
        self.out = out

    def start(self, *arguments, **pipes):
        return subprocess.Popen(["bash", self.script, *arguments], cwd=self.out,
                                env=self.environment, start_new_session=True, **pipes)

    def run(self, *arguments, limit=PATIENCE):
        """Exit status, output and errors of a run that ends by itself."""
        process = self.start(*arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        try:
            output, errors = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            end(process)
            output, errors = process.communicate()
            return "no end", output, errors.decode(errors="replace")
        return process.returncode, output, errors.decode(errors="replace")


def end(process):
    """Ends a process that was started here, with those that it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Serving:
    """`run serve`, whose input is open until stop()."""

    def __init__(self, example):
        self.process = example.start("serve", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE)
        self.lines = []
        self.errors = []
        self.told = threading.Event()  # its first line has come, or none will
        self.spoken = threading.Event()  # something is on standard error
        self.readers = [threading.Thread(target=self.read_lines),
                        threading.Thread(target=self.read_errors)]
        for reader in self.readers:
            reader.start()
        self.told.wait(PATIENCE)
        line = self.lines[0] if self.lines else ""
        match = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\n", line)
        check("first line has the form", True, match is not None)
        if match is None:
            print(f"its first line is {line!r}, its errors {''.join(self.errors)!r}")
        self.port = int(match.group(1)) if match else 0
        self.url = line.strip()

    def read_lines(self):
        for line in self.process.stdout:
            self.lines.append(line.decode(errors="replace"))
            self.told.set()
        self.told.set()

    def read_errors(self):
        for line in self.process.stderr:
            self.errors.append(line.decode(errors="replace"))
            self.spoken.set()

    def stop(self):
        """Ends its input; its exit status."""
        self.process.stdin.close()
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return "no end"

    def kill(self):
        end(self.process)
        for reader in self.readers:
            reader.join()


# ---- what is asked of `serve` ------------------------------------------------


def ask(url, **options):
    """Status, content type and body of a response."""
    request = urllib.request.Request(url, **options)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
            return reply.status, reply.headers.get("Content-Type", ""), reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Content-Type", ""), error.read()


def check_hello(url, escaped="World", name="World"):
    status, kind, body = ask(f"{url}hello/{escaped}")
    check(f"status of {name}", 200, status)
    check("is text", True, kind.startswith("text/plain"))
    check(f"greeting of {name}", f"Hello, {name}!\n", body.decode())


def check_plain(served):
    check_hello(served.url)
    check_hello(served.url, "J%C3%BCrgen%20%F0%9F%A5%8A", "Jürgen 🥊")
    check_hello(served.url, "x" * 3000, "x" * 3000)
    check("no such page", 404, ask(f"{served.url}nowhere")[0])
    check("no such method", 405, ask(f"{served.url}hello/x", data=b"body")[0])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: check_hello(served.url, f"n{number}", f"n{number}"),
                      range(100)))


def check_events(served):
    status, kind, body = ask(f"{served.url}events", headers={"Accept": "text/event-stream"})
    check("status of events", 200, status)
    check("type of events", "text/event-stream", kind.split(";")[0])
    events = []
    for block in body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n")
                      if ": " in line and not line.startswith(":"))
        if "data" in fields:
            events.append((fields.get("id"), fields["data"]))
    check("events", [(f"{n}", f"tick {n}") for n in (1, 2, 3)], events)


def leave_events(served, most):
    """A client that resets its connection, with as much as `most` bytes of a stream."""
    with socket.create_connection(("127.0.0.1", served.port), PATIENCE) as peer:
        peer.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        if most:
            check("a stream begins", True, bool(peer.recv(most)))
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def open_echo(served):
    return websockets.sync.client.connect(
        served.url.replace("http://", "ws://") + "echo", open_timeout=PATIENCE,
        close_timeout=PATIENCE, max_size=2 ** 24, proxy=None)


def check_echo(served):
    with open_echo(served) as one, open_echo(served) as two:
        for message in (WORDS, "", "x" * 1048576, b"", bytes(range(256)), BYTES):
            one.send(message)
            two.send("between")
            check("echo", True, one.recv(PATIENCE) == message)
            check("echo of the other", "between", two.recv(PATIENCE))
        one.close(1000)
        two.send("still there")
        check("echo after the other's end", "still there", two.recv(PATIENCE))
    check("close of an echo", 1000, one.close_code)
    lost = open_echo(served)
    lost.socket.shutdown(socket.SHUT_RDWR)
    lost.close_socket()


def check_failing(served):
    before = len(served.errors)
    served.spoken.clear()
    for _ in range(3):
        check("status of a handler that fails", 500, ask(f"{served.url}fail")[0])
    served.spoken.wait(PATIENCE)
    check("a failure is reported", True, len(served.errors) > before)
    check_hello(served.url)


def check_serve(example):
    served = Serving(example)
    try:
        if not served.port:
            return
        check_plain(served)
        check_events(served)
        for most in (0, 1, 100, 65536) * 3:
            leave_events(served, most)
        check_events(served)
        check_echo(served)
        check_failing(served)
        with open_echo(served) as channel, socket.create_connection(
                ("127.0.0.1", served.port), PATIENCE):
            check("exit status of serve", 0, served.stop())
            try:
                channel.recv(PATIENCE)
            except websockets.exceptions.ConnectionClosed:
                pass
            check("close at the end", 1001, channel.close_code)
        try:
            ask(served.url)
            check("served after its end", False, True)
        except urllib.error.URLError:
            pass
        check("lines of output", 1, len(served.lines))
    except Exception as error:  # such as a connection that is lost: the server tells why
        check("serve", "no exception", repr(error))
        print("its errors:", "".join(served.errors)[-4000:])
    finally:
        served.kill()


# ---- what is asked of `get` and `ws` -----------------------------------------


class Peer:
    """A server of aiohttp, with what came in of channels."""

    BODIES = {"/empty": b"", "/bytes": BYTES, "/words": WORDS.encode(), "/line": b"a line\n"}

    def __init__(self):
        self.loop = Loop()
        self.closes = queue.Queue()
        self.loop.run(self.begin())

    async def begin(self):
        app = aiohttp.web.Application()
        app.router.add_get("/answer", self.answer)
        app.router.add_get("/{name}", self.body)
        self.runner = aiohttp.web.AppRunner(app, shutdown_timeout=1)
        await self.runner.setup()
        site = aiohttp.web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.port = self.runner.addresses[0][1]

    async def body(self, request):
        body = self.BODIES.get(request.path)
        if body is None:
            return aiohttp.web.Response(status=404, text="not here, alas\n")
        return aiohttp.web.Response(body=body, content_type="text/plain")

    async def answer(self, request):
        channel = aiohttp.web.WebSocketResponse(max_msg_size=2 ** 24)
        await channel.prepare(request)
        async for message in channel:
            await channel.send_str(f"you said {message.data}")
        self.closes.put(channel.close_code)
        return channel

    def stop(self):
        self.loop.run(self.runner.cleanup())
        self.loop.stop()


def check_failure(what, result, word):
    status, output, errors = result
    check(f"exit status of {what}", 1, status)
    check(f"output of {what}", b"", output)
    check(f"{what}: lines of errors in {errors!r}", 1, len(errors.splitlines()))
    check_in(f"errors of {what}", word, errors.lower())


def check_get(example, peer, closed):
    url = f"http://127.0.0.1:{peer.port}"
    for path, body in {**peer.BODIES, "/missing": b"not here, alas\n"}.items():
        status, output, errors = example.run("get", url + path)
        check(f"exit status of get {path}", 0, status)
        check(f"body of {path}, {len(output)} bytes", True, output == body)
        check(f"errors of {path}", "", errors)
    check_failure("get of nobody", example.run("get", f"http://127.0.0.1:{closed}/"), "refused")
    check_failure("get of no URL", example.run("get", "http://127.0.0.1:none/"), "port")


def check_channel(example, peer, closed):
    url = f"127.0.0.1:{peer.port}"
    for words in ("hello", WORDS, "x" * 100000):
        status, output, errors = example.run("ws", f"ws://{url}/answer", words)
        check("exit status of ws", 0, status)
        check("answer", f"you said {words}"[:200],
              output.decode(errors="replace").removesuffix("\n")[:200])
        check("length of the answer", len(f"you said {words}".encode()),
              len(output.removesuffix(b"\n")))
        check("errors of ws", "", errors)
    closes = {peer.closes.get(timeout=PATIENCE) for _ in range(3)}
    check(f"ws closes with {closes}", True, closes <= {1000, 1005})
    check_failure("ws of nobody", example.run("ws", f"ws://127.0.0.1:{closed}/", "x"), "refused")
    check_failure("ws of a page", example.run("ws", f"ws://{url}/words", "x"), "")


def check_clients(example):
    peer = Peer()
    try:
        with socket.socket() as nobody:  # bound, and does not listen
            nobody.bind(("127.0.0.1", 0))
            closed = nobody.getsockname()[1]
            check_get(example, peer, closed)
            check_channel(example, peer, closed)
    finally:
        peer.stop()


# ---- a collector, and the order of it all ------------------------------------


def check_collector(example):
    status, output, errors = example.run("gc")
    if status == 77:
        skipped.append("gc: the language has no collector")
        return
    check("exit status of gc", 0, status)
    check("last line of gc", "gc ok", (output.decode().splitlines() or [""])[-1])
    if status != 0:
        print(errors)


def main(language):
    out = tempfile.mkdtemp(prefix=f"apus-{language}-")
    try:
        example = Example(language, out)
        status, output, errors = example.run("check")
        if status == 77:
            print("skipped:", (output.decode() + errors).strip())
            return 77
        check("exit status of check", 0, status)
        status, output, errors = example.run("build", limit=BUILDING)
        check("exit status of build", 0, status)
        if status != 0:
            print(output.decode(errors="replace")[-4000:], errors[-4000:])
            return report(f"bindings_test {language}")
        check_serve(example)
        check_clients(example)
        check_collector(example)
        return report(f"bindings_test {language}")
    finally:
        shutil.rmtree(out, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
