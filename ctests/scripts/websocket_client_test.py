#!/usr/bin/env python3
"""Channels of the client's end, by ctypes, against servers that nobody here wrote:
the Python packages websockets and aiohttp, with compression and without; and against
servers that refuse, break the handshake or never come to its end."""
# ctest: nosanitize
import asyncio
import base64
import ctypes
import hashlib
import os
import random
import sys
import threading
from ctypes import POINTER, Structure, byref, c_char_p, c_int32, c_int64, c_size_t
from ctypes import c_uint64, c_void_p

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import Loop, check, report, skipped

try:
    import websockets
    from websockets.asyncio.server import serve
except ImportError:
    websockets = None
    skipped.append("websockets")
try:
    import aiohttp
    from aiohttp import web
except ImportError:
    aiohttp = None
    skipped.append("aiohttp")

SEED = int(os.environ.get("APUS_SEED") or random.randrange(1 << 32))
SIZES = [0, 1, 2, 63, 64, 125, 126, 127, 1000, 65535, 65536, 65537, 1 << 20, 16 << 20]
TEXT, BINARY = 1, 2
OPEN, CLOSED = 1, 3
E_TIMEOUT, E_CLOSED, E_PROTOCOL, E_IO, E_TOO_LARGE = -7, -8, -9, -10, -11
PATIENCE = 180_000


class Message(Structure):
    _fields_ = [("opcode", c_int32), ("final", c_int32), ("data", c_void_p), ("length", c_size_t),
                ("reserved", c_uint64 * 4)]


SIGNATURES = {
    "apus_last_error_message": (c_char_p, []), "apus_live_count": (c_int32, [c_int32]),
    "apus_client_make": (c_uint64, []), "apus_client_destroy": (c_int32, [c_uint64]),
    "apus_client_set_dispatch": (c_int32, [c_uint64, c_int32]),
    "apus_client_set_workers": (c_int32, [c_uint64, c_int32]),
    "apus_channel_make": (c_uint64, [c_uint64]), "apus_channel_destroy": (c_int32, [c_uint64]),
    "apus_channel_add_header": (c_int32, [c_uint64, c_char_p, c_char_p]),
    "apus_channel_set_protocols": (c_int32, [c_uint64, c_char_p]),
    "apus_channel_set_origin": (c_int32, [c_uint64, c_char_p]),
    "apus_channel_set_deflate": (c_int32, [c_uint64, c_int32]),
    "apus_channel_set_connect_timeout": (c_int32, [c_uint64, c_int32]),
    "apus_channel_set_high_water": (c_int32, [c_uint64, c_int64]),
    "apus_channel_open": (c_int32, [c_uint64, c_char_p]),
    "apus_channel_wait_open": (c_int32, [c_uint64, c_int32]),
    "apus_channel_status": (c_int32, [c_uint64]), "apus_channel_state": (c_int32, [c_uint64]),
    "apus_channel_protocol": (c_char_p, [c_uint64]),
    "apus_channel_send_text": (c_int32, [c_uint64, c_char_p, c_size_t]),
    "apus_channel_send_binary": (c_int32, [c_uint64, c_char_p, c_size_t]),
    "apus_channel_send_fragments": (c_int32, [c_uint64, c_int32, c_char_p, c_size_t, c_size_t]),
    "apus_channel_close": (c_int32, [c_uint64, c_int32, c_char_p, c_size_t]),
    "apus_channel_recv": (c_int32, [c_uint64, POINTER(Message), c_int32]),
    "apus_channel_on_close": (c_int32, [c_uint64, c_void_p, c_void_p, c_void_p]),
}
CLOSED_FN = ctypes.CFUNCTYPE(None, c_void_p, c_uint64, c_int32, c_void_p, c_size_t)

apus = ctypes.CDLL(os.environ["APUS_LIBRARY"])
for name, (result, arguments) in SIGNATURES.items():
    getattr(apus, name).restype = result
    getattr(apus, name).argtypes = arguments


class Channel:
    """A channel on a client; what it was told of its close."""

    def __init__(self, client, **options):
        self.handle = apus.apus_channel_make(client)
        self.closes = []
        self.told = threading.Event()
        self.function = CLOSED_FN(self.on_close)
        apus.apus_channel_on_close(self.handle, self.function, None, None)
        self.call("set_connect_timeout", PATIENCE)
        for option, value in options.items():
            self.call("set_" + option, value)

    def on_close(self, _context, _channel, code, text, length):
        self.closes.append((code, ctypes.string_at(text, length)))
        self.told.set()

    def call(self, name, *arguments):
        result = getattr(apus, "apus_channel_" + name)(self.handle, *arguments)
        if result < 0:
            raise RuntimeError(f"{name}: {result} {apus.apus_last_error_message()}")
        return result

    def open(self, url):
        self.call("open", url.encode())
        return apus.apus_channel_wait_open(self.handle, PATIENCE)

    def send(self, opcode, data):
        self.call("send_text" if opcode == TEXT else "send_binary", data, len(data))

    def receive(self):
        message = Message()
        result = apus.apus_channel_recv(self.handle, byref(message), PATIENCE)
        if result != 1:
            return result
        return message.opcode, ctypes.string_at(message.data, message.length)

    def closed(self):
        self.told.wait(PATIENCE / 1000)
        return self.closes[-1] if self.closes else None

    def end(self):
        return apus.apus_channel_destroy(self.handle)


def payload(random_source, size, opcode):
    if opcode == TEXT:
        words = ["swift ", "apus ", "žluťoučký ", "雨燕 ", "🐦 "]
        text = "".join(random_source.choices(words, k=min(size, 2000) // 4 + 1)).encode()
        data = (text * (size // len(text) + 1))[:size]
        return data.decode(errors="ignore").encode().ljust(size, b".")
    return random_source.randbytes(size)


# ---- peers

def echoes(client, name, url, deflates):
    source = random.Random(SEED)
    channel = Channel(client, deflate=deflates, high_water=64 << 20)
    check(f"{name}: opens", 1, channel.open(url + "/echo"))
    for size in SIZES:
        for opcode in (TEXT, BINARY):
            data = payload(source, size, opcode)
            channel.send(opcode, data)
            check(f"{name}: {size} bytes, opcode {opcode}", True,
                  channel.receive() == (opcode, data))
    data = payload(source, 100_000, BINARY)
    channel.call("send_fragments", BINARY, data, len(data), 999)
    check(f"{name}: fragments", True, channel.receive() == (BINARY, data))
    pieces = [payload(source, source.randrange(3000), TEXT) for _ in range(300)]
    for piece in pieces:
        channel.send(TEXT, piece)
    check(f"{name}: many at once", True, all(channel.receive() == (TEXT, p) for p in pieces))
    channel.call("close", 1000, b"done", 4)
    check(f"{name}: own close", 1000, channel.closed()[0])
    check(f"{name}: destroyed", 1, channel.end())


def conversations(client, name, url):
    """Headers, subprotocols, closes and refusals."""
    channel = Channel(client, protocols=b"other, second, first", origin=b"http://origin.test")
    channel.call("add_header", b"Authorization", b"Bearer token")
    channel.call("add_header", b"X-Two", b"1")
    channel.call("add_header", b"X-Two", b"2")
    check(f"{name}: opens with fields", 1, channel.open(url + "/fields?a=b%20c"))
    check(f"{name}: subprotocol", True,
          apus.apus_channel_protocol(channel.handle) in (b"first", b"second"))
    seen = channel.receive()
    check(f"{name}: what the server saw", (TEXT, b"Bearer token|1,2|http://origin.test|a=b%20c"),
          seen)
    channel.end()
    for code, reason in ((1000, b""), (1001, b"away"), (1011, b"trouble"), (3000, b"x" * 123),
                         (4999, "žluťoučký".encode())):
        channel = Channel(client)
        check(f"{name}: opens for {code}", 1, channel.open(f"{url}/close?{code}"))
        channel.send(TEXT, reason)
        check(f"{name}: is closed by {code}", (code, reason), channel.closed())
        check(f"{name}: nothing more", E_CLOSED, channel.receive())
        check(f"{name}: state", CLOSED, channel.call("state"))
        channel.end()
    for status in (401, 404, 503):
        channel = Channel(client)
        check(f"{name}: {status}", E_PROTOCOL, channel.open(f"{url}/status?{status}"))
        check(f"{name}: status {status}", status, channel.call("status"))
        check(f"{name}: close after {status}", 1006, channel.closed()[0])
        channel.end()


async def serve_websockets(deflates):
    async def handle(socket):
        path, _, query = socket.request.path.partition("?")
        if path == "/fields":
            fields = socket.request.headers
            await socket.send("|".join([fields["Authorization"], ",".join(fields.get_all("X-Two")),
                                        fields["Origin"], query]))
        if path == "/close":
            return await socket.close(int(query), await socket.recv())
        async for message in socket:
            await socket.send(message)

    def refuse(connection, request):
        path, _, query = request.path.partition("?")
        return connection.respond(int(query), "no\n") if path == "/status" else None

    def choose(_connection, offered):
        return next((each for each in offered if each in ("first", "second")), None)

    return await serve(handle, "127.0.0.1", 0, max_size=None, process_request=refuse,
                       select_subprotocol=choose,
                       compression="deflate" if deflates else None)


async def serve_aiohttp(deflates):
    async def handle(request):
        socket = web.WebSocketResponse(max_msg_size=0, protocols=["first", "second"],
                                       compress=deflates)
        await socket.prepare(request)
        if request.path == "/fields":
            fields = request.headers
            await socket.send_str("|".join([
                fields["Authorization"], ",".join(fields.getall("X-Two")), fields["Origin"],
                request.raw_path.partition("?")[2]]))
        if request.path == "/close":
            message = await socket.receive()
            await socket.close(code=int(request.query_string), message=message.data.encode())
        async for message in socket:
            if message.type == aiohttp.WSMsgType.TEXT:
                await socket.send_str(message.data)
            elif message.type == aiohttp.WSMsgType.BINARY:
                await socket.send_bytes(message.data)
        return socket

    async def refuse(request):
        return web.Response(status=int(request.query_string), text="no\n")

    app = web.Application()
    app.router.add_get("/status", refuse)
    app.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner


# ---- servers that do it wrong

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key + GUID).digest())


GOOD = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: @\r\n"
LINE = b"HTTP/1.1 101 Switching Protocols\r\n"
# What the server says, @ being the right answer to the key; what comes of it.
WRONG = {
    "garbage": (b"\x16\x03\x01garbage\r\n\r\n", E_PROTOCOL),
    "another protocol": (b"SSH-2.0-x\r\n", E_PROTOCOL),
    "a bare LF": (LINE[:-2] + b"\n" + GOOD + b"\r\n", E_PROTOCOL),
    "HTTP/1.0": (b"HTTP/1.0 101 x\r\n" + GOOD + b"\r\n", E_PROTOCOL),
    "HTTP/2": (b"HTTP/2 101 x\r\n" + GOOD + b"\r\n", E_PROTOCOL),
    "200": (b"HTTP/1.1 200 OK\r\n" + GOOD + b"\r\n", E_PROTOCOL),
    "301": (b"HTTP/1.1 301 x\r\nLocation: /\r\n\r\n", E_PROTOCOL),
    "a wrong answer": (LINE + GOOD.replace(b"@", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") + b"\r\n",
                       E_PROTOCOL),
    "no answer": (LINE + GOOD.rsplit(b"Sec", 1)[0] + b"\r\n", E_PROTOCOL),
    "two answers": (LINE + GOOD + GOOD[-28:] + b"\r\n", E_PROTOCOL),
    "no Upgrade": (LINE + GOOD.split(b"\r\n", 1)[1] + b"\r\n", E_PROTOCOL),
    "no Connection": (LINE + GOOD.replace(b"Connection: Upgrade", b"Connection: close") + b"\r\n",
                      E_PROTOCOL),
    "a subprotocol": (LINE + GOOD + b"Sec-WebSocket-Protocol: x\r\n\r\n", E_PROTOCOL),
    "an extension": (LINE + GOOD + b"Sec-WebSocket-Extensions: x\r\n\r\n", E_PROTOCOL),
    "deflate by two fields": (LINE + GOOD + b"Sec-WebSocket-Extensions: permessage-deflate\r\n" * 2
                              + b"\r\n", E_PROTOCOL),
    "a wrong window": (LINE + GOOD + b"Sec-WebSocket-Extensions: permessage-deflate; "
                       b"server_max_window_bits=16\r\n\r\n", E_PROTOCOL),
    "a folded line": (LINE + GOOD + b"X: a\r\n b\r\n\r\n", E_PROTOCOL),
    "a space before the colon": (LINE + GOOD + b"X : a\r\n\r\n", E_PROTOCOL),
    "many fields": (LINE + GOOD + b"X: a\r\n" * 200 + b"\r\n", E_TOO_LARGE),
    "a huge head": (LINE + GOOD + b"X: " + b"a" * 100_000 + b"\r\n\r\n", E_TOO_LARGE),
    "nothing": (b"", E_CLOSED),
    "half a head": (LINE + GOOD[:30], E_CLOSED),
    "interim responses": (b"HTTP/1.1 103 x\r\nA: b\r\n\r\n" + LINE + GOOD + b"\r\n", 1),
    "a good one": (LINE + GOOD + b"\r\n\x82\x03abc", 1),
    "other letters": (b"HTTP/1.1 101 \r\nUPGRADE: WebSocket\r\nCONNECTION: keep-alive, upgrade\r\n"
                      b"sec-websocket-accept:@ \r\n\r\n", 1),
}


async def serve_wrong(reply, pieces):
    """Says one thing to all, at once or byte by byte; None: fields without end."""
    async def handle(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        key = head.partition(b"Sec-WebSocket-Key: ")[2].split(b"\r\n")[0]
        try:
            if reply is None:
                writer.write(LINE)
                while True:
                    writer.write(b"X: " + b"a" * 1000 + b"\r\n")
                    await writer.drain()
            text = reply.replace(b"@", accept_of(key))
            for at in range(0, len(text), pieces or max(len(text), 1)):
                writer.write(text[at:at + (pieces or len(text))])
                await writer.drain()
                await asyncio.sleep(0)
            if not reply.endswith(b"\r\n\r\n") and b"\r\n\r\n" not in reply:
                writer.close()
            await reader.read()
        except (ConnectionError, asyncio.CancelledError):
            pass
        writer.close()

    return await asyncio.start_server(handle, "127.0.0.1", 0)


def wrongs(client, loop):
    cases = {**WRONG, "an endless head": (None, E_TOO_LARGE)}
    for name, (reply, expected) in cases.items():
        for pieces in (0, 1):
            if pieces and (reply is None or len(reply) > 5000):
                continue
            server = loop.run(serve_wrong(reply, pieces))
            port = server.sockets[0].getsockname()[1]
            channel = Channel(client)
            check(f"{name}, pieces of {pieces}", expected,
                  channel.open(f"ws://127.0.0.1:{port}/"))
            if name == "a good one":
                check(f"{name}: what is glued to it", (BINARY, b"abc"), channel.receive())
            if expected < 0:
                check(f"{name}: close", (1006, b""), channel.closed())
            channel.end()
            loop.loop.call_soon_threadsafe(server.close)


def masks(client, loop):
    """RFC 6455 section 10.3: no key is foreseen, so that none comes again."""
    keys = []

    async def handle(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        key = head.partition(b"Sec-WebSocket-Key: ")[2].split(b"\r\n")[0]
        writer.write(LINE + GOOD.replace(b"@", accept_of(key)) + b"\r\n")
        for _ in range(500):
            start = await reader.readexactly(6)
            keys.append(start[2:])
            await reader.readexactly(start[1] & 127)
        writer.write(b"\x82\x03end")
        try:
            await reader.read()
        except (ConnectionError, asyncio.CancelledError):
            pass
        writer.close()

    server = loop.run(asyncio.start_server(handle, "127.0.0.1", 0))
    channel = Channel(client)
    check("masks: opens", 1, channel.open(
        f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"))
    for _ in range(500):
        channel.send(TEXT, b"the same")
    check("masks: all came", (BINARY, b"end"), channel.receive())
    # Two of 500 are the same once in 30,000 runs.
    check("masks: none comes again", True, len(set(keys)) >= 499)
    channel.end()
    loop.loop.call_soon_threadsafe(server.close)


def main():
    print("seed", SEED, flush=True)
    loop = Loop()
    try:
        talk(loop)
    finally:
        loop.stop()
    return report("websocket_client_test")


def talk(loop):
    client = apus.apus_client_make()
    apus.apus_client_set_dispatch(client, 1)
    apus.apus_client_set_workers(client, 2)
    for deflates in (0, 1):
        word = "with" if deflates else "without"
        if websockets:
            server = loop.run(serve_websockets(deflates))
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            echoes(client, f"websockets, server {word}", url, 1)
            echoes(client, f"websockets, client without, server {word}", url, 0)
            conversations(client, f"websockets {word}", url)
        if aiohttp:
            runner = loop.run(serve_aiohttp(bool(deflates)))
            url = f"ws://localhost:{runner.addresses[0][1]}"
            echoes(client, f"aiohttp, server {word}", url, 1)
            conversations(client, f"aiohttp {word}", url)
            loop.run(runner.cleanup())
    wrongs(client, loop)
    masks(client, loop)
    check("the client ends", 1, apus.apus_client_destroy(client))
    check("no handle is left", 0, apus.apus_live_count(0))


if __name__ == "__main__":
    sys.exit(main())
