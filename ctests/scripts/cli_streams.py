"""apus ws, sse and bench, against aiohttp and websockets."""
import json
import re
import signal
import socket
import time

from cli_run import Background, expect, tool
from common import check, check_in


def check_messages(peer):
    url = peer.url.replace("http", "ws") + "/ws"
    done = tool("ws", "-q", url, data=b"one\ntw\xc3\xb6\r\n\nlast without a newline")
    check("lines, there and back", (0, "one\ntwö\n\nlast without a newline\n", ""),
          (done.code, done.out, done.err))
    many = "".join(f"{number}\n" for number in range(20000))
    check("many lines", many, tool("ws", "-q", url, data=many.encode()).out)
    done = tool("ws", "-b", url, data=b"ab\n\xff\x00c\n", text=False)
    check("bytes", (0, b"bac\x00\xff"), (done.code, done.out))
    done = tool("ws", url, data=b"\xff\n")
    check_in("what is no text", "-b", done.err)
    done = tool("ws", url, "-n", "2", "--message", "first", "--message", "second")
    check("messages of the command line", (0, "first\nsecond\n"), (done.code, done.out))
    done = tool("ws", url, "-s", "other,chat", "-o", "http://page.example", "-H", "X-One: 1",
                "-u", "Ada:love", "-n", "1", "--message", "json")
    fields = json.loads(done.out)
    check("fields of the handshake",
          ("http://page.example", "1", "Basic QWRhOmxvdmU=", "other,chat"),
          tuple(fields.get(name, "").replace(", ", ",") for name in (
              "Origin", "X-One", "Authorization", "Sec-WebSocket-Protocol")))
    check_in("the subprotocol", "open, subprotocol ", done.err)
    done = tool("ws", peer.url + "/ws", data=b"by http\n")
    check("a page's URL", "by http\n", done.out)


def check_ends(peer, closed):
    url = peer.url.replace("http", "ws")
    expect("a close", 0, tool("ws", "--stay", url + "/wsclose/1000"))
    expect("going away", 0, tool("ws", "--stay", url + "/wsclose/1001"))
    done = tool("ws", "--stay", "-q", url + "/wsclose/1011")
    expect("an error of the server's", 7, done, "1011: a reason")
    expect("no WebSocket", 4, tool("ws", url + "/whole"), "200")
    expect("not found", 4, tool("ws", url + "/nothing"), "404")
    expect("a closed port", 2, tool("ws", f"ws://127.0.0.1:{closed}/"), "server runs")
    expect("no such host", 2, tool("ws", "ws://nobody.invalid/"), "name")
    expect("TLS", 3, tool("ws", peer.secure.replace("http", "ws") + "/ws"), "--cacert")
    expect("a long wait", 5, tool("ws", "-q", "-m", "0.3", "--stay", url + "/ws"), "--max-time")
    expect("no Unix socket", 2, tool("ws", "--unix-socket", "/none", url), "")
    with Background("ws", url + "/ws") as run:
        check_in("it opens", "open", run.line("stderr"))
        run.process.stdin.write(b"hello\n")
        run.process.stdin.flush()
        check("an answer while the input is open", "hello\n", run.line())
        check("Ctrl-C", 0, run.stop(signal.SIGINT).code)


def check_events(peer, closed):
    peer.let_go.clear()
    done = tool("sse", "-n", "2", peer.url + "/events")
    check("events", (0, 'id: 7\none\ntwo\n\nid: 7\nevent: news\n"three"\n\n'),
          (done.code, done.out))
    done = tool("sse", "--json", "--count=2", peer.url + "/events")
    check("events as JSON", [{"type": "message", "id": "7", "data": "one\ntwo"},
                             {"type": "news", "id": "7", "data": '"three"'}],
          [json.loads(line) for line in done.out.splitlines()])
    check("data alone", 'one\ntwo\n"three"\n',
          tool("sse", "-d", "-n", "2", peer.url + "/events").out)
    tool("sse", "-n", "1", "-H", "X-One: 1", "-H", "X-Two: a", "-H", "x-one: 2", "-H",
         "Cookie: a=1", "-H", "Cookie: b=2", peer.url + "/events")
    check("fields that are repeated", ("1, 2", "a", "a=1; b=2"),
          tuple(peer.seen[-1].get(name) for name in ("X-One", "X-Two", "Cookie")))
    done = tool("sse", "-m", "0.5", peer.url + "/events")
    expect("a time limit", 5, done, "--max-time")
    peer.held.clear()
    with Background("sse", peer.url + "/events") as run:
        check("an event at once", "id: 7\n", run.line())
        check("Ctrl-C", 0, run.stop(signal.SIGINT).code)
    peer.let_go.set()
    peer.last_ids.clear()
    done = tool("sse", "-q", "-d", "-n", "3", "--last-event-id", "xyz", peer.url + "/ends")
    check("connected anew", (0, "event 1\nevent 2\nevent 3\n", ""), (done.code, done.out, done.err))
    check("behind the last event", ["xyz", "1", "2"], peer.last_ids[:3])
    expect("--once", 0, tool("sse", "--once", peer.url + "/ends"))
    expect("not found", 4, tool("sse", peer.url + "/status/404"), "404")
    expect("no more", 0, tool("sse", peer.url + "/status/204"))
    expect("no events", 7, tool("sse", peer.url + "/whole"), "event-stream")
    expect("a closed port", 2, tool("sse", f"http://127.0.0.1:{closed}/"), "server runs")
    expect("no such host", 2, tool("sse", "http://nobody.invalid/"), "name")
    expect("TLS", 3, tool("sse", peer.secure + "/events"), "--cacert")


def check_load(peer, closed):
    peer.asked = 0
    done = tool("bench", "-q", "-j", "-n", "500", "-c", "7", "--threads=2", peer.url + "/count")
    expect("bench", 0, done)
    figures = json.loads(done.out)
    check("requests", (500, 500, 0, 4000),
          (peer.asked, figures["answers"], figures["errors"], figures["bytes"]))
    times = [figures[name] for name in ("p50_us", "p75_us", "p90_us", "p99_us", "p99.9_us",
                                        "max_us")]
    check("times", (True, True), (times == sorted(times), times[0] > 0))
    check("a rate", True, 0 < figures["per_second"] < 1e6)
    done = tool("bench", "-t", "0.3", peer.url + "/count")
    check("a report in words", (0, True), (
        done.code, re.match(r"\d+ answers in \d+\.\d\d s over 10 connections\n  \d+ a second",
                            done.out) is not None))
    done = tool("bench", "-n", "20", "-d", "x=1", "-H", "X: y", peer.url + "/status/500")
    expect("refusals", 4, done)
    check_in("are counted", "20 answers have status 5xx", done.out)
    done = tool("bench", "-j", "-n", "40", "-c", "3", "--timeout=5", peer.raw + "/short")
    expect("answers that are cut", 7, done)
    url = peer.url.replace("http", "ws") + "/ws"
    figures = json.loads(tool("bench", "-j", "-n", "300", "-c", "5", "--size", "1000", url).out)
    check("messages", (300, 0, 300000),
          (figures["answers"], figures["errors"], figures["bytes"]))
    tool("bench", "-n", "1", "-u", "Ada:love", url)
    check("credentials of a WebSocket", "Basic QWRhOmxvdmU=", peer.seen[-1].get("Authorization"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        expect("a handshake that takes too long", 5, tool(
            "bench", "-c", "1", "-n", "1", "--connect-timeout", "0.5",
            f"ws://127.0.0.1:{silent.getsockname()[1]}/"), "more time")
        check("the time that it took is short", True, time.monotonic() - began < 5)
    expect("no WebSocket", 4, tool("bench", "-n", "9", url.replace("/ws", "/whole")), "200")
    for scheme in ("http", "ws"):
        expect("a closed port", 2, tool("bench", f"{scheme}://127.0.0.1:{closed}/"), "server runs")
    expect("TLS", 3, tool("bench", peer.secure + "/count"), "--cacert")
    peer.asked = 0
    peer.counted.clear()
    with Background("bench", "-t", "60", peer.url + "/count") as run:
        check("requests come", True, peer.counted.wait(60))
        done = run.stop(signal.SIGINT)
        check("Ctrl-C", 0, done.code)
        check_in("figures so far", "answers in ", done.out)


def check_streams(peer, closed):
    check_messages(peer)
    check_ends(peer, closed)
    check_events(peer, closed)
    check_load(peer, closed)
