#!/usr/bin/env python3
"""Streams of events to and from programs that nobody here wrote. The server's, read by
curl, Python's http.client, requests, aiohttp, node and Chromium's EventSource, and through
nginx with its buffering on; and sources that read servers of aiohttp, http.server and node,
which cut connections, send odd bytes, redirect and refuse."""
# ctest: nosanitize timeout=300
import asyncio
import ctypes
import http.client
import http.server
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from ctypes import byref, c_char_p, c_int32, c_int64, c_size_t, c_uint64, c_void_p

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fetch_servers
from common import PATIENCE, Loop, check, report, skipped

try:
    import aiohttp
    from aiohttp import web
except ImportError:
    aiohttp = None
try:
    import requests
except ImportError:
    requests = None

E_CLOSED, E_PROTOCOL = -8, -9
TYPES = {"i": c_int32, "l": c_int64, "h": c_uint64, "s": c_char_p, "p": c_void_p, "z": c_size_t}
SIGNATURES = """
last_error_message s -, live_count i i, server_make h -, server_destroy i h
server_listen i hsi, server_port i hi, server_start i h, server_stop i h, server_tick i hi
server_events i hsppp, server_get i hsppp, server_post i hsppp, server_publish_event i hssssz
server_set_topic_history i hsil, server_subscriber_count l hs, server_set_heartbeat i hi
request_last_event_id s h, request_body p hp, reply_html i his, reply_status i hi
writer_event i hsssz, writer_retry i hi, writer_comment i hs, writer_subscribe i hs
writer_on_close i hppp, writer_end i h, writer_destroy i h
client_make h -, client_destroy i h, client_set_workers i hi, client_set_dispatch i hi
source_make h hs, source_destroy i h, source_set_header i hss, source_set_retry i hiii
source_open i h, source_close i h, source_state i h, source_next i hipppp
"""
EVENTS_FN = ctypes.CFUNCTYPE(None, c_void_p, c_uint64, c_uint64)
HANDLER_FN = ctypes.CFUNCTYPE(None, c_void_p, c_uint64)

apus = ctypes.CDLL(os.environ["APUS_LIBRARY"])
for line in SIGNATURES.replace("\n", ",").split(","):
    if line:
        name, result, arguments = line.split()
        function = getattr(apus, "apus_" + name)
        function.restype = TYPES[result]
        function.argtypes = [TYPES[letter] for letter in arguments if letter != "-"]

PAGE = b"""<!doctype html><script>
const log = [], times = {opens: 0, errors: 0};
const source = new EventSource("/feed");
const keep = event => {
  log.push([event.type, event.lastEventId, event.data]);
  if (event.data === "end") source.close();
  fetch("/done", {method: "POST", body: JSON.stringify({log, times})});
};
source.onopen = () => times.opens++;
source.onerror = () => times.errors++;
source.onmessage = keep;
source.addEventListener("add", keep);
</script>"""


class Server:
    """The library's server, ticked by a thread of Python's."""

    def __init__(self):
        self.writers, self.told, self.closed = queue.Queue(), queue.Queue(), queue.Queue()
        self.functions = [EVENTS_FN(self.feed), EVENTS_FN(self.once), HANDLER_FN(self.page),
                          HANDLER_FN(self.done), HANDLER_FN(self.gone)]
        self.handle = apus.apus_server_make()
        feed, once, page, done, _ = (ctypes.cast(each, c_void_p) for each in self.functions)
        apus.apus_server_events(self.handle, b"/feed", feed, None, None)
        apus.apus_server_events(self.handle, b"/once", once, None, None)
        apus.apus_server_get(self.handle, b"/page", page, None, None)
        apus.apus_server_post(self.handle, b"/done", done, None, None)
        apus.apus_server_set_heartbeat(self.handle, 300)
        apus.apus_server_set_topic_history(self.handle, b"news", 100, 1 << 20)
        check("listen", 0, apus.apus_server_listen(self.handle, b"127.0.0.1", 0))
        self.port = apus.apus_server_port(self.handle, 0)
        self.url = f"http://127.0.0.1:{self.port}"
        check("start", 0, apus.apus_server_start(self.handle))
        self.thread = threading.Thread(target=self.tick)
        self.thread.start()

    def tick(self):
        while apus.apus_server_tick(self.handle, -1) >= 0:
            pass

    def feed(self, context, writer, request):
        last = apus.apus_request_last_event_id(request)
        gone = ctypes.cast(self.functions[4], c_void_p)
        apus.apus_writer_on_close(writer, gone, None, None)
        apus.apus_writer_retry(writer, 20)
        apus.apus_writer_subscribe(writer, b"news")
        self.writers.put((writer, last))

    def once(self, context, writer, request):
        """All that there is in the format, and the end."""
        apus.apus_writer_comment(writer, "häppy\nbirds".encode())
        apus.apus_writer_event(writer, b"add", b"1", "a\r\nb\rc\n d\u2028e".encode(), (1 << 64) - 1)
        apus.apus_writer_event(writer, None, None, b"", 0)
        apus.apus_writer_event(writer, None, b"", b"end", 3)
        apus.apus_writer_end(writer)
        apus.apus_writer_destroy(writer)

    def page(self, context, request):
        apus.apus_reply_html(request, 200, PAGE)

    def done(self, context, request):
        length = c_size_t()
        body = apus.apus_request_body(request, byref(length))
        self.told.put(json.loads(ctypes.string_at(body, length.value)))
        apus.apus_reply_status(request, 204)

    def gone(self, context, writer):
        apus.apus_writer_destroy(writer)
        self.closed.put(writer)

    def members(self, count):
        """Waits until so many writers are in the topic."""
        limit = time.monotonic() + PATIENCE
        while apus.apus_server_subscriber_count(self.handle, b"news") != count:
            if time.monotonic() > limit:
                raise TimeoutError("the topic has other members")
            time.sleep(0.001)

    def publish(self, name, number):
        data = f"{name} {number}".encode() if number else b"end"
        apus.apus_server_publish_event(self.handle, b"news", b"add" if number % 2 else None,
                                       f"{name}-{number}".encode(), data, len(data))

    def stop(self):
        check("stop", 0, apus.apus_server_stop(self.handle))
        self.thread.join(PATIENCE)
        apus.apus_server_destroy(self.handle)


# ---- the server's streams, by others

ONCE = (": häppy\n: birds\n\nid: 1\nevent: add\ndata: a\ndata: b\ndata: c\ndata:  d\u2028e\n\n"
        "data:\n\nid:\ndata: end\n\n")


def by_http_client(url):
    connection = http.client.HTTPConnection(url.split("/")[2], timeout=PATIENCE)
    connection.request("GET", "/" + url.split("/", 3)[3])
    reply = connection.getresponse()
    return reply.headers["Content-Type"], reply.read().decode()


def by_requests(url):
    reply = requests.get(url, stream=True, timeout=PATIENCE)
    return reply.headers["Content-Type"], b"".join(reply.iter_content(None)).decode()


async def by_aiohttp(url):
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as reply:
            parts = [part async for part in reply.content.iter_any()]
            return reply.headers["Content-Type"], b"".join(parts).decode()


def by_program(*command):
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    kind, _, body = done.stdout.decode().partition("\n\n\n")
    return kind, body


NODE = """const reply = await fetch(process.argv[1]); let body = "";
for await (const part of reply.body) body += new TextDecoder().decode(part);
process.stdout.write(reply.headers.get("content-type") + "\\n\\n\\n" + body);"""


def check_readers(server, loop):
    url = server.url + "/once"
    readers = {"http.client": lambda: by_http_client(url)}
    if requests:
        readers["requests"] = lambda: by_requests(url)
    if aiohttp:
        readers["aiohttp"] = lambda: loop.run(by_aiohttp(url))
    if shutil.which("node"):
        readers["node"] = lambda: by_program("node", "--input-type=module", "-e", NODE, url)
    for name in ("requests", "aiohttp", "node"):
        if name not in readers:
            skipped.append(f"{name} as a reader")
    for name, read in readers.items():
        check(f"{name} reads the stream", ("text/event-stream", ONCE), read())
    if shutil.which("curl"):
        for option in ("--http1.1", "--http1.0"):
            done = subprocess.run(["curl", "-sN", option, url], capture_output=True,
                                  timeout=PATIENCE, check=False)
            check(f"curl {option} reads the stream", (0, ONCE), (done.returncode,
                                                                 done.stdout.decode()))
    else:
        skipped.append("curl as a reader")


def read_lines(server, reader, name):
    """A stream that goes on, line by line as it comes."""
    writer, last = server.writers.get(timeout=PATIENCE)
    check(f"{name}: no id yet", None, last)
    lines = (line for line in reader if not line.startswith(":"))
    check(f"{name}: retry", "retry: 20", next(line for line in lines if line))
    for number in range(1, 6):
        server.publish(name, number)
        wanted = [f"id: {name}-{number}", f"data: {name} {number}", ""]
        if number % 2:
            wanted.insert(1, "event: add")
        got = []
        while len(got) < len(wanted):
            line = next(lines)
            if line or got:
                got.append(line)
        check(f"{name}: event {number} at once", wanted, got)
    return writer


def check_feed(server, name, url):
    connection = http.client.HTTPConnection(url.split("/")[2], timeout=PATIENCE)
    connection.request("GET", "/" + url.split("/", 3)[3])
    reply = connection.getresponse()
    check(f"{name}: status", 200, reply.status)
    read_lines(server, (line.decode().rstrip("\n") for line in iter(reply.readline, b"")), name)
    # A heartbeat has no other news before it.
    check(f"{name}: heartbeat", b":\n", reply.readline())
    reply.close()
    connection.close()
    server.closed.get(timeout=PATIENCE)


def check_curl(server):
    if not shutil.which("curl"):
        return
    process = subprocess.Popen(["curl", "-sN", server.url + "/feed"], stdout=subprocess.PIPE)
    lines = (line.decode().rstrip("\n") for line in iter(process.stdout.readline, b""))
    read_lines(server, lines, "curl")
    process.kill()
    process.communicate()
    server.closed.get(timeout=PATIENCE)


def check_browser(server, folder):
    """EventSource, whose stream breaks off in the middle: it comes back with the id that
    it had, and has missed nothing."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if not program:
        skipped.append("EventSource: no chromium")
        return
    process = subprocess.Popen(
        [program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-background-networking", f"--user-data-dir={folder}/profile",
         "--remote-debugging-port=0", server.url + "/page"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        writer, last = server.writers.get(timeout=PATIENCE)
        check("EventSource: no id yet", None, last)
        server.members(1)
        for number in range(1, 4):
            server.publish("page", number)
        while len(server.told.get(timeout=PATIENCE)["log"]) < 3:
            pass
        # Its next request says what it has had.
        apus.apus_writer_end(writer)
        server.closed.get(timeout=PATIENCE)
        for number in range(4, 7):
            server.publish("page", number)
        writer, last = server.writers.get(timeout=PATIENCE)
        check("EventSource: the id that it had", b"page-3", last)
        server.members(1)
        server.publish("page", 0)
        while (told := server.told.get(timeout=PATIENCE))["log"][-1][2] != "end":
            pass
        wanted = [["add" if number % 2 else "message", f"page-{number}", f"page {number}"]
                  for number in range(1, 7)] + [["message", "page-0", "end"]]
        check("EventSource: all events, once", wanted, told["log"])
        check("EventSource: opened twice", 2, told["times"]["opens"])
        check("EventSource: one error", 1, told["times"]["errors"])
        server.closed.get(timeout=PATIENCE)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def check_nginx(server, folder):
    if not fetch_servers.find_nginx():
        skipped.append("nginx in front")
        return
    # What turns its buffering off is the reply's own field.
    fetch_servers.NGINX = fetch_servers.NGINX.replace("proxy_buffering off;", "")
    nginx = fetch_servers.Nginx(folder, server.port)
    try:
        check_feed(server, "nginx", nginx.url + "/app/feed")
        check("once through nginx", ("text/event-stream", ONCE),
              by_http_client(nginx.url + "/app/once"))
        with_source(lambda source: check_source_once(source, "nginx"), nginx.url + "/app/once")
    finally:
        nginx.end()


# ---- sources, and servers of others

def with_source(use, url, mode="worker"):
    client = apus.apus_client_make()
    if mode == "threadless":
        apus.apus_client_set_workers(client, 0)
    elif mode == "worker":
        apus.apus_client_set_dispatch(client, 1)
    source = apus.apus_source_make(client, url.encode())
    check("source made", True, source != 0)
    apus.apus_source_set_retry(source, 10, 100, -1)
    apus.apus_source_set_header(source, b"X-Test", b"yes")
    check("source opened", 0, apus.apus_source_open(source))
    use(source)
    check("source destroyed", 1, apus.apus_source_destroy(source))
    apus.apus_client_destroy(client)


def take(source):
    """The next event, or the code that there is none."""
    kind, ident, data, length = c_char_p(), c_char_p(), c_void_p(), c_size_t()
    code = apus.apus_source_next(source, PATIENCE * 1000, byref(kind), byref(ident), byref(data),
                                 byref(length))
    if code != 1:
        return code
    text = ctypes.string_at(data, length.value).decode()
    return kind.value.decode(), ident.value.decode(), text


def check_source_once(source, name):
    check(f"{name}: add", ("add", "1", "a\nb\nc\n d\u2028e"), take(source))
    check(f"{name}: empty", ("message", "1", ""), take(source))
    check(f"{name}: end", ("message", "", "end"), take(source))
    # It comes again for more.
    check(f"{name}: add again", ("add", "1", "a\nb\nc\n d\u2028e"), take(source))


class Peer:
    """What the servers below answer, by path; each counts its requests."""

    def __init__(self):
        self.seen = {}

    def note(self, path, headers):
        requests_so_far = self.seen.setdefault(path, [])
        requests_so_far.append((headers.get("Last-Event-ID"), headers.get("Accept"),
                                headers.get("X-Test")))
        return len(requests_so_far)


ODD = (b"\xef\xbb\xbf:\r\rdata:one\r\nid: 1\r\n\r\nevent: caf\xc3\xa9\rdata:  two\rdata\r\r"
       b"id: no\x00no\ndata: t\xf0\x9f\x90\xa6\xff\n\nretry: x\nretry:5\nignored\n:c\ndata:4\n\n")
ODD_EVENTS = [("message", "1", "one"), ("café", "1", " two\n"), ("message", "1", "t🐦\ufffd"),
              ("message", "1", "4")]


def aiohttp_app(peer):
    async def stream(request, pieces, cut=False):
        reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await reply.prepare(request)
        for piece in pieces:
            await reply.write(piece)
            await asyncio.sleep(0)
        if cut:
            request.transport.abort()
        return reply

    async def answer(request):
        number = peer.note(request.path, request.headers)
        if request.path == "/odd":
            pieces = [ODD[at:at + 1] for at in range(len(ODD))] if number == 1 else []
            return web.Response(status=204) if number > 1 else await stream(request, pieces)
        if request.path == "/cut":
            if number > 3:
                return web.Response(status=204)
            text = f"id: {number}\ndata: {number}\n\ndata: lost".encode()
            return await stream(request, [text], cut=number != 2)
        if request.path == "/moved":
            raise web.HTTPFound("/odd")
        if request.path == "/html":
            return web.Response(text="data: x\n\n", content_type="text/html")
        if request.path == "/packed":
            reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            reply.enable_compression()
            await reply.prepare(request)
            await reply.write(b"data: " + b"packed " * 1000 + b"\n\n")
            await reply.write_eof()
            return reply
        return web.Response(status=int(request.path[1:]))

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    return app


async def start_aiohttp(peer):
    runner = web.AppRunner(aiohttp_app(peer), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, site._server.sockets[0].getsockname()[1]


def check_aiohttp(loop, mode):
    peer = Peer()
    runner, port = loop.run(start_aiohttp(peer))
    url = f"http://127.0.0.1:{port}"
    name = f"aiohttp, {mode}"

    def odd(source):
        for wanted in ODD_EVENTS:
            check(f"{name}: odd bytes", wanted, take(source))
        check(f"{name}: odd bytes, 204", E_CLOSED, take(source))

    def cut(source):
        for number in (1, 2, 3):
            check(f"{name}: cut", ("message", str(number), str(number)), take(source))
        check(f"{name}: cut, 204", E_CLOSED, take(source))

    def packed(source):
        check(f"{name}: packed", ("message", "", "packed " * 1000), take(source))

    try:
        with_source(odd, url + "/odd", mode)
        first = peer.seen["/odd"][0]
        check(f"{name}: its request", (None, "text/event-stream", "yes"), first)
        check(f"{name}: its second request", "1", peer.seen["/odd"][1][0])
        with_source(cut, url + "/cut", mode)
        check(f"{name}: ids", [None, "1", "2", "3"], [each[0] for each in peer.seen["/cut"]])
        with_source(packed, url + "/packed", mode)
        for status, code in ((204, E_CLOSED), (500, E_PROTOCOL), (503, E_PROTOCOL),
                             (404, E_PROTOCOL)):
            with_source(lambda source, status=status, code=code: check(
                f"{name}: {status}", code, take(source)), f"{url}/{status}", mode)
            check(f"{name}: {status} once", 1, len(peer.seen[f"/{status}"]))
        with_source(lambda source: check(f"{name}: html", E_PROTOCOL, take(source)),
                    url + "/html", mode)
        peer.seen.clear()
        with_source(odd, url + "/moved", mode)
        check(f"{name}: moved", 2, len(peer.seen["/moved"]))
    finally:
        loop.run(runner.cleanup())


def check_http_server(mode):
    """Python's own, which speaks HTTP/1.0: a stream up to the close."""
    peer = Peer()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            number = peer.note(self.path, self.headers)
            self.send_response(200 if number < 3 else 204)
            if number < 3:
                self.send_header("Content-Type", "text/event-stream;charset=utf-8")
            self.end_headers()
            if number < 3:
                self.wfile.write(f"id: {number}\ndata: {number}\n\n".encode())

        def log_message(self, *arguments):
            pass

    def use(source):
        check(f"http.server, {mode}", [("message", "1", "1"), ("message", "2", "2"), E_CLOSED],
              [take(source), take(source), take(source)])

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        with_source(use, f"http://127.0.0.1:{server.server_port}/", mode)
        server.shutdown()
    check(f"http.server, {mode}: ids", [None, "1", "2"], [each[0] for each in peer.seen["/"]])


NODE_SERVER = """
let count = 0;
const server = require("http").createServer((request, reply) => {
  count++;
  if (count > 3) { reply.writeHead(204).end(); return; }
  reply.writeHead(200, {"Content-Type": "text/event-stream"});
  const last = request.headers["last-event-id"] || "none";
  reply.write(`id: ${count}\\ndata: after ${last}\\n\\n`, () => {
    if (count === 2) reply.end(); else reply.socket.destroy();
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
"""


def check_node(mode):
    if not shutil.which("node"):
        skipped.append("node as a server")
        return
    process = subprocess.Popen(["node", "-e", NODE_SERVER], stdout=subprocess.PIPE)
    try:
        port = int(process.stdout.readline())

        def use(source):
            check(f"node, {mode}",
                  [("message", "1", "after none"), ("message", "2", "after 1"),
                   ("message", "3", "after 2"), E_CLOSED], [take(source) for _ in range(4)])

        with_source(use, f"http://127.0.0.1:{port}/", mode)
    finally:
        process.kill()
        process.communicate()


def check_all(loop):
    with tempfile.TemporaryDirectory() as folder:
        server = Server()
        try:
            check_readers(server, loop)
            check_feed(server, "direct", server.url + "/feed")
            check_curl(server)
            check_browser(server, folder)
            check_nginx(server, folder)
            with_source(lambda source: check_source_once(source, "own"), server.url + "/once")
        finally:
            server.stop()
    for mode in ("worker", "tick", "threadless"):
        if aiohttp:
            check_aiohttp(loop, mode)
        check_http_server(mode)
        check_node(mode)
    if not aiohttp:
        skipped.append("aiohttp as a server")


def main():
    loop = Loop()
    try:
        check_all(loop)
    finally:
        loop.stop()
    check("handles left", 0, apus.apus_live_count(0))
    return report("events_peers_test")


if __name__ == "__main__":
    sys.exit(main())
