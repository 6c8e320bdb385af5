#!/usr/bin/env python3
"""The client where a way to a server, or an exchange, ends otherwise than usual: resets of
kept connections under TLS, answers that come before the request is whole, servers that
take a request and say nothing, proxies and TLS that fail at first, redirections back to
http, credentials that are wrong, ranges, files of responses without a body, and streams
of events that end at once."""
# ctest: nosanitize timeout=300
import contextlib
import ctypes
import os
import socket
import ssl
import struct
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from apus_fetch import E_IO, E_PERMISSION, E_TIMEOUT, PATIENCE, Client, Fetch, apus, call
from apus_fetch import declare_more
from certificates import Authority
from common import check, report

declare_more("""
client_add_ca_file i hs, client_set_verify i hii, client_set_hsts i hi, client_set_expect i hi
source_make h hs, source_destroy i h, source_set_retry i hiii, source_open i h
source_set_idle_timeout i hi
source_next i hipppp
""")
MODES = ("worker", "tick", "threadless")
LARGE = 10 << 20
E_CLOSED, E_ARGUMENT = -8, -2


class Server:
    """Hands each connection, with its number from 1, to a function on a thread of its
    own, by TLS where it has a certificate."""

    def __init__(self, serve, pair=None):
        self.serve, self.count, self.heads = serve, 0, []
        self.context = None
        if pair:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*pair)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.host = f"localhost:{self.port}" if pair else f"127.0.0.1:{self.port}"
        self.url = f"{'https' if pair else 'http'}://{self.host}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                self.count += 1
                threading.Thread(target=self.run, args=(peer, self.count), daemon=True).start()

    def run(self, peer, number):
        peer.settimeout(PATIENCE)
        # What is answered goes before what closes, whatever is not acknowledged yet.
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError), peer:
            if self.context:
                peer = self.context.wrap_socket(peer, server_side=True)
            self.serve(self, peer, number)

    def head(self, peer):
        """The next request's head, or nothing at the end."""
        got = b""
        while not got.endswith(b"\r\n\r\n"):
            byte = peer.recv(1)
            if not byte:
                return b""
            got += byte
        self.heads.append(got)
        return got

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


def reset(peer):
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def answer(peer, text=b"hello", status="200 OK", fields=""):
    peer.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\n{fields}\r\n".encode()
                 + text)


def ask(client, method, url, **options):
    return client.ask("blocking", method, url, **options)


def ended_with_answer(mode):
    """The end comes in one segment with the answer, unannounced: whoever waits for the
    connection gets another one, as a POST could not be sent twice."""
    def serve(server, peer, _number):
        server.head(peer)
        text = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
        peer.send(text, socket.MSG_MORE)
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(1000):
            pass

    client = Client(mode, max_connections=(1, 10, 100))
    with Server(serve) as server:
        fetches = [Fetch(client, "POST", server.url, body=b"x").tell() for _ in range(8)]
        for fetch in fetches:
            got = fetch.finish()
            check(f"{mode}: {got.message}", (0, b"hello"), (got.code, got.body))
            fetch.end()
        check(f"{mode}: a connection for each", 8, server.count)
    client.end()


# ---- resets, and what is tried again ------------------------------------------------

def kept(mode, ca, pair):
    """A kept connection breaks as the next request is under way: another one is made, as
    without TLS."""
    def serve(server, peer, number):
        while head := server.head(peer):
            if number == 1 and b"/second" in head:
                return reset(peer)
            answer(peer, str(number).encode())

    for made, what in ((None, "plain"), (pair, "TLS")):
        client = Client(mode)
        if made:
            call("client_add_ca_file", client.handle, ca)
        with Server(serve, made) as server:
            check(f"{mode}, {what}: the first", b"1", ask(client, "GET", server.url).body)
            got = ask(client, "GET", server.url + "/second")
            check(f"{mode}, {what}: broken, and asked again", (0, b"2"), (got.code, got.body))
        client.end()


def retried(mode, ca, pair):
    """A connection that breaks in TLS, or at a proxy, counts as one that was not made."""
    def broken_tls(server, peer, number):
        if number < 3:
            peer.recv(1)
            return reset(peer)
        with server.late.wrap_socket(peer, server_side=True) as secure:
            server.head(secure)
            answer(secure)

    client = Client(mode)
    call("client_add_ca_file", client.handle, ca)
    with Server(broken_tls) as server:
        server.late = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.late.load_cert_chain(*pair)
        url = f"https://localhost:{server.port}"
        got = ask(client, "GET", url, retries=(2, 1))
        check(f"{mode}: TLS at the third time", (0, b"hello", 3),
              (got.code, got.body, server.count))
        server.count = 0
        got = ask(client, "GET", url, retries=(1, 1))
        check(f"{mode}: not more often", (E_CLOSED, 2), (got.code, server.count))
    client.end()

    def proxy(server, peer, number):
        head = server.head(peer)
        status = server.statuses[min(number, len(server.statuses)) - 1]
        answer(peer, b"no", status)

    for statuses, code, count in (
            (["403 Forbidden"], E_PERMISSION, 1), (["502 Bad Gateway"], E_IO, 3),
            (["504 Gateway Timeout"], E_TIMEOUT, 3), (["451 No"], E_PERMISSION, 1),
            (["503 Busy", "403 Forbidden"], E_PERMISSION, 2), (["429 Slowly"], E_IO, 3)):
        with Server(proxy) as server:
            server.statuses = statuses
            client = Client(mode, proxy=server.url)
            got = ask(client, "GET", "https://example.test/", retries=(2, 1))
            check(f"{mode}: a proxy's {statuses}", (code, count), (got.code, server.count))
            client.end()


# ---- bodies ---------------------------------------------------------------------------

def early(mode, ca, pair):
    """An answer to the head alone, and the end, while the body is on its way. A kernel that
    is short of memory may lose it, but not for long."""
    def serve(server, peer, _number):
        server.head(peer)
        answer(peer, b"too long" * 1000, "413 Content Too Large", "Connection: close\r\n")
        # With what was not read behind it: a reset.
        peer.close()

    for made, what in ((None, "plain"), (pair, "TLS")):
        client = Client(mode)
        if made:
            call("client_add_ca_file", client.handle, ca)
        with Server(serve, made) as server:
            row = count = 0
            while row < 10 and count < 100:
                got = ask(client, "PUT", server.url, body=bytes(LARGE))
                count += 1
                row = row + 1 if (got.code, got.status, len(got.body)) == (0, 413, 8000) else 0
            check(f"{mode}, {what}: early answers in a row", 10, row)
            check(f"{mode}, {what}: each was asked for once", count, server.count)
        client.end()


def cut(mode):
    """A body up to the end of the connection, which a reset cuts, is not taken for whole."""
    def serve(server, peer, _number):
        server.head(peer)
        # With something unread, so that the end is a reset.
        peer.recv(1, socket.MSG_PEEK)
        peer.sendall(b"HTTP/1.1 200 OK\r\n\r\npart of it")
        peer.close()

    client = Client(mode)
    with Server(serve) as server:
        for _ in range(20):
            check(f"{mode}: cut", E_CLOSED, ask(client, "PUT", server.url, body=bytes(LARGE)).code)
    client.end()


def silent(mode):
    """The time for the response runs once a long body has gone, however that went."""
    def serve(server, peer, _number):
        server.head(peer)
        left = server.length
        while left > 0 and (piece := peer.recv(1 << 16)):
            left -= len(piece)
        peer.recv(1)

    client = Client(mode)
    with Server(serve) as server:
        server.length = 1 << 20
        got = ask(client, "POST", server.url, body=bytes(server.length), response_timeout=200)
        check(f"{mode}: no answer to a long body", E_TIMEOUT, got.code)
        server.length = 5
        got = ask(client, "POST", server.url, source=[b"hel", b"lo"], source_length=5,
                  response_timeout=200)
        check(f"{mode}: no answer to one that was given", E_TIMEOUT, got.code)
    client.end()


def trickling(mode):
    """One limit for all of the way to a server: a proxy that takes its time, and then TLS
    that never comes, have it together."""
    def proxy(server, peer, _number):
        server.head(peer)
        peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        peer.recv(1 << 16)
        peer.recv(1)

    with Server(proxy) as server:
        client = Client(mode, proxy=server.url, connect_timeout=300)
        got = ask(client, "GET", "https://example.test/")
        check(f"{mode}: TLS that does not come", E_TIMEOUT, got.code)
        client.end()


def whole(mode, folder):
    """Ranges are asked for as they are, and what has no body leaves a file alone."""
    def serve(server, peer, _number):
        while head := server.head(peer):
            if head.startswith(b"HEAD"):
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
            elif b"/none" in head:
                peer.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            elif b"Range:" in head:
                answer(peer, b"\x00\x01", "206 Partial Content",
                       "Content-Encoding: gzip\r\nContent-Range: bytes 5-6/9\r\n")
            else:
                answer(peer)

    client = Client(mode)
    path = os.path.join(folder, f"file-{mode}")
    with Server(serve) as server:
        got = ask(client, "GET", server.url, add_header=[("Range", "bytes=5-6")])
        check(f"{mode}: a range of what is encoded", (0, 206, b"\x00\x01"),
              (got.code, got.status, got.body))
        check(f"{mode}: no coding is asked for with it", False,
              b"accept-encoding" in server.heads[-1].lower())
        check(f"{mode}: a file", 0, ask(client, "GET", server.url, output_file=path).code)
        for method, target in (("HEAD", "/"), ("GET", "/none")):
            check(f"{mode}: {method} {target}", 0,
                  ask(client, method, server.url + target, output_file=path).code)
            with open(path, "rb") as file:
                check(f"{mode}: the file behind {method} {target}", b"hello", file.read())
    client.end()


# ---- who is asked, and how ---------------------------------------------------------------

def secure(mode, ca, pair):
    """A redirection from https to http: not followed, unless that is allowed, or the host
    has said that http is https."""
    def serve(server, peer, _number):
        while head := server.head(peer):
            if b"/strict" in head:
                answer(peer, fields="Strict-Transport-Security: max-age=1000\r\n")
            elif b"/away" in head:
                answer(peer, status="302 Found",
                       fields=f"Location: http://{server.other.host}/\r\n")
            elif b"/down" in head:
                answer(peer, status="302 Found",
                       fields=f"Location: http://{server.host}/there\r\n")
            else:
                answer(peer, b"authorized" if b"Authorization:" in head else b"anonymous")

    with Server(serve, pair) as server, Server(serve) as other:
        server.other = other
        client = Client(mode, hsts=1)
        call("client_add_ca_file", client.handle, ca)
        got = ask(client, "GET", server.url + "/away", basic=("user", "password"))
        check(f"{mode}: https to http", E_PERMISSION, got.code)
        check(f"{mode}: nobody was asked", 0, other.count)
        fetch = Fetch(client, "GET", server.url + "/away", basic=("user", "password"))
        call("fetch_allow_downgrade", fetch.handle, 1)
        got = fetch.send()
        check(f"{mode}: where that is allowed", (0, b"anonymous", 1),
              (got.code, got.body, other.count))
        fetch.end()
        got = ask(client, "GET", server.url + "/down")
        check(f"{mode}: to http of its own, at first", E_PERMISSION, got.code)
        check(f"{mode}: strict", 0, ask(client, "GET", server.url + "/strict").code)
        got = ask(client, "GET", server.url + "/down", basic=("user", "password"))
        check(f"{mode}: to http, which is https", (0, b"authorized", server.url + "/there"),
              (got.code, got.body, got.url))
        client.end()


def resumed(ca, pair):
    """A session that was agreed on while nobody was checked is not taken up once the server
    is to be checked, though its ticket comes late."""
    seen, holding, told = [], threading.Event(), threading.Event()

    def serve(server, peer, number):
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        if not hasattr(server, "shared"):
            context.load_cert_chain(*pair)
            server.shared = context
        secure = server.shared.wrap_bio(into, out, server_side=True)
        got, flights = b"", 0
        while not got.endswith(b"\r\n\r\n"):
            try:
                got += secure.read(1 << 16)
            except ssl.SSLWantReadError:
                pass
            if out.pending:
                flights += 1
                if flights == 2 and number == 1:
                    # The ticket, and the end of the handshake.
                    holding.set()
                    told.wait(PATIENCE)
                peer.sendall(out.read())
            if not got.endswith(b"\r\n\r\n"):
                into.write(peer.recv(1 << 16))
        seen.append(secure.session_reused)
        secure.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        peer.sendall(out.read())

    client = Client("worker")
    call("client_add_ca_file", client.handle, ca)
    call("client_set_verify", client.handle, 0, 0)
    with Server(serve) as server:
        url = f"https://localhost:{server.port}/"
        first = Fetch(client, "GET", url).start()
        check("a handshake is under way", True, holding.wait(PATIENCE))
        call("client_set_verify", client.handle, 1, 1)
        told.set()
        check("the first", 0, call("fetch_wait", first.handle, PATIENCE * 1000) - 1)
        first.end()
        for _ in range(2):
            got = ask(client, "GET", url)
            check("the others", (0, b"ok"), (got.code, got.body))
        check("taken up again", [False, False, True], seen)
    client.end()


def wrong(mode):
    """What was refused is not sent again."""
    def serve(server, peer, _number):
        while server.head(peer):
            answer(peer, status="401 Unauthorized",
                   fields='WWW-Authenticate: Basic realm="a"\r\n')

    client = Client(mode)
    with Server(serve) as server:
        got = ask(client, "GET", f"http://user:wrong@{server.host}/")
        check(f"{mode}: wrong credentials of a URL", (401, 1), (got.status, len(server.heads)))
        server.heads.clear()
        got = ask(client, "GET", server.url, credentials=("user", "wrong"))
        check(f"{mode}: wrong credentials for a challenge", (401, 2),
              (got.status, len(server.heads)))
    client.end()


def expecting(mode):
    """Expect for all fetches of a client."""
    def serve(server, peer, _number):
        head = server.head(peer)
        server.expects = b"Expect: 100-continue" in head
        peer.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        answer(peer, peer.recv(5))

    client = Client(mode, expect=1, keep_alive=0)
    with Server(serve) as server:
        got = ask(client, "POST", server.url, body=b"hello")
        check(f"{mode}: a client that expects", (True, b"hello"), (server.expects, got.body))
        ask(client, "POST", server.url, body=b"hello", expect=0)
        check(f"{mode}: a fetch that does not", False, server.expects)

    def refuse(server, peer, _number):
        """RFC 9110 section 10.1.1: the same without it, once."""
        if b"Expect:" not in server.head(peer):
            return answer(peer, b"".join(peer.recv(1) for _ in range(5)), server.status)
        answer(peer, b"no", "417 Expectation Failed")

    for status in ("200 OK", "417 Expectation Failed"):
        for options in ({"body": b"hello"}, {"source": [b"he", b"llo"], "source_length": 5}):
            with Server(refuse) as server:
                server.status = status
                got = ask(client, "POST", server.url, **options)
                check(f"{mode}: an expectation that is refused ({status}): {got.message}",
                      (int(status[:3]), b"hello", 2), (got.status, got.body, server.count))
    client.end()


def followed(mode, pair):
    """What nobody is to have is not waited for, where nothing can come behind it."""
    over = threading.Event()

    def serve(server, peer, number):
        if not server.head(peer).startswith(b"GET / "):
            return answer(peer)
        peer.sendall(b"HTTP/1.1 302 Found\r\nLocation: /x\r\n" + server.rest)
        if not server.ends:
            over.wait(PATIENCE)

    client = Client(mode)
    call("client_set_verify", client.handle, 0, 0)
    for what, rest, ends in (("without a length", b"\r\n", False),
                             ("to be closed", b"Content-Length: 9\r\nConnection: close\r\n\r\nab",
                              False),
                             ("cut by its end", b"Content-Length: 9\r\n\r\nab", True)):
        for secure in (None, pair):
            over.clear()
            with Server(serve, secure) as server:
                server.rest, server.ends = rest, ends
                got = ask(client, "GET", server.url)
                check(f"{mode}: a redirect {what}: {got.message}", (b"hello", 2),
                      (got.body, server.count))
                over.set()
    client.end()


def sourced(mode):
    """A source that has given all that it was to give need not say so: the connection is
    used again."""
    def serve(server, peer, _number):
        while b"Content-Length" in (head := server.head(peer)):
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            answer(peer, b"".join(peer.recv(1) for _ in range(length)))

    client = Client(mode)
    with Server(serve) as server:
        for pieces in ([b"0123456789"], [b"01234", b"56789"], []):
            whole = b"".join(pieces)
            got = ask(client, "POST", server.url, source=pieces, source_length=len(whole))
            check(f"{mode}: a source of {len(whole)}: {got.message}", whole, got.body)
        check(f"{mode}: its connections", 1, server.count)
    client.end()


def timed(mode):
    """The times are those of the last connection and of its answer."""
    def serve(server, peer, number):
        server.head(peer)
        if number == 1:
            return answer(peer, b"", "302 Found", "Location: /x\r\nConnection: close\r\n")
        peer.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        time.sleep(0.1)
        answer(peer)
        server.head(peer)
        answer(peer)

    client = Client(mode)
    with Server(serve) as server:
        times = []
        for _ in range(2):
            fetch = Fetch(client, "GET", server.url)
            response = apus.apus_fetch_send(fetch.handle)
            times.append([apus.apus_response_time_us(response, at) for at in range(5)])
            fetch.end()
        total, _, connected, _, first = times[0]
        check(f"{mode}: times {times[0]}", True, 0 <= connected <= first <= total)
        check(f"{mode}: an interim response is none {times[0]}", True, first >= 90_000)
        check(f"{mode}: a connection that stood {times[1]}", -12, times[1][2])
    client.end()


def long_paths(mode):
    """A cookie without a path has its request's, but for one that is too long to be kept."""
    def serve(server, peer, _number):
        server.head(peer)
        answer(peer, fields="Set-Cookie: a=b\r\nConnection: close\r\n")

    client = Client(mode, cookies=1)
    with Server(serve) as server:
        for length, wanted in ((1025, 0), (1000, 1)):
            ask(client, "GET", f"{server.url}/{'a' * length}/x")
            check(f"{mode}: cookies of a path of {length}", wanted,
                  apus.apus_client_cookie_count(client.handle))
    client.end()


def later(mode):
    """A fetch has what held as it was made."""
    def serve(server, peer, _number):
        answer(peer, server.head(peer), fields="Connection: close\r\n")

    client = Client(mode, bearer=b"first")
    with Server(serve) as server:
        client.set(base_url=server.url + "/old/", header=(b"X-Mine", b"old"))
        fetch = Fetch(client, "GET", "none")
        client.set(base_url=None)
        fetch.set(url="page")
        client.set(bearer=b"second", base_url="http://nowhere.invalid/", header=(b"X-Mine", b"new"))
        for _ in range(2):
            got = fetch.send().body
            check(f"{mode}: as it was {got}", [True] * 3, [part in got for part in (
                b"GET /old/page ", b"Bearer first\r\n", b"X-Mine: old\r\n")])
        fetch.end()
    client.end()


# ---- events ------------------------------------------------------------------------------

def events(mode):
    """Streams that end at once, and have nothing to say, are failures in a row."""
    def serve(server, peer, number):
        server.head(peer)
        text = "retry: 0\n\n"
        if number in server.with_event:
            text += "data: yes\n\n"
        peer.sendall(("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                      "Connection: close\r\n\r\n" + text).encode())

    client = Client(mode)
    with Server(serve) as server:
        server.with_event = {2}
        source = call("source_make", client.handle, server.url)
        call("source_set_retry", source, 1, 1, 3)
        call("source_open", source)
        got = []
        while True:
            data = ctypes.c_char_p()
            result = apus.apus_source_next(source, PATIENCE * 1000, None, None,
                                           ctypes.byref(data), None)
            if result != 1:
                break
            got.append(data.value)
        check(f"{mode}: the events", [b"yes"], got)
        check(f"{mode}: then it closes", E_CLOSED, result)
        check(f"{mode}: after one with an event, three more", 2 + 3, server.count)
        call("source_destroy", source)
    client.end()


def held_up_events(mode):
    """What waits to be taken is not forgotten when a stream begins anew: no more of them is
    read than may wait."""
    def serve(server, peer, number):
        server.head(peer)
        text = "retry: 0\n\n" + "data\n\n" * 5_000
        peer.sendall((f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                      f"Content-Length: {len(text)}\r\n\r\n{text}").encode())
        if number == 4:
            server.fourth.set()
        server.head(peer)

    client = Client(mode)
    with Server(serve) as server:
        server.fourth = threading.Event()
        source = call("source_make", client.handle, server.url)
        call("source_set_retry", source, 1, 1, -1)
        call("source_open", source)
        # One that holds itself up passes, be it as slow as it may.
        limit = time.monotonic() + 2
        while time.monotonic() < limit and not server.fourth.is_set():
            if mode == "worker":
                server.fourth.wait(0.1)
            else:
                call("client_tick", client.handle, 100)
        check(f"{mode}: streams that nobody takes", True, not server.fourth.is_set())
        taken = 0
        while taken < 20_000:
            if apus.apus_source_next(source, PATIENCE * 1000, None, None, None, None) != 1:
                break
            taken += 1
        check(f"{mode}: events that are taken", 20_000, taken)
        call("source_destroy", source)
    client.end()


def silent_events(mode):
    """A stream that says nothing for its time is connected anew."""
    def serve(server, peer, number):
        server.head(peer)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        if number >= 3:
            peer.sendall(b"data: here\n\n")
        peer.recv(1)

    client = Client(mode)
    with Server(serve) as server:
        source = call("source_make", client.handle, server.url)
        call("source_set_retry", source, 1, 1, -1)
        call("source_set_idle_timeout", source, 100)
        call("source_open", source)
        data = ctypes.c_char_p()
        result = apus.apus_source_next(source, PATIENCE * 1000, None, None, ctypes.byref(data),
                                       None)
        check(f"{mode}: an event of the third stream", (1, b"here"), (result, data.value))
        call("source_destroy", source)
    client.end()


def cookies(mode):
    """Neither taken nor sent, where nobody wants them."""
    def serve(server, peer, _number):
        while server.head(peer):
            answer(peer, fields="Set-Cookie: a=b\r\n")

    for wanted in (1, 0):
        client = Client(mode, cookies=wanted)
        with Server(serve) as server:
            for _ in range(2):
                ask(client, "GET", server.url)
            check(f"{mode}: cookies kept, {wanted}", wanted,
                  apus.apus_client_cookie_count(client.handle))
            check(f"{mode}: cookies sent, {wanted}", [False, wanted == 1],
                  [b"Cookie: a=b" in head for head in server.heads])
        client.end()


def queued(mode, folder):
    """A Unix socket whose queue is full: its server is behind, and comes to it."""
    path = os.path.join(folder, "full" + mode)
    crowd = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        while True:
            crowd.append(socket.socket(socket.AF_UNIX))
            crowd[-1].setblocking(False)
            try:
                crowd[-1].connect(path)
            except BlockingIOError:
                break

        def serve():
            for _ in crowd[:-1]:
                listener.accept()[0].close()
            with listener.accept()[0] as peer:
                peer.recv(10_000)
                answer(peer)
        client = Client(mode, unix_socket=path, connect_timeout=100)
        check(f"{mode}: a queue that stays full", E_TIMEOUT,
              ask(client, "GET", "http://server/").code)
        client.set(connect_timeout=PATIENCE * 1000)
        # Nobody sees that it tries; most likely it does when this begins.
        thread = threading.Timer(0.1, serve)
        thread.start()
        outcome = ask(client, "GET", "http://server/")
        check(f"{mode}: a queue that was full: {outcome.message}", b"hello", outcome.body)
        client.end()
        if outcome.code:
            socket.socket(socket.AF_UNIX).connect(path)
        thread.join()
    for each in crowd:
        each.close()


def main():
    with tempfile.TemporaryDirectory() as folder:
        made = Authority(os.path.join(folder, "ca"))
        ca, pair = made.certificate, made.make("server")
        for mode in MODES:
            kept(mode, ca, pair)
            retried(mode, ca, pair)
            early(mode, ca, pair)
            cut(mode)
            silent(mode)
            trickling(mode)
            whole(mode, folder)
            secure(mode, ca, pair)
            wrong(mode)
            expecting(mode)
            followed(mode, pair)
            sourced(mode)
            timed(mode)
            long_paths(mode)
            later(mode)
            ended_with_answer(mode)
            events(mode)
            held_up_events(mode)
            silent_events(mode)
            cookies(mode)
            queued(mode, folder)
        resumed(ca, pair)
    client = Client("worker")
    check("an address that is encoded", 0,
          apus.apus_fetch_make(client.handle, b"GET", b"http://%5B%3A%3A1%5D/"))
    check("is refused", E_ARGUMENT, apus.apus_last_error())
    client.end()
    check("handles left", 0, apus.apus_live_count(0))
    return report("fetch_edges_test")


sys.exit(main())
