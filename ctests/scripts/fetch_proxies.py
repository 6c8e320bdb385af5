"""A plain HTTP proxy and a SOCKS5 server on the loopback interface, for the tests of the
client. Both keep a list of what was asked of them."""
import base64
import http.client
import http.server
import socket
import socketserver
import threading
import urllib.parse

LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class Background:
    """A server of socketserver on a thread of its own; `seen` is what it was asked."""

    def __init__(self, kind, handler, name, secret=None):
        self.server = kind(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.server.seen, self.server.secret = [], secret
        self.server.connections = 0
        self.name, self.port = name, self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    @property
    def seen(self):
        return self.server.seen

    def url(self, scheme, secret=""):
        return f"{scheme}://{secret}127.0.0.1:{self.port}"

    def end(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class ProxyHandler(http.server.BaseHTTPRequestHandler):
    """RFC 9110 section 7.6: takes targets in absolute-form, and sends them on. What is
    the proxy's own does not go on."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def setup(self):
        super().setup()
        self.server.connections += 1

    def take(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def give(self, status, reason, fields, body):
        self.send_response_only(status, reason)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Via", "1.1 test")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer(self):
        body = self.take()
        self.server.seen.append((self.command, self.path, list(self.headers.items())))
        if self.server.secret:
            due = "Basic " + base64.b64encode(self.server.secret.encode()).decode()
            if self.headers.get("Proxy-Authorization") != due:
                return self.give(407, "Proxy Authentication Required",
                                 [("Proxy-Authenticate", 'Basic realm="proxy"')], b"who?")
        target = urllib.parse.urlsplit(self.path)
        if target.scheme != "http" or target.hostname not in LOOPBACK:
            return self.give(400, "Bad Request", [], b"no such target")
        peer = http.client.HTTPConnection(target.hostname, target.port or 80, timeout=30)
        path = target.path + ("?" + target.query if target.query else "")
        peer.putrequest(self.command, path or "/", skip_host=True, skip_accept_encoding=True)
        own = {"proxy-authorization", "connection", "transfer-encoding", "content-length"}
        for name, value in self.headers.items():
            if name.lower() not in own:
                peer.putheader(name, value)
        if body or self.command in ("POST", "PUT", "PATCH"):
            peer.putheader("Content-Length", str(len(body)))
        peer.endheaders(body or None)
        reply = peer.getresponse()
        fields = [pair for pair in reply.getheaders() if pair[0].lower() not in own]
        self.give(reply.status, reply.reason, fields, reply.read())
        peer.close()


for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
    setattr(ProxyHandler, "do_" + method, ProxyHandler.answer)


def http_proxy(secret=None):
    return Background(http.server.ThreadingHTTPServer, ProxyHandler, "proxy", secret)


# ---- SOCKS5, RFC 1928, with names and passwords by RFC 1929

class SOCKSHandler(socketserver.StreamRequestHandler):
    def handle(self):
        try:
            self.serve()
        except (ConnectionError, ValueError):
            pass

    def read(self, count):
        data = self.rfile.read(count)
        if len(data) < count:
            raise ConnectionError("short")
        return data

    def serve(self):
        self.server.connections += 1
        version, count = self.read(2)
        methods = self.read(count)
        due = 2 if self.server.secret else 0
        if version != 5 or due not in methods:
            self.server.seen.append(("no method", methods))
            self.wfile.write(b"\x05\xff")
            return
        self.wfile.write(bytes([5, due]))
        if due and not self.identified():
            return
        version, command, _, kind = self.read(4)
        if kind == 3:
            host = self.read(self.read(1)[0]).decode()
        else:
            size, family = (4, socket.AF_INET) if kind == 1 else (16, socket.AF_INET6)
            host = socket.inet_ntop(family, self.read(size))
        port = int.from_bytes(self.read(2), "big")
        self.server.seen.append((command, kind, host, port))
        if command != 1 or host not in LOOPBACK:
            self.wfile.write(b"\x05\x02\x00\x01" + bytes(6))
            return
        try:
            peer = socket.create_connection((host, port), timeout=30)
        except OSError:
            self.wfile.write(b"\x05\x05\x00\x01" + bytes(6))
            return
        with peer:
            peer.settimeout(None)
            self.wfile.write(b"\x05\x00\x00\x01\x7f\x00\x00\x01" + bytes(2))
            other = threading.Thread(target=self.relay, args=(peer, self.connection), daemon=True)
            other.start()
            self.relay(self.connection, peer)
            other.join()

    def identified(self):
        _, count = self.read(2)
        user = self.read(count).decode()
        password = self.read(self.read(1)[0]).decode()
        is_right = f"{user}:{password}" == self.server.secret
        if not is_right:
            self.server.seen.append(("wrong", user))
        self.wfile.write(bytes([1, 0 if is_right else 1]))
        return is_right

    @staticmethod
    def relay(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        try:
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def socks_server(secret=None):
    return Background(socketserver.ThreadingTCPServer, SOCKSHandler, "socks", secret)
