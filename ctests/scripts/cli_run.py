"""What the parts of the tool's test share: the tool, run in a pipe or on a terminal."""
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

from common import PATIENCE, check

APUS = os.path.join(os.environ["APUS_PREFIX"], "bin", "apus")
CLEAN = {name: value for name, value in os.environ.items()
         if not name.lower().endswith("_proxy") and name != "NO_COLOR"}
CLEAN["TERM"] = "xterm"


class Done:
    def __init__(self, code, out, err=""):
        self.code, self.out, self.err = code, out, err


def tool(*words, data=b"", folder=None, text=True, **environment):
    """Runs the tool to its end, in pipes."""
    done = subprocess.run([APUS, *words], input=data, capture_output=True, cwd=folder,
                          timeout=PATIENCE, env=dict(CLEAN, **environment))
    out = done.stdout.decode(errors="replace") if text else done.stdout
    return Done(done.returncode, out, done.stderr.decode(errors="replace"))


def expect(what, code, done, part=None):
    """The exit code, and part of what a failure says: one line of plain text."""
    if done.code != code:
        print(f"    {what} said: {done.err or done.out!r}")
    check(f"exit code of {what}", code, done.code)
    if part is not None:
        check(f"what {what} says ({part!r} in {done.err!r})", True, part in done.err)
        lines = [line for line in done.err.splitlines() if line.startswith("apus")]
        check(f"one line of {what}", 1, len(lines))


class Background:
    """The tool in pipes, while something else is done."""

    def __init__(self, *words, **environment):
        self.process = subprocess.Popen(
            [APUS, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=dict(CLEAN, **environment))

    def line(self, stream="stdout"):
        return getattr(self.process, stream).readline().decode()

    def stop(self, number):
        self.process.send_signal(number)
        return self.end()

    def end(self):
        out, err = self.process.communicate(timeout=PATIENCE)
        return Done(self.process.returncode, out.decode(), err.decode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Served(Background):
    """The tool as a server: its URL is in its first line."""

    def __init__(self, *words, **environment):
        super().__init__(*words, "--listen", "127.0.0.1:0", **environment)
        found = [word for word in self.line("stderr").split() if "://127.0.0.1:" in word]
        check(f"{words[0]} says where it is", 1, len(found))
        self.url = found[0].rstrip("/") if found else "http://127.0.0.1:1"


class Terminal:
    """The tool on a terminal: its streams are that, but those that are given."""

    def __init__(self, *words, folder=None, stdin=None, stdout=None, environment=None):
        self.seen = b""
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [APUS, *words], stdin=stdin or slave, stdout=stdout or slave, stderr=slave,
            cwd=folder, start_new_session=True, env=dict(CLEAN, **(environment or {})),
            preexec_fn=lambda: fcntl.ioctl(2, termios.TIOCSCTTY, 0))
        os.close(slave)

    def type(self, text):
        os.write(self.master, text.encode())

    def read(self):
        """What came since; b"" at the end."""
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return b""
        self.seen += data
        return data

    def until(self, part):
        """Whether something is written before the tool ends."""
        deadline = time.monotonic() + PATIENCE
        while part not in self.seen and time.monotonic() < deadline:
            ready, _, _ = select.select([self.master], [], [], 1)
            if ready and not self.read():
                break
        return part in self.seen

    def end(self):
        """All that was written, once it has ended."""
        check("the tool ends", False, self.until(b"\0never\0"))
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        os.close(self.master)
        return Done(code, self.seen.decode(errors="replace"))


def on_terminal(*words, **options):
    return Terminal(*words, **options).end()
