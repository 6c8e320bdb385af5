#!/usr/bin/env python3
"""Pages of other origins, credentials and proxies in front, judged by programs that
know of the library nothing: Chromium decides what a page of another origin may see,
curl and requests bring credentials, nginx stands in front, and curl and nginx agree
with the library on what a PROXY header says. In each of the four dispatches."""
# ctest: timeout=300
import ipaddress
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

from common import PATIENCE, check, check_in, hold_port, report, skipped
from demo_test import Browser, find_browser
from fetch_servers import find_nginx

try:
    import requests
except ImportError:
    requests = None

BIN = os.environ["APUS_BIN"]
MODES = ("tick", "pull", "worker", "threadless")


class Server:
    """access_server with its options."""
    made = 0

    def __init__(self, folder, mode, **options):
        Server.made += 1
        self.path = os.path.join(folder, f"socket{Server.made}")
        words = [f"{name}={value}" for name, values in options.items()
                 for value in ([values] if isinstance(values, str) else values)]
        self.process = subprocess.Popen(
            [os.path.join(BIN, "access_server"), mode, self.path, *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port, self.proxied = map(int, self.process.stdout.readline().split())
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate(timeout=60)
        check("the server's exit status", 0, self.process.returncode)


def curl(*words):
    run = subprocess.run(["curl", "-sS", "--max-time", "30", *words], capture_output=True,
                         text=True, timeout=60)
    return run.stdout


# ---- pages

FETCH = """
(async () => {
  const options = %s;
  try {
    const reply = await fetch(%s, options);
    return [reply.status, await reply.text(), reply.headers.get('X-Seen'),
            reply.headers.get('X-Unseen')];
  } catch (error) { return [error.name]; }
})()
"""

EVENTS = """
new Promise(resolve => {
  const source = new EventSource(%s);
  source.onmessage = event => { source.close(); resolve(event.data); };
  source.onerror = () => { source.close(); resolve('error'); };
})
"""

REFUSED = ["TypeError"]


def fetched(browser, url, **options):
    return browser.evaluate(FETCH % (json.dumps(options), json.dumps(url)))


def judge_list(browser, server, name):
    """Origins by name, with credentials."""
    def ask(path="/data", **options):
        return fetched(browser, server.url + path, **options)
    browser.evaluate("document.cookie = 'a=b; path=/'")
    check(f"{name}: GET", [200, "data GET ", "seen", None], ask())
    check(f"{name}: POST", [200, "data POST ", "seen", None], ask(method="POST", body="x"))
    check(f"{name}: PUT", [200, "data PUT ", "seen", None], ask(method="PUT", body="x"))
    check(f"{name}: PURGE", REFUSED, ask(method="PURGE"))
    check(f"{name}: a field", [200, "data GET ", "seen", None], ask(headers={"X-Mine": "1"}))
    check(f"{name}: another field", REFUSED, ask(headers={"X-Other": "1"}))
    check(f"{name}: cookies", [200, "data PUT a=b", "seen", None],
          ask(method="PUT", credentials="include"))
    check(f"{name}: 404", [404, "Not Found", None, None], ask("/nowhere"))
    check(f"{name}: 405", 405, ask("/who", method="PUT")[0])
    check(f"{name}: 401", 401, ask("/basic", credentials="omit")[0])
    check(f"{name}: events", "told", browser.evaluate(EVENTS % json.dumps(server.url + "/events")))


def judge_other(browser, server, name):
    """A page whose origin is not among them."""
    for options in ({}, {"method": "POST"}, {"method": "PUT"}, {"credentials": "include"}):
        check(f"{name}: {options}", REFUSED, fetched(browser, server.url + "/data", **options))
    check(f"{name}: without looking", [0, "", None, None],
          fetched(browser, server.url + "/data", mode="no-cors"))
    check(f"{name}: events", "error",
          browser.evaluate(EVENTS % json.dumps(server.url + "/events")))


def judge_any(browser, server, name):
    def ask(**options):
        return fetched(browser, server.url + "/data", **options)
    check(f"{name}: GET", [200, "data GET ", "seen", "unseen"], ask())
    check(f"{name}: DELETE", [200, "data DELETE ", "seen", "unseen"], ask(method="DELETE"))
    check(f"{name}: fields", [200, "data PURGE ", "seen", "unseen"],
          ask(method="PURGE", headers={"X-A": "1", "Authorization": "Basic eDp5"}))
    check(f"{name}: cookies", REFUSED, ask(credentials="include"))


def judge_pages(folder):
    program = find_browser()
    if program is None:
        skipped.append("the browser: no chromium")
        return
    with Server(folder, "worker", trust="unix") as page:
        browser = Browser(program, folder)
        try:
            browser.open(page.url + "/")
            for mode in MODES:
                with Server(folder, mode, origins=f"http://other.example, {page.url}",
                            credentials="1", methods="PUT", headers="X-Mine",
                            exposed="X-Seen") as server:
                    judge_list(browser, server, f"{mode}, a list")
                with Server(folder, mode, check=page.url, credentials="1", methods="PUT",
                            headers="x-mine", exposed="X-Seen") as server:
                    judge_list(browser, server, f"{mode}, a function")
                with Server(folder, mode, origins="http://other.example") as server:
                    judge_other(browser, server, f"{mode}, another")
                with Server(folder, mode, check="http://other.example") as server:
                    judge_other(browser, server, f"{mode}, another by a function")
                with Server(folder, mode, origins="*", methods="*", headers="*",
                            exposed="*") as server:
                    judge_any(browser, server, f"{mode}, all")
                with Server(folder, mode, trust="::1") as server:
                    judge_other(browser, server, f"{mode}, off")
        finally:
            browser.close()


# ---- credentials

def judge_credentials(folder, mode):
    with Server(folder, mode) as server:
        url = server.url
        check(f"{mode}, curl: Basic", "come in",
              curl("-u", "Aladdin:open s\u00e9same", url + "/basic"))
        check(f"{mode}, curl: any scheme", "come in",
              curl("--anyauth", "-u", "Aladdin:open s\u00e9same", url + "/basic"))
        check(f"{mode}, curl: a wrong password", "401",
              curl("-o", "/dev/null", "-w", "%{http_code}", "-u", "Aladdin:x", url + "/basic"))
        check(f"{mode}, curl: Bearer", "come in",
              curl("--oauth2-bearer", "abc", url + "/bearer"))
        check_in(f"{mode}, curl: the challenge", 'WWW-Authenticate: Bearer realm="cave"',
                 curl("-i", url + "/bearer"))
        if requests is None:
            skipped.append("requests")
            return
        reply = requests.get(url + "/basic", timeout=30)
        check(f"{mode}, requests: 401", 401, reply.status_code)
        parsed = requests.utils.parse_dict_header(
            reply.headers["WWW-Authenticate"].removeprefix("Basic "))
        check(f"{mode}, requests: the challenge", {"realm": 'the "cave"', "charset": "UTF-8"},
              parsed)
        reply = requests.get(url + "/basic", timeout=30,
                             auth=("Aladdin", "open s\u00e9same".encode()))
        check(f"{mode}, requests: Basic", (200, "come in"), (reply.status_code, reply.text))


# ---- proxies in front

NGINX = """
daemon off;
master_process off;
pid @/pid;
error_log stderr;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path @/body; proxy_temp_path @/proxy; fastcgi_temp_path @/fastcgi;
  uwsgi_temp_path @/uwsgi; scgi_temp_path @/scgi;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header Forwarded
    "for=\\"$remote_addr:$remote_port\\";proto=$scheme;host=\\"$http_host\\"";
  server {
    listen 127.0.0.1:PLAIN;
    listen 127.0.0.1:PROXIED proxy_protocol;
    location / { proxy_pass http://127.0.0.1:APP; }
    location /unix/ { proxy_pass http://unix:SOCKET:/; }
    location /twice/ {
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header Host $http_host;
      proxy_pass http://127.0.0.1:PLAIN/;
    }
    location = /told { return 200 "$proxy_protocol_addr $proxy_protocol_port"; }
  }
}
"""


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return True
    except OSError:
        return False


class Nginx:
    """nginx in front of a server, with a port for PROXY headers."""

    def __init__(self, folder, server):
        self.folder = tempfile.mkdtemp(dir=folder)
        self.held, self.port = hold_port()
        self.held_too, self.proxied = hold_port()
        self.url = f"http://127.0.0.1:{self.port}"
        text = NGINX.replace("@", self.folder).replace("PLAIN", str(self.port))
        text = text.replace("PROXIED", str(self.proxied)).replace("APP", str(server.port))
        with open(self.folder + "/conf", "w") as file:
            file.write(text.replace("SOCKET", server.path))
        self.process = subprocess.Popen(
            [find_nginx(), "-p", self.folder, "-e", "stderr", "-c", self.folder + "/conf"],
            stderr=subprocess.DEVNULL)
        limit = time.monotonic() + PATIENCE
        while not (answers(self.port) and answers(self.proxied)):
            if self.process.poll() is not None or time.monotonic() > limit:
                self.end()
                raise RuntimeError("nginx does not start")
            time.sleep(0.01)

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(20)
        self.held.close()
        self.held_too.close()


def who(*words):
    """What the server knows of curl; the host that was asked for is left to the caller."""
    return curl(*words).split("\n")[:5]


def judge_proxied(folder, mode):
    """nginx in front."""
    if find_nginx() is None:
        skipped.append("nginx")
        return
    plain = ["--interface", "127.0.0.3", "-H", "Host: shop.example:8443"]
    forged = ["-H", "X-Forwarded-For: 10.9.8.7", "-H", "Forwarded: for=10.9.8.7"]
    with Server(folder, mode, trust=["127.0.0.1", "unix"]) as server:
        nginx = Nginx(folder, server)
        try:
            expected = ["127.0.0.3", "0", "http", "shop.example", "8443"]
            for path in ("/who", "/unix/who", "/twice/who"):
                check(f"{mode}, nginx: {path}", expected, who(*plain, nginx.url + path))
                check(f"{mode}, nginx: {path}, forged", expected,
                      who(*plain, *forged, nginx.url + path))
            # Who comes past nginx is not believed.
            got = who(*plain, *forged, server.url + "/who")
            check(f"{mode}, past nginx", ["127.0.0.3", "http", "shop.example", "8443"],
                  [got[0], *got[2:]])
        finally:
            nginx.end()
    with Server(folder, mode, trust="127.0.0.1", forwarded="1") as server:
        nginx = Nginx(folder, server)
        try:
            got = who(*plain, *forged, nginx.url + "/who")
            check(f"{mode}, nginx: Forwarded", ["127.0.0.3", "http", "shop.example", "8443"],
                  [got[0], *got[2:]])
            check(f"{mode}, nginx: its port", True, int(got[1]) > 0)
        finally:
            nginx.end()


# ---- the PROXY protocol

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def version2(source, port, more=b"", command=1):
    """A header of version 2, as its specification has it."""
    address = ipaddress.ip_address(source).packed
    family = 0x11 if len(address) == 4 else 0x21
    body = address + address + struct.pack("!HH", port, 80) + more
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, family, len(body)) + body


def version1(source, port):
    family = 4 if "." in source and ":" not in source else 6
    return f"PROXY TCP{family} {source} {source} {port} 80\r\n".encode()


def told(port, header, path):
    """What a server behind a header says, or b"" where it closes."""
    request = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        data = b""
        try:
            connection.sendall(header + request)
            while piece := connection.recv(4096):
                data += piece
        except ConnectionResetError:
            pass
    if not data.startswith(b"HTTP/1.1 200"):
        return None
    return data.split(b"\r\n\r\n", 1)[1].decode().split()[:2]


HEADERS = [
    version1("192.0.2.1", 4711), version1("255.255.255.255", 65535), version1("2001:db8::1", 1),
    version1("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535),
    version2("192.0.2.1", 4711), version2("2001:db8::1", 65535),
    version2("192.0.2.1", 80, b"\x02\0\x05a.com"), version2("::1", 80, b"\x04\0\x03abc" * 40),
]
BROKEN = [
    b"", b"PROXY \r\n", b"PROXY TCP4 1.2.3.4\r\n", b"PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n",
    b"PROXY UNKNOWN " + b"x" * 200 + b"\r\n", SIGNATURE + b"\x31\x11\0\x0c" + b"x" * 12,
]


def judge_headers(folder, mode):
    with Server(folder, mode) as server:
        got = curl("--haproxy-protocol", f"http://127.0.0.1:{server.proxied}/who").split("\n")
        check(f"{mode}, curl: PROXY", "127.0.0.1", got[0])
        check(f"{mode}, curl: its port", True, got[1].isdigit() and int(got[1]) > 1023)
        check(f"{mode}, curl: none", "",
              subprocess.run(["curl", "-s", f"http://127.0.0.1:{server.proxied}/who"],
                             capture_output=True, text=True, timeout=60).stdout)
        nginx = Nginx(folder, server) if find_nginx() else None
        try:
            for header in HEADERS:
                own = told(server.proxied, header, "/who")
                check(f"{mode}: {header!r}", True, own is not None)
                if nginx:
                    check(f"{mode}, as nginx has it: {header!r}",
                          told(nginx.proxied, header, "/told"), own)
            for header in BROKEN:
                check(f"{mode}: {header!r}", None, told(server.proxied, header, "/who"))
                # nginx takes lines that are longer than they may be.
                if nginx and len(header) < 107:
                    check(f"nginx: {header!r}", None, told(nginx.proxied, header, "/told"))
        finally:
            if nginx:
                nginx.end()


def main():
    if find_nginx() is None:
        skipped.append("nginx")
    with tempfile.TemporaryDirectory() as folder:
        judge_pages(folder)
        for mode in MODES:
            judge_credentials(folder, mode)
            judge_proxied(folder, mode)
            judge_headers(folder, mode)
    return report("access_peers_test")


if __name__ == "__main__":
    sys.exit(main())
