#!/usr/bin/env python3
"""The WebSocket programs of examples/, with the websockets package as their peer."""
# ctest: nosanitize
import os
import signal
import sys
import tempfile

from common import LIBRARIES, PATIENCE, SOURCE, check, compile_example, report, served

try:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect
except ImportError:
    print("skipped: no websockets")
    sys.exit(77)

PYTHON = os.environ.get("PYTHON") or sys.executable


def open_channel(program, path):
    return connect(program.url.replace("http", "ws") + path, open_timeout=PATIENCE,
                   close_timeout=PATIENCE, max_size=None)


def hear(channel):
    return channel.recv(timeout=PATIENCE)


def check_chat(folder):
    with served([compile_example("chat", folder)]) as program:
        with open_channel(program, "/chat") as ada, open_channel(program, "/chat") as bob, \
                open_channel(program, "/chat") as eve:
            check("welcome", ["Welcome"] * 3, [hear(channel) for channel in (ada, bob, eve)])
            ada.send("Hello")
            check("others hear", ["Hello"] * 2, [hear(bob), hear(eve)])
            bob.send(b"\0\1")
            check("bytes", [b"\0\1"] * 2, [hear(ada), hear(eve)])
            eve.send("\u00fc" * 5000)
            check("a long one", ["\u00fc" * 5000] * 2, [hear(ada), hear(bob)])
        check("end of chat", -signal.SIGTERM, program.stop(signal.SIGTERM)[0])


def check_echo(what, command, **environment):
    messages = ["Hello", b"bytes", "", b"", "\u00fc\0\U0001f426", b"x" * 1_000_000,
                [b"in ", b"three ", b"frames"]]
    with served(command, **environment) as program:
        with open_channel(program, "/echo") as first, open_channel(program, "/echo") as second:
            for message in messages:
                for channel in (second, first):
                    channel.send(message)
                whole = b"".join(message) if isinstance(message, list) else message
                check(f"{what} {whole[:9]!r}", [whole] * 2, [hear(first), hear(second)])
            second.close()
            first.send("still there")
            check(f"{what} with the other gone", "still there", hear(first))
            # Text must be UTF-8.
            first.send(b"\xff", text=True)
            try:
                hear(first)
            except ConnectionClosed as closed:
                check(f"{what} of bad text", 1007, closed.rcvd and closed.rcvd.code)
            else:
                check(f"{what} of bad text", "a close", "a message")
        check(f"end of {what}", -signal.SIGTERM, program.stop(signal.SIGTERM)[0])


def main():
    with tempfile.TemporaryDirectory() as folder:
        check_chat(folder)
        check_echo("echo_pull", [compile_example("echo_pull", folder)])
    check_echo("echo.py", [PYTHON, os.path.join(SOURCE, "examples", "echo.py")],
               LD_LIBRARY_PATH=LIBRARIES)
    return report("websocket_examples_test")


if __name__ == "__main__":
    sys.exit(main())
