#!/usr/bin/env python3
"""The command-line tool, as its users meet it: every command against servers and clients
of others, every exit code, arguments that make no sense, and a terminal."""
# ctest: once nosanitize timeout=600
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile

try:
    import aiohttp  # noqa: F401
    import websockets  # noqa: F401
except ImportError:
    print("skipped: aiohttp and websockets are needed, for Python")
    sys.exit(77)

from certificates import Authority
from cli_get import check_get
from cli_peers import Evil, Peer
from cli_run import APUS, expect, tool
from cli_serve import check_servers
from cli_streams import check_streams
from cli_terminal import check_terminal
from common import Loop, check, check_in, report, skipped

COMMANDS = ("serve", "get", "ws", "sse", "echo", "bench")

# The command line, and what is said of it.
WRONG = (
    ((), "command is missing"), (("nonsense",), "'nonsense'"), (("help", "nonsense"), "nonsense"),
    (("get",), "which URL"), (("get", "a", "b"), "'b'"), (("get", "--none", "u"), "--none"),
    (("get", "-Q", "u"), "-Q"), (("get", "u", "-o"), "-o needs"),
    (("get", "--fail=1", "u"), "--fail"),
    (("get", "-m", "soon", "u"), "'soon'"), (("get", "-m", "nan", "u"), "'nan'"),
    (("get", "-m-1", "u"), "'-1'"), (("get", "--max-redirects", "101", "u"), "100"),
    (("get", "-d", "x", "-F", "a=b", "u"), "enough"), (("get", "-F", "file", "u"), "NAME=VALUE"),
    (("get", "-H", "nothing", "u"), "NAME: VALUE"), (("get", "-H", "a b: c", "u"), "a b"),
    (("get", "-o", "x", "-O", "u"), "not both"), (("get", "-C", "u"), "-C needs"),
    (("get", "-u", "Ada", "u"), "PASSWORD"), (("get", "-X", "G E T", "http://127.0.0.1:1/"), ""),
    (("ws",), "which URL"), (("ws", "-n", "0", "u"), "'0'"), (("ws", "ftp://x/"), "URL"),
    (("sse",), "which URL"), (("sse", "-n", "x", "u"), "'x'"), (("sse", "ws://x/"), "WebSocket"),
    (("serve", "a", "b"), "'b'"), (("serve", "--max-upload", "1Q"), "1Q"),
    (("serve", "--auth", "Ada"), "NAME:PASSWORD"), (("serve", "-l", "nowhere"), "nowhere"),
    (("serve", "--index", "a/b", "-l", "0"), "a/b"),
    (("echo", "x"), "'x'"), (("echo", "--interval", "0"), "'0'"),
    (("bench",), "which URL"), (("bench", "-c", "0", "u"), "'0'"), (("bench", "-t", "", "u"), "''"),
)


def check_usage():
    for words, part in WRONG:
        expect(" ".join(words) or "nothing", 1, tool(*words), part)
    done = tool("version")
    check("the version", (0, True), (
        done.code, re.fullmatch(r"apus (\S+) \(library \1, ABI \d+\)\n", done.out) is not None))
    check("the same", done.out, tool("--version").out)
    done = tool("--help")
    check("help", (0, ""), (done.code, done.err))
    for name in COMMANDS:
        check_in("commands", f"\n  {name} ", done.out)
        check_in("examples", f"\n  apus {name} ", done.out)
        check(f"help {name}", tool(name, "--help").out, tool("help", name).out)
    check("output that cannot be written", 6, full_disk())


def full_disk():
    with open("/dev/full", "w") as full:
        return subprocess.run([APUS, "--help"], stdout=full, stderr=subprocess.DEVNULL).returncode


def check_manual():
    """The manual and each help tell of the same options, and of examples."""
    path = os.path.join(os.environ["APUS_PREFIX"], "share", "man", "man1", "apus.1")
    with open(path) as file:
        manual = file.read().replace("\\-", "-")
    described = set(re.findall(r"--[a-z][a-z-]+", manual))
    helped = {"--help"}
    for name in COMMANDS:
        text = tool(name, "--help").out
        check_in(f"help of {name}", f"\n  apus {name} ", text)
        helped |= set(re.findall(r"^  .{4}(--[a-z-]+)", text, re.M))
        check(f"width of the help of {name}", True, max(map(len, text.splitlines())) <= 100)
    check("options of the manual", sorted(helped), sorted(described))
    if shutil.which("man"):
        done = subprocess.run(["man", "--warnings", "-l", path], capture_output=True, text=True,
                              env=dict(os.environ, MANROFFSEQ="", LC_ALL="C.UTF-8", MANWIDTH="80"))
        check("the manual is sound", (0, ""), (done.returncode, done.stderr))
    else:
        skipped.append("the manual by man")


def check_completion():
    path = os.path.join(os.environ["APUS_PREFIX"], "share/bash-completion/completions/apus")
    for words, wanted in ((("", "s"), ["serve", "sse"]), (("", "get", "--max-"),
                                                         ["--max-redirects", "--max-time"])):
        script = (f'source "{path}"; COMP_WORDS=("{APUS}" {" ".join(words[1:])}); '
                  f'COMP_CWORD={len(words) - 1}; _apus; printf "%s\\n" "${{COMPREPLY[@]}}"')
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
        check(f"completion of {words}", wanted, done.stdout.split())


def closed_port():
    """A port that nobody listens on, as long as the socket is held."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    return holder, holder.getsockname()[1]


def main():
    check_usage()
    check_manual()
    check_completion()
    loop = Loop()
    evil = Evil()
    holder, closed = closed_port()
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(os.path.join(folder, "ca"))
        other = Authority(os.path.join(folder, "other"), name="Other CA")
        far = authority.make("far", names="DNS:localhost")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*far)
        peer = Peer(loop, folder)
        plain, port = loop.run(peer.start())
        peer.url, peer.evil, peer.raw = f"http://127.0.0.1:{port}", evil, evil.url
        secure = Peer(loop, folder)
        tls, port = loop.run(secure.start(context))
        peer.secure = f"https://localhost:{port}"
        try:
            check_get(peer, folder, authority, other, closed)
            check_streams(peer, closed)
            check_terminal(peer, folder)
            check_servers(folder, authority, authority.make("near"))
        finally:
            for one in (peer, secure):
                one.let_go.set()
            loop.run(plain.cleanup())
            loop.run(tls.cleanup())
            loop.stop()
            evil.close()
            holder.close()
    return report("cli")


if __name__ == "__main__":
    sys.exit(main())
