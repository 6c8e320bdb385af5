"""What fetches do beyond one request: redirections, decoding, credentials, forms,
proxies. A part of fetch_peers_test.py."""
import json
import os
import urllib.parse

import fetch_proxies
from apus_fetch import E_ARGUMENT, E_IO, E_PERMISSION, E_PROTOCOL, E_STATE, E_TOO_LARGE
from apus_fetch import E_UNSUPPORTED, Fetch, apus
from common import check, check_in
from fetch_servers import stuff

CODES = (301, 302, 303, 307, 308)


def to(url, code, target):
    return f"{url}/to/{code}?to=" + urllib.parse.quote(target, safe="")


def fields_of(outcome):
    """The names of the fields that a server saw, and their values."""
    if outcome.code or outcome.status != 200:
        return {"failed": repr(outcome)}
    return {name.lower(): value for name, value in json.loads(outcome.body)["fields"]}


def method_after(code, method):
    if code in (301, 302):
        return "GET" if method == "POST" else method
    return "GET" if code == 303 and method != "HEAD" else method


# ---- redirections

def redirections(name, client, ask, app, other):
    for code in CODES:
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
            body = {"body": (b"the body", "text/x-test")} if method[0] == "P" else {}
            outcome = ask(method, to(app.url, code, "/seen?a=b"), **body)
            what = f"{name}: {code} of {method}"
            check(what, (0, 200, 1, app.url + "/seen?a=b"),
                  (outcome.code, outcome.status, outcome.redirects, outcome.url))
            if method == "HEAD" or outcome.code:
                continue
            seen, fields = json.loads(outcome.body), fields_of(outcome)
            keeps = bool(body) and method_after(code, method) == method
            check(f"{what}: method and body", (method_after(code, method), 8 if keeps else 0),
                  (seen["method"], seen["length"]))
            check(f"{what}: Content-Type", "text/x-test" if keeps else None,
                  fields.get("content-type"))
    # From /to/302, so that a relative one is below /to/.
    for location in ("/seen", "../seen", "//127.0.0.1:%d/seen" % app.port, "/a/../seen",
                     "./../seen#x", app.url.upper() + "/seen", "/a/%2e%2E/seen", "\\seen"):
        outcome = ask("GET", to(app.url, 302, location))
        check(f"{name}: to {location}", (0, app.url + "/seen"), (outcome.code, outcome.url))
    outcome = ask("GET", to(app.url, 302, "?to=/seen"))
    check(f"{name}: to a query", (2, app.url + "/seen"), (outcome.redirects, outcome.url))
    outcome = ask("GET", app.url + "/loop")
    check(f"{name}: a loop", E_TOO_LARGE, outcome.code)
    check_in(f"{name}: a loop", "too many", outcome.message)
    outcome = ask("GET", to(app.url, 302, "/seen"), redirects=0)
    check(f"{name}: none is followed", (302, 0, b"elsewhere"),
          (outcome.status, outcome.redirects, outcome.body))
    outcome = ask("PUT", to(app.url, 307, "/echo"), source=iter([b"a", b"b"]))
    check(f"{name}: a source is not sent twice", E_STATE, outcome.code)
    outcome = ask("PUT", to(app.url, 307, "/echo"), body=stuff(500_000))
    check(f"{name}: a large body is", True, outcome.body == stuff(500_000))
    refused(name, ask, app)
    origins(name, client, ask, app, other)


def refused(name, ask, app):
    for target, code, text in (
            ("https://127.0.0.1:1/", E_IO, "cannot be made"),
            ("file:///etc/passwd", E_UNSUPPORTED, "scheme"),
            ("ftp://127.0.0.1/", E_UNSUPPORTED, "scheme"),
            ("javascript:alert(1)", E_UNSUPPORTED, "scheme"),
            ("data:text/plain,a", E_UNSUPPORTED, "scheme"),
            ("http://", E_PROTOCOL, "no URL"), ("http://a:99999/", E_PROTOCOL, "no URL"),
            ("http://[::1/", E_PROTOCOL, "no URL"), ("http://a b/", E_PROTOCOL, "no URL")):
        outcome = ask("GET", to(app.url, 302, target))
        check(f"{name}: to {target}", code, outcome.code)
        check_in(f"{name}: to {target}", text, outcome.message)


def origins(name, client, ask, app, other):
    """What is secret stays with the origin, also on the way back."""
    apus.apus_client_clear_cookies(client.handle)  # those know no ports
    secret = [("Authorization", "Bearer x"), ("Cookie", "by=hand"), ("X-Own", "1")]
    fields = fields_of(ask("GET", to(app.url, 307, "/seen"), add_header=secret))
    check(f"{name}: secrets at home", ("Bearer x", "by=hand", "1"),
          tuple(fields.get(each) for each in ("authorization", "cookie", "x-own")))
    away = to(app.url, 307, other.url + "/seen")
    fields = fields_of(ask("GET", away, add_header=secret))
    check(f"{name}: secrets away", (None, None, "1"),
          tuple(fields.get(each) for each in ("authorization", "cookie", "x-own")))
    check(f"{name}: the other Host", other.url[7:], fields.get("host"))
    back = to(app.url, 307, to(other.url, 307, app.url + "/seen"))
    outcome = ask("GET", back, add_header=secret)
    check(f"{name}: away and back", 2, outcome.redirects)
    check(f"{name}: secrets back", (None, None), tuple(
        fields_of(outcome).get(each) for each in ("authorization", "cookie")))
    for how in ({"basic": ("user", "pw")}, {"bearer": "token"}):
        check(f"{name}: {how} at home", True,
              "authorization" in fields_of(ask("GET", to(app.url, 307, "/seen"), **how)))
        check(f"{name}: {how} away", False, "authorization" in fields_of(ask("GET", away, **how)))
    with_user = away.replace("//", "//user:pw@", 1)
    check(f"{name}: a URL's password away", False,
          "authorization" in fields_of(ask("GET", with_user)))


def chains(name, ask, peer):
    for kind in ("redirect", "relative-redirect", "absolute-redirect"):
        outcome = ask("GET", f"{peer.url}/{kind}/3", redirects=3)
        check(f"{name}: {kind}", (0, 200, 3, peer.url + "/get"),
              (outcome.code, outcome.status, outcome.redirects, outcome.url))
        outcome = ask("GET", f"{peer.url}/{kind}/3", redirects=2)
        check(f"{name}: {kind}, one too many", E_TOO_LARGE, outcome.code)
    outcome = ask("GET", peer.url + "/cookies/set?one=1&two=2")
    check(f"{name}: cookies on the way", {"one": "1", "two": "2"},
          {key: value for key, value in json.loads(outcome.body)["cookies"].items()
           if key in ("one", "two")})


# ---- decoding

def decoding(name, ask, peer):
    for coding in ("gzip", "deflate"):
        outcome = ask("GET", f"{peer.url}/{coding}")
        got = json.loads(outcome.body) if outcome.code == 0 else {}
        check(f"{name}: {coding}", True, got.get({"gzip": "gzipped"}.get(coding, "deflated")))
        check(f"{name}: {coding}: bytes", len(outcome.body), outcome.body_bytes)
        outcome = ask("GET", f"{peer.url}/{coding}", decoding=0)
        check(f"{name}: {coding} as it is", True,
              outcome.body[:1] == (b"\x1f" if coding == "gzip" else b"\x78"))
        outcome = ask("HEAD", f"{peer.url}/{coding}")
        check(f"{name}: HEAD of {coding}", (0, b""), (outcome.code, outcome.body))
    outcome = ask("GET", f"{peer.url}/gzip", max_body=10) if "blocking" in name else None
    if outcome:
        check(f"{name}: a cap after decoding", E_TOO_LARGE, outcome.code)
    outcome = ask("GET", f"{peer.url}/brotli")
    check(f"{name}: brotli", True, outcome.code == E_UNSUPPORTED or
          json.loads(outcome.body or b"{}").get("brotli") is True)


def packed(name, ask, nginx, folder):
    with open(nginx.files + "/packed.txt", "wb") as file:
        file.write(stuff(3_000_000))
    outcome = ask("GET", nginx.url + "/packed/packed.txt")
    check(f"{name}: gzip of 3 MB", ("gzip", True), (outcome.value("Content-Encoding"),
                                                   outcome.body == stuff(3_000_000)))
    target = os.path.join(folder, "unpacked")
    outcome = ask("GET", nginx.url + "/packed/packed.txt", output_file=target)
    with open(target, "rb") as file:
        check(f"{name}: gzip to a file", True, file.read() == stuff(3_000_000))
    outcome = ask("GET", nginx.url + "/packed/packed.txt", decoding=0)
    check(f"{name}: none is asked for", None, outcome.value("Content-Encoding"))


# ---- credentials

PASSWORD = "pass-word"  # httpbin's digest counts on a target without escapes


def credentials(name, client, ask, peer):
    quoted = urllib.parse.quote(PASSWORD)
    basic = f"{peer.url}/basic-auth/user/{quoted}"
    hidden = f"{peer.url}/hidden-basic-auth/user/{quoted}"
    digests = [f"{peer.url}/digest-auth/auth/user/{quoted}/{kind}" for kind in
               ("MD5", "SHA-256")]
    user, wrong = ("user", PASSWORD), ("user", "wrong")
    check(f"{name}: none", 401, ask("GET", basic).status)
    # What is asked, by whom, and the status.
    cases = [("basic", basic, {"basic": user}, 200), ("basic", hidden, {"basic": user}, 200),
             ("a wrong basic", basic, {"basic": wrong}, 401),
             ("any", basic, {"credentials": user}, 200),
             ("a wrong any", basic, {"credentials": wrong}, 401),
             ("any, unasked", hidden, {"credentials": user}, 404),
             ("digest for basic", basic, {"digest": user}, 401),
             ("a bearer", peer.url + "/bearer", {"bearer": "a.b-c"}, 200),
             ("no bearer", peer.url + "/bearer", {"basic": user}, 401)]
    for url in digests:
        kind = url.rpartition("/")[2]
        cases += [(kind, url, {"digest": user}, 200), (kind, url, {"credentials": user}, 200),
                  (f"a wrong {kind}", url, {"digest": wrong}, 401),
                  (f"basic for {kind}", url, {"basic": user}, 401)]
    for what, url, options, status in cases:
        check(f"{name}: {what}, {list(options)}", status, ask("GET", url, **options).status)
        client.set(**options)
        check(f"{name}: {what}, the client's {list(options)}", status, ask("GET", url).status)
        client.set(credentials=(None, None))
    with_user = basic.replace("//", f"//user:{quoted}@")
    check(f"{name}: in the URL", 200, ask("GET", with_user).status)
    outcome = ask("GET", hidden.replace("//", f"//user:{quoted}@"))
    check(f"{name}: in the URL, at once", 200, outcome.status)
    check(f"{name}: not in the URL that is told", False, "user:" in outcome.url)
    outcome = ask("GET", digests[1].replace("//", f"//user:{quoted}@"))
    check(f"{name}: in the URL, for digest", 200, outcome.status)
    check(f"{name}: forgotten", 401, ask("GET", basic).status)


# ---- forms

def forms(name, ask, peer, folder):
    url = peer.url + "/anything"
    fields = [("a", "1"), ("é", "ü&=%+ \n"), ("a", "2"), ("empty", "")]
    outcome = ask("POST", url, add_field=fields)
    got = json.loads(outcome.body) if outcome.code == 0 else {"headers": {}}
    check(f"{name}: urlencoded", {"a": ["1", "2"], "é": "ü&=%+ \n", "empty": ""}, got.get("form"))
    check(f"{name}: its Content-Type", "application/x-www-form-urlencoded",
          got["headers"].get("Content-Type", "").partition(";")[0])
    path = os.path.join(folder, "a \"file\".txt")
    with open(path, "w", encoding="utf-8") as file:
        file.write("čaj\r\n--\r\n" * 20_000)
    outcome = ask("POST", url, add_field=fields[:2], add_file=[("file", path, None, None)],
                  add_part=[("part", b"bytes", 5, "name.bin", "application/x-own"),
                            ("plain", b"text", 4, None, None),
                            ("typed", b"[1]", 3, None, "application/json")])
    got = json.loads(outcome.body) if outcome.code == 0 else {"headers": {}}
    check(f"{name}: multipart", {"a": "1", "é": "ü&=%+ \r\n", "plain": "text", "typed": "[1]"},
          {key: value.replace("\r\n", "\n").replace("\n", "\r\n")
           for key, value in got.get("form", {}).items()})
    files = got.get("files", {})
    check(f"{name}: its files", True, files.get("file") == "čaj\r\n--\r\n" * 20_000)
    check_in(f"{name}: its part", "bytes", files.get("part", ""))
    check(f"{name}: multipart's Content-Type", "multipart/form-data",
          got["headers"].get("Content-Type", "").partition(";")[0])
    # Sent again, behind a redirection.
    # wsgiref's closes with the body unread, which may break the connection.
    if "wsgiref" in name:
        return
    outcome = ask("POST", f"{peer.url}/redirect-to?status_code=307&url=/anything",
                  add_file=[("file", path, "other.txt", "text/plain")])
    got = json.loads(outcome.body) if outcome.code == 0 else {}
    check(f"{name}: a file sent again", ("POST", 1), (got.get("method"), len(got.get("files", []))))


# ---- proxies

def proxies(name, client, form, app, other):
    def ask(method, url, **options):
        return client.ask(form, method, url, **options)
    for secret in (None, "user:pass word"):
        proxy = fetch_proxies.http_proxy(secret)
        part = "user:pass%20word@" if secret else ""
        client.set(proxy=proxy.url("http", part))
        what = f"{name}: proxy{' with a password' if secret else ''}"
        for peer in (app, other):
            outcome = ask("POST", peer.url + "/seen?a=b", body=b"abc")
            fields = fields_of(outcome)
            check(what, (200, "1.1 test", peer.url[7:]),
                  (outcome.status, outcome.value("Via"), fields.get("host")))
            check(f"{what}: keeps its own", None, fields.get("proxy-authorization"))
        check(f"{what}: absolute-form", [("POST", app.url + "/seen?a=b"),
                                         ("POST", other.url + "/seen?a=b")],
              [each[:2] for each in proxy.seen])
        check(f"{what}: one connection for all", 1, proxy.server.connections)
        outcome = ask("PUT", to(app.url, 307, other.url + "/echo"), body=stuff(200_000))
        check(f"{what}: a redirection", True, outcome.body == stuff(200_000))
        outcome = ask("HEAD", app.url + "/bytes/10")
        check(f"{what}: HEAD", (200, b""), (outcome.status, outcome.body))
        before = len(proxy.seen)
        client.set(no_proxy="127.0.0.0/8, example.com")
        check(f"{what}: not for some", None, ask("GET", app.url + "/seen").value("Via"))
        client.set(no_proxy=None)
        check(f"{what}: it was not asked", before, len(proxy.seen))
        if secret:
            client.set(proxy=proxy.url("http", "user:wrong@"))
            check(f"{what}: a wrong one", 407, ask("GET", app.url + "/seen").status)
        client.set(proxy=None)
        proxy.end()
    socks(name, client, ask, app, other)


def socks(name, client, ask, app, other):
    for scheme in ("socks5", "socks5h"):
        for secret in (None, "user:pass word"):
            server = fetch_proxies.socks_server(secret)
            part = "user:pass%20word@" if secret else ""
            client.set(proxy=server.url(scheme, part))
            what = f"{name}: {scheme}{' with a password' if secret else ''}"
            for peer in (app, other):
                outcomes = [ask("POST", peer.url + "/seen", body=b"abc") for _ in range(3)]
                check(what, [200] * 3, [outcome.status for outcome in outcomes])
            check(f"{what}: a tunnel for each", [(1, 1, "127.0.0.1", app.port),
                                                 (1, 1, "127.0.0.1", other.port)], server.seen)
            outcome = ask("GET", f"http://localhost:{app.port}/bytes/300000")
            check(f"{what}: a name", (200, (1, 3, "localhost", app.port)),
                  (outcome.status, server.seen[-1]))
            outcome = ask("GET", "http://127.0.0.1:1/")
            check(f"{what}: nobody there", (E_IO, "the host refused the proxy's connection"),
                  (outcome.code, outcome.message))
            outcome = ask("GET", "http://forbidden.invalid/")
            check(f"{what}: forbidden", (E_PERMISSION, "the proxy's rules forbid the connection"),
                  (outcome.code, outcome.message))
            if secret:
                client.set(proxy=server.url(scheme, "user:wrong@"))
                outcome = ask("GET", app.url + "/seen")
                check(f"{what}: a wrong one", E_PERMISSION, outcome.code)
            client.set(proxy=None)
            server.end()


def arguments(name, client, url):
    fetch = Fetch(client, "GET", url)
    for option, values in (("basic", ("a:b", "c")), ("basic", ("a", "b\n")),
                           ("bearer", ("a b\r\n",)), ("digest", ("a\x01", "b"))):
        try:
            fetch.set(**{option: values})
            check(f"{name}: {option} {values!r} is refused", True, False)
        except Exception as refused_by:
            check(f"{name}: {option} {values!r} is refused", E_ARGUMENT,
                  getattr(refused_by, "code", refused_by))
    fetch.end()


def run(client, form, peers, nginx, bins, folder):
    name = f"{client.mode}, {form}"
    app = next((peer for peer in peers if peer.name == "aiohttp"), None)

    def ask(method, url, **options):
        return client.ask(form, method, url, **options)
    if app:
        redirections(name, client, ask, app, peers[0])
        proxies(name, client, form, app, peers[0])
    arguments(name, client, peers[0].url)
    for peer in bins:
        chains(f"{name}, {peer.name}", ask, peer)
        decoding(f"{name}, {peer.name}", ask, peer)
        credentials(f"{name}, {peer.name}", client, ask, peer)
        forms(f"{name}, {peer.name}", ask, peer, folder)
    if nginx:
        packed(f"{name}, nginx", ask, nginx, folder)
        secret = nginx.url + "/secret"
        check(f"{name}, nginx: 401", 401, ask("GET", secret).status)
        outcome = ask("GET", secret, credentials=("user", "pass word"))
        check(f"{name}, nginx: basic when asked", (200, b"the secret"),
              (outcome.status, outcome.body))
