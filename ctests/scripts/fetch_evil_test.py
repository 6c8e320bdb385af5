#!/usr/bin/env python3
"""The client against a server that breaks the rules: each case of data/responses.jsonl
(see data/README.md) said whole, in two pieces and byte by byte, with the code and the
sentence that are due, and then: the connection is closed and carried nothing more, and
a good request arrives on another one and is answered right. Then what has no end, what
is slow, and cookies.

APUS_SEED repeats a run; APUS_CASES=SL01,CK07 runs only these."""
# ctest: nosanitize timeout=300
import ctypes
import json
import os
import random
import re
import socket
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from apus_fetch import E_ARGUMENT, E_CLOSED, E_TIMEOUT, E_TOO_LARGE, Client, Fetch, Refused
from apus_fetch import PATIENCE, apus, call
from common import check, check_in, report, skipped
from evil_server import EvilServer, Play, joined

SEED = int(os.environ.get("APUS_SEED") or random.randrange(1 << 32))
ONLY = set((os.environ.get("APUS_CASES") or "").split(",")) - {""}
DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data")
WAYS = ("whole", "two", "bytes")
HOSTS = (("threadless", "blocking"), ("worker", "callbacks"), ("tick", "blocking"))
figures = {"cases": 0, "runs": 0}


def run(client, form, method, url, **options):
    fetch = Fetch(client, method, url, **options)
    try:
        return fetch.send() if form == "blocking" else fetch.tell(body=False).finish()
    finally:
        fetch.end()


def is_closed(client, connection):
    """Waits for it; a client without threads has to be turned meanwhile."""
    limit = time.monotonic() + PATIENCE
    while not connection.closed.wait(0.002) and time.monotonic() < limit:
        if client.mode == "threadless":
            call("client_tick", client.handle, 0)
    return connection.closed.is_set()


def name_of(code):
    return apus.apus_error_name(code).decode() if code else "OK"


class Case:
    def __init__(self, line):
        self.data = json.loads(line)
        self.id, self.expect = self.data["id"], self.data["expect"]
        self.bytes = joined(self.data["bytes"])

    def get(self, key, other=None):
        return self.data.get(key, other)

    def options(self):
        options = {"max_body": self.get("max_body")} if self.get("max_body") else {}
        if self.get("credentials"):
            options["credentials"] = ("user", "password")
        if self.get("expect100"):
            options.update(expect=1, body=b"the body")
        return options

    def due(self):
        """What is to come, in the form of what is made of an outcome."""
        if self.expect != "OK":
            return self.expect, self.get("message")
        if "body_count" in self.data:
            return "OK", self.get("body_count")
        return "OK", self.get("body", "hello").encode()

    def got(self, outcome):
        name = name_of(outcome.code)
        if name != "OK":
            return name, outcome.message if self.get("message") else None
        return "OK", len(outcome.body) if "body_count" in self.data else outcome.body


def attempt(server, client, form, case, way, unix):
    """One case in one way. The connection is closed before the good request is sent, so
    that what comes late cannot be its answer."""
    what = f"{case.id} {way}, {client.mode} ({case.get('note')})"
    figures["runs"] += 1
    server.play = Play(case.bytes, way, case.get("end", "stay"), case.get("replay", False),
                       seed=f"{SEED} {what}")
    url = "http://evil.example" if unix else server.url
    method = "POST" if case.get("expect100") else case.get("method", "GET")
    outcome = run(client, form, method, url + "/case", **case.options())
    check(what, case.due(), case.got(outcome))
    if case.get("status"):
        check(f"{what}: status", case.get("status"), outcome.status)
    bad = server.last()
    if case.get("later"):
        bad.peer.sendall(case.get("later").encode("latin-1"))
    reuses = case.get("reuse", False)
    if not reuses:
        check(f"{what}: the connection is closed", True, is_closed(client, bad))
    good = run(client, form, "GET", url + "/good")
    check(f"{what}: a good one behind it", (0, b"good"), (good.code, good.body))
    check(f"{what}: the same connection", reuses,
          good.value("X-Number") == str(bad.number))
    if not case.get("replay"):
        check(f"{what}: requests on it", 2 if reuses else 1, len(bad.requests))
    if case.get("expect100"):
        check(f"{what}: no body is sent", False, b"the body" in b"".join(bad.requests))


def cases(server):
    with open(os.path.join(DATA, "responses.jsonl"), encoding="ascii") as file:
        listed = [Case(line) for line in file]
    chosen = [case for case in listed if not ONLY or case.id in ONLY]
    figures["cases"] = len(chosen)
    for mode, form in HOSTS:
        start = time.monotonic()
        client, paced = Client(mode), Client(mode)
        paced.set(unix_socket=server.path)
        for case in chosen:
            for way in WAYS:
                # Over TCP the kernel may join what was sent in pieces.
                unix = way != "whole" and case.get("end") != "reset"
                attempt(server, paced if unix else client, form, case, way, unix)
        check(f"{mode}: the clients end", (1, 1), (client.end(), paced.end()))
        print(f"cases, {mode}: {time.monotonic() - start:.1f} s", flush=True)


# ---- what has no end

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS = [  # what it starts with, what comes over and over, the code, the sentence
    ("a head", OK, b"A: b\r\n", E_TOO_LARGE, "too many fields"),
    ("a field", OK + b"A: ", b"b" * 1000, E_TOO_LARGE, "head is too long"),
    ("a field's name", OK, b"b" * 1000, E_TOO_LARGE, "head is too long"),
    ("a reason", b"HTTP/1.1 200 ", b"b" * 1000, E_TOO_LARGE, "head is too long"),
    ("interim responses", b"", b"HTTP/1.1 103 X\r\n\r\n", E_TOO_LARGE, "too many interim"),
    ("100", b"", b"HTTP/1.1 100 Continue\r\n\r\n", E_TOO_LARGE, "too many interim"),
    ("a body", OK + b"\r\n", b"b" * 10_000, E_TOO_LARGE, "longer than its limit"),
    ("a long body", OK + b"Content-Length: 9223372036854775807\r\n\r\n", b"b" * 10_000,
     E_TOO_LARGE, "longer than its limit"),
    ("chunks", CHUNKED, b"3e8\r\n" + b"b" * 1000 + b"\r\n", E_TOO_LARGE, "longer than its limit"),
    ("chunks of a byte", CHUNKED, b"1\r\nb\r\n" * 100, E_TOO_LARGE, "longer than its limit"),
    ("a chunk", CHUNKED + b"7fffffffffffff\r\n", b"b" * 1000, E_TOO_LARGE,
     "longer than its limit"),
    ("zeros of a size", CHUNKED, b"0" * 100, -9, "size is too long"),
    ("an extension", CHUNKED + b"1;a=", b"b" * 1000, -9, "extensions are too long"),
    ("trailer fields", CHUNKED + b"0\r\n", b"A: b\r\n", E_TOO_LARGE, "too many trailer fields"),
    ("a trailer field", CHUNKED + b"0\r\nA: ", b"b" * 1000, E_TOO_LARGE, "trailer section"),
    ("gzip", OK + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\xff",
     b"\0\xe8\x03\x17\xfc" + b"b" * 1000, E_TOO_LARGE, "longer than its limit"),
    ("empty blocks of gzip", OK + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\xff",
     b"\0\0\0\xff\xff" * 2000, E_TIMEOUT, "time limit"),
]


def resident():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1)) * 1024


def endless(server):
    client = Client("worker")
    before = resident()
    for what, start, again, code, text in ENDLESS:
        def act(connection):
            connection.peer.sendall(start)
            while True:
                connection.peer.sendall(again)
        server.play = Play(act=act)
        limits = {"total_timeout": 500} if code == E_TIMEOUT else {}
        outcome = run(client, "blocking", "GET", server.url + "/case", max_body=1_000_000,
                      **limits)
        check(f"endless: {what}", code, outcome.code)
        check_in(f"endless: {what}", text, outcome.message)
        check(f"endless: {what}: closed", True, is_closed(client, server.last()))
    check("endless: memory", True, resident() - before < 32 << 20)
    check("endless: the client ends", 1, client.end())


# ---- what a server says as it gives up a connection that is used again

GIVEN_UP = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def stale(server):
    """Before the next request, which it is no answer to; and as that is under way, when
    only what may be repeated is."""
    def act(connection):
        answer = OK + b"Content-Length: 5\r\n\r\nhello"
        connection.peer.sendall(answer if len(connection.requests) == 1 else GIVEN_UP)
    for mode, form in HOSTS:
        for method in ("GET", "POST"):
            client = Client(mode)
            server.play = Play(OK + b"Content-Length: 5\r\n\r\nhello")
            first = run(client, form, method, server.url + "/case")
            server.last().peer.sendall(GIVEN_UP)
            second = run(client, form, method, server.url + "/good")
            check(f"stale: before {method}, {mode}", (b"hello", 0, b"good"),
                  (first.body, second.code, second.body))
            server.play = Play(act=act, replay=True)
            first = run(client, form, method, server.url + "/case")
            second = run(client, form, method, server.url + "/case")
            check(f"stale: at {method}, {mode}", (200, 200 if method == "GET" else 408),
                  (first.status, second.status))
            client.end()


# ---- what is slow

def slowly(connection, start, again):
    """Until the client closes. Of interim responses there may be 16."""
    every = 0.1 if again.startswith(b"HTTP/1.1 1") else 0.02
    connection.peer.sendall(start)
    while not connection.readable():
        if again:
            connection.peer.sendall(again)
        time.sleep(every)


def slow(server):
    head = OK + b"Content-Length: 1000000\r\n\r\n"
    upload = {"body": bytes(32 << 20), "method": "POST"}
    for what, start, again, limits, text in (
            ("silence", b"", b"", {"response_timeout": 200}, "did not answer in time"),
            ("a stalled body", head, b"", {"idle_timeout": 200}, "stopped coming"),
            ("a stalled head", OK, b"", {"total_timeout": 300}, "time limit"),
            ("a stalled head", OK, b"", {"response_timeout": 200}, "did not answer in time"),
            ("a head byte by byte", b"HTTP/1.1 200 ", b"x", {"total_timeout": 300}, "time limit"),
            ("a body byte by byte", head, b"x", {"total_timeout": 2500, "idle_timeout": 1500},
             "time limit"),
            ("a head byte by byte", b"HTTP/1.1 200 ", b"x", {"response_timeout": 200},
             "did not answer in time"),
            ("interim responses", b"", b"HTTP/1.1 103 X\r\n\r\n", {"total_timeout": 250},
             "time limit"),
            ("chunks", CHUNKED, b"1\r\nx\r\n", {"total_timeout": 300}, "time limit"),
            ("a reader", None, b"", {"idle_timeout": 300, **upload}, "did not answer in time")):
        limits = dict(limits)
        method = limits.pop("method", "GET")

        def act(connection):
            if start is None:
                time.sleep(0.8)
                connection.close(True)
            else:
                slowly(connection, start, again)
        for mode, form in HOSTS:
            client = Client(mode)
            server.play = Play(act=act)
            outcome = run(client, form, method, server.url + "/case", **limits)
            check(f"slow: {what}, {mode}", E_TIMEOUT, outcome.code)
            check_in(f"slow: {what}, {mode}", text, outcome.message)
            check(f"slow: {what}, {mode}: closed", True, is_closed(client, server.last()))
            client.end()
    unanswered()


def unanswered():
    """Nobody takes the connection: the queue of the listener is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        peers = [socket.socket() for _ in range(8)]
        for peer in peers:
            peer.setblocking(False)
            peer.connect_ex(address)
        client = Client("worker")
        outcome = run(client, "blocking", "GET", "http://127.0.0.1:%d/" % address[1],
                      connect_timeout=300)
        check("slow: no connection", E_TIMEOUT, outcome.code)
        client.end()
        for peer in peers:
            peer.close()


# ---- cookies

SUFFIXES = "/usr/share/publicsuffix/public_suffix_list.dat"
LISTED = {"www.example.co.uk", "a.b.kobe.jp", "me.github.io"}  # their suffixes have a dot
LONGEST = "a=" + "b" * 4095
COOKIES = [  # the host, what it sets, the names that are kept
    ("www.example.com", ["a=1"], "a"),
    ("www.example.com", ["a=1; Domain=example.com", "b=1; Domain=.example.com"], "ab"),
    ("www.example.com", ["a=1; Domain=com", "b=1; Domain=.com", "c=1; Domain=COM."], ""),
    ("www.example.co.uk", ["a=1; Domain=co.uk", "b=1; Domain=uk"], ""),
    ("a.b.kobe.jp", ["a=1; Domain=b.kobe.jp", "b=1; Domain=kobe.jp"], "b"),  # *.kobe.jp
    ("me.github.io", ["a=1; Domain=github.io", "b=1; Domain=me.github.io"], "b"),
    ("www.example.com", ["a=1; Domain=other.com", "b=1; Domain=xample.com"], ""),
    ("www.example.com", ["a=1; Domain=a.www.example.com", "b=1; Domain=ww.example.com"], ""),
    ("127.0.0.1", ["a=1; Domain=0.0.1", "b=1; Domain=127.0.0.1", "c=1; Domain=1"], "b"),
    ("www.example.com", ["a=1; Secure", "b=1; secure; Path=/"], ""),
    ("www.example.com", ["__Secure-a=1; Secure", "__Secure-b=1", "__SECURE-c=1"], ""),
    ("www.example.com", ["__Host-a=1; Secure; Path=/", "__Host-b=1; Path=/", "__host-c=1"], ""),
    ("www.example.com", ["=__Host-a=1; Path=/", "__Secure-", "=__secure-b"], ""),
    ("www.example.com", [LONGEST, LONGEST + "b", "b=1; x=" + "y" * 2000], "ab"),
    ("www.example.com", ["a=1; Max-Age=0", "b=1; Max-Age=-5", "c=1; Max-Age=9"], "c"),
    ("www.example.com", ["a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "b=1; Expires=x"], "b"),
    ("www.example.com", ["a=1; Path=/deep", "b=1; Path=relative"], "ab"),
    ("www.example.com", ["a=1; Domain=", "b=1; Domain; Path", "c=1;;; ;"], "abc"),
    ("www.example.com", ["a=1\t2", "b = 1 ", "c=\xe9"], "bc"),
    ("www.example.com", ["", "=", ";", "; Path=/"], ""),
]


def kept(client):
    """The names in the jar, and their domains."""
    lines = []
    buffer = ctypes.create_string_buffer(8192)
    for index in range(call("client_cookie_count", client.handle)):
        call("client_cookie_at", client.handle, index, buffer, len(buffer))
        lines.append(buffer.value.decode("latin-1").rstrip("\n").split("\t"))
    return lines


def set_cookies(server, client, host, values):
    server.play = Play(OK + b"".join(b"Set-Cookie: %s\r\n" % value.encode("latin-1")
                                     for value in values) + b"Content-Length: 0\r\n\r\n",
                       replay=True)
    return run(client, "blocking", "GET", f"http://{host}/case")


def cookies(server):
    client = Client("threadless")
    client.set(unix_socket=server.path)
    for host, values, names in COOKIES:
        if host in LISTED and not os.path.exists(SUFFIXES):
            skipped.append("the system's list of public suffixes")
            continue
        outcome = set_cookies(server, client, host, values)
        check(f"cookies: {values}: taken", 0, outcome.code)
        check(f"cookies: {values} from {host}", names,
              "".join(sorted(line[5] for line in kept(client))))
        call("client_clear_cookies", client.handle)
    set_cookies(server, client, "www.example.com", [f"a{number}=1" for number in range(51)])
    names = {line[5] for line in kept(client)}
    check("cookies: 51 in one response", 50, len(names))
    check("cookies: not the last of them", False, "a50" in names)
    for number in range(70):
        set_cookies(server, client, f"h{number}.example", [f"a{each}=1" for each in range(50)])
    check("cookies: of many hosts", 3000, call("client_cookie_count", client.handle))
    call("client_clear_cookies", client.handle)
    secure(server, client)
    check("cookies: the client ends", 1, client.end())


def secure(server, client):
    """What only https may set goes to no http server, and is not replaced by one."""
    for text in ("__Host-a=1; Secure; Path=/", "__Secure-b=1; Secure", "c=1; Secure"):
        call("client_add_cookie", client.handle, "https://www.example.com/", text)
    for text in ("__Host-d=1; Secure", "__Host-d=1; Path=/", "__Secure-d=1", "d=1; Domain=com",
                 "__Host-d=1; Secure; Path=/; Domain=www.example.com"):
        try:
            call("client_add_cookie", client.handle, "https://www.example.com/", text)
            check(f"cookies: {text} is refused", True, False)
        except Refused as refused:
            check(f"cookies: {text} is refused", E_ARGUMENT, refused.code)
    set_cookies(server, client, "www.example.com", ["c=evil", "c=evil; Domain=example.com"])
    values = {line[5]: line[6] for line in kept(client)}
    check("cookies: http replaces none of https", {"__Host-a": "1", "__Secure-b": "1", "c": "1"},
          values)
    run(client, "blocking", "GET", "http://www.example.com/case")
    heads = b"".join(b"".join(each.requests) for each in server.connections)
    check("cookies: none of https is sent", False,
          any(word in heads for word in (b"__Host-a", b"__Secure-b", b"c=1")))


def main():
    print("seed", SEED, flush=True)
    with tempfile.TemporaryDirectory(prefix="apus-") as folder:
        server = EvilServer(folder)
        try:
            cases(server)
            if not ONLY:
                endless(server)
                stale(server)
                slow(server)
                cookies(server)
        finally:
            server.end()
    check("no handle is left", 0, apus.apus_live_count(0))
    print(f"cases {figures['cases']}, runs of them {figures['runs']}, endless {len(ENDLESS)}, "
          f"cookies {len(COOKIES)}")
    return report("fetch_evil_test")


if __name__ == "__main__":
    sys.exit(main())
