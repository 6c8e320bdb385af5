"""Servers that the tool is tried against: one of aiohttp's, and one that sends bytes as
they stand here."""
import asyncio
import base64
import contextlib
import json
import os
import socketserver
import threading

from aiohttp import WSMsgType, web

ESCAPES = "one\x1b[31mtwo\x1b]0;title\x07three\u202efour\x9bfive\rsix\n"
EVIL = {
    "/body": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(ESCAPES.encode())
             + ESCAPES.encode(),
    "/latin": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na\x9bb\n",
    "/field": b"HTTP/1.1 200 Fine\xc2\x9b31m\r\nX-Evil: a\xc2\x9b31mb\r\n"
              b"Content-Length: 2\r\n\r\nk\n",
    "/short": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
    "/nonsense": b"SSH-2.0-OpenSSH\r\n\r\n",
    "/events": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
               b"event: na\x1b[1mme\nid: 1\x1b[2m\ndata: " + ESCAPES.encode().split(b"\r")[0]
               + b"\n\n",
}


class EvilHandler(socketserver.StreamRequestHandler):
    def handle(self):
        with contextlib.suppress(ConnectionError):  # a load may end at any time
            self.answer()

    def answer(self):
        line = self.rfile.readline().decode(errors="replace").split(" ")
        while self.rfile.readline() not in (b"\r\n", b""):
            pass
        self.server.targets.append(line[1] if len(line) > 1 else "")
        path = "/" + self.server.targets[-1].split("/", 3)[-1].lstrip("/")
        self.wfile.write(EVIL.get(path, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nall"))


class Evil(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), EvilHandler)
        self.targets = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()


class Peer:
    """The server of aiohttp's, on a loop of asyncio's that runs elsewhere."""

    def __init__(self, loop, folder):
        self.loop, self.folder = loop, folder
        self.seen, self.asked, self.last_ids = [], 0, []
        self.held = threading.Event()   # /held has sent its first half
        self.counted = threading.Event()  # /count was asked a hundred times
        self.let_go = threading.Event()  # and may send the other
        self.application = web.Application(client_max_size=1 << 24)
        routes = [("/echo", self.echo), ("/status/{code}", self.status), ("/held", self.hold),
                  ("/silent", self.be_silent), ("/redirect", self.redirect), ("/loop", self.turn),
                  ("/gzip", self.gzip), ("/basic", self.basic), ("/form", self.form),
                  ("/file/{name}", self.file), ("/whole", self.whole), ("/count", self.count),
                  ("/events", self.events), ("/ends", self.ends), ("/ws", self.websocket),
                  ("/wsclose/{code}", self.websocket_close)]
        for path, handler in routes:
            self.application.router.add_route("*", path, handler)
        self.url, self.secure = "", ""

    async def start(self, context=None):
        runner = web.AppRunner(self.application, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        return runner, port

    async def wait(self, event):
        while not event.is_set():
            await asyncio.sleep(0.01)

    async def echo(self, request):
        body = await request.read()
        return web.json_response({"method": request.method, "headers": dict(request.headers),
                                  "body": body.decode("latin-1"), "query": request.query_string})

    async def status(self, request):
        return web.Response(status=int(request.match_info["code"]), text="the page of an error\n")

    async def hold(self, request):
        response = web.StreamResponse(headers={"Content-Length": "2000000"})
        await response.prepare(request)
        await response.write(b"a" * 1000000)
        self.held.set()
        await self.wait(self.let_go)
        with contextlib.suppress(ConnectionError):  # a client that was told to stop
            await response.write(b"b" * 1000000)
        return response

    async def be_silent(self, request):
        self.held.set()
        await self.wait(self.let_go)
        return web.Response(text="late\n")

    async def redirect(self, request):
        raise web.HTTPFound("/status/203")

    async def turn(self, request):
        raise web.HTTPFound("/loop")

    async def gzip(self, request):
        response = web.Response(text="text " * 1000)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    async def basic(self, request):
        wanted = "Basic " + base64.b64encode(b"Ada:love:lace").decode()
        if request.headers.get("Authorization") == wanted:
            return web.Response(text="welcome\n")
        return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="r"'})

    async def form(self, request):
        out = []
        async for part in await request.multipart():
            data = await part.read()
            out.append([part.name, part.filename, part.headers.get("Content-Type"), len(data)])
        return web.json_response(out)

    async def file(self, request):
        return web.FileResponse(os.path.join(self.folder, request.match_info["name"]))

    async def whole(self, request):
        return web.Response(body=b"0123456789")

    async def count(self, request):
        self.asked += 1
        if self.asked >= 100:
            self.counted.set()
        return web.Response(text="counted\n")

    # ---- events

    async def start_events(self, request):
        self.last_ids.append(request.headers.get("Last-Event-ID"))
        self.seen.append(dict(request.headers))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        return response

    async def events(self, request):
        response = await self.start_events(request)
        await response.write(b"retry: 1\n\nid: 7\ndata: one\ndata: two\n\n"
                             b"event: news\ndata: \"three\"\n\n")
        self.held.set()
        await self.wait(self.let_go)
        return response

    async def ends(self, request):
        response = await self.start_events(request)
        number = len(self.last_ids)
        await response.write(b"retry: 1\n\nid: %d\ndata: event %d\n\n" % (number, number))
        return response

    # ---- WebSocket

    async def websocket(self, request):
        socket = web.WebSocketResponse(protocols=("chat", "other"))
        await socket.prepare(request)
        self.seen.append(dict(request.headers))
        async for message in socket:
            if message.type == WSMsgType.TEXT and message.data == "json":
                await socket.send_str(json.dumps(dict(request.headers)))
            elif message.type == WSMsgType.TEXT and message.data == "evil":
                await socket.send_str(ESCAPES)
            elif message.type == WSMsgType.TEXT:
                await socket.send_str(message.data)
            elif message.type == WSMsgType.BINARY:
                await socket.send_bytes(message.data[::-1])
        return socket

    async def websocket_close(self, request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.close(code=int(request.match_info["code"]), message=b"a reason")
        return socket
