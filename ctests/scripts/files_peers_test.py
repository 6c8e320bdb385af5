#!/usr/bin/env python3
"""Folders and files as real clients fetch them: curl (resuming, ranges, conditions,
compression, names of attachments), Python's http.client, requests, aiohttp, node. The
server runs in this process, through ctypes."""
# ctest: timeout=300
# ctest: nosanitize
import asyncio
import ctypes
import email
import gzip
import hashlib
import http.client
import os
import shutil
import subprocess
import sys
import tempfile

import common
from common import check, check_in

BIG = bytes((i * 7919 >> 3) & 255 for i in range(3_000_000))
TEXT = b"".join(b"line %d of a long text\n" % i for i in range(2000))
HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64)


class Server:
    """A server of a folder at "/", and of some handlers."""

    def __init__(self, root):
        self.root = root
        self.library = library = ctypes.CDLL(os.environ["APUS_LIBRARY"])
        library.apus_server_make.restype = ctypes.c_uint64
        for name in ("reply_file", "reply_attachment", "reply_text", "reply_status",
                     "reply_set_compression"):
            getattr(library, "apus_" + name).argtypes = None
        library.apus_writer_make.restype = ctypes.c_uint64
        library.apus_request_path.restype = ctypes.c_char_p
        self.handle = ctypes.c_uint64(library.apus_server_make())
        self.call("set_workers", 2)
        self.call("set_dispatch", 1)
        folder = self.call("serve_folder", b"/", root.encode())
        self.call("set_folder_listing", folder, 1)
        self.call("set_folder_compression", folder, 1)
        self.call("set_folder_precompressed", folder, 1)
        self.call("set_folder_cache_control", folder, b"max-age=5")
        self.call("set_error_page", 404, os.path.join(root, "404.html").encode())
        self.handler = HANDLER(self.handle_request)
        for name in (b"/reply/file", b"/reply/save", b"/reply/none", b"/reply/text",
                     b"/reply/writer", b"/reply/pieces"):
            self.call("route", 1, name, self.handler, None, None)
        self.port = self.call("port", self.call("listen", b"127.0.0.1", 0))
        self.call("start")
        self.url = f"http://127.0.0.1:{self.port}"

    def call(self, name, *arguments):
        result = getattr(self.library, "apus_server_" + name)(self.handle, *arguments)
        if result < 0:
            raise RuntimeError(f"{name}: {result}")
        return result

    def handle_request(self, _, number):
        request, library = ctypes.c_uint64(number), self.library
        path = library.apus_request_path(request)
        big = os.path.join(self.root, "big.bin").encode()
        if path == b"/reply/file":
            library.apus_reply_file(request, big, b"application/x-big")
        elif path == b"/reply/save":
            library.apus_reply_attachment(request, big, "R\u00e9sum\u00e9.bin".encode(), None)
        elif path == b"/reply/none":
            result = library.apus_reply_file(request, big + b".none", None)
            library.apus_reply_status(request, 404 if result == -12 else 500)
        elif path == b"/reply/text":
            library.apus_reply_set_compression(request, 1)
            library.apus_reply_text(request, 200, TEXT)
        elif path == b"/reply/pieces":
            library.apus_reply_set_compression(request, 1)
            library.apus_reply_set_header(request, b"Content-Type", b"text/plain")
            writer = ctypes.c_uint64(library.apus_writer_make(request))
            for at in range(0, len(TEXT), 1000):
                piece = TEXT[at:at + 1000]
                library.apus_writer_write(writer, piece, ctypes.c_size_t(len(piece)))
            library.apus_writer_end(writer)
            library.apus_writer_destroy(writer)
        else:
            writer = ctypes.c_uint64(library.apus_writer_make(request))
            library.apus_writer_set_high_water(writer, ctypes.c_int64(1 << 30))
            library.apus_writer_write(writer, b"one", ctypes.c_size_t(3))
            library.apus_writer_file(writer, big, ctypes.c_int64(5), ctypes.c_int64(-1))
            library.apus_writer_write(writer, b"two", ctypes.c_size_t(3))
            library.apus_writer_end(writer)
            library.apus_writer_destroy(writer)

    def stop(self):
        self.call("stop")
        check("the server is destroyed", 1, self.library.apus_server_destroy(self.handle))


def curl(*arguments):
    result = subprocess.run(["curl", "-sS", "--max-time", "60", *arguments],
                            capture_output=True, timeout=90)
    return result.returncode, result.stdout, result.stderr.decode("latin-1")


def test_curl(url, folder):
    def path(name):
        return os.path.join(folder, name)
    code, out, log = curl(url + "/big.bin", url + "/file.txt", url + "/reply/file")
    check("curl: three files over one connection", (0, BIG + b"0123456789" + BIG), (code, out))
    with open(path("part"), "wb") as file:
        file.write(BIG[:1_000_000])
    code, _, log = curl("-C", "-", "-o", path("part"), url + "/big.bin")
    with open(path("part"), "rb") as file:
        check("curl: a download is resumed", (0, BIG), (code, file.read()))
    code, out, _ = curl("-r", "100-199", url + "/big.bin")
    check("curl: a range", (0, BIG[100:200]), (code, out))
    code, out, _ = curl("-r", "-5", "-w", "%{http_code}", url + "/file.txt")
    check("curl: a suffix", (0, b"56789206"), (code, out))
    code, out, _ = curl("-r", "99-", "-o", path("x"), "-w", "%{http_code}", url + "/file.txt")
    check("curl: 416", (0, b"416"), (code, out))
    code, out, _ = curl("--etag-save", path("etag"), "-o", path("x"), url + "/file.txt")
    code, out, _ = curl("--etag-compare", path("etag"), "-w", "%{http_code}", url + "/file.txt")
    check("curl: an entity tag that is the same", (0, b"304"), (code, out))
    code, out, _ = curl("-z", path("x"), "-R", "-w", "%{http_code}", url + "/file.txt")
    check("curl: a file that is not newer", (0, b"304"), (code, out))
    code, out, _ = curl("--compressed", "-D", path("head"), url + "/long.txt")
    with open(path("head")) as file:
        check_in("curl: text in gzip", "content-encoding: gzip", file.read().lower())
    check("curl: text is whole", TEXT, out)
    for name in ("text", "pieces"):
        code, out, _ = curl("--compressed", "-D", path("head"), f"{url}/reply/{name}")
        with open(path("head")) as file:
            check_in(f"curl: {name} in gzip", "content-encoding: gzip", file.read().lower())
        check(f"curl: {name}, whole", TEXT, out)
    subprocess.run(["curl", "-sS", "-OJ", url + "/reply/save"], cwd=folder, check=True)
    check_in("curl: an attachment's name", "R_sum_.bin", os.listdir(folder))
    code, out, _ = curl("-L", "-w", "%{num_redirects}", url + "/dir")
    check("curl: a folder without its slash", (0, b"<p>index1"), (code, out))
    code, out, _ = curl("--path-as-is", "-w", "%{http_code}", url + "/../secret")
    check("curl: no way out", (0, b"<h1>gone404"), (code, out))
    code, out, _ = curl("-I", url + "/big.bin")
    check_in("curl: HEAD", b"content-length: 3000000\r\n", out.lower())
    code, out, _ = curl("--http1.0", url + "/big.bin")
    check("curl: HTTP/1.0", (0, BIG), (code, out))
    code, out, _ = curl("--limit-rate", "2M", "--max-filesize", "10M", url + "/big.bin")
    check("curl: slowly", (0, BIG), (code, out))
    code, out, _ = curl("-Z", "--parallel-max", "20", *[url + "/big.bin"] * 20, "-o", "/dev/null")
    check("curl: twenty at a time", 0, code)
    code, out, _ = curl(url + "/")
    check_in("curl: a listing", b'<a href="./big.bin">big.bin</a><td>2.9 MiB<td>', out)


def test_http_client(port):
    peer = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def get(path, **headers):
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        peer.request("GET", path, headers=fields)
        reply = peer.getresponse()
        return reply.status, reply, reply.read()
    for path in ("/file.txt", "/big.bin"):
        whole = BIG if path == "/big.bin" else b"0123456789"
        status, reply, body = get(path, Range="bytes=0-1,4-5,-3")
        message = email.message_from_bytes(
            b"Content-Type: " + reply.headers["Content-Type"].encode() + b"\r\n\r\n" + body)
        parts = [part.get_payload(decode=True) for part in message.get_payload()]
        ranges = [part["Content-Range"] for part in message.get_payload()]
        size = len(whole)
        check(f"http.client: parts of {path}", (206, [whole[:2], whole[4:6], whole[-3:]]),
              (status, parts))
        check(f"http.client: their places in {path}",
              [f"bytes 0-1/{size}", f"bytes 4-5/{size}", f"bytes {size - 3}-{size - 1}/{size}"],
              ranges)
    status, reply, body = get("/file.txt")
    tag, date = reply.headers["ETag"], reply.headers["Last-Modified"]
    check("http.client: Cache-Control", "max-age=5", reply.headers["Cache-Control"])
    for fields, expected in (({"If_None_Match": tag}, 304), ({"If_None_Match": '"x"'}, 200),
                             ({"If_Modified_Since": date}, 304), ({"If_Match": '"x"'}, 412),
                             ({"If_Unmodified_Since": date}, 200),
                             ({"If_Range": tag, "Range": "bytes=1-1"}, 206),
                             ({"If_Range": '"x"', "Range": "bytes=1-1"}, 200)):
        check(f"http.client: {fields}", expected, get("/file.txt", **fields)[0])
    status, reply, body = get("/long.txt", Accept_Encoding="gzip")
    check("http.client: gzip", TEXT, gzip.decompress(body))
    check("http.client: Vary", "Accept-Encoding", reply.headers["Vary"])
    status, reply, body = get("/script.js", Accept_Encoding="gzip, br")
    check("http.client: a sibling in brotli", ("br", b"brotli"),
          (reply.headers["Content-Encoding"], body))
    check("http.client: a writer's file", b"one" + BIG[5:] + b"two", get("/reply/writer")[2])
    check("http.client: no file", (404, b"<h1>gone"), get("/reply/none")[::2])
    check("http.client: a type of the handler's", "application/x-big",
          get("/reply/file", Range="bytes=0-0")[1].headers["Content-Type"])
    peer.request("PUT", "/file.txt", body=b"x")
    reply = peer.getresponse()
    check("http.client: 405", (405, "GET, HEAD, OPTIONS"), (reply.status, reply.headers["Allow"]))


def test_requests(url):
    try:
        import requests
    except ImportError:
        return common.skipped.append("requests")
    with requests.Session() as session:
        reply = session.get(url + "/long.txt")
        check("requests: gzip", ("gzip", TEXT), (reply.headers["Content-Encoding"], reply.content))
        check("requests: UTF-8", "utf-8", reply.encoding)
        reply = session.get(url + "/reply/pieces")
        check("requests: pieces in gzip", ("gzip", TEXT),
              (reply.headers["Content-Encoding"], reply.content))
        digest = hashlib.sha256()
        with session.get(url + "/big.bin", stream=True) as reply:
            for piece in reply.iter_content(100_000):
                digest.update(piece)
        check("requests: a stream", hashlib.sha256(BIG).digest(), digest.digest())


def test_aiohttp(url):
    try:
        import aiohttp
    except ImportError:
        return common.skipped.append("aiohttp")

    async def run():
        async with aiohttp.ClientSession() as session:
            async def one(path):
                async with session.get(url + path) as reply:
                    return await reply.read()
            bodies = await asyncio.gather(*[one("/big.bin") for _ in range(30)])
            check("aiohttp: thirty at a time", True, all(body == BIG for body in bodies))
    asyncio.run(run())


def test_node(url):
    if shutil.which("node") is None:
        return common.skipped.append("node")
    script = f"""
      const whole = Buffer.from(await (await fetch('{url}/big.bin')).arrayBuffer());
      const part = await fetch('{url}/big.bin', {{headers: {{Range: 'bytes=5-9'}}}});
      const text = await (await fetch('{url}/long.txt')).text();
      const pieces = await (await fetch('{url}/reply/pieces')).text();
      console.log(whole.length, part.status, (await part.arrayBuffer()).byteLength, text.length,
                  pieces === text);
    """
    result = subprocess.run(["node", "--input-type=module", "-e", script], capture_output=True,
                            timeout=60)
    check("node: fetch", f"{len(BIG)} 206 5 {len(TEXT)} true", result.stdout.decode().strip())


def main():
    with tempfile.TemporaryDirectory(prefix="apus-") as folder:
        root = os.path.join(folder, "root")
        os.makedirs(os.path.join(root, "dir"))
        os.mkdir(os.path.join(folder, "out"))
        for name, data in (("big.bin", BIG), ("file.txt", b"0123456789"), ("long.txt", TEXT),
                           ("404.html", b"<h1>gone"), ("dir/index.html", b"<p>index"),
                           ("script.js", b"plain"), ("script.js.br", b"brotli"),
                           ("../secret", b"secret")):
            with open(os.path.join(root, name), "wb") as file:
                file.write(data)
        server = Server(root)
        test_curl(server.url, os.path.join(folder, "out"))
        test_http_client(server.port)
        test_requests(server.url)
        test_aiohttp(server.url)
        test_node(server.url)
        server.stop()
    return common.report("files_peers_test")


if __name__ == "__main__":
    sys.exit(main())
