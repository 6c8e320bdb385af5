"""The tool on a terminal: progress bars and colours are there and nowhere else, and no
control of a peer's is."""
import os
import re
import signal
import socket
from urllib.parse import urlsplit

from cli_peers import ESCAPES
from cli_run import Served, Terminal, on_terminal, tool
from common import PATIENCE, check, check_in

OWN = re.compile(r"\x1b\[(?:\d+(?:;\d+)*)?[mK]")  # what the tool itself may write
SHOWN = r"one\x1b[31mtwo\x1b]0;title\x07three\u{202e}four\u{9b}five\rsix"


def is_harmless(text):
    """No control is left when the tool's own colours are gone."""
    rest = OWN.sub("", text).replace("\r\n", "\n")
    return re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]",
                     rest) is None


def check_escapes(peer):
    done = on_terminal("get", peer.raw + "/body")
    check("a body", (0, SHOWN), (done.code, done.out.strip()))
    check("a byte of Latin-1", r"a\x9bb", on_terminal("get", peer.raw + "/latin").out.strip())
    done = on_terminal("get", "-i", peer.raw + "/field")
    check("fields are harmless", True, is_harmless(done.out))
    check_in("a field", r"a\u{9b}31mb", done.out)
    check("a body as it is", True, "\x1b[31m" in on_terminal("get", "-o", "-",
                                                             peer.raw + "/body").out)
    done = on_terminal("get", peer.url + "/file/big.bin")
    check("no binary", 6, done.code)
    check_in("what to do", "-o FILE", done.out)
    done = on_terminal("sse", "-n", "1", peer.raw + "/events")
    check("an event is harmless", (0, True), (done.code, is_harmless(done.out)))
    check_in("its type", r"na\x1b[1mme", done.out)
    done = on_terminal("sse", "-j", "-n", "1", peer.raw + "/events")
    check("an event as JSON is harmless", (0, True), (done.code, is_harmless(done.out)))
    url = peer.url.replace("http", "ws") + "/ws"
    done = on_terminal("ws", "-n", "1", "--message", "evil", url)
    check("a message is harmless", (0, True), (done.code, is_harmless(done.out)))
    check_in("and there", SHOWN, done.out)
    check("in a pipe it is as it came", ESCAPES + "\n",
          tool("ws", "-q", "-n", "1", "--message", "evil", url).out)
    check("in a pipe a body is as it came", ESCAPES, tool("get", peer.raw + "/body").out)
    done = tool("get", "-f", peer.raw + "/none\x1b[31m")
    check("no controls in complaints, in a pipe either", True, "\x1b" not in done.err)


def check_log(folder):
    """What stands in an access log comes from clients."""
    run = Terminal("serve", "--listen", "127.0.0.1:0", folder)
    check("it says where it is", True, run.until(b"\n"))
    port = int(re.search(rb"127\.0\.0\.1:(\d+)", OWN.sub("", run.seen.decode()).encode())[1])
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.sendall(b"GET /%9b31m HTTP/1.1\r\nHost: x\r\n"
                       b"User-Agent: a\xc2\x9bb\xe2\x80\xaec\r\nConnection: close\r\n\r\n")
        while client.recv(4096):
            pass
    check("its log", True, run.until(b"HTTP/1.1"))
    run.process.send_signal(signal.SIGINT)
    done = run.end()
    check("a log is harmless", (0, True), (done.code, is_harmless(done.out)))


def check_colours(peer):
    url = peer.url + "/whole"
    check("a colour", True, "\x1b[1;32m200" in on_terminal("get", "-i", url).out)
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}):
        done = on_terminal("get", "-i", url, environment=environment)
        check(f"no colour with {environment}", False, "\x1b" in done.out)
        done = on_terminal("get", "--nonsense", environment=environment)
        check(f"no colour in a complaint with {environment}", False, "\x1b" in done.out)
    check("a complaint has one", True, "\x1b[1;31m" in on_terminal("get", "--nonsense").out)
    check("none in a pipe", False, "\x1b" in tool("get", "-i", url).out)
    check("an empty NO_COLOR", True,
          "\x1b" in on_terminal("get", "-i", url, environment={"NO_COLOR": ""}).out)


def check_progress(peer, folder):
    path = os.path.join(folder, "slow")
    for words, environment, wanted in (
            ((), {}, True), ((), {"NO_COLOR": "1"}, True), (("-s",), {}, False),
            ((), {"TERM": "dumb"}, False)):
        peer.let_go.clear()
        peer.held.clear()
        run = Terminal("get", *words, "-o", path, peer.url + "/held", environment=environment)
        check("half of it", True, peer.held.wait(PATIENCE))
        if wanted:
            check(f"a bar with {environment}", True, run.until(b"50% ["))
        peer.let_go.set()
        done = run.end()
        if wanted:
            check(f"its colour with {environment}", not environment, "\x1b[32m" in done.out)
        check(f"a bar with {words}, {environment}", (0, wanted),
              (done.code, "100% [" in done.out))
        check("nothing else" if not wanted else "the end", wanted, done.out != "")
    peer.let_go.clear()
    run = Terminal("get", "-o", path, peer.url + "/held")
    check("a bar", True, run.until(b"50% ["))
    run.type("\x03")
    done = run.end()
    peer.let_go.set()
    check("Ctrl-C, typed", (130, True), (done.code, "-C goes on" in done.out))
    check("what came is kept", 1000000, os.path.getsize(path))
    check("no bar where the body goes to the terminal", False,
          "%" in on_terminal("get", peer.url + "/whole").out)
    check("no bar in a pipe", "", tool("get", "-o", path, peer.url + "/held").err)


def check_typing(peer):
    run = Terminal("get", "-u", "Ada", peer.url + "/basic")
    check("it asks", True, run.until(b"Password of Ada: "))
    run.type("love:lace\n")
    done = run.end()
    check("a password", (0, True, False),
          (done.code, "welcome" in done.out, "love" in done.out))
    run = Terminal("ws", peer.url.replace("http", "ws") + "/ws")
    check("it opens", True, run.until(b"open"))
    run.type("hello\n")
    check("an answer", True, run.until(b"< \x1b[0mhello\r\n"))
    run.type("/ping\n")
    check("a pong", True, run.until(b"pong"))
    run.type("//slash\n")
    check("a slash", True, run.until(b"< \x1b[0m/slash\r\n"))
    run.type("/help\n")
    check("help", True, run.until(b"Ctrl-D"))
    run.type("\x04")
    check("Ctrl-D", 0, run.end().code)
    run = Terminal("ws", peer.url.replace("http", "ws") + "/ws")
    check("it opens", True, run.until(b"open"))
    run.type("/close 4000 enough\n")
    check("a close", 0, run.end().code)


def check_terminal(peer, folder):
    check_escapes(peer)
    check_log(folder)
    check_colours(peer)
    check_progress(peer, folder)
    check_typing(peer)
