"""The servers under measurement: what they are, how they are built and started.

A server that cannot be built or found is not an error: it has a reason in
`skipped`, which the report names.
"""

import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass

BENCH = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(BENCH)
BUILD = os.path.join(ROOT, "build", "bench")
CC = os.environ.get("CC", "gcc")
CFLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra"]


@dataclass
class Server:
    name: str
    what: str  # one line for the report
    source: str = ""  # the file to compile; "" for a program that is installed
    header: str = ""  # the header without which it is not installed
    libraries: tuple = ()
    arguments: tuple = ()  # after the port
    program: str = ""
    package: str = ""  # pkg-config's name, for the version
    macro: tuple = ()  # or a header and its macro, for the same
    idle: bool = True  # whether it can hold 10,000 connections
    websocket: bool = False  # it has channels, and no answer to a plain GET
    skipped: str = ""
    version: str = ""
    binary: str = ""


def catalogue():
    return [
        Server("reference", "a bare epoll loop with a canned answer: the floor", "reference.c"),
        Server("apus-worker", "Apus, worker dispatch: one worker thread runs the handler",
               "apus_server.c", arguments=("worker",)),
        Server("apus-tick", "Apus, tick dispatch: one worker thread, the handler on main's thread",
               "apus_server.c", arguments=("tick",)),
        Server("apus-threadless", "Apus without workers: everything in main's tick",
               "apus_server.c", arguments=("threadless",)),
        Server("nginx", "nginx, one process, `return 200`", program="nginx"),
        Server("h2o", "h2o as a library, its own loop, a handler in C", "peer_h2o.c", "h2o.h",
               ("-lh2o-evloop", "-lssl", "-lcrypto", "-lz"),
               macro=("h2o/version.h", "H2O_VERSION")),
        Server("h2o-file", "the h2o program, one thread, a file in memory", program="h2o"),
        Server("libmicrohttpd", "GNU libmicrohttpd, one epoll thread, one shared response",
               "peer_microhttpd.c", "microhttpd.h", ("-lmicrohttpd",), package="libmicrohttpd"),
        Server("libwebsockets", "libwebsockets, one thread, its own poll loop",
               "peer_libwebsockets.c", "libwebsockets.h", ("-lwebsockets",),
               macro=("libwebsockets.h", "LWS_LIBRARY_VERSION")),
        Server("civetweb", "civetweb, one thread for each connection", "peer_civetweb.c",
               "civetweb.h", ("-lcivetweb",), macro=("civetweb.h", "CIVETWEB_VERSION"),
               idle=False),
    ]


def websocket_catalogue():
    """The servers that echo messages."""
    def echo(name, what, source, *rest, **options):
        return Server(name, what, source, *rest, websocket=True, **options)

    return [
        echo("reference", "a bare epoll loop that unmasks and sends back: the floor",
             "ws_reference.c"),
        echo("apus-worker", "Apus, worker dispatch: one worker thread runs the listener",
             "apus_ws.c", arguments=("worker",)),
        echo("apus-tick", "Apus, tick dispatch: one worker thread, the listener on main's thread",
             "apus_ws.c", arguments=("tick",)),
        echo("libwebsockets", "libwebsockets, one thread, its own poll loop",
             "peer_ws_libwebsockets.c", "libwebsockets.h", ("-lwebsockets",),
             macro=("libwebsockets.h", "LWS_LIBRARY_VERSION")),
        echo("civetweb", "civetweb, one thread for each channel", "peer_ws_civetweb.c",
             "civetweb.h", ("-lcivetweb",), macro=("civetweb.h", "CIVETWEB_VERSION"), idle=False),
    ]


def publisher():
    """The server that sends to many."""
    return Server("apus-publish", "Apus, worker dispatch: one to many", "apus_publish.c",
                  websocket=True)


# ---- building


def output(*command, **options):
    result = subprocess.run(command, capture_output=True, text=True, **options)
    return (result.stdout + result.stderr).strip() if result.returncode == 0 else ""


def has_header(header):
    return subprocess.run([CC, "-fsyntax-only", "-x", "c", "-include", header, "/dev/null"],
                          capture_output=True).returncode == 0


def compile_c(source, binary, *flags):
    """Compiles one file; returns "" or the compiler's first complaint."""
    result = subprocess.run([CC, *CFLAGS, "-o", binary, os.path.join(BENCH, source), *flags],
                            capture_output=True, text=True)
    lines = result.stderr.strip().splitlines()
    return "" if result.returncode == 0 else (lines or ["the compiler failed"])[0]


def build_tools():
    os.makedirs(BUILD, exist_ok=True)
    for source, binary, flags in (("pipeline.c", "pipeline", ()), ("idle.c", "idle", ()),
                                  ("ws_load.c", "ws_load", ()),
                                  ("load_time.c", "load_time", ("-ldl",)),
                                  ("allocs.c", "allocs.so", ("-shared", "-fPIC"))):
        problem = compile_c(source, os.path.join(BUILD, binary), *flags)
        if problem:
            raise SystemExit(f"bench: {source}: {problem}")


def find_apus(prefix):
    """The flags to link Apus with and the library's path: from the prefix by
    pkg-config, else from SwiftPM's release folder. None if it is in neither."""
    environment = dict(os.environ, PKG_CONFIG_PATH=os.pathsep.join(
        os.path.join(prefix, folder, "pkgconfig")
        for folder in ("lib", "lib64", f"lib/{os.uname().machine}-linux-gnu")))
    if shutil.which("pkg-config") and \
            output("pkg-config", "--modversion", "apus", env=environment):
        flags = output("pkg-config", "--cflags", "--libs", "apus", env=environment).split()
        folder = output("pkg-config", "--variable=libdir", "apus", env=environment)
        library = os.path.join(folder, "libapus.so")
        if os.path.exists(library):
            return flags + [f"-Wl,-rpath,{folder}"], library
    library = os.path.join(ROOT, ".build", "release", "libapus.so")
    if not os.path.exists(library):
        return None
    folder = os.path.join(BUILD, "lib")
    os.makedirs(folder, exist_ok=True)
    for name in ("libapus.so", "libapus.so.1"):
        link = os.path.join(folder, name)
        if os.path.lexists(link):
            os.unlink(link)
        os.symlink(library, link)
    return [f"-I{ROOT}/include", f"-L{folder}", "-lapus", f"-Wl,-rpath,{folder}"], library


def prepare(server, apus):
    """Builds or finds a server; sets its binary and version, or why it is skipped."""
    if server.program:
        server.binary = shutil.which(server.program, path=os.environ["PATH"] + ":/usr/sbin") or ""
        if not server.binary:
            server.skipped = "not installed"
            return
        text = output(server.binary, "-v" if server.program == "nginx" else "--version")
        server.version = (re.search(r"\d+\.\d+[.\d]*", text) or [""])[0]
        return
    flags = list(server.libraries)
    if server.source.startswith("apus_"):
        if apus is None:
            server.skipped = "the library is not built"
            return
        flags += apus[0]
    elif server.header and not has_header(server.header):
        server.skipped = "not installed"
        return
    server.binary = os.path.join(BUILD, server.source[:-2])
    problem = compile_c(server.source, server.binary, *flags, "-pthread")
    if problem:
        server.skipped = "does not build: " + problem
        return
    server.version = version_of(server, apus)


def version_of(server, apus):
    if server.source.startswith("apus_"):
        library = ctypes.CDLL(os.path.realpath(apus[1]))
        library.apus_version.restype = ctypes.c_char_p
        return library.apus_version().decode()
    if server.macro:
        return header_version(*server.macro)
    return output("pkg-config", "--modversion", server.package) if server.package else ""


def header_version(header, macro):
    text = output(CC, "-E", "-dM", "-x", "c", "-include", header, "/dev/null")
    found = re.search(rf'#define {macro} "([^"]+)"', text)
    return found[1].rstrip("-") if found else ""


# ---- running


def cores():
    """The core for the server and the one for the load, or None if there is one
    only: then nothing is pinned."""
    available = sorted(os.sched_getaffinity(0))
    return (available[0], available[1]) if len(available) > 1 else None


LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def child_setup(core):
    """For a child process, before it runs its program: pins it, and has it end
    when this one ends, however that happens."""
    def setup():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if core is not None:
            os.sched_setaffinity(0, {core})
    return setup


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetch(port):
    """One answer, as bytes; raises OSError if there is none."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        answer = b""
        while not answer.endswith(b"Hello, World!"):
            piece = peer.recv(65536)
            if not piece:
                break
            answer += piece
        return answer


def shake_hands(port):
    """The status of the answer to a WebSocket handshake; raises OSError if none comes."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                     b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                     b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        return peer.recv(65536).partition(b" ")[2][:3]


class Running:
    """A server process on a port of its own; a context manager."""

    def __init__(self, server, scratch, environment=None):
        self.server = server
        self.folder = os.path.join(scratch, server.name)
        self.environment = dict(os.environ, **(environment or {}))
        self.process = None

    def __enter__(self):
        problem = ""
        for _ in range(3):  # another program may take the port first
            self.port = free_port()
            pinned = cores()
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, env=self.environment,
                preexec_fn=child_setup(pinned and pinned[0]))
            problem = self.wait_until_ready()
            if not problem:
                return self
            self.end()
        raise RuntimeError(f"{self.server.name}: {problem}")

    def __exit__(self, *_):
        self.end()

    def command(self):
        if not self.server.program:
            return [self.server.binary, str(self.port), *self.server.arguments]
        files = os.path.join(self.folder, "files")
        os.makedirs(files, exist_ok=True)
        with open(os.path.join(files, "hello.txt"), "w") as file:
            file.write("Hello, World!")
        with open(os.path.join(BENCH, self.server.program + ".conf.in")) as file:
            text = file.read()
        text = text.replace("@PORT@", str(self.port)).replace("@DIR@", self.folder)
        configuration = os.path.join(self.folder, self.server.program + ".conf")
        with open(configuration, "w") as file:
            file.write(text)
        if self.server.program == "nginx":
            return [self.server.binary, "-p", self.folder, "-e", "stderr", "-c", configuration]
        return [self.server.binary, "-c", configuration]

    def wait_until_ready(self):
        """Returns "" once the right answer comes, else what is wrong."""
        problem = "does not start"
        end = time.monotonic() + 10
        while time.monotonic() < end:
            if self.process.poll() is not None:
                return f"ended with {self.process.returncode}"
            try:
                if self.server.websocket:
                    return "" if shake_hands(self.port) == b"101" else "refuses the handshake"
                answer = fetch(self.port)
            except OSError:
                time.sleep(0.02)
                continue
            head, _, body = answer.partition(b"\r\n\r\n")
            fields = head.lower().split(b"\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                problem = "the status is not 200"
            elif b"x-bench: 1" not in fields or body != b"Hello, World!":
                problem = "the answer is not the one agreed"
            elif not any(line.startswith(b"content-type: text/plain") for line in fields):
                problem = "the answer is not text/plain"
            else:
                self.answer_length = len(answer)
                return ""
            time.sleep(0.1)
        return problem

    def end(self):
        """Ends this process, and no other."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            print(f"  {self.server.name}: did not end at SIGTERM within 5 s; killed")
            self.process.kill()
            self.process.wait()

    # ---- what it has used so far

    def threads(self):
        return os.listdir(f"/proc/{self.process.pid}/task")

    def cpu(self):
        """As cpu_of()."""
        return cpu_of(self.process.pid)


def cpu_of(pid):
    """(total, user, system) in seconds of all threads of a process. The total is
    the scheduler's, exact; user and system come in ticks of 10 ms."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
            total += int(file.read().split()[0])
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    tick = os.sysconf("SC_CLK_TCK")
    return total / 1e9, int(fields[11]) / tick, int(fields[12]) / tick
