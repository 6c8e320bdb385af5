"""The servers that fetches are tested against. Those where code can be put have the
same paths:

  /seen       JSON: the method, the target, the fields as they came, the peer's port,
              the length and the SHA-256 of the body
  /echo       the body, with its length; /chunked: the same in chunks
  /fields     fields in an order, one name three times
  /status/N   a response of that status, empty where the status has it so
  /bytes/N    so many bytes with a Content-Length; /flow/N: in chunks
  /endless    chunks without end; /close: Connection: close; /cookies: sets and tells
  /to/N?to=U  a redirection of status N to the URL U (not node)

Each adds X-Port, by which connections are told apart."""
import hashlib
import http.server
import json
import logging
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

from common import hold_port

try:
    from aiohttp import web
except ImportError:
    web = None

FIELDS = [("X-First", "1"), ("X-Many", "a"), ("X-Second", "2"), ("X-Many", "b, c"),
          ("X-Empty", ""), ("X-Many", "d")]
BLOCK = bytes((i * 7919 >> 3) & 255 for i in range(1 << 16))


def stuff(size):
    """So many bytes, the same each time."""
    return (BLOCK * (size // len(BLOCK) + 1))[:size]


def seen(method, target, fields, port, body):
    return json.dumps({"method": method, "target": target, "fields": fields, "port": port,
                       "length": len(body),
                       "digest": hashlib.sha256(body).hexdigest()}).encode()


# ---- aiohttp

class Aiohttp:
    """aiohttp on 127.0.0.1, on [::1] where there is one, and on a Unix socket."""
    name, version, trailers = "aiohttp", 11, False

    def __init__(self, loop, folder):
        self.loop, self.connections = loop, {}
        self.path = os.path.join(folder, "aiohttp.socket")
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self.handle)
        self.runner = web.AppRunner(app, auto_decompress=False)
        loop.run(self.runner.setup())
        loop.run(web.UnixSite(self.runner, self.path).start())
        loop.run(web.TCPSite(self.runner, "127.0.0.1", 0).start())
        self.port = [each for each in self.runner.addresses if isinstance(each, tuple)][0][1]
        self.url = f"http://127.0.0.1:{self.port}"
        try:
            loop.run(web.TCPSite(self.runner, "::1", self.port).start())
            self.has_ipv6 = True
        except OSError:
            self.has_ipv6 = False

    def identity(self, request):
        """A number for each connection, which a Unix socket has no port for."""
        peer = request.transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            return peer[1]
        return self.connections.setdefault(request.transport, len(self.connections) + 1)

    async def handle(self, request):
        port = self.identity(request)
        headers = {"X-Port": str(port)}
        body = await request.read()
        what, _, argument = request.path[1:].partition("/")
        if what == "seen":
            fields = [[name.decode(), value.decode("latin-1")]
                      for name, value in request.raw_headers]
            body = seen(request.method, request.raw_path, fields, port, body)
        elif what == "fields":
            response = web.Response(body=b"fields", headers=headers)
            for name, value in FIELDS:
                response.headers.add(name, value)
            return response
        elif what == "status":
            return web.Response(status=int(argument), headers=headers)
        elif what == "bytes":
            body = stuff(int(argument))
        elif what == "close":
            response = web.Response(body=b"bye", headers=headers)
            response.force_close()
            return response
        elif what == "loop":
            headers["Location"] = "/loop"
            return web.Response(status=302, headers=headers)
        elif what == "to":
            headers["Location"] = request.query["to"]
            return web.Response(status=int(argument), headers=headers, body=b"elsewhere")
        elif what == "cookies":
            response = web.Response(text=request.headers.get("Cookie", "none"), headers=headers)
            number = request.query.get("n", "1")
            response.headers.add("Set-Cookie", f"n={number}; Path=/")
            response.headers.add("Set-Cookie", f"deep={number}; Path=/cookies/deep")
            return response
        elif what in ("chunked", "flow", "endless"):
            if what != "chunked":
                body = stuff(1 << 16 if what == "endless" else int(argument))
            return await self.stream(request, headers, body, what == "endless")
        return web.Response(body=body, headers=headers)

    async def stream(self, request, headers, body, endless):
        response = web.StreamResponse(headers=headers)
        response.enable_chunked_encoding()
        try:
            await response.prepare(request)
            for at in range(0, len(body), 50_000):
                await response.write(body[at:at + 50_000])
            while endless:
                await response.write(body)
            await response.write_eof()
        except ConnectionError:
            pass
        return response

    def end(self):
        self.loop.run(self.runner.cleanup())


# ---- http.server

class Handler(http.server.BaseHTTPRequestHandler):
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def handle_expect_100(self):
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def take(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def head(self, status, fields):
        self.send_response(status)
        self.send_header("X-Port", str(self.client_address[1]))
        for name, value in fields:
            self.send_header(name, value)
        self.end_headers()

    def whole(self, body, fields=(), status=200):
        self.head(status, [("Content-Length", str(len(body))), *fields])
        if self.command != "HEAD":
            self.wfile.write(body)

    def chunks(self, body, endless):
        if self.protocol_version == "HTTP/1.0":
            self.head(200, [])
            self.wfile.write(body)
            while endless:
                self.wfile.write(body)
            return
        self.head(200, [("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum")])
        at = 0
        while endless or at < len(body):
            piece = body[:50_000] if endless else body[at:at + 50_000]
            self.wfile.write(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece))
            at += len(piece)
        digest = hashlib.sha256(body).hexdigest()
        self.wfile.write(f"0\r\nX-Sum: {digest}\r\nX-Two: 1\r\nX-Two: 2\r\n\r\n".encode())

    def answer(self):
        path, _, query = self.path.partition("?")
        what, _, argument = path[1:].partition("/")
        body = self.take()
        if what == "seen":
            fields = [list(pair) for pair in self.headers.items()]
            self.whole(seen(self.command, self.path, fields, self.client_address[1], body))
        elif what == "fields":
            self.whole(b"fields", FIELDS)
        elif what == "status":
            bare = argument in ("204", "304")
            self.head(int(argument), [] if bare else [("Content-Length", "0")])
        elif what == "bytes":
            self.whole(stuff(int(argument)))
        elif what == "close":
            self.whole(b"bye", [("Connection", "close")])
            self.close_connection = True
        elif what == "to":
            self.whole(b"elsewhere", [("Location", urllib.parse.parse_qs(query)["to"][0])],
                       int(argument))
        elif what == "until-close":
            self.head(200, [("Connection", "close")])
            self.wfile.write(stuff(int(argument)))
            self.close_connection = True
        elif what == "cookies":
            number = query.partition("=")[2] or "1"
            self.whole(self.headers.get("Cookie", "none").encode(),
                       [("Set-Cookie", f"n={number}; Path=/"),
                        ("Set-Cookie", f"deep={number}; Path=/cookies/deep")])
        elif what in ("chunked", "flow", "endless"):
            if what != "chunked":
                body = stuff(1 << 16 if what == "endless" else int(argument))
            self.chunks(body, what == "endless")
        else:
            self.whole(body)

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def finish(self):
        try:
            super().finish()
        except ConnectionError:
            pass


for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"):
    setattr(Handler, "do_" + method, Handler.answer)


class HTTPServer:
    """Python's http.server, in HTTP/1.1 or 1.0."""

    def __init__(self, version):
        self.version, self.trailers = version, version == 11
        text = f"HTTP/1.{version - 10}"
        self.name = f"http.server {text}"
        kind = type("Kind", (Handler,), {"protocol_version": text})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def end(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


# ---- node

NODE = r"""
const http = require('http');
const { createHash } = require('crypto');
const block = Buffer.from(Array.from({ length: 65536 }, (_, i) => (i * 7919 >> 3) & 255));
const fields = JSON.parse(process.argv[1]);
function stuff(size) {
  const whole = Buffer.alloc(size);
  for (let at = 0; at < size; at += block.length) block.copy(whole, at);
  return whole;
}
function flow(response, body, endless) {
  response.writeHead(200, { Trailer: 'X-Sum' });
  let at = 0;
  const step = () => {
    while (endless || at < body.length) {
      const piece = endless ? body : body.subarray(at, at + 50000);
      at += piece.length;
      if (response.destroyed) return;
      if (!response.write(piece)) return response.once('drain', step);
    }
    response.addTrailers([['X-Sum', createHash('sha256').update(body).digest('hex')],
      ['X-Two', '1'], ['X-Two', '2']]);
    response.end();
  };
  step();
}
function answer(request, response, body) {
  const [path, query] = request.url.split('?');
  const [, what, argument] = path.split('/');
  const port = request.socket.remotePort;
  if (what === 'fields') {
    response.writeHead(200, [].concat(['X-Port', String(port)], ...fields));
    return response.end('fields');
  }
  response.setHeader('X-Port', port);
  if (what === 'seen') {
    const raw = request.rawHeaders;
    const pairs = raw.filter((_, i) => i % 2 === 0).map((name, i) => [name, raw[2 * i + 1]]);
    body = Buffer.from(JSON.stringify({ method: request.method, target: request.url,
      fields: pairs, port, length: body.length,
      digest: createHash('sha256').update(body).digest('hex') }));
  } else if (what === 'status') {
    response.statusCode = Number(argument);
    return response.end();
  } else if (what === 'bytes') body = stuff(Number(argument));
  else if (what === 'close') {
    response.setHeader('Connection', 'close');
    body = Buffer.from('bye');
  } else if (what === 'cookies') {
    const number = (query || '').split('=')[1] || '1';
    response.setHeader('Set-Cookie', [`n=${number}; Path=/`,
      `deep=${number}; Path=/cookies/deep`]);
    body = Buffer.from(request.headers.cookie || 'none');
  } else if (what === 'chunked') return flow(response, body, false);
  else if (what === 'flow') return flow(response, stuff(Number(argument)), false);
  else if (what === 'endless') return flow(response, stuff(65536), true);
  response.setHeader('Content-Length', body.length);
  response.end(body);
}
const server = http.createServer((request, response) => {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => answer(request, response, Buffer.concat(pieces)));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.on('end', () => process.exit(0)).resume();
"""


class Node:
    """node's http server; it ends when its standard input does."""
    name, version, trailers = "node", 11, True

    def __init__(self):
        self.process = subprocess.Popen(["node", "-e", NODE, json.dumps(FIELDS)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def end(self):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


# ---- nginx

NGINX = """
daemon off; master_process off; worker_processes 1; pid @/pid; error_log @/log;
events { worker_connections 512; }
http {
  access_log off; default_type text/plain; client_max_body_size 0;
  client_body_temp_path @/body; proxy_temp_path @/proxy; fastcgi_temp_path @/fastcgi;
  uwsgi_temp_path @/uwsgi; scgi_temp_path @/scgi;
  keepalive_requests 4; gzip_min_length 100; gzip_types text/plain;
  server {
    listen 127.0.0.1:PORT; listen unix:@/socket; root @/files;
    add_header X-Port $connection always;
    location = /hello { return 200 "hello"; }
    location = /moved { return 301 /hello; }
    location = /secret { auth_basic "realm"; auth_basic_user_file @/users; }
    location /files/ { alias @/files/; dav_methods PUT DELETE; create_full_put_path on; }
    location /packed/ { alias @/files/; gzip on; }
    location /app/ { proxy_pass http://127.0.0.1:APP/; proxy_http_version 1.1;
      proxy_set_header Connection ""; proxy_buffering off; proxy_request_buffering off; }
  }
}
"""


def find_nginx():
    return shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")


class Nginx:
    """nginx with files and, below /app/, a proxy to another server. It closes each
    connection behind its fourth request."""
    name = "nginx"

    def __init__(self, folder, app):
        self.folder = os.path.join(folder, "nginx")
        self.files, self.path = self.folder + "/files", self.folder + "/socket"
        os.makedirs(self.files)
        with open(self.folder + "/users", "w") as file:
            file.write("user:{PLAIN}pass word\n")
        with open(self.files + "/secret", "w") as file:
            file.write("the secret")
        self.start(app)
        if not self.is_ready():
            self.end()
            raise RuntimeError("nginx does not start")

    def start(self, app):
        self.held, self.port = hold_port()
        self.url = f"http://127.0.0.1:{self.port}"
        if os.path.exists(self.path):
            os.unlink(self.path)
        text = re.sub("@", self.folder, NGINX.replace("PORT", str(self.port), 1))
        with open(self.folder + "/conf", "w") as file:
            file.write(text.replace("APP", str(app)))
        self.process = subprocess.Popen(
            [find_nginx(), "-p", self.folder, "-e", "stderr", "-c", self.folder + "/conf"],
            stderr=subprocess.DEVNULL)

    def is_ready(self):
        limit = time.monotonic() + 20
        while time.monotonic() < limit and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return self.process.poll() is None
            except OSError:
                time.sleep(0.01)
        return False

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(20)
        self.held.close()


# ---- httpbin

class Httpbin:
    """The package httpbin, by werkzeug's server (HTTP/1.1) or wsgiref's (HTTP/1.0)."""

    def __init__(self, by):
        logging.getLogger("httpbin").setLevel(logging.ERROR)
        logging.getLogger("core").setLevel(logging.ERROR)
        from httpbin import app
        self.name = f"httpbin by {by}"
        if by == "werkzeug":
            from werkzeug.serving import WSGIRequestHandler, make_server
            quiet = type("Quiet", (WSGIRequestHandler,), {"log_request": lambda *_: None})
            self.server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=quiet)
            self.server.daemon_threads = True
        else:
            from wsgiref import simple_server
            quiet = type("Quiet", (simple_server.WSGIRequestHandler,),
                         {"log_message": lambda *_: None})
            self.server = simple_server.make_server("127.0.0.1", 0, app, handler_class=quiet)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def end(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def folder():
    return tempfile.TemporaryDirectory(prefix="apus-")
