#!/usr/bin/env python3
"""Forms and cookies by those who did not write them: curl, requests, aiohttp, node and a
browser send forms; http.cookies, http.cookiejar, aiohttp's jar, curl's and the browser's
judge the cookies that are set."""
# ctest: timeout=300 nosanitize
import asyncio
import html
import http.client
import http.cookiejar
import http.cookies
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request

from common import PATIENCE, check, check_in, report, skipped

try:
    import requests
except ImportError:
    requests = None
try:
    import aiohttp
except ImportError:
    aiohttp = None

BIG = bytes((i * 7919 >> 3) & 255 for i in range(3_000_000))


def fnv(data):
    value = 0xcbf29ce484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001b3 & (1 << 64) - 1
    return f"{value:016x}"


SUMS = {}


def part(name, file, kind, data):
    """A line of the server's about a part."""
    def hexed(text):
        return (text.encode() if isinstance(text, str) else text).hex()
    if data not in SUMS:
        SUMS[data] = fnv(data)
    return (f"{hexed(name)} {'-' if file is None else hexed(file)} {kind} {len(data)} "
            f"{SUMS[data]}")


class Server:
    def __init__(self, folder):
        program = os.path.join(os.environ["APUS_BIN"], "forms_server")
        self.process = subprocess.Popen([program, "worker", folder], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self):
        self.process.stdin.close()
        check("the server's end", 0, self.process.wait(PATIENCE))


def lines(text):
    return (text.decode() if isinstance(text, bytes) else text).strip("\n").split("\n")


# ---- forms


def curl(*arguments):
    result = subprocess.run(["curl", "-sS", "--max-time", "60", *arguments], capture_output=True,
                            timeout=PATIENCE)
    check(f"curl {arguments[0]}: {result.stderr.decode()}", 0, result.returncode)
    return result.stdout


def check_curl(url, folder):
    big = os.path.join(folder, 'b"i;g.bin')
    with open(big, "wb") as file:
        file.write(BIG)
    quoted = '"' + big.replace('"', '\\"') + '"'
    expected = [part('a"b', None, "text/plain", b"1 2"),
                part("f", 'b"i;g.bin', "a/b", BIG),
                part("\u00e4", "n.txt", "text/plain", BIG),
                part("typed", None, "text/html; charset=utf-8", "\u20ac".encode())]
    for path in ("/form", "/buffered"):
        for extra in ([], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]):
            got = curl("-F", 'a"b=1 2', "-F", f"f=@{quoted};type=a/b",
                       "-F", f"\u00e4=@{quoted};filename=n.txt;type=text/plain",
                       "-F", "typed=\u20ac;type=text/html; charset=utf-8", *extra, url + path)
            check(f"curl -F to {path} {extra}", expected, lines(got))
        got = curl("--data-urlencode", "a b=\u20ac&=+", "-d", "c=d", url + path)
        check(f"curl --data-urlencode to {path}",
              [part("a b", None, "text/plain", "\u20ac&=+".encode()),
               part("c", None, "text/plain", b"d")], lines(got))
    got = curl("--form-escape", "-F", 'a"b=1', url + "/form")
    check("curl --form-escape", [part('a"b', None, "text/plain", b"1")], lines(got))
    status = curl("-o", os.devnull, "-w", "%{http_code}", "-d", "x", "-H",
                  "Content-Type: text/plain", url + "/form")
    check("curl: no form", b"415", status)
    os.remove(big)
    names = [("../../x.txt", "x.txt"), ("C:\\d\\y.txt", "y.txt"), ("/etc/passwd", "passwd"),
             ("..", "APUS_E_ARGUMENT"), ("d/", "APUS_E_ARGUMENT")]
    for name, kept in names:
        body = ("--b\r\nContent-Disposition: form-data; name=f; filename=\"" + name +
                "\"\r\n\r\nsaved\r\n--b--\r\n")
        got = curl("-H", "Content-Type: multipart/form-data; boundary=b", "--data-binary", body,
                   url + "/save")
        check(f"saving {name}", [kept.encode().hex() + " "], lines(got))
        path = os.path.join(folder, kept)
        check(f"the file of {name}", kept != "APUS_E_ARGUMENT", os.path.exists(path))
        if os.path.exists(path):
            with open(path, "rb") as file:
                check(f"the content of {name}", b"saved", file.read())
            os.remove(path)
    check("nothing else was saved", [], os.listdir(folder))


def check_requests(url):
    if requests is None:
        skipped.append("requests")
        return
    reply = requests.post(url + "/form", data=[("a", "1"), ("a", "\u00e4"), ("", "")],
                          files=[("f", ("\u20ac\".txt", io.BytesIO(BIG), "a/b")),
                                 ("g", ("", b"")), ("h", (None, b"field"))], timeout=PATIENCE)
    check("requests", [part("a", None, "text/plain", b"1"),
                       part("a", None, "text/plain", "\u00e4".encode()),
                       part("", None, "text/plain", b""),
                       part("f", "\u20ac\".txt", "a/b", BIG), part("g", "", "text/plain", b""),
                       part("h", None, "text/plain", b"field")], lines(reply.text))
    reply = requests.post(url + "/form", data={"a b": "\u20ac&="}, timeout=PATIENCE)
    check("requests, urlencoded", [part("a b", None, "text/plain", "\u20ac&=".encode())],
          lines(reply.text))


async def run_aiohttp(url):
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        form = aiohttp.FormData(quote_fields=False)
        form.add_field("a", "1")
        form.add_field("f", BIG, filename="\u20ac x.txt", content_type="a/b")
        async with session.post(url + "/form", data=form) as reply:
            check("aiohttp FormData", [part("a", None, "text/plain; charset=utf-8", b"1"),
                                       part("f", "\u20ac x.txt", "a/b", BIG)],
                  lines(await reply.text()))
        form = aiohttp.FormData()
        form.add_field("f", io.BytesIO(b"x"), filename="\u20ac.txt")
        async with session.post(url + "/form", data=form) as reply:
            check("aiohttp FormData, its names quoted", 1, len(lines(await reply.text())))
        form = aiohttp.FormData({"a b": "\u20ac&"})
        async with session.post(url + "/form", data=form) as reply:
            check("aiohttp, urlencoded", [part("a b", None, "text/plain", "\u20ac&".encode())],
                  lines(await reply.text()))
        async with session.get(url + "/set") as reply:
            check("aiohttp: set", 200, reply.status)
        async with session.get(url + "/cookies") as reply:
            # It sends values with such characters between quotes.
            check("aiohttp's jar", [f'full="{FULL}"', "plain=1", 'quoted="a=b"', "signed=user"],
                  sorted(lines(await reply.text())))
        async with session.get(url + "/forget") as reply:
            await reply.read()
        async with session.get(url + "/cookies") as reply:
            check("aiohttp's jar, later", [f'full="{FULL}"'], lines(await reply.text()))


def check_node(url):
    if shutil.which("node") is None:
        skipped.append("node")
        return
    program = """
      const form = new FormData();
      form.append('a"\\r\\nb', '1\\n2');
      form.append('f', new Blob([new Uint8Array(100000)], {type: 'a/b'}), 'x"y.bin');
      fetch(process.argv[1], {method: 'POST', body: form}).then(r => r.text())
        .then(t => console.log(t));"""
    result = subprocess.run(["node", "-e", program, url + "/form"], capture_output=True,
                            timeout=PATIENCE)
    check("node's FormData", [part('a"\r\nb', None, "text/plain", b"1\r\n2"),
                              part("f", 'x"y.bin', "a/b", bytes(100000))], lines(result.stdout))


# ---- cookies

FULL = "!#$%&'()*+-./:<=>?@[]^_`{|}~"


def check_morsels(port):
    """Python's http.cookies reads what is set, attribute by attribute."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", "/set")
    reply = connection.getresponse()
    reply.read()
    fields = reply.headers.get_all("Set-Cookie")
    connection.close()
    check("cookies that are set", 8, len(fields))
    morsels = {}
    for field in fields:
        # Older Pythons do not know the attribute.
        jar = http.cookies.SimpleCookie(field.replace("; Partitioned", ""))
        check(f"one cookie in {field}", 1, len(jar))
        morsels.update(jar)
    full = morsels["full"]
    check("value", FULL, full.value)
    check("attributes", ("/cookies", "3600", "Fri, 01 Jan 2100 00:00:00 GMT", True, "Lax", ""),
          (full["path"], full["max-age"], full["expires"], full["httponly"], full["samesite"],
           full["secure"]))
    host = morsels["__Host-secure"]
    check("a cookie of the prefix", ("/", True, "None", ""),
          (host["path"], host["secure"], host["samesite"], host["domain"]))
    check("a cookie that is gone", "0", morsels["gone"]["max-age"])


def check_cookiejar(url):
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))

    def get(path):
        with opener.open(url + path, timeout=PATIENCE) as reply:
            return lines(reply.read())
    get("/set")
    names = sorted(cookie.name for cookie in jar)
    check("http.cookiejar", ["__Host-secure", "elsewhere", "full", "plain", "quoted", "signed"],
          names)
    check("what http.cookiejar sends", ['full=' + FULL, "plain=1", "signed=user"],
          sorted(line for line in get("/cookies") if not line.startswith("quoted")))
    get("/forget")
    check("what http.cookiejar sends later", ['full=' + FULL], get("/cookies"))


def check_curl_jar(url, folder):
    jar = os.path.join(folder, "jar")
    curl("-c", jar, url + "/set")
    got = curl("-b", jar, url + "/cookies")
    # Both it and browsers take this machine itself for secure.
    check("curl's jar",
          ["__Host-secure=x", 'full=' + FULL, "plain=1", 'quoted="a=b"', "signed=user"],
          sorted(lines(got)))
    with open(jar) as file:
        text = file.read()
    check("curl keeps no cookie that is gone", False, "gone" in text or "past" in text)
    changed = text.replace("user.", "root.")
    with open(jar, "w") as file:
        file.write(changed)
    check_in("a signed cookie that was changed", "signed=APUS_E_PROTOCOL",
             curl("-b", jar, url + "/cookies").decode())
    os.remove(jar)


# ---- a browser


def check_browser(url, folder):
    program = next((found for found in map(shutil.which, (
        "chromium", "chromium-browser", "google-chrome")) if found), None)
    if program is None:
        skipped.append("the browser: no chromium")
        return
    result = subprocess.run(
        [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         f"--user-data-dir={folder}", "--virtual-time-budget=20000", "--dump-dom",
         url + "/page"], capture_output=True, timeout=PATIENCE * 2)
    found = re.search(r'<pre id="out">(.*?)</pre>', result.stdout.decode(), re.S)
    text = html.unescape(found.group(1)) if found else result.stdout.decode()[-500:]
    form = [part('a "b" \u00e4', None, "text/plain", "1 \u20ac".encode()),
            part("t", None, "text/plain", b"x\r\ny"),
            part("f", 'z"\u00f6.bin', "a/b", bytes(100000)),
            part("f", "C:\\x.txt", "text/x", b"text"),
            part("none", "", "application/octet-stream", b"")]
    pairs = [part("a&b", None, "text/plain", "\u00e4 +".encode())]
    cookies = sorted(["__Host-secure=x", "plain=1", 'quoted="a=b"', "full=" + FULL, "signed=user"])
    parts = [lines(piece) for piece in text.split("--\n")]
    check("pieces of the browser's page", 4, len(parts))
    if len(parts) == 4:
        check("the browser's form", form, parts[0])
        check("the browser's FormData", form, parts[1])
        check("the browser's urlencoded form", pairs, parts[2])
        check("the browser's cookies", [*cookies, "DONE"], sorted(parts[3][:-1]) + parts[3][-1:])


def main():
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as profile:
        server = Server(folder)
        check_curl(server.url, folder)
        check_requests(server.url)
        if aiohttp is None:
            skipped.append("aiohttp")
        else:
            asyncio.run(run_aiohttp(server.url))
        check_node(server.url)
        check_morsels(server.port)
        check_cookiejar(server.url)
        check_curl_jar(server.url, folder)
        check_browser(server.url, profile)
        check("no upload is left", [], os.listdir(folder))
        server.stop()
    return report("forms_peers")


if __name__ == "__main__":
    sys.exit(main())
