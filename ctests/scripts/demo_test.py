#!/usr/bin/env python3
"""The demo as a newcomer meets it: built against the installed library, asked for
each of its URLs by Python, curl, node and a browser, and stopped by a signal. The
browser presses every button, talks to itself in a second page and to Python, and
leaves a picture in build/demo.png."""
# ctest: nosanitize
import base64
import fcntl
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zlib

from common import (PATIENCE, SOURCE, Program, check, check_in, compile_example, report,
                    skipped)
from demo_streams import (ask, check_files, check_files_by_curl, check_news,
                          check_streams_by_browser)

try:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect
except ImportError:
    connect = None


# ---- each URL, by Python


def check_assets(demo):
    types = {"/": "text/html", "/demo.css": "text/css", "/demo.js": "text/javascript",
             "/icon.svg": "image/svg+xml"}
    for path, kind in types.items():
        status, headers, body = ask(demo, "GET", path)
        check(f"status of {path}", 200, status)
        check(f"type of {path}", kind, headers.get_content_type())
        check(f"nosniff of {path}", "nosniff", headers["X-Content-Type-Options"])
        check(f"length of {path}", True, len(body) > 100)
        status, headers, nothing = ask(demo, "HEAD", path)
        check(f"HEAD {path}", (200, str(len(body)), b""),
              (status, headers["Content-Length"], nothing))


def read_counters(demo):
    status, headers, body = ask(demo, "GET", "/api/counters")
    check("status of the counters", 200, status)
    check("type of the counters", "application/json", headers.get_content_type())
    return json.loads(body)


def check_counters(demo):
    before = read_counters(demo)
    after = read_counters(demo)
    check("version", "0.", after["version"][:2])
    check("requests counted", 1, after["requests"] - before["requests"])
    check("accepted", 1, after["accepted"] - before["accepted"])
    # They are told at the end of a worker's turn, behind its replies.
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit and any(
            after[count] <= before[count] for count in ("bytes_in", "bytes_out")):
        after = read_counters(demo)
    check("bytes in", True, after["bytes_in"] > before["bytes_in"])
    check("bytes out", True, after["bytes_out"] > before["bytes_out"])
    check("connections", True, after["connections"] >= 1)


def check_echo(demo):
    body = bytes(range(256))
    for method in ("POST", "GET", "PUT", "DELETE", "BREW"):
        sent = body if method in ("POST", "PUT") else None
        status, headers, reply = ask(demo, method, "/api/echo/J%C3%BC%20r?q=a+b%26&q=2&empty",
                                     sent, {"X-Test": "yes"})
        check(f"status of {method}", 200, status)
        check("type of the echo", "text/plain", headers.get_content_type())
        for line in (f"{method} /api/echo/J\u00fc r", "path name = J\u00fc r", "query q = a b&",
                     "query q = 2", "query empty = ", "field X-Test = yes",
                     f"body {len(sent or b'')} bytes"):
            check_in(f"echo of {method}", (line + "\n").encode(), reply)
        check("echoed body", sent or b"", reply.split(b" bytes\n\n", 1)[-1])


def check_slow(demo):
    """Ten at once: each takes a second, and so do all."""
    replies = []

    def run():
        start = time.monotonic()
        reply = ask(demo, "GET", "/slow")
        replies.append((reply[0], reply[2], time.monotonic() - start))

    start = time.monotonic()
    threads = [threading.Thread(target=run) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check("slow replies", 10, len(replies))
    for status, body, took in replies:
        check("status of /slow", 200, status)
        check_in("text of /slow", b"by another thread", body)
        check("seconds of /slow", True, 0.9 < took < 9)
    check("seconds of ten", True, time.monotonic() - start < 9)


def check_count(demo):
    status, headers, body = ask(demo, "GET", "/count?to=7&every=20")
    check("status of /count", 200, status)
    check("coding of /count", "chunked", headers["Transfer-Encoding"])
    check("numbers", b"".join(b"%d\n" % n for n in range(1, 8)), body)
    # Out of range is brought into it.
    check("at least one", b"1\n", ask(demo, "GET", "/count?to=-5")[2])
    check("ten by default", 10, ask(demo, "GET", "/count?every=1")[2].count(b"\n"))
    # The first piece is there long before the last.
    connection = http.client.HTTPConnection("127.0.0.1", demo.port, timeout=PATIENCE)
    connection.request("GET", "/count?to=1000&every=1000")
    check("first piece", b"1\n", connection.getresponse().readline())
    connection.close()  # early; the demo must get over it


def check_upload(demo):
    maker = random.Random(1)
    for length in (0, 1, 65536, 5_000_000):
        body = maker.randbytes(length)
        status, _, reply = ask(demo, "POST", "/upload", body)
        check(f"status of an upload of {length}", 200, status)
        got = json.loads(reply)
        check("bytes of the upload", length, got["bytes"])
        check("checksum of the upload", f"{zlib.crc32(body):08x}", got["crc32"])
    pieces = [maker.randbytes(1000) for _ in range(200)]
    status, _, reply = ask(demo, "POST", "/upload", iter(pieces))  # chunked
    got = json.loads(reply)
    check("chunked upload", (200, 200_000, f"{zlib.crc32(b''.join(pieces)):08x}"),
          (status, got["bytes"], got["crc32"]))


def check_leaving(demo):
    """A client that leaves in the middle of an upload."""
    connection = http.client.HTTPConnection("127.0.0.1", demo.port, timeout=PATIENCE)
    connection.putrequest("POST", "/upload")
    connection.putheader("Content-Length", "1000000")
    connection.endheaders(b"x" * 1000)
    connection.close()


def check_refusals(demo):
    check("no such path", 404, ask(demo, "GET", "/none")[0])
    status, headers, _ = ask(demo, "DELETE", "/api/counters")
    check("wrong method", 405, status)
    check_in("allowed methods", "GET", headers["Allow"])
    before = read_counters(demo)
    check("long target", 414, ask(demo, "GET", "/" + "a" * 9000)[0])
    check("long head", 431, ask(demo, "GET", "/", headers={"X-Long": "a" * 40000})[0])
    check("long body", 413, ask(demo, "POST", "/upload", headers={
        "Content-Length": str(2 ** 40)})[0])
    after = read_counters(demo)
    for name in ("refused_target", "refused_head", "refused_body"):
        check(name, 1, after[name] - before[name])


# ---- the room, by Python


def enter(demo):
    return connect(demo.url.replace("http", "ws") + "/room", open_timeout=PATIENCE,
                   close_timeout=PATIENCE)


def hear_until(channel, start):
    """Listens until a message comes that starts so; all that was heard."""
    heard = []
    while not (heard and heard[-1].startswith(start)):
        heard.append(channel.recv(timeout=PATIENCE))
    return heard


def close_code(channel):
    try:
        while True:
            channel.recv(timeout=PATIENCE)
    except ConnectionClosed as closed:
        return closed.rcvd and closed.rcvd.code


def check_nonsense(demo):
    for nonsense in ("shout", b"say\ta\tb", b"", "+1", "say " + "a" * 5000):
        with enter(demo) as channel:
            channel.send(nonsense)
            check(f"close of {nonsense[:9]!r}", 1008 if len(nonsense) < 4096 else 1009,
                  close_code(channel))


def check_room(demo):
    if connect is None:
        skipped.append("the room: no websockets")
        return
    with enter(demo) as ada:
        hear_until(ada, "room\t1\t0\t")
        with enter(demo) as bob:
            hear_until(bob, "room\t2\t0\t")
            hear_until(ada, "room\t2\t0\t")
            ada.send("say\tAda\tHello, \u00fc")
            hear_until(bob, "say\tAda\tHello, \u00fc")
            for _ in range(50):
                ada.send("+")
                bob.send("+")
            heard = hear_until(ada, "room\t2\t100\t")
            check("Ada hears not herself", [], [line for line in heard if "say" in line])
            hear_until(bob, "room\t2\t100\t")
            for _ in range(100):
                bob.send("-")
            hear_until(ada, "room\t2\t0\t")
            hear_until(bob, "room\t2\t0\t")
        hear_until(ada, "room\t1\t0\t")
    check_nonsense(demo)


# ---- by other clients


def check_curl(demo):
    if shutil.which("curl") is None:
        skipped.append("curl")
        return

    def curl(*arguments):
        return subprocess.run(["curl", "-sS", "--max-time", str(PATIENCE), *arguments],
                              check=True, capture_output=True).stdout

    check_in("curl echo", b"body 10 bytes\n\nto you too",
             curl("-d", "to you too", demo.url + "/api/echo/swift?wings=2"))
    check("curl count", b"1\n2\n3\n", curl("-N", demo.url + "/count?to=3&every=10"))
    check_in("curl slow", b"another thread", curl(demo.url + "/slow"))
    source = os.path.join(SOURCE, "examples", "demo.c")
    with open(source, "rb") as file:
        data = file.read()
    got = json.loads(curl("-T", source, "-X", "POST", "-H", "Expect: 100-continue",
                          demo.url + "/upload"))
    check("curl upload", (len(data), f"{zlib.crc32(data):08x}"), (got["bytes"], got["crc32"]))


NODE = """
const url = process.argv[1];
(async () => {
  const echo = await fetch(url + '/api/echo/node?a=1', { method: 'POST', body: 'from node' });
  const count = await fetch(url + '/count?to=3&every=10');
  const counters = await (await fetch(url + '/api/counters')).json();
  const data = { echo: await echo.text(), count: await count.text(), counters };
  console.log(JSON.stringify(data));
})();
"""


def check_node(demo):
    node = shutil.which("node")
    if node is None or subprocess.run(
            [node, "-e", "process.exit(typeof fetch === 'function' ? 0 : 1)"]).returncode:
        skipped.append("node with fetch")
        return
    run = subprocess.run([node, "-e", NODE, demo.url], check=True, capture_output=True, text=True,
                         timeout=PATIENCE)
    got = json.loads(run.stdout)
    check_in("node echo", "body 9 bytes\n\nfrom node", got["echo"])
    check("node count", "1\n2\n3\n", got["count"])
    check("node counters", True, got["counters"]["requests"] > 0)


# ---- by a browser


class Browser:
    """A headless Chromium, spoken to through its debugging pipe: descriptors 3 and
    4, JSON messages that end with a NUL."""

    def __init__(self, program, folder):
        read_there, self.write = os.pipe()
        self.read, write_there = os.pipe()
        # Out of the way of 3 and 4.
        theirs = [fcntl.fcntl(old, fcntl.F_DUPFD_CLOEXEC, 20) for old in (read_there, write_there)]
        self.number, self.buffer, self.events = 0, b"", []
        self.process = subprocess.Popen(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
             "--no-first-run", "--disable-background-networking", "--hide-scrollbars",
             f"--user-data-dir={folder}/profile", "about:blank"],
            preexec_fn=lambda: [os.dup2(old, new) for old, new in zip(theirs, (3, 4))],
            pass_fds=(3, 4), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for descriptor in (read_there, write_there, *theirs):
            os.close(descriptor)
        self.session = None

    def message(self):
        while b"\0" not in self.buffer:
            data = os.read(self.read, 1 << 20)
            if not data:
                raise OSError("the browser has gone")
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.write, data):]
        while True:
            got = self.message()
            if got.get("id") == self.number:
                if "error" in got:
                    raise OSError(f"{method}: {got['error']}")
                return got["result"]
            self.events.append(got)

    def wait_event(self, method):
        while not any(event.get("method") == method and event.get("sessionId") == self.session
                      for event in self.events):
            self.events.append(self.message())

    def open(self, url):
        """Opens a page. Calls are for the latest, or for the one of self.session."""
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target,
                                 flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call("Runtime.enable")
        self.call("Log.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=1280, height=900,
                  deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=url)
        self.wait_event("Page.loadEventFired")
        return self.session

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True,
                           returnByValue=True)
        if "exceptionDetails" in result:
            raise OSError(str(result["exceptionDetails"]))
        return result["result"].get("value")

    def complaints(self):
        """What the page did wrong: exceptions, broken policies."""
        return [event["params"] for event in self.events
                if event.get("method") == "Runtime.exceptionThrown"
                or event.get("method") == "Log.entryAdded"
                and event["params"]["entry"].get("source") in ("security", "javascript")]

    def close(self):
        try:
            self.session = None
            self.call("Browser.close")
        except OSError:
            pass
        os.close(self.write)
        self.process.wait(timeout=PATIENCE)
        os.close(self.read)


# Does something in the page, and resolves with what the page shows once that is
# whole, or after a while with what is there by then.
WATCH = """
new Promise(resolve => {
  const text = id => document.getElementById(id).textContent;
  const texts = pattern => [...document.querySelectorAll(pattern)].map(item => item.textContent);
  const shown = () => (%s);
  const isWhole = page => %s;
  const look = () => {
    if (!isWhole(shown())) return;
    observer.disconnect();
    resolve(shown());
  };
  const observer = new MutationObserver(look);
  observer.observe(document, { subtree: true, childList: true, characterData: true });
  setTimeout(() => resolve(shown()), 30000);
  %s;
  look();
})
"""

ALL = """{
  requests: document.querySelector('[data-count=requests]').textContent,
  state: text('state'), echoed: text('echoed'), refusal: text('refusal'),
  slow: texts('#slow span'), numbers: texts('#numbers li'),
  counted: text('counted'), uploaded: text('uploaded'), line: line.getAttribute('d'),
}"""

ALL_IS_WHOLE = """Number(page.requests) > 9 && page.echoed.startsWith('200') &&
  page.refusal.startsWith('404') && page.slow.length === 5 && page.counted &&
  page.slow.every(line => line.startsWith('answered')) && page.uploaded"""

ROOM = """{
  joined: text('joined'), here: text('here') + ' ' + text('people'), shared: text('shared'),
  said: texts('#said li'), markup: document.querySelectorAll('#said img').length,
}"""


def find_browser():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if shutil.which(name):
            return shutil.which(name)
    return None


def check_page(page):
    check("state", "serving", page["state"])
    check("live requests", True, page["requests"].replace(",", "").isdigit()
          and int(page["requests"].replace(",", "")) > 9)
    check_in("graph", "L240.0 ", page["line"] or "")
    check_in("echo in the page", "path name = common swift", page["echoed"])
    check_in("refusal in the page", "404 Not Found", page["refusal"])
    check("slow in the page", 5, sum(" ms by another thread" in line for line in page["slow"]))
    check("numbers in the page", [str(n) for n in range(1, 21)], page["numbers"])
    check_in("upload in the page", ", as computed here.", page["uploaded"])


def wait_room(browser, session, condition, action=""):
    browser.session = session
    return browser.evaluate(WATCH % (ROOM, condition, action))


def speak(name, words):
    """Types in the page, and sends it."""
    return (f"who.value = {json.dumps(name)}; words.value = {json.dumps(words)}; "
            "talk.requestSubmit()")


def check_pages(browser, url, first):
    """Two pages of the browser: what one says and counts, the other shows."""
    markup = "<img src=x onerror=alert(1)>"
    wait_room(browser, first, "page.joined === 'connected'")
    start = int(wait_room(browser, first, "page.shared !== '-'")["shared"])
    second = browser.open(url)
    page = wait_room(browser, second, "page.here.startsWith('2') && page.shared !== '-'")
    check("the second page", ("connected", "2 people here", str(start), []),
          (page["joined"], page["here"], page["shared"], page["said"]))
    wait_room(browser, first, "page.here.startsWith('2')")
    page = wait_room(browser, second, "page.said.length === 1", speak("Grace", markup))
    check("what one says is there", ["Grace" + markup], page["said"])
    page = wait_room(browser, first, "page.said.some(line => line.startsWith('Grace'))",
                     speak("Ada", "Hello, Grace"))
    check("what the other says", ["Ada" + "Hello, Grace", "Grace" + markup],
          sorted(page["said"][-2:]))
    check("markup is text", 0, page["markup"])
    page = wait_room(browser, second, "page.said.length === 2")
    check("the talk", ["Grace" + markup, "AdaHello, Grace"], page["said"])
    page = wait_room(browser, second, f"page.shared === '{start + 2}'",
                     "more.click(); more.click()")
    check("counted here", str(start + 2), page["shared"])
    page = wait_room(browser, first, f"page.shared === '{start + 1}'", "less.click()")
    check("counted there", str(start + 1), page["shared"])
    # A page that loses its channel gets another, and what holds by then.
    page = wait_room(browser, second, "page.joined !== 'connected'", "socket.send('nonsense')")
    check("a lost channel", ("reconnecting", "- people here"), (page["joined"], page["here"]))
    page = wait_room(browser, second, "page.here.startsWith('2') && page.shared !== '-'")
    check("another channel", ("connected", str(start + 1)), (page["joined"], page["shared"]))


def press(browser, key, code, text=""):
    options = {"key": key, "code": key.strip() or "Space", "windowsVirtualKeyCode": code}
    browser.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text,
                 **options)
    browser.call("Input.dispatchKeyEvent", type="keyUp", **options)


def check_keyboard(browser, first):
    """Says and counts without a pointer."""
    browser.session = first
    browser.call("Page.bringToFront")
    count = int(browser.evaluate("words.focus(), shared.textContent"))
    browser.call("Input.insertText", text="typed")
    press(browser, "Enter", 13, "\r")
    page = wait_room(browser, first, "page.said.at(-1).endsWith('typed')")
    check("said by keys", "typed", page["said"][-1][-5:])
    for _ in ("to Say", "to One less"):
        press(browser, "Tab", 9)
    check("the way of Tab", "less", browser.evaluate("document.activeElement.id"))
    press(browser, " ", 32, " ")
    page = wait_room(browser, first, f"page.shared === '{count - 1}'")
    check("counted by keys", str(count - 1), page["shared"])


def check_with_python(demo, browser, first):
    if connect is None:
        return
    with enter(demo) as channel:
        hear_until(channel, "room\t3\t")
        channel.send("say\tPy\thello")
        page = wait_room(browser, first, "page.said.at(-1) === 'Pyhello'")
        check("said by Python", "Pyhello", page["said"][-1])
        wait_room(browser, first, "page.said.at(-1) === 'Adahello'", speak("Ada", "hello"))
        hear_until(channel, "say\tAda\thello")


def picture(browser, name, **options):
    browser.call("Page.bringToFront")
    data = browser.call("Page.captureScreenshot", **options)["data"]
    os.makedirs(os.path.join(SOURCE, "build"), exist_ok=True)
    with open(os.path.join(SOURCE, "build", name), "wb") as file:
        file.write(base64.b64decode(data))


def check_browser(demo, folder):
    program = find_browser()
    if program is None:
        skipped.append("the browser: no chromium")
        return
    browser = Browser(program, folder)
    try:
        first = browser.open(demo.url + "/")
        check_page(browser.evaluate(WATCH % (ALL, ALL_IS_WHOLE, "all.click()")))
        check_pages(browser, demo.url + "/", first)
        check_keyboard(browser, first)
        check_with_python(demo, browser, first)
        picture(browser, "demo.png", captureBeyondViewport=True)
        check_streams_by_browser(demo, browser, first, folder, picture)
        check("complaints of the browser", [], browser.complaints())
    finally:
        browser.close()


# ---- the end


def check_stop(demo):
    """A request under way is finished, a channel is closed; then the program ends with
    nothing left."""
    channel = enter(demo) if connect else None
    connection = http.client.HTTPConnection("127.0.0.1", demo.port, timeout=PATIENCE)
    connection.request("GET", "/count?to=10&every=50")
    reply = connection.getresponse()
    check("first of the last", b"1\n", reply.readline())
    demo.process.send_signal(signal.SIGTERM)
    check_in("rest of the last", b"9\n10\n", reply.read())
    connection.close()
    output, errors = demo.process.communicate(timeout=PATIENCE)
    check("exit status", 0, demo.process.returncode)
    check_in("last line", "Stopped, with 0 handles left", output)
    check("standard error", "", errors)
    if channel:
        check("close of a channel", 1001, close_code(channel))


def check_interrupt(program):
    """Ctrl-C at once, and a port that is taken."""
    demo = Program([program], stream="stdout")
    taken = subprocess.run([program, str(demo.port)], capture_output=True, text=True)
    check("exit status with a taken port", 1, taken.returncode)
    check_in("message about a taken port", "in use", taken.stderr)
    status, output, errors = demo.stop(signal.SIGINT)
    check("interrupted", (0, ""), (status, errors))
    check_in("last line", "Stopped, with 0 handles left", output)


def main():
    with tempfile.TemporaryDirectory() as folder:
        program = compile_example("demo", folder)
        demo = Program([program], stream="stdout")
        try:
            for step in (check_assets, check_counters, check_echo, check_slow, check_count,
                         check_upload, check_leaving, check_refusals, check_room, check_news,
                         check_files, check_curl, check_node):
                step(demo)
            check_files_by_curl(demo, folder)
            check_browser(demo, folder)
            check_stop(demo)
        finally:
            demo.kill()
        check_interrupt(program)
    return report("demo_test")


if __name__ == "__main__":
    sys.exit(main())
