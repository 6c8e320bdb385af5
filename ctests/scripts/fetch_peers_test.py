#!/usr/bin/env python3
"""Fetches against servers that nobody here wrote: nginx, Python's http.server, aiohttp,
node, and httpbin by two servers; blocking and by callbacks, in each dispatch."""
# ctest: nosanitize timeout=300
import hashlib
import itertools
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fetch_features
import fetch_servers
from apus_fetch import E_CLOSED, E_TOO_LARGE, PATIENCE, Client, Fetch, apus
from common import Loop, check, check_in, report, skipped
from fetch_servers import FIELDS, stuff

MODES = ("worker", "tick", "threadless")
FORMS = ("blocking", "callbacks")
LARGE = 16 << 20


def digest(data):
    return hashlib.sha256(data).hexdigest()


def pieces(data, size=30_000):
    return [data[at:at + size] for at in range(0, len(data), size)]


# ---- what each server can answer

def verbs(name, ask, url):
    for method, body in (("GET", None), ("POST", b"a=b"), ("PUT", stuff(100_000)),
                         ("PATCH", b"\x00\xff"), ("DELETE", None), ("OPTIONS", None),
                         ("PURGE", None), ("POST", b""), ("DELETE", b"with a body")):
        options = {} if body is None else {"body": (body, "text/x-test")}
        headers = [("X-One", "1"), ("x-many", "a"), ("X-Two", "2"), ("X-Many", "b"),
                   ("X-Tab", "a\tb"), ("X-Latin", "é"), ("X-Empty", "")]
        outcome = ask(method, url + "/seen?q=%20a", add_header=headers,
                      add_query=[("n", "a b&c=d"), ("é", "%")], **options)
        what = f"{name}: {method}{'' if body is None else f' of {len(body)}'}"
        check(f"{what}: status", (0, 200, "OK"), (outcome.code, outcome.status, outcome.reason))
        if outcome.code:
            print("     ", outcome)
            continue
        seen = json.loads(outcome.body)
        fields = [tuple(pair) for pair in seen["fields"]]
        check(f"{what}: method", method, seen["method"])
        check(f"{what}: target", "/seen?q=%20a&n=a%20b%26c%3Dd&%C3%A9=%25",
              seen["target"].replace("+", "%20"))
        own = [(field, value) for field, value in fields if field.lower().startswith("x-")]
        latin = [(field, value.encode().decode("latin-1")) for field, value in headers]
        check(f"{what}: fields in order", latin, own)
        check(f"{what}: body", (len(body or b""), digest(body or b"")),
              (seen["length"], seen["digest"]))
        lengths = [value for field, value in fields if field.lower() == "content-length"]
        expected = [str(len(body))] if body is not None else \
            (["0"] if method in ("POST", "PUT", "PATCH") else [])
        check(f"{what}: Content-Length", expected, lengths)
        kinds = [value for field, value in fields if field.lower() == "content-type"]
        check(f"{what}: Content-Type", [] if body is None else ["text/x-test"], kinds)
        hosts = [value for field, value in fields if field.lower() == "host"]
        check(f"{what}: Host", [url.partition("//")[2]], hosts)


def heads(name, ask, peer):
    outcome = ask("HEAD", peer.url + "/bytes/1000")
    check(f"{name}: HEAD", (0, 200, b"", 0), (outcome.code, outcome.status, outcome.body,
                                              outcome.body_bytes))
    check(f"{name}: HEAD's Content-Length", 1000, outcome.length)
    outcome = ask("GET", peer.url + "/fields")
    check(f"{name}: fields in order", FIELDS,
          [pair for pair in outcome.headers if pair[0].startswith("X-") and pair[0] != "X-Port"])
    check(f"{name}: address", ("127.0.0.1", peer.port), (outcome.address, outcome.port))
    check(f"{name}: version", peer.version, outcome.version)
    check(f"{name}: URL", peer.url + "/fields", outcome.url)
    for status in (200, 201, 204, 206, 304, 404, 418, 500, 503, 599):
        outcome = ask("GET", f"{peer.url}/status/{status}")
        check(f"{name}: {status}", (0, status), (outcome.code, outcome.status))
        if status in (204, 304):
            check(f"{name}: {status} has no body", (b"", 0), (outcome.body, outcome.body_bytes))


def bodies(name, ask, peer, sizes):
    for size in sizes:
        data = stuff(size)
        outcome = ask("POST", peer.url + "/echo", body=data)
        check(f"{name}: {size} by length", True, outcome.body == data)
        check(f"{name}: {size}: its length", size, outcome.length)
        outcome = ask("POST", peer.url + "/chunked", source=pieces(data))
        check(f"{name}: {size} in chunks", True, outcome.body == data)
        check(f"{name}: {size}: counted", size, outcome.body_bytes)
        if peer.version == 11:
            check(f"{name}: {size}: no length", -12, outcome.length)
            check(f"{name}: {size}: trailers", [("X-Sum", digest(data)), ("X-Two", "1"),
                                                ("X-Two", "2")] if peer.trailers else [],
                  outcome.trailers)
        outcome = ask("PUT", peer.url + "/echo", source=pieces(data), source_length=size)
        check(f"{name}: {size} of a known length, from a source", True, outcome.body == data)
    # A server of HTTP/1.0 does not answer that, which takes a second.
    if peer.version == 10 and "worker, blocking" not in name:
        return
    outcome = ask("POST", peer.url + "/echo", body=stuff(70_000), expect=1)
    check(f"{name}: after 100 (Continue)", True, outcome.body == stuff(70_000))
    outcome = ask("POST", peer.url + "/echo", source=pieces(stuff(70_000)), expect=1)
    check(f"{name}: in chunks after 100", True, outcome.body == stuff(70_000))


def connections(name, ask, peer):
    ports = {ask("GET", peer.url + "/seen").value("X-Port") for _ in range(10)}
    check(f"{name}: ten GETs over one connection", 1 if peer.version == 11 else 10, len(ports))
    outcome = ask("GET", peer.url + "/close")
    check(f"{name}: Connection: close", b"bye", outcome.body)
    after = ask("GET", peer.url + "/seen").value("X-Port")
    check(f"{name}: another one after it", True, after != outcome.value("X-Port"))
    for method in ("HEAD", "GET"):
        outcome = ask(method, peer.url + "/status/304")
        after = ask("GET", peer.url + "/seen").value("X-Port")
        check(f"{name}: the same after 304 to {method}", peer.version == 11,
              after == outcome.value("X-Port"))


def files(name, ask, peer, folder):
    source, target = os.path.join(folder, "up"), os.path.join(folder, "down")
    for size in (0, 1, 3_000_000):
        with open(source, "wb") as file:
            file.write(stuff(size))
        outcome = ask("PUT", peer.url + "/echo", body_file=(source, None), output_file=target)
        check(f"{name}: a file of {size}", (0, 200, size), (outcome.code, outcome.status,
                                                            outcome.body_bytes))
        with open(target, "rb") as file:
            check(f"{name}: the file of {size} that came", True, file.read() == stuff(size))
        os.unlink(target)
    outcome = ask("GET", peer.url + "/status/404", output_file=target)
    check(f"{name}: no file of a 404", (404, False), (outcome.status, os.path.exists(target)))


def limits(name, client, form, peer):
    """Bodies without end: a cap, a cancel, a pause."""
    if form == "blocking":
        outcome = client.ask(form, "GET", peer.url + "/endless", max_body=1_000_000)
        check(f"{name}: an endless body has a cap", E_TOO_LARGE, outcome.code)
        outcome = client.ask(form, "GET", peer.url + "/bytes/1000", max_body=1000)
        check(f"{name}: at the cap", 1000, len(outcome.body))
        outcome = client.ask(form, "GET", peer.url + "/bytes/1001", max_body=1000)
        check(f"{name}: past the cap", E_TOO_LARGE, outcome.code)
        return
    fetch = Fetch(client, "GET", peer.url + "/endless")
    fetch.cancel_at = 300_000
    outcome = fetch.tell().finish()
    check(f"{name}: an endless body is cancelled", E_CLOSED, outcome.code)
    check_in(f"{name}: and says so", "cancelled", outcome.message)
    fetch.end()
    # Reading pauses while 256 KiB and more wait for the thread that ticks: here as the
    # last byte has come. The end comes all the same, and the connection serves on.
    for _ in range(2):
        fetch = Fetch(client, "GET", f"{peer.url}/bytes/{(256 << 10) + 1}").tell()
        if client.mode == "tick":
            check(f"{name}: an end without a tick", 1,
                  apus.apus_fetch_wait(fetch.handle, PATIENCE * 1000))
        outcome = fetch.finish()
        check(f"{name}: all of it", True, outcome.body == stuff((256 << 10) + 1))
        fetch.end()
    size = 6_000_000
    fetch = Fetch(client, "GET", f"{peer.url}/flow/{size}")
    fetch.pause_at = 50_000
    fetch.tell()
    check(f"{name}: it pauses", True, client.drive(fetch.moved))
    check(f"{name}: it has not ended", False, fetch.done.is_set())
    apus.apus_fetch_resume(fetch.handle)
    outcome = fetch.finish()
    check(f"{name}: it goes on", True, outcome.body == stuff(size))
    fetch.end()


def cookies(name, client, form, peer):
    apus.apus_client_clear_cookies(client.handle)
    url = peer.url + "/cookies"
    got = [client.ask(form, "GET", url).body, client.ask(form, "GET", url + "?n=2").body,
           client.ask(form, "GET", url).body, client.ask(form, "GET", url + "/deep").body]
    check(f"{name}: cookies", [b"none", b"n=1", b"n=2", b"deep=1; n=1"], got)
    own = client.ask(form, "GET", url, add_header=[("Cookie", "own=1")])
    check(f"{name}: a Cookie of its own", b"own=1", own.body)
    check(f"{name}: how many", 2, apus.apus_client_cookie_count(client.handle))


def many(name, client, peer):
    """64 at once over 8 connections at most."""
    client.set(max_connections=(8, 100, 1000))
    fetches = [Fetch(client, "POST", peer.url + "/echo", body=b"%d" % number)
               for number in range(64)]
    for fetch in fetches:
        fetch.tell()
    outcomes = [fetch.finish() for fetch in fetches]
    check(f"{name}: 64 at once", [b"%d" % number for number in range(64)],
          [outcome.body for outcome in outcomes])
    if peer.version == 11:
        ports = {outcome.value("X-Port") for outcome in outcomes}
        check(f"{name}: over 8 connections", True, len(ports) <= 8)
    for fetch in fetches:
        fetch.end()
    client.set(max_connections=(64, 512, 10_000))


def common(client, form, peer, folder):
    """What all can do."""
    name = f"{peer.name}, {client.mode}, {form}"
    both = (("worker", "blocking"), ("tick", "callbacks"))
    large = [LARGE] if (client.mode, form) in both else []

    def ask(method, url, **options):
        return client.ask(form, method, url, **options)
    verbs(name, ask, peer.url)
    heads(name, ask, peer)
    bodies(name, ask, peer, [0, 1, 1000, 65_536, 1_000_001] + large)
    connections(name, ask, peer)
    files(name, ask, peer, folder)
    limits(name, client, form, peer)
    cookies(name, client, form, peer)
    if form == "callbacks":
        many(name, client, peer)


# ---- what only some have

def sockets(client, form, aiohttp, nginx):
    """Other ways to a server: [::1], localhost, Unix sockets."""
    name = f"{client.mode}, {form}"
    if aiohttp and aiohttp.has_ipv6:
        outcome = client.ask(form, "GET", f"http://[::1]:{aiohttp.port}/seen")
        check(f"{name}: [::1]", (200, "::1", aiohttp.port),
              (outcome.status, outcome.address, outcome.port))
        hosts = [v for n, v in json.loads(outcome.body)["fields"] if n.lower() == "host"]
        check(f"{name}: [::1]: Host", [f"[::1]:{aiohttp.port}"], hosts)
    for peer in (aiohttp, nginx):
        if not peer:
            continue
        path = "/seen" if peer is aiohttp else "/hello"
        outcome = client.ask(form, "GET", f"http://localhost:{peer.port}{path}")
        check(f"{name}, {peer.name}: localhost", 200, outcome.status)
        client.set(unix_socket=peer.path)
        outcomes = [client.ask(form, "GET", "http://any.example:99" + path) for _ in range(3)]
        check(f"{name}, {peer.name}: Unix socket", [(200, 0)] * 3,
              [(outcome.status, outcome.port) for outcome in outcomes])
        # nginx closes a connection now and then.
        check(f"{name}, {peer.name}: Unix socket, one connection", True,
              len({outcome.value("X-Port") for outcome in outcomes}) <= 1 + (peer is nginx))
        client.set(unix_socket=None)


def served_by_nginx(client, form, nginx, folder):
    name, url = f"nginx, {client.mode}, {form}", nginx.url

    def ask(method, path, **options):
        return client.ask(form, method, url + path, **options)
    ports = [ask("GET", "/hello").value("X-Port") for _ in range(12)]
    # The first of them may have been used before.
    runs = [len(list(group)) for _, group in itertools.groupby(ports)]
    check(f"{name}: four requests on each connection", [4] * len(runs[1:-1]), runs[1:-1])
    check(f"{name}: connections", True, len(runs) == len(set(ports)) and len(runs) <= 4)
    outcome = ask("PUT", "/files/a/b.bin", body=stuff(2_000_000))
    check(f"{name}: PUT", 201, outcome.status)
    outcome = ask("PUT", "/files/a/b.bin", source=pieces(stuff(3_000_000)))
    check(f"{name}: PUT in chunks", 204, outcome.status)
    outcome = ask("GET", "/files/a/b.bin")
    check(f"{name}: GET", True, outcome.body == stuff(3_000_000))
    outcome = ask("GET", "/files/a/b.bin", add_header=[("Range", "bytes=100-299")])
    check(f"{name}: a range", (206, True), (outcome.status, outcome.body == stuff(300)[100:]))
    tag = outcome.value("ETag")
    outcome = ask("GET", "/files/a/b.bin", add_header=[("If-None-Match", tag)])
    check(f"{name}: 304", (0, 304, b""), (outcome.code, outcome.status, outcome.body))
    outcome = ask("HEAD", "/files/a/b.bin")
    check(f"{name}: HEAD", (200, 3_000_000, b""), (outcome.status, outcome.length, outcome.body))
    target = os.path.join(folder, "got")
    outcome = ask("GET", "/files/a/b.bin", output_file=target)
    check(f"{name}: to a file", 3_000_000, os.path.getsize(target))
    check(f"{name}: DELETE", 204, ask("DELETE", "/files/a/b.bin").status)
    check(f"{name}: gone", 404, ask("GET", "/files/a/b.bin").status)
    check(f"{name}: 405", 405, ask("POST", "/files/secret", body=b"a").status)
    data = stuff(1_000_000)
    outcome = ask("POST", "/app/chunked", source=pieces(data), expect=1)
    check(f"{name}: chunks both ways through its proxy", True, outcome.body == data)
    outcome = ask("POST", "/app/echo", body=data, expect=1)
    check(f"{name}: lengths through its proxy", (True, len(data)),
          (outcome.body == data, outcome.length))


def served_by_httpbin(client, form, peer):
    name = f"{peer.name}, {client.mode}, {form}"

    def ask(method, path, **options):
        return client.ask(form, method, peer.url + path, **options)
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        body = {} if method == "GET" else {"body": ('{"a": [1, "é"]}'.encode(),
                                                    "application/json")}
        outcome = ask(method, "/anything/a%20b", add_query=[("x", "1"), ("x", "2")], **body)
        got = json.loads(outcome.body) if outcome.code == 0 else {}
        check(f"{name}: {method}", (method, {"x": ["1", "2"]}, {"a": [1, "é"]} if body else None),
              (got.get("method"), got.get("args"), got.get("json")))
    for status in (200, 204, 304, 404, 500):
        check(f"{name}: status {status}", status, ask("GET", f"/status/{status}").status)
    outcome = ask("GET", "/response-headers?X-A=1&X-A=2")
    check(f"{name}: response-headers", ["1", "2"], outcome.values("X-A"))
    outcome = ask("GET", "/bytes/5000?seed=1")
    check(f"{name}: bytes", 5000, len(outcome.body))
    outcome = ask("GET", "/stream/20")
    check(f"{name}: stream", list(range(20)),
          [json.loads(line)["id"] for line in outcome.body.splitlines()])
    outcome = ask("GET", "/stream-bytes/90000?seed=1&chunk_size=700")
    check(f"{name}: stream-bytes", 90_000, len(outcome.body))
    outcome = ask("GET", "/drip?duration=0&numbytes=50&delay=0")
    check(f"{name}: drip", b"*" * 50, outcome.body)
    outcome = ask("GET", "/range/1024", add_header=[("Range", "bytes=1-3")])
    check(f"{name}: range", (206, b"bcd"), (outcome.status, outcome.body))
    outcome = ask("GET", "/encoding/utf8")
    check_in(f"{name}: UTF-8", "∮ E⋅da = Q", outcome.body.decode(errors="replace"))
    outcome = ask("GET", "/headers", add_header=[("X-Own", "own")])
    check_in(f"{name}: User-Agent", "apus", json.dumps(json.loads(outcome.body)).lower())


# ---- all of it

def peers_in(loop, folder):
    peers = [fetch_servers.HTTPServer(11), fetch_servers.HTTPServer(10)]
    if fetch_servers.web:
        peers.append(fetch_servers.Aiohttp(loop, folder))
    else:
        skipped.append("aiohttp")
    if fetch_servers.shutil.which("node"):
        peers.append(fetch_servers.Node())
    else:
        skipped.append("node")
    return peers


def others_in(folder, app):
    nginx, bins = None, []
    if fetch_servers.find_nginx() and app:
        nginx = fetch_servers.Nginx(folder, app.port)
    else:
        skipped.append("nginx")
    try:
        bins = [fetch_servers.Httpbin(by) for by in ("werkzeug", "wsgiref")]
    except ImportError:
        skipped.append("httpbin")
    return nginx, bins


def talk(mode, peers, nginx, bins, folder):
    app = next((peer for peer in peers if peer.name == "aiohttp"), None)
    client = Client(mode)
    for form in FORMS:
        for peer in peers:
            start = time.monotonic()
            common(client, form, peer, folder)
            sockets(client, form, app, nginx)
        if nginx:
            served_by_nginx(client, form, nginx, folder)
        for peer in bins:
            served_by_httpbin(client, form, peer)
        fetch_features.run(client, form, peers, nginx, bins, folder)
    check(f"{mode}: the client ends", 1, client.end())
    limit = time.monotonic() + 20
    while client.drops < client.given and time.monotonic() < limit:
        threading.Event().wait(0.005)
    check(f"{mode}: each context was dropped", client.given, client.drops)


def main():
    loop = Loop()
    started = []
    with fetch_servers.folder() as folder:
        try:
            peers = peers_in(loop, folder)
            started += peers
            app = next((peer for peer in peers if peer.name == "aiohttp"), None)
            nginx, bins = others_in(folder, app)
            started += bins + ([nginx] if nginx else [])
            for mode in MODES:
                start = time.monotonic()
                talk(mode, peers, nginx, bins, folder)
                print(f"{mode}: {time.monotonic() - start:.1f} s", flush=True)
        finally:
            for peer in reversed(started):
                peer.end()
            loop.stop()
    check("no handle is left", 0, apus.apus_live_count(0))
    return report("fetch_peers_test")


if __name__ == "__main__":
    sys.exit(main())
