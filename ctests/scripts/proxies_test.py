#!/usr/bin/env python3
"""The client behind proxies: Digest for requests and for tunnels, and channels, plain and
over TLS, through the proxies and the Unix socket of their client."""
# ctest: nosanitize
import ctypes
import http.server
import os
import ssl
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import apus_fetch
import certificates
import fetch_proxies
from apus_fetch import E_IO, E_PERMISSION, Client, apus, call
from common import Loop, check, report
from digest_proxy import DigestProxy

try:
    from websockets.asyncio.server import serve, unix_serve
except ImportError:
    print("skipped: the Python package websockets is not here")
    sys.exit(77)

SECRET, PART, WRONG = "user:pass word", "user:pass%20word@", "user:wrong@"
PATIENCE = 180_000
MODES = ("worker", "threadless")
apus_fetch.declare_more("""
client_set_proxy_tunnel i hi, client_add_ca_file i hs
channel_make h h, channel_destroy i h, channel_open i hs, channel_wait_open i hi
channel_set_connect_timeout i hi, channel_send_text i hsz, channel_recv i hpi
channel_status i h
""")


class Message(ctypes.Structure):
    _fields_ = [("opcode", ctypes.c_int32), ("final", ctypes.c_int32),
                ("data", ctypes.c_void_p), ("length", ctypes.c_size_t),
                ("reserved", ctypes.c_uint64 * 4)]


class Answers(http.server.BaseHTTPRequestHandler):
    """Says which method it was, and what came."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        text = self.command.encode() + b" " + body
        self.send_response_only(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = answer


async def echo(socket):
    async for message in socket:
        await socket.send(message)


class Echoes:
    """Servers of WebSocket on a port, on one with TLS, and on a Unix socket."""

    def __init__(self, loop, folder):
        self.loop = loop
        authority = certificates.Authority(os.path.join(folder, "ca"))
        chain, key = authority.make("server")
        self.ca = authority.path("ca.crt")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        self.path = os.path.join(folder, "socket")
        self.servers = loop.run(self.begin(context))
        self.port, self.secure_port = (
            server.sockets[0].getsockname()[1] for server in self.servers[:2])

    async def begin(self, context):
        return [await serve(echo, "127.0.0.1", 0),
                await serve(echo, "127.0.0.1", 0, ssl=context),
                await unix_serve(echo, self.path)]

    async def close(self):
        for server in self.servers:
            server.close()
            await server.wait_closed()

    def end(self):
        self.loop.run(self.close())


def channel_says(client, url):
    """What an echo is, or the code with which the channel is not opened."""
    channel = call("channel_make", client.handle)
    try:
        call("channel_set_connect_timeout", channel, PATIENCE)
        call("channel_open", channel, url)
        result = apus.apus_channel_wait_open(channel, PATIENCE)
        if result < 0:
            return result
        call("channel_send_text", channel, "hello", 5)
        message = Message()
        if call("channel_recv", channel, ctypes.byref(message), PATIENCE) != 1:
            return "nothing"
        return ctypes.string_at(message.data, message.length)
    finally:
        apus.apus_channel_destroy(channel)


# ---- requests

def plain(name, client, target):
    """Requests in absolute form."""
    url = f"http://127.0.0.1:{target}/a"
    for algorithm in ("SHA-256", "MD5"):
        for closes in (False, True):
            proxy = DigestProxy(SECRET, algorithm, closes)
            what = f"{name}: {algorithm}{', closing' if closes else ''}"
            client.set(proxy=proxy.url("http", PART))
            check(what, b"GET ", client.ask("blocking", "GET", url).body)
            body = client.ask("blocking", "POST", url, body=b"abc").body
            check(f"{what}: at once from then on", b"POST abc", body)
            check(f"{what}: it was asked", [("GET", url, "Basic"), ("GET", url, "Digest"),
                                            ("POST", url, "Digest")], proxy.seen)
            client.set(proxy=None)
            proxy.end()
    proxy = DigestProxy(SECRET, most_uses=2)
    client.set(proxy=proxy.url("http", PART))
    bodies = {client.ask("blocking", "POST", url, body=b"abc").body for _ in range(7)}
    check(f"{name}: nonces that grow stale", {b"POST abc"}, bodies)
    check(f"{name}: are replaced", 1 + 7 + 3, len(proxy.seen))
    proxy.server.is_basic = True
    del proxy.seen[:]
    for turn in range(2):
        check(f"{name}: Basic after Digest", b"POST abc",
              client.ask("blocking", "POST", url, body=b"abc").body)
    check(f"{name}: once more, once", ["Digest", "Basic", "Basic"],
          [each[2] for each in proxy.seen])
    client.set(proxy=proxy.url("http", WRONG))
    del proxy.seen[:]
    check(f"{name}: a wrong password by Basic", 407, client.ask("blocking", "GET", url).status)
    check(f"{name}: is sent once by Basic", ["Basic"], [each[2] for each in proxy.seen])
    proxy.server.is_basic = False
    client.set(proxy=proxy.url("http", WRONG))
    del proxy.seen[:]
    check(f"{name}: a wrong password", 407, client.ask("blocking", "GET", url).status)
    check(f"{name}: is sent once", ["Basic", "Digest"], [each[2] for each in proxy.seen])
    client.set(proxy=None)
    proxy.end()


def tunnels(name, client, target):
    """Requests through tunnels."""
    client.set(proxy_tunnel=1)
    for closes in (False, True):
        proxy = DigestProxy(SECRET, closes=closes)
        what = f"{name}: a tunnel{', closing' if closes else ''}"
        client.set(proxy=proxy.url("http", PART))
        for host in ("127.0.0.1", "localhost"):
            outcome = client.ask("blocking", "POST", f"http://{host}:{target}/", body=b"x")
            check(f"{what} to {host}", (b"POST x", ""), (outcome.body, outcome.message))
        check(f"{what}: it was asked", [
            ("CONNECT", f"127.0.0.1:{target}", "Basic"),
            ("CONNECT", f"127.0.0.1:{target}", "Digest"),
            ("CONNECT", f"localhost:{target}", "Digest")], proxy.seen)
        check(f"{what}: connections", 3 if closes else 2, proxy.server.connections)
        client.set(proxy=proxy.url("http", WRONG))
        outcome = client.ask("blocking", "GET", f"http://localhost:{target}/")
        check(f"{what}: a wrong password",
              (E_PERMISSION, "the proxy wants a name and password"),
              (outcome.code, outcome.message))
        client.set(proxy=None)
        proxy.end()
    client.set(proxy_tunnel=0)


# ---- channels

def channels(name, client, echoes):
    plain_url = f"ws://localhost:{echoes.port}/"
    secure_url = f"wss://localhost:{echoes.secure_port}/"
    call("client_add_ca_file", client.handle, echoes.ca)
    for closes in (False, True):
        proxy = DigestProxy(SECRET, closes=closes)
        what = f"{name}: a channel{', closing' if closes else ''}"
        client.set(proxy=proxy.url("http", PART))
        for url in (plain_url, secure_url):
            check(f"{what}: {url[:4]}", b"hello", channel_says(client, url))
        check(f"{what}: it was asked", [
            ("CONNECT", f"localhost:{echoes.port}", "Basic"),
            ("CONNECT", f"localhost:{echoes.port}", "Digest"),
            ("CONNECT", f"localhost:{echoes.secure_port}", "Digest")], proxy.seen)
        client.set(no_proxy="localhost")
        check(f"{what}: not for some", b"hello", channel_says(client, plain_url))
        check(f"{what}: it was not asked", 3, len(proxy.seen))
        client.set(no_proxy=None, proxy=proxy.url("http", WRONG))
        check(f"{what}: a wrong password", E_PERMISSION, channel_says(client, plain_url))
        client.set(proxy=None)
        proxy.end()
    proxy = DigestProxy(SECRET, refusal=502)
    client.set(proxy=proxy.url("http", PART))
    check(f"{name}: a channel that the proxy refuses", E_IO, channel_says(client, plain_url))
    client.set(proxy=None)
    proxy.end()


def channels_elsewhere(name, client, echoes):
    """Through SOCKS, and to a Unix socket."""
    url = f"ws://localhost:{echoes.port}/"
    for secret, part in ((None, ""), (SECRET, PART)):
        proxy = fetch_proxies.socks_server(secret)
        client.set(proxy=proxy.url("socks5h", part))
        check(f"{name}: a channel through SOCKS", b"hello", channel_says(client, url))
        secure = channel_says(client, f"wss://localhost:{echoes.secure_port}/")
        check(f"{name}: wss through SOCKS", b"hello", secure)
        check(f"{name}: SOCKS was asked", [(1, 3, "localhost", echoes.port),
                                           (1, 3, "localhost", echoes.secure_port)], proxy.seen)
        forbidden = channel_says(client, "ws://forbidden.invalid/")
        check(f"{name}: SOCKS forbids", E_PERMISSION, forbidden)
        # A Unix socket comes before a proxy.
        client.set(unix_socket=echoes.path)
        before = len(proxy.seen)
        check(f"{name}: a channel on a Unix socket", b"hello",
              channel_says(client, "ws://some.invalid/"))
        check(f"{name}: SOCKS was not asked", before, len(proxy.seen))
        client.set(unix_socket=None, proxy=None)
        proxy.end()


def main():
    loop = Loop()
    target = fetch_proxies.Background(http.server.ThreadingHTTPServer, Answers, "target")
    with tempfile.TemporaryDirectory(dir=os.environ["APUS_BIN"]) as folder:
        echoes = Echoes(loop, folder)
        for mode in MODES:
            client = Client(mode)
            plain(mode, client, target.port)
            tunnels(mode, client, target.port)
            channels(mode, client, echoes)
            channels_elsewhere(mode, client, echoes)
            check(f"{mode}: the client ends", 1, client.end())
        echoes.end()
    target.end()
    loop.stop()
    check("no handle is left", 0, apus.apus_live_count(0))
    return report("proxies_test")


if __name__ == "__main__":
    sys.exit(main())
