"""An HTTP proxy on the loopback interface that wants a name and password by Digest (RFC
7616), for requests in absolute form and for tunnels. It keeps a list of what was asked of
it: method, target, and by which scheme."""
import base64
import hashlib
import http.client
import re
import socket
import socketserver
import urllib.parse

import fetch_proxies

HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


class DigestHandler(socketserver.StreamRequestHandler):
    def handle(self):
        self.server.connections += 1
        try:
            while self.serve():
                pass
        except (ConnectionError, OSError):
            pass

    def head(self):
        lines = []
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            lines.append(line.decode("latin-1").rstrip("\r\n"))
        return lines

    def serve(self):
        lines = self.head()
        if not lines:
            return False
        method, target, _ = lines[0].split(" ")
        fields = dict(line.split(": ", 1) for line in lines[1:])
        body = self.rfile.read(int(fields.get("Content-Length", 0)))
        scheme, _, rest = fields.pop("Proxy-Authorization", "none -").partition(" ")
        self.server.seen.append((method, target, scheme))
        is_right = self.server.refusal is None and scheme == "Digest"
        problem = self.problem(method, target, rest) if is_right else "who?"
        if self.server.refusal:
            return self.give(self.server.refusal, [], b"no")
        if self.server.is_basic:
            right = base64.b64encode(self.server.secret.encode()).decode()
            problem = None if (scheme, rest) == ("Basic", right) else "who?"
        if problem:
            return self.challenge(problem)
        if method == "CONNECT":
            return self.tunnel(target)
        return self.forward(method, target, fields, body)

    # ---- who it is

    def problem(self, method, target, text):
        """What is wrong with credentials, or None."""
        given = {name: quoted or plain for name, quoted, plain
                 in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', text)}
        user, password = self.server.secret.split(":", 1)

        def digest(*parts):
            return HASHES[self.server.algorithm](":".join(parts).encode()).hexdigest()
        due = digest(digest(user, "proxy", password), given.get("nonce", ""),
                     given.get("nc", ""), given.get("cnonce", ""), "auth",
                     digest(method, target))
        if (given.get("uri"), given.get("username"), given.get("opaque")) != \
                (target, user, "any") or given.get("response") != due:
            return "wrong"
        with self.server.lock:
            uses = self.server.nonces.setdefault(given["nonce"], 0) + 1
            self.server.nonces[given["nonce"]] = uses
        if int(given["nc"], 16) != uses:
            return "wrong count"
        return "stale" if uses > self.server.most_uses else None

    def challenge(self, problem):
        with self.server.lock:
            self.server.made += 1
            nonce = f"nonce {self.server.made}"
        stale = ", stale=true" if problem == "stale" else ""
        basic = [("Proxy-Authenticate", 'Basic realm="proxy"')]
        if self.server.is_basic:
            return self.give(407, basic, problem.encode())
        fields = [*basic,
                  ("Proxy-Authenticate", f'Digest realm="proxy", qop="auth", nonce="{nonce}", '
                                         f'algorithm={self.server.algorithm}, opaque="any"{stale}')]
        return self.give(407, fields, problem.encode())

    def give(self, status, fields, body, closes=None):
        closes = self.server.closes if closes is None else closes
        lines = [f"HTTP/1.1 {status} Something", *(": ".join(field) for field in fields),
                 f"Content-Length: {len(body)}", *(["Connection: close"] if closes else [])]
        self.wfile.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return not closes

    # ---- the way on

    def forward(self, method, target, fields, body):
        url = urllib.parse.urlsplit(target)
        peer = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
        peer.request(method, url.path, body or None, fields)
        reply = peer.getresponse()
        result = self.give(reply.status, [("Via", "1.1 digest")], reply.read(), closes=False)
        peer.close()
        return result

    def tunnel(self, target):
        host, port = target.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=30) as peer:
            peer.settimeout(None)
            self.wfile.write(b"HTTP/1.1 200 Go on\r\n\r\n")
            self.server.relay(self.connection, peer)
        return False


def relay_both(one, other):
    """Both ways, until either has ended."""
    def back():
        fetch_proxies.SOCKSHandler.relay(other, one)
    thread = fetch_proxies.threading.Thread(target=back, daemon=True)
    thread.start()
    fetch_proxies.SOCKSHandler.relay(one, other)
    thread.join()


class DigestProxy(fetch_proxies.Background):
    """`closes`: after each refusal; `most_uses`: of a nonce, until it is stale; `refusal`:
    the status of all answers."""

    def __init__(self, secret, algorithm="SHA-256", closes=False, most_uses=1000, refusal=None):
        super().__init__(socketserver.ThreadingTCPServer, DigestHandler, "digest", secret)
        server = self.server
        server.algorithm, server.closes, server.most_uses = algorithm, closes, most_uses
        server.refusal, server.nonces, server.made = refusal, {}, 0
        server.is_basic = False  # set to True, it wants Basic from then on
        server.lock, server.relay = fetch_proxies.threading.Lock(), relay_both
