"""apus serve and apus echo, asked by Python, curl and websockets."""
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
from urllib.parse import urlsplit

from websockets.sync.client import connect

from cli_run import Background, Served, expect, tool
from common import PATIENCE, check, check_in


def ask(url, method="GET", path="/", body=None, context=None, **fields):
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if context else http.client.HTTPConnection
    options = {"context": context} if context else {}
    connection = kind(parts.hostname, parts.port, timeout=PATIENCE, **options)
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    data = response.read()
    connection.close()
    return response.status, response.headers, data


def curl(*words):
    done = subprocess.run(["curl", "-s", "--max-time", str(PATIENCE), "-w", "%{http_code}",
                           "--noproxy", "*", *words], capture_output=True, timeout=PATIENCE * 2)
    return int(done.stdout[-3:] or 0), done.stdout[:-3]


def make_site(folder):
    site = os.path.join(folder, "site")
    os.makedirs(os.path.join(site, "empty"))
    for name, text in (("page.html", "<p>a page"), ("a b.txt", "text"), (".secret", "hidden")):
        with open(os.path.join(site, name), "w") as file:
            file.write(text)
    return site


def check_files(site):
    with Served("serve", site) as run:
        status, headers, data = ask(run.url, path="/page.html")
        check("a page", (200, b"<p>a page"), (status, data))
        check_in("its type", "text/html", headers["Content-Type"])
        status, _, data = ask(run.url)
        check("a listing", (200, True), (status, b"page.html" in data and b".secret" not in data))
        check("a hidden file", 404, ask(run.url, path="/.secret")[0])
        check("a way out", (404, 404), (curl("--path-as-is", run.url + "/../site/page.html")[0],
                                        ask(run.url, path="/%2e%2e/site/page.html")[0]))
        check("no uploads", (405, 405), (ask(run.url, "PUT", "/upload/x", b"x")[0],
                                         ask(run.url, "POST", "/page.html", b"x")[0]))
        check("no other origins", None, ask(run.url, Origin="http://x.example")[1].get(
            "Access-Control-Allow-Origin"))
        done = run.stop(signal.SIGINT)
        check("Ctrl-C", (0, ""), (done.code, done.err))
        check_in("the log", '"GET /page.html HTTP/1.1" 200 9', done.out)
    with Served("serve", "-q", "--no-listing", "--cors", "--hidden", "--cache-control=no-cache",
                "--not-found", os.path.join(site, "page.html"), site) as run:
        status, headers, data = ask(run.url, path="/.secret", Origin="http://x.example")
        check("a hidden file, served", (200, b"hidden", "*", "no-cache"),
              (status, data, headers["Access-Control-Allow-Origin"], headers["Cache-Control"]))
        check("no listing, but a page", (404, b"<p>a page"), ask(run.url)[::2])
        done = run.stop(signal.SIGTERM)
        check("a quiet one", (0, "", ""), (done.code, done.out, done.err))
    with Served("serve", "--auth", "Ada:love", "-q", site) as run:
        check("nobody", 401, ask(run.url)[0])
        check("somebody else", 401, curl("-u", "Ada:hate", run.url + "/page.html")[0])
        check("Ada", 200, curl("-u", "Ada:love", run.url + "/page.html")[0])


def check_uploads(site):
    photo = os.path.join(site, "..", "photo.jpg")
    with open(photo, "wb") as file:
        file.write(os.urandom(2500000))
    with open(photo, "rb") as file:
        content = file.read()

    def saved(name):
        with open(os.path.join(site, name), "rb") as file:
            return file.read() == content

    with Served("serve", "--upload", "--max-upload", "3M", "-q", site) as run:
        url = run.url + "/upload"
        check("the page", True, b'enctype="multipart/form-data"' in ask(run.url, path="/upload")[2])
        check("a form", (201, b"saved photo.jpg\n"), curl("-F", f"file=@{photo}", url))
        check("its file", True, saved("photo.jpg"))
        check("once more", 409, curl("-F", f"file=@{photo}", url)[0])
        check("a PUT", (201, b"saved put.jpg\n"), curl("-T", photo, url + "/put.jpg"))
        check("its file", True, saved("put.jpg"))
        check("a PUT once more", 409, curl("-T", photo, url + "/put.jpg")[0])
        check("a name with a folder", 201, curl("-F", f"f=@{photo};filename=../../e.jpg", url)[0])
        check("stays inside", True, saved("e.jpg"))
        page = curl("-H", "Accept: text/html", "-F", f"f=@{photo};filename=<b>.jpg", url)
        check("a name in a page", (201, True), (page[0], b"&lt;b&gt;.jpg" in page[1]))
        for name in (".hidden", "..", "a%2fb", "..%2fx", "a%00b", "a%0ab", "a%5cb"):
            status = ask(run.url, "PUT", f"/upload/{name}", b"x")[0]
            check(f"PUT {name}: {status}", True, status in (400, 404))
        check("a dot in front", 400, curl("-F", f"f=@{photo};filename=.htaccess", url)[0])
        check("no file", 400, curl("-F", "f=x", url)[0])
        check("another page's form", 403, curl("-F", f"f=@{photo};filename=n", url, "-H",
                                               "Origin: http://evil.example")[0])
        check("another page's PUT", 403, ask(run.url, "PUT", "/upload/n", b"x",
                                             Origin="http://evil.example")[0])
        check("a part of a file", 400, ask(run.url, "PUT", "/upload/n", b"x",
                                           Content_Range="bytes 0-0/2")[0])
        large = b"x" * (3 * 1024 * 1024 + 1)
        check("too large", 413, ask(run.url, "PUT", "/upload/n", large)[0])
        expect("by apus get", 0, tool("get", "-f", "-F", f"f=@{photo};filename=get", url))
        with socket.create_connection(urlsplit(run.url)[1].split(":"), PATIENCE) as half:
            half.sendall(b"PUT /upload/half HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx")
        check("it stops", 0, run.stop(signal.SIGINT).code)
    check("what is there", sorted(["a b.txt", "page.html", ".secret", "empty", "photo.jpg",
                                   "put.jpg", "e.jpg", "<b>.jpg", "get"]), sorted(os.listdir(site)))
    with open(photo, "wb") as file:
        file.write(b"other")
    content = b"other"
    with Served("serve", "--upload-path", "/in", "--overwrite", "-q", site) as run:
        check("PUT replaces", 201, curl("-T", photo, run.url + "/in/put.jpg")[0])
        check("a form replaces", 201, curl("-F", f"f=@{photo}", run.url + "/in")[0])
        check("a folder stays", 409, curl("-T", photo, run.url + "/in/empty")[0])
    check("replaced", (True, True), (saved("put.jpg"), saved("photo.jpg")))


def check_server_failures(site, authority, key_of):
    with Served("serve", "-q", site) as run:
        address = urlsplit(run.url)[1]
        expect("an address in use", 2, tool("serve", "-l", address, site), "--listen")
    expect("no folder", 6, tool("serve", site + "/none", "-l", "0"), "none")
    expect("no address", 1, tool("serve", "-l", "::1:80", site), "[::1]:PORT")
    expect("not of this machine", 2, tool("serve", "-l", "192.0.2.1:0", site), "192.0.2.1")
    chain, key = key_of
    expect("half a pair", 1, tool("serve", "--cert", chain, site), "both")
    expect("another's key", 3, tool("serve", "--cert", chain, "--key", authority.path("ca.key"),
                                    site), "--key")
    expect("a missing one", 6, tool("serve", "--cert", "/none", "--key", key, site), "/none")
    expect("a path of uploads", 1, tool("serve", "--upload-path", "x/", site, "-l", "0"), "x/")
    context = ssl.create_default_context(cafile=authority.certificate)
    with Served("serve", "-q", "--cert", chain, "--key", key, site) as run:
        check("https", True, run.url.startswith("https://"))
        status, _, data = ask(run.url, path="/page.html", context=context)
        check("a page by https", (200, b"<p>a page"), (status, data))
    path = os.path.join(site, "..", "socket")
    with Background("serve", "-q", site, "-l", "unix:" + path) as run:
        check("where it is", f"Serving {site} at unix:{path}\n", run.line("stderr"))
        check("a Unix socket", "<p>a page",
              tool("get", "--unix-socket", path, "http://x/page.html").out)


def check_unix_channels(folder):
    path = os.path.join(folder, "echo-socket")
    with Background("echo", "-q", "-l", "unix:" + path) as run:
        check_in("where it is", path, run.line("stderr"))
        done = tool("ws", "-q", "--unix-socket", path, "ws://x/any", data=b"by a path\n")
        check("a WebSocket over a Unix socket", (0, True),
              (done.code, "by a path\n" in done.out))
        done = tool("bench", "-n", "20", "--unix-socket", path, "ws://x/any")
        check("many of them", (0, True), (done.code, done.out.startswith("20 messages")))


def check_echo():
    with Served("echo", "--interval", "0.02", "--cors") as run:
        status, headers, data = ask(run.url, "PUT", "/a%20b?x=1&status=418", b"h\xc3\xa9",
                                    X_Field="value")
        told = json.loads(data)
        check("what was seen", (418, "PUT", "/a%20b?x=1&status=418", "/a b", "1.1", "hé", 3),
              (status, *(told[name] for name in ("method", "target", "path", "version", "body",
                                                 "length"))))
        check("a field", True, ["X-Field", "value"] in told["headers"])
        check("bytes", "AP8=", json.loads(ask(run.url, "POST", "/", b"\0\xff")[2])["body_base64"])
        check("cors", "*", ask(run.url, Origin="http://x.example")[1].get(
            "Access-Control-Allow-Origin"))
        with connect(run.url.replace("http", "ws") + "/any", subprotocols=["one", "two"],
                     origin="http://x.example", proxy=None) as channel:
            check("the subprotocol", "one", channel.subprotocol)
            for message in ("text", b"\0bytes", "x" * 100000):
                channel.send(message)
                check("an echo", message, channel.recv(PATIENCE))
        connection = http.client.HTTPConnection(urlsplit(run.url)[1], timeout=PATIENCE)
        connection.request("GET", "/events", headers={"Last-Event-ID": "0"})
        response = connection.getresponse()
        lines = [response.readline() for _ in range(12)]
        check_in("a greeting", b'data: {"last_event_id": "0"}\n', lines)
        check("numbers", True, sum(line.startswith(b"id: ") for line in lines) >= 2)
        done = run.stop(signal.SIGINT)
        connection.close()
        check("it stops", 0, done.code)
        check_in("its log", '"PUT /a%20b?x=1&status=418 HTTP/1.1" 418', done.out)
    with Served("echo", "--max-body", "1K") as run:
        check("too much", 413, ask(run.url, "POST", "/", b"x" * 1025)[0])


def check_servers(folder, authority, key_of):
    site = make_site(folder)
    check_files(site)
    check_uploads(site)
    check_server_failures(site, authority, key_of)
    check_echo()
    check_unix_channels(folder)
