#!/usr/bin/env python3
"""Real clients against a live server: curl, Python's http.client and requests,
aiohttp, node (fetch and http), wrk. Each line says what was checked; a client that
is not installed is named, and only curl and http.client have to be there."""
# ctest: timeout=300
import asyncio
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile

try:
    import requests
except ImportError:
    requests = None
try:
    import aiohttp
except ImportError:
    aiohttp = None

BIG = bytes((i * 7919 >> 3) & 255 for i in range(3_000_000))
figures = {"run": 0, "right": 0}


def check(what, right, detail=""):
    figures["run"] += 1
    figures["right"] += bool(right)
    print(f"{'ok   ' if right else 'WRONG'} {what}{'' if right else ': ' + str(detail)[:1500]}",
          flush=True)


class Server:
    def __init__(self, mode):
        program = os.path.join(os.environ["APUS_BIN"], "hostile_server")
        self.process = subprocess.Popen([program, mode], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self):
        self.process.stdin.close()
        check("the server ended cleanly", self.process.wait(60) == 0, self.process.returncode)


# ---- curl -----------------------------------------------------------------------

def curl(*arguments, data=None):
    result = subprocess.run(["curl", "-sS", "-v", "--max-time", "60", *arguments],
                            input=data, capture_output=True, timeout=90)
    return result.returncode, result.stdout, result.stderr.decode("latin-1")


def test_curl(url, folder):
    big = os.path.join(folder, "big")
    with open(big, "wb") as file:
        file.write(BIG)
    code, out, log = curl(url + "/", url + "/canary", url + "/")
    check("curl: three GETs over one kept connection",
          code == 0 and out == b"okcanaryok" and log.lower().count("re-using existing") == 2, log)
    code, out, log = curl("-T", "-", "-H", "Expect:", url + "/put", data=BIG)
    check("curl: PUT of 3 MB in chunks from a pipe",
          code == 0 and out == BIG and "Transfer-Encoding: chunked" in log, log)
    code, out, log = curl("-T", big, url + "/put")
    check("curl: PUT of a file with its length", code == 0 and out == BIG, log)
    code, out, log = curl("-H", "Expect: 100-continue", "--expect100-timeout", "50",
                          "--data-binary", "@" + big, url + "/")
    check("curl: POST that waits for 100 (Continue)",
          code == 0 and out == BIG and "< HTTP/1.1 100 Continue" in log, log)
    code, out, log = curl("-I", url + "/")
    check("curl: HEAD", code == 0 and b"content-length: 2\r\n" in out.lower(), out)
    code, out, log = curl("--http1.0", url + "/")
    check("curl: HTTP/1.0", code == 0 and out == b"ok" and "< HTTP/1.1 200" in log, log)
    code, out, log = curl("--http1.0", url + "/chunks")
    check("curl: HTTP/1.0 gets no chunks",
          code == 0 and out == b"one two three" and "chunked" not in log.lower(), log)
    code, out, log = curl("--raw", url + "/chunks")
    check("curl: the bytes of chunks and trailer", code == 0 and out ==
          b"4\r\none \r\n4\r\ntwo \r\n5\r\nthree\r\n0\r\nX-Trailer: end\r\n\r\n", out)
    code, out, log = curl("--http2", url + "/", url + "/")
    check("curl: an offer of HTTP/2 is ignored", code == 0 and out == b"okok", log)
    code, out, log = curl("-X", "OPTIONS", "--request-target", "*", "-i", url)
    check("curl: OPTIONS *", code == 0 and b"\r\nallow: " in out.lower(), out)
    code, out, log = curl("-X", "DELETE", "-w", "%{http_code}", url + "/")
    check("curl: 405 with Allow", code == 0 and out.endswith(b"405") and "allow: " in log.lower(),
          log)
    code, out, log = curl("-H", "A: " + "x" * 40000, "-w", "%{http_code}", url + "/")
    check("curl: 431 for a large head", code == 0 and out.endswith(b"431"), log)
    many = ["-Z", "--parallel-max", "50", *[url + "/"] * 300]
    code, out, log = curl(*many)
    check("curl: 300 GETs, 50 at a time", code == 0 and out == b"ok" * 300, log[-1000:])


# ---- Python ---------------------------------------------------------------------

def test_http_client(port):
    peer = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    sockets, answers = set(), []
    for _ in range(50):
        peer.request("GET", "/")
        reply = peer.getresponse()
        answers.append((reply.status, reply.read()))
        sockets.add(peer.sock)
    check("http.client: 50 GETs over one connection",
          answers == [(200, b"ok")] * 50 and len(sockets) == 1, answers[:3])
    peer.request("POST", "/", body=iter([b"a", b"bc", BIG[:100000]]), encode_chunked=True,
                 headers={"Transfer-Encoding": "chunked"})
    check("http.client: chunked POST", peer.getresponse().read() == b"abc" + BIG[:100000])
    peer.request("GET", "/chunks")
    check("http.client: chunked reply", peer.getresponse().read() == b"one two three")
    peer.request("HEAD", "/chunks")
    reply = peer.getresponse()
    check("http.client: HEAD of a chunked reply", (reply.status, reply.read()) == (200, b""))
    peer.request("GET", "/none")
    reply = peer.getresponse()
    check("http.client: 404", reply.status == 404 and reply.read() is not None, reply.status)
    peer.request("GET", "/", headers={"Connection": "close"})
    reply = peer.getresponse()
    check("http.client: the last request", reply.read() == b"ok" and reply.will_close)
    peer.close()


def test_requests(url):
    if requests is None:
        print("      requests is not installed")
        return
    with requests.Session() as session:
        replies = [session.get(url + "/", params={"a": "b c"}, timeout=30) for _ in range(20)]
        check("requests: 20 GETs in a session",
              all((reply.status_code, reply.text) == (200, "ok") for reply in replies))
        reply = session.post(url + "/", json={"a": [1, 2, "\u00e4"]}, timeout=30)
        check("requests: JSON", reply.json() == {"a": [1, 2, "\u00e4"]}, reply.text)
        reply = session.post(url + "/", data=(bytes([i]) * 1000 for i in range(200)), timeout=30)
        check("requests: a generator as the body",
              reply.content == b"".join(bytes([i]) * 1000 for i in range(200)))
        reply = session.post(url + "/", files={"f": ("name", BIG[:200000])}, timeout=30)
        check("requests: a form with a file", BIG[:200000] in reply.content)
        reply = session.get(url + "/chunks", stream=True, timeout=30)
        check("requests: a streamed reply", b"".join(reply.iter_content(3)) == b"one two three")
        reply = session.head(url + "/", timeout=30)
        check("requests: HEAD", reply.headers["Content-Length"] == "2", reply.headers)
        reply = session.options(url + "/", timeout=30)
        check("requests: OPTIONS", "GET" in reply.headers["Allow"], reply.headers)


async def ask_aiohttp(url):
    async with aiohttp.ClientSession() as session:
        async def get(number):
            async with session.post(url + "/", data=b"%d" % number) as reply:
                return reply.status, await reply.read()
        answers = await asyncio.gather(*[get(number) for number in range(500)])
        check("aiohttp: 500 POSTs at once",
              answers == [(200, b"%d" % number) for number in range(500)])
        async with session.get(url + "/chunks") as reply:
            check("aiohttp: chunked reply", await reply.text() == "one two three")
        async with session.put(url + "/put", data=BIG, expect100=True) as reply:
            check("aiohttp: PUT of 3 MB after 100 (Continue)", await reply.read() == BIG)


def test_aiohttp(url):
    if aiohttp is None:
        print("      aiohttp is not installed")
        return
    asyncio.run(ask_aiohttp(url))


# ---- node and wrk ---------------------------------------------------------------

NODE = r"""
const http = require('http');
const { createHash } = require('crypto');
const url = process.argv[1];
const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
const results = {};
function ask(method, path, body, headers) {
  return new Promise((resolve, reject) => {
    const request = http.request(url + path, { method, agent, headers }, (reply) => {
      const pieces = [];
      reply.on('data', (piece) => pieces.push(piece));
      reply.on('end', () => resolve({ status: reply.statusCode, trailers: reply.trailers,
        body: Buffer.concat(pieces), port: request.socket.localPort }));
    });
    request.on('error', reject);
    if (body) for (const piece of body) request.write(piece);
    request.end();
  });
}
async function main() {
  const many = await Promise.all(Array.from({ length: 200 }, () => ask('GET', '/')));
  results.many = many.every((reply) => reply.status === 200 && `${reply.body}` === 'ok');
  results.reused = new Set(many.map((reply) => reply.port)).size <= 4;
  const big = Buffer.alloc(1000000, 'node');
  const echoed = await ask('POST', '/', [big, big]);
  results.chunked = echoed.body.equals(Buffer.concat([big, big]));
  const chunks = await ask('GET', '/chunks');
  results.trailers = chunks.body.toString() === 'one two three' &&
    chunks.trailers['x-trailer'] === 'end';
  const head = await ask('HEAD', '/');
  results.head = head.status === 200 && head.body.length === 0;
  const texts = await Promise.all(Array.from({ length: 50 }, (_, index) =>
    fetch(url + '/', { method: 'POST', body: 'fetch ' + index }).then((reply) => reply.text())));
  results.fetch = texts.every((text, index) => text === 'fetch ' + index);
  const missing = await fetch(url + '/none');
  results.missing = missing.status === 404;
  agent.destroy();
  console.log(JSON.stringify(results));
}
main().catch((error) => { console.error(error); process.exit(1); });
"""

NODE_CHECKS = {
    "many": "http: 200 GETs over 4 connections", "reused": "http: connections are reused",
    "chunked": "http: a chunked POST of 2 MB", "trailers": "http: chunks and their trailer",
    "head": "http: HEAD", "fetch": "fetch: 50 POSTs at once", "missing": "fetch: 404",
}


def test_node(url):
    if shutil.which("node") is None:
        print("      node is not installed")
        return
    result = subprocess.run(["node", "-e", NODE, url], capture_output=True, text=True, timeout=120)
    if result.returncode != 0 and "fetch is not defined" in result.stderr:
        print("      node is too old for fetch")
        return
    answers = json.loads(result.stdout) if result.returncode == 0 else {}
    for key, what in NODE_CHECKS.items():
        check(f"node: {what}", answers.get(key) is True, result.stderr or answers)


def test_wrk(url):
    if shutil.which("wrk") is None:
        print("      wrk is not installed")
        return
    result = subprocess.run(["wrk", "-t", "2", "-c", "50", "-d", "1s", url + "/"],
                            capture_output=True, text=True, timeout=60)
    good = "Socket errors" not in result.stdout and "Non-2xx" not in result.stdout
    check("wrk: 50 connections without an error", result.returncode == 0 and good, result.stdout)


def main():
    for mode in ("worker", "tick", "threadless"):
        print(f"---- {mode}")
        server = Server(mode)
        with tempfile.TemporaryDirectory(prefix="apus-") as folder:
            test_curl(server.url, folder)
        test_http_client(server.port)
        test_requests(server.url)
        test_aiohttp(server.url)
        test_node(server.url)
        test_wrk(server.url)
        server.stop()
    print(f"peers_test: checks run {figures['run']}, right {figures['right']}")
    return 0 if figures["run"] == figures["right"] else 1


if __name__ == "__main__":
    sys.exit(main())
